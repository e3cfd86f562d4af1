"""After the chain: is every file there, what it was declared to be, and does it run?

A converter may report success and write no file, drop an axis, or leave a tensor in another type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_export.process import run_step, step_folder
from sigedge_export.runners import Runner, runners_for
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, ExportError
from sigedge_runtime.manifest import Artifact

Progress = Callable[[str], None]
REMEDY = "read the logs of the export and report it as a bug"


@dataclass(frozen=True)
class Run:
    """One artefact as one engine ran it.

    Attributes:
        artifact: which.
        engine: name of the engine.
        version: of the engine.
        embeddings: float32 [N, D], finite.
    """

    artifact: Artifact
    engine: str
    version: str
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class Unmeasured:
    """An artefact and an engine that could not be tried together, and why."""

    artifact: str
    engine: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """What the artefacts of a bundle computed on the engines found here."""

    runs: tuple[Run, ...]
    unmeasured: tuple[Unmeasured, ...]


def audit(bundle: Bundle, canvases: NDArray[np.uint8], *, progress: Progress = lambda _: None) -> Audit:
    """Load and run every artefact of a bundle on every engine found here.

    Args:
        bundle: opened, so its files are there and have the recorded sums.
        canvases: uint8 [N, H, W].
        progress: told what is being run.

    Raises:
        ExportError: a file is not what the manifest declares, does not load or run, returns values that are
            not finite or not the declared number of them, or no engine for it is installed.
    """
    runs: list[Run] = []
    unmeasured: list[Unmeasured] = []
    for artifact in bundle.manifest.artifacts:
        path = bundle.path(artifact.file)
        runners = runners_for(artifact)
        missing = [Unmeasured(artifact.name, runner.name, runner.missing) for runner in runners if runner.missing]
        if len(missing) == len(runners):
            reasons = " ".join(entry.reason for entry in missing) or "No engine runs its format."
            raise ExportError(f"Artefact {artifact.name} cannot be checked. {reasons}")
        ready = [runner for runner in runners if not runner.missing]
        if artifact.format == "tflite":
            _check_tflite(artifact, path, ready[0].name)
        for runner in ready:
            progress(f"{artifact.name} on {runner.name}")
            runs.append(_run(artifact, path, runner, canvases))
        unmeasured += missing
    return Audit(tuple(runs), tuple(unmeasured))


def _run(artifact: Artifact, path: Path, runner: Runner, canvases: NDArray[np.uint8]) -> Run:
    try:
        embeddings = runner.embed(artifact, path, canvases)
    except EngineError as error:
        raise ExportError(f"Artefact {artifact.name} does not run on {runner.name}: {error}") from error
    expected = (len(canvases), artifact.output.shape[-1])
    if embeddings.shape != expected or not np.isfinite(embeddings).all():
        raise ExportError(
            f"Artefact {artifact.name} on {runner.name} returned embeddings of shape {embeddings.shape} "
            f"instead of {expected}, or values that are not finite; {REMEDY}."
        )
    return Run(artifact, runner.name, runner.version, embeddings)


def _check_tflite(artifact: Artifact, path: Path, engine: str) -> None:
    """Signature and input quantization, which the engines leave to the bundle's maker."""
    with step_folder("inspect-tflite") as folder:
        facts_file = folder / "facts.json"
        arguments: list[str | Path] = ["--tflite", path.resolve(), "--facts", facts_file, "--engine", engine]
        try:
            run_step("inspect_tflite", arguments, folder)
        except ExportError as error:
            raise ExportError(f"Artefact {artifact.name} does not run. {error}") from error
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
    names = {"inputs": [artifact.input.name], "outputs": [artifact.output.name]}
    if any(facts[role] != names[role] for role in names):
        raise ExportError(f"Artefact {artifact.name} has the signature {facts}, not {names}; {REMEDY}.")
    found, declared = (facts["scale"], facts["zero_point"]), artifact.input.quantization
    if declared is not None and found != (declared.scale, declared.zero_point):
        raise ExportError(
            f"Artefact {artifact.name} reads its input with scale and zero point {found} instead of "
            f"{(declared.scale, declared.zero_point)}; give calibration canvases that reach both 0 and 255."
        )
