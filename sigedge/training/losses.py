"""Losses of a verifier: supervised contrast with one threshold over pairs, contrastive pairs, mined triplets.

Each takes a batch's embeddings float [B, D] of any length, whose signature each shows or claims to show, int64 [B], and
whether it is genuine, bool [B]. It returns the terms that its `terms` names, scalars whose sum is the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.distances import BaseDistance, LpDistance
from pytorch_metric_learning.losses import SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from torch import Tensor, nn
from torch.nn import functional

from sigedge.training.recipe import Contrastive, Loss, SupervisedContrastive, Triplet
from sigedge.training.similarity import demands, similarities
from sigedge.training.strangers import StrangerTerm
from sigedge_runtime.errors import RecipeError
from sigedge_runtime.matching import LocalMatching

_TINY = 1e-6  # keeps the slope of a square root finite where two embeddings are equal


class VerificationLoss(nn.Module):
    """Supervised contrastive loss, logistic loss over pairs, and `StrangerTerm` where it has a weight.

    Supervised contrast (Khosla et al., NeurIPS 2020, eq. 2) pulls the genuine samples of a signer together and
    pushes everything else away, the signer's own skilled forgeries included: each forgery is a class of its own.
    The pair term is the logistic loss of "genuine pair or not" on a learned affine function of the similarity, less
    what the reference demands, shared by all signers: it is what asks for one threshold that serves everybody.

    Args:
        temperature: of the contrastive term.
        pair_weight: weight of the pair term.
        matching: how devices will compare; the loss sees the same similarities.
        stranger_weight: weight of the stranger term.
        populations: of the stranger term.
    """

    def __init__(
        self,
        temperature: float,
        pair_weight: float,
        matching: LocalMatching | None = None,
        stranger_weight: float = 0.0,
        populations: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.stranger_weight = stranger_weight
        self.strangers = StrangerTerm(populations) if stranger_weight else None
        self.terms = ("contrast", "pairs", "strangers") if stranger_weight else ("contrast", "pairs")
        self.matching = matching
        self.contrast = SupConLoss(temperature=temperature, distance=_AsGiven())
        self.pair_weight = pair_weight
        self.slope = nn.Parameter(torch.tensor(8.0))
        self.offset = nn.Parameter(torch.tensor(-4.0))

    def forward(self, embeddings: Tensor, signers: Tensor, genuine: Tensor) -> tuple[Tensor, ...]:
        """The terms, each a scalar.

        Args:
            embeddings: float [B, D], of any length.
            signers: int64 [B], whose signature each shows or claims to show.
            genuine: bool [B].
        """
        embeddings = embeddings.float()
        found = similarities(embeddings, self.matching)
        contrast = self.contrast(found, _classes(signers, genuine))
        relative = found - demands(embeddings, self.matching)
        pairs = self.pair_weight * self._pair_term(relative, signers, genuine)
        if self.strangers is None:
            return contrast, pairs
        return contrast, pairs, self.stranger_weight * self.strangers(found, signers, genuine)

    def _pair_term(self, relative: Tensor, signers: Tensor, genuine: Tensor) -> Tensor:
        """Of similarities [queries, references] less what the references demand."""
        logits = self.slope * relative + self.offset
        groups = zip(_trial_kinds(signers, genuine), (-1.0, 1.0, 1.0), strict=True)
        # Each kind of trial counts the same, however many there are of it.
        terms = [functional.softplus(sign * logits[mask]).mean() for mask, sign in groups if bool(mask.any())]
        return torch.stack(terms).sum() if terms else relative.sum() * 0.0


class _AsGiven(BaseDistance):  # type: ignore[misc]
    """Lets a loss of pytorch-metric-learning see similarities float [B, B] in the place of embeddings."""

    def __init__(self) -> None:
        super().__init__(normalize_embeddings=False, is_inverted=True)

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """The similarities as they came."""
        return query_emb

    def pairwise_distance(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Nothing that is asked of it here."""
        raise NotImplementedError


