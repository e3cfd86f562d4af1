"""What one process computes of a job: run here and on emulated cores, with the same files.

    python -m sigedge.arm.probe JOB.json OBSERVATION.npz

Only the runtime, numpy and the standard library are imported, as on a device.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.arm.job import Job, Trial
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.errors import SigedgeError
from sigedge_runtime.images import read_image
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.scoring import score
from sigedge_runtime.selftest import replay

PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime")
PICTURE_FACTS = ("pixels", "canvases", "issues", "measurements")
_ENGINES = {"tflite": "litert", "onnx": "onnxruntime"}


@dataclass(frozen=True)
class Observation:
    """What a process computed.

    Attributes:
        facts: machine, versions, one entry a picture (its `PICTURE_FACTS`), one an artefact (precision, self-test).
        arrays: ``outputs ARTEFACT`` float32 [signatures, D], ``scores ARTEFACT`` float64 and ``accepted ARTEFACT``
            bool [trials].
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def write(self, path: Path) -> None:
        """Write it as an ``.npz`` file."""
        with path.open("wb") as handle:
            np.savez(handle, facts=np.array(json.dumps(self.facts)), **self.arrays)

    @classmethod
    def read(cls, path: Path) -> Observation:
        """The observation that `write` wrote."""
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(json.loads(str(arrays.pop("facts"))), arrays)


def observe(job: Job) -> Observation:
    """Compute everything of a job.

    Raises:
        SigedgeError: a bundle or an engine cannot be used. Pictures never raise: an error is what is observed.
    """
    observation = Observation({**_machine(), "pictures": [], "artifacts": {}}, {})
    for picture in job.pictures:
        observation.facts["pictures"].append(_picture(picture.path))
    for name, folder in job.bundles.items():
        with Bundle.open(folder) as bundle:
            canvases = _canvases(job, bundle)
            for artifact in bundle.artifacts():
                _run(job, bundle, artifact, canvases, f"{name}/{artifact.name}", observation)
    return observation


def _machine() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _picture(path: str) -> dict[str, Any]:
    """Digests of the decoded pixels and of the canvas, what is wrong and every measurement; or why it was refused."""
    try:
        pixels = read_image(path)
        canvas, quality = harmonise(pixels)
    except SigedgeError as error:
        return dict.fromkeys(PICTURE_FACTS, str(error))
    issues = [issue.code for issue in quality.issues]
    facts = (_digest(pixels), _digest(canvas), issues, asdict(quality.measurements))
    return dict(zip(PICTURE_FACTS, facts, strict=True))


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()


def _canvases(job: Job, bundle: Bundle) -> NDArray[np.uint8]:
    spec = bundle.manifest.harmonisation
    return np.array([harmonise(read_image(picture.path), spec).canvas for picture in job.signatures])


def _run(
    job: Job, bundle: Bundle, artifact: Artifact, canvases: NDArray[np.uint8], key: str, observation: Observation
) -> None:
    """Self-test, outputs and scores of one artefact."""
    with open_engine(_ENGINES[artifact.format], artifact, bundle.path(artifact.file)) as engine:
        outputs = engine.infer_batch(canvases)
        tested = replay(bundle, engine)
    scores, accepted = _judge(job.trials, outputs, bundle.manifest.verification)
    observation.arrays.update({f"outputs {key}": outputs, f"scores {key}": scores, f"accepted {key}": accepted})
    observation.facts["artifacts"][key] = _facts(artifact, engine, asdict(tested))


def _facts(artifact: Artifact, engine: Engine, selftest: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": artifact.format,
        "precision": artifact.precision,
        "sha256": artifact.sha256,
        "tolerance": artifact.score_tolerance,
        "engine": engine.name,
        "selftest": selftest,
    }


def _judge(
    trials: tuple[Trial, ...], outputs: NDArray[np.float32], decision: Decision
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The score of every trial, and whether it is accepted at the default operating point."""
    scores = [score(outputs[trial.query], outputs[list(trial.references)], decision) for trial in trials]
    name = decision.default_operating_point
    limits = [decision.operating_point(name, len(trial.references)).threshold for trial in trials]
    return np.array(scores, np.float64), np.array(scores, np.float64) >= np.array(limits, np.float64)


def main(job: str, target: str) -> int:
    """Observe a job file and write what was observed; 2 with a sentence when that is impossible."""
    try:
        observe(Job.read(Path(job))).write(Path(target))
    except SigedgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
