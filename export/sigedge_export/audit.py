"""After the chain: is every file there, what it was declared to be, and does it run?

A converter may report success and write no file, drop an axis, leave a tensor in another type, forget to quantise, or
use an operator that the devices' engines do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_export.audits.facts import REMEDY, FileFacts, Finding, Inspection, Placement, require_sound
from sigedge_export.audits.onnx import inspect_onnx
from sigedge_export.audits.tflite import inspect_tflite
from sigedge_export.audits.whole import inspect_whole
from sigedge_export.metadata import EMBEDDERS
from sigedge_export.runners import Runner, runners_for
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import BundleError, EngineError, EngineUnavailableError, ExportError
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.metadata import FileMetadata, read_metadata
from sigedge_runtime.network_vectors import read_network_vectors
from sigedge_runtime.selftest import read_vectors

__all__ = ["Audit", "FileFacts", "Finding", "Placement", "Run", "Unmeasured", "audit", "examine", "golden_canvases"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One artefact as one engine ran it.

    Attributes:
        artifact: which.
        engine: name of the engine.
        version: of the engine.
        embeddings: float32 [N, D], finite.
        placement: what computed it; None where the engine does not tell.
    """

    artifact: Artifact
    engine: str
    version: str
    embeddings: NDArray[np.float32]
    placement: Placement | None = None


@dataclass(frozen=True)
class Unmeasured:
    """An artefact and an engine that could not be tried together, and why."""

    artifact: str
    engine: str
    reason: str


@dataclass(frozen=True)
class Audit:
    """What the artefacts of a bundle are, and what they computed on the engines found here.

    Attributes:
        runs: each artefact on each engine that ran it.
        unmeasured: engines that are not installed, or do not know an operator of the artefact.
        files: facts of each artefact that could be read.
        findings: what is wrong.
    """

    runs: tuple[Run, ...]
    unmeasured: tuple[Unmeasured, ...]
    files: tuple[FileFacts, ...] = ()
    findings: tuple[Finding, ...] = ()


def audit(bundle: Bundle, canvases: NDArray[np.uint8], *, progress: Progress = lambda _: None) -> Audit:
    """Examine a bundle and stop at what must not ship.

    Args:
        bundle: opened, so its files are there and have the recorded sums.
        canvases: uint8 [N, H, W].
        progress: told what is being run.

    Raises:
        ExportError: there is a grave finding: a file is not what the manifest declares, does not load or run, returns
            values that are not finite or not the declared number of them, or no engine for it is installed.
    """
    found = examine(bundle, canvases, progress=progress)
    require_sound(found.findings)
    return found


def examine(bundle: Bundle, canvases: NDArray[np.uint8], *, progress: Progress = lambda _: None) -> Audit:
    """Look into every artefact of a bundle, and load and run it on every engine found here.

    An engine that refuses a file for an operator it does not know counts as unmeasured, as long as another runs it.

    Args:
        bundle: opened, so its files are there and have the recorded sums.
        canvases: uint8 [N, H, W].
        progress: told what is being run.

    Returns:
        Everything found; whether some finding is grave is for the caller to see.
    """
    parts = [_examine(artifact, bundle, canvases, progress) for artifact in bundle.manifest.artifacts]
    return Audit(
        runs=tuple(run for part in parts for run in part.runs),
        unmeasured=tuple(entry for part in parts for entry in part.unmeasured),
        files=tuple(facts for part in parts for facts in part.files),
        findings=tuple(finding for part in parts for finding in part.findings),
    )


def golden_canvases(bundle: Bundle) -> NDArray[np.uint8]:
    """The canvases of a bundle's golden vectors, uint8 [N, H, W].

    Raises:
        BundleError: the vectors are invalid, or a canvas is no image of the declared size.
    """
    if bundle.manifest.model.task != "verification":
        return read_network_vectors(bundle)[0]
    folder, spec = PurePosixPath(bundle.manifest.vectors).parent, bundle.manifest.harmonisation
    canvases: list[NDArray[np.uint8]] = []
    for case in read_vectors(bundle).cases:
        path = bundle.path(str(folder / case.canvas))
        canvas = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if canvas is None or canvas.shape != (spec.canvas_height, spec.canvas_width) or canvas.dtype != np.uint8:
            raise BundleError(f"{path} is no canvas of {spec.canvas_height} x {spec.canvas_width}; export it again.")
        canvases.append(np.asarray(canvas, np.uint8))
    return np.stack(canvases)


