"""A folder of synthetic signatures: `signer_0001/genuine/01.png`, `signer_0001/forged/01.png`, ..."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2

from sigedge.synthesis.rendering import Image
from sigedge.synthesis.signer import Label, Synthesiser
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError

RECIPE_FILE = "synthesis.json"
_RECIPE_VERSION = 3
"""Raised whenever the same seed draws other signatures, so that folders of before are not mixed with new ones."""
_FOLDERS: dict[Label, str] = {"genuine": "genuine", "skilled": "forged"}


class _Job(NamedTuple):
    signer: int
    label: Label
    sample: int
    path: Path


def write_dataset(
    folder: str | os.PathLike[str],
    *,
    signers: int,
    genuine: int,
    forged: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes `signers` folders of PNG files and returns the data set's folder.

    The same arguments give the same files. A run that was stopped is resumed: files that exist are kept. Each
    file appears under its name only when it is whole.

    Args:
        folder: where; made when missing. It must be empty, or hold a run of equal arguments, finished or not.
        signers: how many, at least 1.
        genuine: genuine samples of each signer, at least 1.
        forged: skilled forgeries of each signer, 0 or more.
        seed: of the population, as in `Synthesiser`.
        progress: called with (files done, files in all) after each file.

    Raises:
        DataError: a count is out of range, the folder holds something else, or a file cannot be written.
    """
    _check_counts(signers, genuine, forged, seed)
    counts = {"signers": signers, "genuine": genuine, "forged": forged}
    recipe = {"version": _RECIPE_VERSION, "seed": seed, **counts}
    root = Path(folder)
    _claim(root, recipe)
    total = signers * (genuine + forged)
    population = Synthesiser(seed)
    for done, job in enumerate(_jobs(root, signers, {"genuine": genuine, "skilled": forged}), start=1):
        _write_missing(population, job)
        if progress is not None:
            progress(done, total)
    return root


def cached_dataset(cache: Path, *, signers: int, genuine: int, forged: int, seed: int) -> Path:
    """`write_dataset` into a folder of `cache` that is named by the arguments and the synthesiser's version."""
    name = f"synthetic-v{_RECIPE_VERSION}-{seed}-{signers}x{genuine}+{forged}"
    return write_dataset(cache / name, signers=signers, genuine=genuine, forged=forged, seed=seed)


def _jobs(root: Path, signers: int, counts: dict[Label, int]) -> Iterator[_Job]:
    for number in range(signers):
        for label, count in counts.items():
            folder = root / f"signer_{number + 1:04d}" / _FOLDERS[label]
            for index in range(count):
                yield _Job(number, label, index, folder / f"{index + 1:02d}.png")


def _write_missing(population: Synthesiser, job: _Job) -> None:
    if job.path.exists():
        return
    signer = population.signer(job.signer)
    drawn = signer.genuine(job.sample) if job.label == "genuine" else signer.skilled_forgery(job.sample)
    _write(job.path, _png(drawn.image))


def _png(image: Image) -> bytes:
    _, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    return bytes(encoded)


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content, durable=False)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); make room or get write access, "
            "then run again to go on from there"
        ) from error


def _check_counts(signers: int, genuine: int, forged: int, seed: int) -> None:
    if signers < 1 or genuine < 1 or forged < 0 or seed < 0:
        raise DataError(
            f"cannot synthesise {signers} signers with {genuine} genuine and {forged} forged samples "
            f"from seed {seed}; give at least 1 signer and 1 genuine sample, and no negative number"
        )


def _claim(root: Path, recipe: dict[str, int]) -> None:
    """Makes the folder ours, or refuses one that holds anything else."""
    mark = root / RECIPE_FILE
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a folder for the synthetic data set")
    if mark.exists():
        if _read_recipe(mark) != recipe:
            raise DataError(f"{root} holds a data set of other settings; name another folder or delete this one")
        return
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root} is not empty and holds no synthetic data set; name an empty or a new folder")
    _write(mark, (json.dumps(recipe, indent=2, sort_keys=True) + "\n").encode())


def _read_recipe(mark: Path) -> object:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{mark} cannot be read; delete its folder and start again") from error
