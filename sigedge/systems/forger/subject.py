"""What the forger's evaluation judges: its networks as their checkpoints hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sigedge.systems.forger.recipe import ForgerRecipe
from sigedge.systems.forger.specimens import CGAN
from sigedge.systems.forger.train import DETECTOR
from sigedge_models import CheckpointInfo, load_checkpoint
from sigedge_models.forger import GENERATORS
from sigedge_runtime.bundle import hash_file


@dataclass(frozen=True)
class Subject:
    """Networks with what is known of them.

    Attributes:
        generators: the forgers by name.
        detector: finds their drawings.
        infos: what the checkpoints of the forger say, by network.
        hashes: SHA-256 of all checkpoints that were read.
        cgan: the generator of cgan, where its checkpoint lies in the same folder.
        cgan_signers: how many signers that one draws.
    """

    generators: dict[str, nn.Module]
    detector: nn.Module
    infos: dict[str, CheckpointInfo]
    hashes: dict[str, str]
    cgan: nn.Module | None = None
    cgan_signers: int = 0

    @property
    def recipe(self) -> ForgerRecipe:
        """The recipe that the detector was trained by."""
        return ForgerRecipe.model_validate(self.infos[DETECTOR].training["recipe"])

    @property
    def threshold(self) -> float:
        """Of the detector, fixed on validation signers."""
        return float(self.infos[DETECTOR].decision["threshold"])


def load_subject(models: Path) -> Subject:
    """The networks in a folder of checkpoints.

    Raises:
        CheckpointError: one of the forger's is missing or does not fit.
    """
    paths = {name: models / f"forger-{name}.safetensors" for name in (*GENERATORS, DETECTOR)}
    loaded = {name: load_checkpoint(path) for name, path in paths.items()}
    hashes = {path.stem: hash_file(path) for path in paths.values()}
    infos = {name: info for name, (_, info) in loaded.items()}
    generators = {name: loaded[name][0] for name in GENERATORS}
    other = models / f"{CGAN}-generator.safetensors"
    if not other.is_file():
        return Subject(generators, loaded[DETECTOR][0], infos, hashes)
    cgan, info = load_checkpoint(other)
    hashes[other.stem] = hash_file(other)
    return Subject(generators, loaded[DETECTOR][0], infos, hashes, cgan, int(info.config["classes"]))