def _examine(artifact: Artifact, bundle: Bundle, canvases: NDArray[np.uint8], progress: Progress) -> Audit:
    path, runners = bundle.path(artifact.file), runners_for(artifact)
    ready = [runner for runner in runners if not runner.missing]
    unmeasured = [Unmeasured(artifact.name, runner.name, runner.missing) for runner in runners if runner.missing]
    if not ready:
        reasons = " ".join(entry.reason for entry in unmeasured) or "No engine runs its format."
        return _failed(artifact, f"Artefact {artifact.name} cannot be checked. {reasons}", unmeasured)
    progress(f"look into {artifact.name}")
    try:
        seen = _inspect(artifact, path, bundle.manifest.model.parameters, ready)
    except ExportError as error:
        return _failed(artifact, str(error), unmeasured)
    runs, findings = [], [*seen.findings, *_check_metadata(artifact, path, bundle.manifest)]
    for runner in ready:
        if runner.name in seen.refusals:
            unmeasured.append(Unmeasured(artifact.name, runner.name, seen.refusals[runner.name]))
            continue
        progress(f"{artifact.name} on {runner.name}")
        try:
            runs.append(_run(artifact, path, runner, canvases, seen.placements.get(runner.name)))
        except EngineUnavailableError as error:  # TensorRT, which runs no file that no plan was built of
            unmeasured.append(Unmeasured(artifact.name, runner.name, str(error)))
        except ExportError as error:
            findings.append(Finding(artifact.name, str(error), grave=True))
    return Audit(tuple(runs), tuple(unmeasured), (seen.facts,), tuple(findings))


def _failed(artifact: Artifact, sentence: str, unmeasured: Sequence[Unmeasured]) -> Audit:
    return Audit((), tuple(unmeasured), (), (Finding(artifact.name, sentence, grave=True),))


def _inspect(artifact: Artifact, path: Path, parameters: int, ready: Sequence[Runner]) -> Inspection:
    if artifact.format == "tflite":
        return inspect_tflite(artifact, path, parameters, {runner.name: runner.version for runner in ready})
    if artifact.format == "onnx":
        return inspect_onnx(artifact, path, parameters)
    return inspect_whole(artifact, parameters)


def _run(
    artifact: Artifact, path: Path, runner: Runner, canvases: NDArray[np.uint8], placement: Placement | None
) -> Run:
    try:
        embeddings = runner.embed(artifact, path, canvases)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        raise ExportError(f"Artefact {artifact.name} does not run on {runner.name}: {error}") from error
    expected = (len(canvases), artifact.output.shape[-1])
    if embeddings.shape != expected or not np.isfinite(embeddings).all():
        raise ExportError(
            f"Artefact {artifact.name} on {runner.name} returned embeddings of shape {embeddings.shape} "
            f"instead of {expected}, or values that are not finite; {REMEDY}."
        )
    return Run(artifact, runner.name, runner.version, embeddings, placement)


def _check_metadata(artifact: Artifact, path: Path, manifest: Manifest) -> list[Finding]:
    """What the file says of itself must be what the bundle says of it."""
    if artifact.format not in EMBEDDERS:
        return []
    try:
        same = read_metadata(path) == FileMetadata.of(manifest, artifact)
    except BundleError as error:
        return [Finding(artifact.name, f"Artefact {artifact.name} cannot stand alone. {error}", grave=False)]
    sentence = f"Artefact {artifact.name} carries the metadata of another artefact or model; export it again."
    return [] if same else [Finding(artifact.name, sentence, grave=True)]
