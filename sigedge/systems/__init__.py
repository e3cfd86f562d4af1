"""Systems that are more than a verifier: a package each, with how it is trained, fed and judged.

A folder of `sigedge_models` says what the networks are; the package of the same name here, where there is one, says
what to do with them. An architecture without a package here is a verifier and takes the common way of
`sigedge.training.train` and `sigedge.evaluation`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # It brings PyTorch, which what merely runs a bundle does without.
    from sigedge_models import CheckpointInfo

Progress = Callable[[str], None]


class System(Protocol):
    """What a package of `sigedge.systems` offers, as functions of its module."""

    def train(
        self, data: Path, out: Path, *, recipe: Path | None, cache: Path, steps: int | None, initial: Path | None
    ) -> Mapping[str, Path]:
        """Train every network of the system; an interrupted run goes on after its last checkpoint.

        Args:
            data: folder with index.csv and splits.json; a system that learns from synthetic signers alone ignores it.
            out: folder of the run; a network's checkpoint is ``out/<architecture>-<network>.safetensors``.
            recipe: a recipe file; the system's own when None.
            cache: folder for canvases and synthetic signers.
            steps: batches of each network, in place of the recipe's.
            initial: checkpoint to start from, for systems that can go on from one.

        Returns:
            The checkpoints by network.
        """
        ...

    def examples(self, info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
        """Inputs uint8 [count, H, W] of a network, drawn from synthetic signers, for calibration and parity."""
        ...

    def evaluate(self, models: Path, data: Path, *, cache: Path, progress: Progress) -> dict[str, Any]:
        """The system's figures, ready for JSON.

        Args:
            models: folder of the checkpoints that `train` wrote.
            data: folder with index.csv and splits.json.
            cache: folder for canvases and synthetic signers.
            progress: told each part before it runs.
        """
        ...


def has_system(architecture: str) -> bool:
    """Whether an architecture brings a package of its own, and is no plain verifier.

    A package here whose system has no network, such as `localisation`, is trained and judged by its own command.
    """
    if not architecture.isidentifier() or find_spec(f"{__name__}.{architecture}") is None:
        return False
    networks = find_spec("sigedge_models")  # found, not imported: that would bring PyTorch
    return any((Path(folder) / architecture).is_dir() for folder in _locations(networks))


def _locations(package: ModuleSpec | None) -> Sequence[str]:
    return (package.submodule_search_locations if package else None) or ()


def load_system(architecture: str) -> System:
    """The functions of a system; see `has_system`."""
    return cast(System, importlib.import_module(f"{__name__}.{architecture}"))


def verifiers() -> list[str]:
    """Architectures that take the common way, sorted."""
    from sigedge_models import names

    return [name for name in names() if not has_system(name)]
