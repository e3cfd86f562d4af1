"""What the references of strangers must not tell: the leak gate of the reference swap as a loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Share of a batch in the running mean: some twenty batches are remembered.
MEMORY = 0.05


class StrangerTerm(nn.Module):
    """How well the references of other signers tell genuine samples from forgeries, squared.

    Where a data set's forgeries differ from its genuine samples in something that is nobody's hand, a network learns to
    find them unlike anybody's references, and errs on every other data set. So the references of other signers shall
    find forgeries, on average, as alike as genuine samples: a match of first moments (A. Gretton et al., "A Kernel
    Two-Sample Test", JMLR 13, 2012, with a linear kernel), for each data set by itself, in standard deviations of the
    similarities between its signers.

    The few signers of a batch differ by chance. What is lessened is the square of the mean over many batches: its slope
    is twice the running mean times the slope of the batch's own difference.

    Args:
        populations: signers of each data set in a batch; signers are numbered from 0, data set by data set.
    """

    ends: Tensor
    running: Tensor

    def __init__(self, populations: Sequence[int]) -> None:
        super().__init__()
        ends = torch.tensor(populations, dtype=torch.int64).cumsum(0)
        self.register_buffer("ends", ends, persistent=False)
        # Saved with a run, so that one that is resumed goes on as it would have.
        self.register_buffer("running", torch.zeros(len(populations)))

    def forward(self, similarities: Tensor, signers: Tensor, genuine: Tensor) -> Tensor:
        """The term, a scalar.

        Args:
            similarities: float [B, B], queries by references.
            signers: int64 [B], whose signature each shows or claims to show.
            genuine: bool [B].
        """
        found = similarities.float()
        population = torch.bucketize(signers, self.ends, right=True)
        rows = [torch.nonzero(population == number)[:, 0] for number in range(len(self.running))]
        told = torch.stack([told_by_strangers(found[own][:, own], signers[own], genuine[own]) for own in rows])
        self.running.lerp_(told.detach(), MEMORY)
        return (2 * self.running * told).mean()


def told_by_strangers(similarities: Tensor, signers: Tensor, genuine: Tensor) -> Tensor:
    """How much more alike genuine samples are than forgeries to other signers' references, in standard deviations.

    Args:
        similarities: float [N, N], queries by references, of one data set.
        signers: int64 [N].
        genuine: bool [N].

    Returns:
        A scalar, a mean over the signers with samples of both kinds; 0 where there is none, or no stranger.
    """
    strangers = (signers[:, None] != signers[None, :]) & genuine[None, :]
    if not bool(strangers.any()):
        return similarities.sum() * 0.0
    by_query = (similarities * strangers).sum(dim=1) / strangers.sum(dim=1).clamp_min(1)
    told = []
    for signer in torch.unique(signers):
        own, authentic = by_query[signers == signer], genuine[signers == signer]
        if bool(authentic.any()) and not bool(authentic.all()):
            told.append(own[authentic].mean() - own[~authentic].mean())
    if not told:
        return similarities.sum() * 0.0
    return torch.stack(told).mean() / similarities[strangers].std()
