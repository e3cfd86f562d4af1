"""The whole measurement: one job, a process here and one on each emulated core, and what they differ in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigedge.arm.commands import Word, run_tool
from sigedge.arm.comparison import compare, failures
from sigedge.arm.job import Job, draw_trials
from sigedge.arm.pictures import read_scans, write_pictures
from sigedge.arm.probe import Observation
from sigedge.arm.processors import PROCESSORS
from sigedge.arm.system import ArmSystem
from sigedge_runtime.errors import DataError, ParityError

ROOT = Path(__file__).resolve().parents[2]
SEED = 900_021
HERE = "x86-64"


@dataclass(frozen=True)
class Extent:
    """How much is compared.

    Attributes:
        signers: synthetic signers, eight signatures each; all of them are embedded.
        scans: real scans, preprocessed only.
        trials: scores of each artefact.
    """

    signers: int = 8
    scans: int = 300
    trials: int = 180


def draw_job(folder: Path, bundles: Mapping[str, Path], extent: Extent, index: Path | None) -> Job:
    """Draw pictures into a folder and choose scans and trials.

    Args:
        folder: for the drawn pictures.
        bundles: folders of bundles by name.
        extent: how much.
        index: of real signatures; None takes none.

    Raises:
        DataError: the index cannot be used, or a picture not be written.
    """
    pictures = write_pictures(folder, extent.signers, SEED)
    if index is not None:
        pictures += read_scans(index, extent.scans, SEED)
    signatures = [picture for picture in pictures if picture.signer]
    trials = draw_trials(signatures, extent.trials, SEED)
    return Job(tuple(pictures), {name: str(path.resolve()) for name, path in bundles.items()}, trials)


def measure(system: ArmSystem, job: Job, folder: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run a job here and on each core, two processes at a time, and compare.

    Args:
        system: of `prepare_arm`.
        job: of `draw_job`.
        folder: for the observations.
        progress: told what is done.

    Returns:
        ``processors``, a comparison by name of the core; ``failures``, a sentence each; ``arm``, versions there.

    Raises:
        ParityError: a process fails before it has observed everything.
        DataError: the two sides hold different versions of a package.
    """
    job.write(folder / "job.json")
    python: dict[str, list[Word]] = {HERE: [sys.executable]}
    python |= {core.name: system.command(core) for core in PROCESSORS}

    def observed(name: str) -> Observation:
        packages = [] if name == HERE else [system.packages]
        found = _observe(python[name], packages, folder / "job.json", folder / f"{name}.npz", name)
        progress(f"{name}: observed")
        return found

    with ThreadPoolExecutor(max_workers=2) as pool:
        seen = dict(zip(python, pool.map(observed, python), strict=True))
    here = seen.pop(HERE)
    _require_equal_versions(here, seen)
    compared = {name: compare(job.pictures, here, there) for name, there in seen.items()}
    arm = {name: there.facts["versions"] | {"python": there.facts["python"]} for name, there in seen.items()}
    found = [f"{name}: {problem}" for name, figures in compared.items() for problem in failures(figures)]
    return {"processors": compared, "failures": found, "arm": next(iter(arm.values()))}


def _observe(python: list[Word], packages: list[Path], job: Path, target: Path, name: str) -> Observation:
    environment = {
        "PYTHONPATH": ":".join(map(str, [*packages, ROOT, ROOT / "runtime"])),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    remedy = f"the runtime does not run on {name}: look into it, or empty the cache if that is damaged"
    run_tool([*python, "-m", "sigedge.arm.probe", job, target], remedy, environment, ParityError)
    return Observation.read(target)


def _require_equal_versions(here: Observation, seen: Mapping[str, Observation]) -> None:
    """Of other versions other results are to be expected, whatever the processor."""
    for name, there in seen.items():
        if there.facts["versions"] != here.facts["versions"]:
            raise DataError(
                f"{HERE} runs {here.facts['versions']} and {name} {there.facts['versions']}; install the versions of "
                "constraints.txt with `make install` and run this again."
            )
