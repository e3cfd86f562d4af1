"""Distillation: a network learns the similarities that an ensemble of trained ones finds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sigedge.training.similarity import matching_of, similarities


class Teachers:
    """The mean similarities of trained networks, and how far a student's are from them.

    Relations between the samples of a batch are distilled, not embeddings, which differ between networks by a rotation
    that means nothing (W. Park et al., "Relational Knowledge Distillation", CVPR 2019, section 3.2). The mean of
    several teachers is what averaging their scores would decide by.

    Args:
        networks: trained, float [B, 1, H, W] of canvas values 0 to 255 to float [B, D]; at least one.
        student: the network that learns; its way of matching is applied to its own embeddings.
        weight: of the loss.
    """

    def __init__(self, networks: Sequence[nn.Module], student: nn.Module, weight: float) -> None:
        self._networks = [network.eval() for network in networks]
        self._matching = matching_of(student)
        self._weight = weight

    def __call__(self, canvases: Tensor, embeddings: Tensor) -> Tensor:
        """Weighted mean squared difference of similarities, a scalar.

        Args:
            canvases: float [B, 1, H, W] of canvas values 0 to 255, as the student saw them.
            embeddings: float [B, D], what the student made of them.
        """
        with torch.no_grad():
            found = [similarities(network(canvases).float(), matching_of(network)) for network in self._networks]
            wanted = torch.stack(found).mean(dim=0)
        difference = similarities(embeddings.float(), self._matching) - wanted
        # A sample and itself teach nothing.
        others = ~torch.eye(len(wanted), dtype=torch.bool, device=wanted.device)
        return self._weight * difference[others].square().mean()
