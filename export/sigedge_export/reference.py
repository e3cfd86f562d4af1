"""The reference that every artefact has to agree with: the trained PyTorch model in float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

    from sigedge_models.checkpoint import CheckpointInfo

BATCH = 32


class Exportable(Protocol):
    """What the chain asks of a model."""

    def export_module(self) -> nn.Module:
        """The fused graph: float32 [N, 1, H, W] of canvas values 0 to 255 to float32 [N, D]."""


@dataclass(frozen=True)
class Reference:
    """A loaded checkpoint.

    Attributes:
        info: what the checkpoint says of itself.
        model: the network as trained, in evaluation mode, before any fusing of layers.
    """

    info: CheckpointInfo
    model: nn.Module

    @property
    def parameters(self) -> int:
        """Weights of the deployed, fused graph."""
        return sum(weight.numel() for weight in deployed_module(self.model).parameters())

    def embed(self, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed canvases uint8 [N, H, W] of any N into float32 [N, D].

        Raises:
            CheckpointError: an embedding is not finite.
        """
        import torch

        rows: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(canvases), BATCH):
                batch = torch.from_numpy(canvases[start : start + BATCH].astype(np.float32)[:, None])
                rows.append(self.model(batch).numpy())
        embeddings = np.concatenate(rows)
        if not np.isfinite(embeddings).all():
            raise CheckpointError(
                f"The model {self.info.name} {self.info.version} returns values that are not finite; train it again."
            )
        return embeddings


def deployed_module(model: nn.Module) -> nn.Module:
    """The plain inference graph of a model, which every architecture offers as `export_module`."""
    return cast("Exportable", model).export_module()


def model_folder(architecture: str) -> Path:
    """Folder of an architecture, with its model card and what the chain must know of it.

    Raises:
        CheckpointError: there is no such architecture.
    """
    from sigedge_models.registry import folder

    return folder(architecture)


def model_file(info: CheckpointInfo, kind: str) -> Path:
    """Where a model keeps what the chain must know: ``KIND.json``, or ``KIND-NETWORK.json`` in a system of several.

    Raises:
        CheckpointError: there is no such architecture.
    """
    network = info.config.get("network")
    return model_folder(info.architecture) / (f"{kind}.json" if network is None else f"{kind}-{network}.json")


def load_reference(checkpoint: Path) -> Reference:
    """Load a checkpoint as the reference.

    Raises:
        CheckpointError: it cannot be read, does not fit its architecture, or holds NaN or infinite weights.
    """
    from sigedge_models.checkpoint import load_checkpoint

    model, info = load_checkpoint(checkpoint)
    return Reference(info, model.eval())
