"""Replaying a bundle's golden vectors: does this device decide as the reference model does?"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine
from sigedge_runtime.errors import BundleError, ImageError, SelftestError
from sigedge_runtime.images import read_image
from sigedge_runtime.network_vectors import read_network_vectors
from sigedge_runtime.outputs import output_differences
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.scoring import score
from sigedge_runtime.vectors import VectorCase, Vectors, VectorScore

# Recorded scores against those that the recorded embeddings give: float32 rounding only.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class SelftestReport:
    """Outcome of a self-test.

    Attributes:
        passed: whether there are no failures.
        cases: images replayed.
        scores: scores compared; of a network that is no verifier, outputs.
        max_score_difference: largest difference to the reference's scores or outputs.
        tolerance: largest difference allowed.
        failures: a sentence for each thing that differed.
    """

    passed: bool
    cases: int
    scores: int
    max_score_difference: float
    tolerance: float
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def replay(bundle: Bundle, engine: Engine) -> SelftestReport:
    """Replay all golden vectors of a bundle on an open engine.

    Canvases must be equal bit for bit. Scores may differ by the artefact's tolerance. Decisions at the default
    operating point must be equal, except where the reference's score is within the tolerance of the threshold. Of a
    network that is no verifier the outputs for the golden canvases are compared.

    Raises:
        BundleError: the vectors are invalid.
        ImageError: an image of the vectors cannot be read.
        EngineError: inference failed.
    """
    if bundle.manifest.model.task != "verification":
        return _replay_network(bundle, engine)
    vectors = read_vectors(bundle)
    failures: list[str] = []
    embeddings = {}
    for case in vectors.cases:
        canvas = harmonise(read_image(_path(bundle, case.image)), bundle.manifest.harmonisation).canvas
        failures += _canvas_failures(bundle, case, canvas)
        embeddings[case.id] = engine.infer(canvas)
    recorded = {case.id: np.array(case.embedding, np.float32) for case in vectors.cases}
    differences = []
    for entry in vectors.scores:
        found = _score(bundle, entry, embeddings)
        differences.append(abs(found - entry.score))
        failures += _score_failures(bundle, entry, found, engine.artifact.score_tolerance)
        if abs(_score(bundle, entry, recorded) - entry.score) > _ROUNDING:
            failures.append(f"The recorded score of {entry.query} is not that of the recorded embeddings.")
    return SelftestReport(
        passed=not failures,
        cases=len(vectors.cases),
        scores=len(vectors.scores),
        max_score_difference=max(differences),
        tolerance=engine.artifact.score_tolerance,
        failures=tuple(failures),
    )


def require_passed(report: SelftestReport, bundle: Bundle) -> None:
    """Refuse to serve with a bundle that failed.

    Raises:
        SelftestError: it did; the sentence names the first failure.
    """
    if not report.passed:
        raise SelftestError(
            f"The bundle {bundle.name} fails its self-test on this device ({len(report.failures)} failures; first: "
            f"{report.failures[0]}); install the OpenCV and engine versions of its manifest, or export it again."
        )


def _replay_network(bundle: Bundle, engine: Engine) -> SelftestReport:
    canvases, expected = read_network_vectors(bundle)
    differences = output_differences(bundle.manifest.model.task, engine.infer_batch(canvases), expected)
    tolerance = engine.artifact.score_tolerance
    # Written so that NaN fails.
    failures = [
        f"The output for golden canvas {number} differs by {difference:.4f} (tolerance {tolerance:g})."
        for number, difference in enumerate(differences)
        if not difference <= tolerance
    ]
    count = len(canvases)
    return SelftestReport(not failures, count, count, float(differences.max()), tolerance, tuple(failures))


def read_vectors(bundle: Bundle) -> Vectors:
    """Read a bundle's golden vectors and hold them against its manifest.

    Raises:
        BundleError: they are invalid or do not fit the model.
    """
    path = bundle.path(bundle.manifest.vectors)
    vectors = Vectors.from_json(path.read_text(encoding="utf-8", errors="replace"), str(path))
    size = bundle.manifest.model.output_size
    if len(vectors.cases[0].embedding) != size:
        raise BundleError(f"{path} holds embeddings of another size than {size}; export the bundle again.")
    return vectors


def _path(bundle: Bundle, relative: str) -> str:
    folder = PurePosixPath(bundle.manifest.vectors).parent
    return str(bundle.path(str(folder / relative)))


def _canvas_failures(bundle: Bundle, case: VectorCase, canvas: NDArray[np.uint8]) -> list[str]:
    failures = []
    if hashlib.sha256(canvas.tobytes()).hexdigest() != case.canvas_sha256:
        failures.append(f"The canvas of {case.id} differs from the reference's; check the OpenCV version.")
    try:
        # As any file from a stranger: the sums of a bundle nobody signed say nothing of who made it.
        stored = hashlib.sha256(read_image(_path(bundle, case.canvas)).tobytes()).hexdigest()
    except ImageError:
        stored = ""
    if stored != case.canvas_sha256:
        failures.append(f"The stored canvas of {case.id} does not have its recorded SHA-256.")
    return failures


def _score(bundle: Bundle, entry: VectorScore, embeddings: dict[str, NDArray[np.float32]]) -> float:
    references = np.stack([embeddings[name] for name in entry.references])
    return score(embeddings[entry.query], references, bundle.manifest.verification)


def _score_failures(bundle: Bundle, entry: VectorScore, found: float, tolerance: float) -> list[str]:
    decision = bundle.manifest.verification
    point = decision.operating_point(decision.default_operating_point, len(entry.references))
    pair = f"{entry.query} against {', '.join(entry.references)}"
    failures = []
    # Written so that NaN fails.
    if not abs(found - entry.score) <= tolerance:
        failures.append(f"{pair} scores {found:.4f}, the reference {entry.score:.4f} (tolerance {tolerance:g}).")
    decided = found >= point.threshold
    if decided != entry.accepted and abs(entry.score - point.threshold) > tolerance:
        failures.append(f"{pair} is {'accepted' if decided else 'rejected'}, unlike by the reference.")
    if (entry.score >= point.threshold) != entry.accepted and abs(entry.score - point.threshold) > _ROUNDING:
        failures.append(f"The recorded decision on {entry.query} does not follow from its score.")
    return failures
