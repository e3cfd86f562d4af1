"""A calibration set: canvases, where each came from, and the population they stand for, in one ``.npz`` file."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.calibration.features import DECILES, FEATURES, features
from sigedge_runtime.atomic import atomic_path
from sigedge_runtime.errors import DataError

Canvases = NDArray[np.uint8]
FORMAT_VERSION = 1
REMEDY = "make it again with `sigedge calibrate --out`"


@dataclass(frozen=True)
class Origin:
    """Where one canvas came from.

    Attributes:
        dataset: name of the data set; ``"synthetic"`` for drawn signers.
        signer: whose signature it shows or claims to show, as the data set calls the person.
        sha256: of the image file; None for a synthetic canvas.
        seed: of the synthesiser; None for a real canvas.
    """

    dataset: str
    signer: str
    sha256: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.seed is None):
            raise ValueError("an origin names either the hash of a file or the seed of a synthesiser")

    @property
    def identity(self) -> str:
        """``dataset/signer``, as `sigedge.data.Record.identity`."""
        return f"{self.dataset}/{self.signer}"


@dataclass(frozen=True)
class Population:
    """Deciles of what the canvases stand for.

    Attributes:
        canvases: how many canvases were measured.
        deciles: for each of `features.FEATURES`, the 0th, 10th ... 100th percentile.
    """

    canvases: int
    deciles: dict[str, tuple[float, ...]]

    @classmethod
    def measure(cls, canvases: Canvases) -> Population:
        """Deciles of the features of canvases uint8 [N, H, W], N at least 1."""
        values = features(canvases)
        return cls(len(canvases), {name: tuple(np.percentile(values[name], DECILES).tolist()) for name in FEATURES})


@dataclass(frozen=True)
class CalibrationSet:
    """Canvases that show a quantiser the values a network will meet.

    Attributes:
        canvases: uint8 [N, H, W].
        origins: N origins.
        spec_digest: `PreprocessSpec.digest` of the preprocessing that made the canvases.
        seed: what was drawn at random followed from it.
        population: what the canvases stand for; None where no real data were at hand.
    """

    canvases: Canvases
    origins: tuple[Origin, ...]
    spec_digest: str
    seed: int
    population: Population | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.canvases.shape, self.canvases.dtype
        if dtype != np.uint8 or len(shape) != 3 or shape[0] == 0 or shape[0] != len(self.origins):
            raise DataError(
                f"Canvases of type {dtype} and shape {shape} with {len(self.origins)} origins are no calibration set; "
                "give uint8 [N, H, W] with N origins, N at least 1."
            )

    def __len__(self) -> int:
        return len(self.canvases)


def canvas_hash(canvas: Canvases) -> str:
    """SHA-256 (hex) of the shape and the pixels of one canvas uint8 [H, W]."""
    return hashlib.sha256(str(canvas.shape).encode() + np.ascontiguousarray(canvas).tobytes()).hexdigest()


def save_calibration(path: Path, calibration: CalibrationSet) -> Path:
    """Write a set, whole or not at all; equal sets give equal files.

    Args:
        path: ending in ``.npz``.
        calibration: the set.

    Raises:
        DataError: the name ends otherwise, or the file cannot be written.
    """
    if path.suffix != ".npz":
        raise DataError(f"{path} does not end in .npz; give a calibration set that ending.")
    provenance = {"format_version": FORMAT_VERSION, **asdict(calibration)}
    del provenance["canvases"]
    text = np.frombuffer(json.dumps(provenance, sort_keys=True).encode(), np.uint8)
    try:
        with atomic_path(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, canvases=calibration.canvases, provenance=text)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another file.") from error
    return path


def load_calibration(path: Path) -> CalibrationSet:
    """Read a set that `save_calibration` wrote.

    Raises:
        DataError: the file is missing or damaged, is no calibration set, or is of a newer sigedge.
    """
    if not path.is_file():
        raise DataError(f"There is no calibration set at {path}; {REMEDY}, or check the path.")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive")
        with np.load(path, allow_pickle=False) as content:
            canvases, provenance = content["canvases"], json.loads(content["provenance"].tobytes())
        return _parse(canvases, provenance)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no calibration set ({error}); {REMEDY}.") from error


def _parse(canvases: Canvases, provenance: dict[str, Any]) -> CalibrationSet:
    version = provenance.pop("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"its format version is {version}, this sigedge reads {FORMAT_VERSION}")
    population = provenance.pop("population")
    return CalibrationSet(
        canvases=canvases,
        origins=tuple(Origin(**origin) for origin in provenance.pop("origins")),
        population=None if population is None else _parse_population(population),
        **provenance,
    )


def _parse_population(values: dict[str, Any]) -> Population:
    deciles = {name: tuple(float(value) for value in values["deciles"][name]) for name in FEATURES}
    if any(len(edges) != len(DECILES) for edges in deciles.values()):
        raise ValueError(f"a feature of its population has not {len(DECILES)} deciles")
    return Population(int(values["canvases"]), deciles)
