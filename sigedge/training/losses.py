"""The loss of a verifier: supervised contrast over writers, and one global threshold over pairs."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn
from torch.nn import functional


class VerificationLoss(nn.Module):
    """Supervised contrastive loss plus logistic loss over pairs.

    Supervised contrast (Khosla et al., NeurIPS 2020, eq. 2) pulls the genuine samples of a signer together and
    pushes everything else away, the signer's own skilled forgeries included: each forgery is a class of its own.
    The pair term is the logistic loss of "genuine pair or not" on a learned affine function of the cosine, shared
    by all signers: it is what asks for one threshold that serves everybody.

    Args:
        temperature: of the contrastive term.
        pair_weight: weight of the pair term.
    """

    def __init__(self, temperature: float, pair_weight: float) -> None:
        super().__init__()
        self.contrast = SupConLoss(temperature=temperature)
        self.pair_weight = pair_weight
        self.slope = nn.Parameter(torch.tensor(8.0))
        self.offset = nn.Parameter(torch.tensor(-4.0))

    def forward(self, embeddings: Tensor, signers: Tensor, genuine: Tensor) -> tuple[Tensor, Tensor]:
        """Contrastive and pair term, each a scalar.

        Args:
            embeddings: float [B, D], of any length.
            signers: int64 [B], whose signature each shows or claims to show.
            genuine: bool [B].
        """
        unit = functional.normalize(embeddings.float())
        forgery_labels = signers.max() + 1 + torch.arange(len(signers), device=signers.device)
        contrast = self.contrast(unit, torch.where(genuine, signers, forgery_labels))
        return contrast, self.pair_weight * self._pair_term(unit, signers, genuine)

    def _pair_term(self, unit: Tensor, signers: Tensor, genuine: Tensor) -> Tensor:
        logits = self.slope * (unit @ unit.T) + self.offset
        same = signers[:, None] == signers[None, :]
        both = genuine[:, None] & genuine[None, :]
        above = torch.triu(torch.ones_like(same), diagonal=1)
        groups = (
            (same & both & above, -1.0),
            (same & (genuine[:, None] != genuine[None, :]) & above, 1.0),
            (~same & both & above, 1.0),
        )
        # Each kind of pair counts the same, however many there are of it.
        terms = [functional.softplus(sign * logits[mask]).mean() for mask, sign in groups if bool(mask.any())]
        return torch.stack(terms).sum() if terms else unit.sum() * 0.0