class ContrastivePairLoss(nn.Module):
    """Contrastive loss over pairs: like pairs cost their squared distance, unlike ones what they lack of the margin.

    R. Hadsell, S. Chopra and Y. LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006, eq. 4,
    as SigNet has it (arXiv 1707.02131, eq. 1). Distances are of embeddings at unit length, 0 to 2, because devices
    compare by cosines, and the squared distance is 2 - 2 cos. Like pairs are two genuine samples of a signer. Unlike
    pairs are a genuine sample and a forgery of it, and, which SigNet does without, genuine samples of two signers.

    Args:
        margin: up to which unlike pairs are pushed apart, above 0 to 2.
        stranger_weight: weight of the pairs of two signers.
    """

    terms = ("like", "unlike")

    def __init__(self, margin: float, stranger_weight: float) -> None:
        super().__init__()
        self.margin, self.stranger_weight = margin, stranger_weight

    def forward(self, embeddings: Tensor, signers: Tensor, genuine: Tensor) -> tuple[Tensor, Tensor]:
        """The term of like pairs and that of unlike pairs; each kind of pair counts the same, however many."""
        unit = functional.normalize(embeddings.float())
        squared = (2 - 2 * unit @ unit.T).clamp_min(0)
        lacking = functional.relu(self.margin - torch.sqrt(squared + _TINY)) ** 2
        like, forged, strange = _trial_kinds(signers, genuine)
        unlike = _mean(lacking, forged) + self.stranger_weight * _mean(lacking, strange)
        return _mean(squared, like), unlike


class MinedTripletLoss(nn.Module):
    """Triplet loss over the triplets of a batch that a miner picks, by pytorch-metric-learning.

    F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet", CVPR 2015, eq. 2, with distances of embeddings at unit
    length; ``"hard"`` mining after A. Hermans, L. Beyer and B. Leibe, "In Defense of the Triplet Loss", arXiv
    1703.07737, section 2. Anchor and positive are genuine samples of a signer. Everything else is a negative: the
    signer's forgeries, other signers' samples and their forgeries.

    Args:
        margin: by which a negative shall be farther than a positive, above 0 to 2.
        miner: ``"hard"``, ``"semihard"`` or ``"all"``, see `sigedge.training.recipe.Triplet`.
    """

    terms = ("triplet",)

    def __init__(self, margin: float, miner: str) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=True)
        self.loss = TripletMarginLoss(margin, distance=distance)
        self.miner: Any = (
            BatchHardMiner(distance=distance)
            if miner == "hard"
            else TripletMarginMiner(margin, type_of_triplets=miner, distance=distance)
        )

    def forward(self, embeddings: Tensor, signers: Tensor, genuine: Tensor) -> tuple[Tensor]:
        """The mean over the picked triplets that still cost something."""
        wide, classes = embeddings.float(), _classes(signers, genuine)
        return (self.loss(wide, classes, self.miner(wide, classes)),)


def make_loss(
    settings: Loss, matching: LocalMatching | None = None, populations: Sequence[int] = ()
) -> VerificationLoss | ContrastivePairLoss | MinedTripletLoss:
    """The loss that a recipe asks for; its attribute ``terms`` names what it returns.

    Args:
        settings: of the recipe.
        matching: how devices compare the network's embeddings; None for the cosine.
        populations: signers of each data set in a batch, in the order of their numbers.

    Raises:
        RecipeError: the loss knows the cosine alone.
    """
    if matching is not None and not isinstance(settings, SupervisedContrastive):
        raise RecipeError(
            f"The loss {settings.name} compares by cosine, but this network's embeddings are matched cell by cell; "
            "choose supervised_contrastive, or a network with one vector for the whole canvas."
        )
    if isinstance(settings, Contrastive):
        return ContrastivePairLoss(settings.margin, settings.stranger_weight)
    if isinstance(settings, Triplet):
        return MinedTripletLoss(settings.margin, settings.miner)
    return VerificationLoss(settings.temperature, settings.pair_weight, matching, settings.stranger_weight, populations)


def _classes(signers: Tensor, genuine: Tensor) -> Tensor:
    """int64 [B]: the signer of a genuine sample; every forgery is a class of its own."""
    forgeries = signers.max() + 1 + torch.arange(len(signers), device=signers.device)
    return torch.where(genuine, signers, forgeries)


def _trial_kinds(signers: Tensor, genuine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masks bool [queries, references], references genuine: queries that are genuine, forgeries, and strangers."""
    same = signers[:, None] == signers[None, :]
    other = ~torch.eye(len(signers), dtype=torch.bool, device=signers.device)
    like, forged = same & genuine[:, None] & other, same & ~genuine[:, None]
    return like & genuine, forged & genuine, ~same & genuine[:, None] & genuine


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean where a mask holds, 0 where it holds nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
