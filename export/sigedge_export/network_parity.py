"""Does an artefact of a classifier or an image network compute what the PyTorch model does?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.audit import FileFacts, Finding, Run, Unmeasured, audit
from sigedge_export.reference import model_file
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.outputs import output_differences

if TYPE_CHECKING:
    from sigedge_models import CheckpointInfo

Progress = Callable[[str], None]


@dataclass(frozen=True)
class NetworkTolerances:
    """Limits for the artefacts of one precision.

    Attributes:
        max_difference: of any canvas, in the unit of `Artifact.score_tolerance`: a probability, or the root mean square
            over an image as a share of 255.
        changed_classes: share of canvases whose class may be another one; 0 to 1, and 1 for an image network.
        min_variance_ratio: least variance of the outputs over the canvases, as a share of the reference's.
    """

    max_difference: float
    changed_classes: float
    min_variance_ratio: float


@dataclass(frozen=True)
class NetworkArtifactParity:
    """One artefact on one engine against the reference.

    Attributes:
        artifact: name in the bundle.
        format: of the artefact.
        precision: of the artefact.
        engine: what ran it, with its version.
        delegate: what computed it; ``not known`` where the engine does not tell.
        max_difference: of any canvas, as in `NetworkTolerances`.
        mean_difference: over the canvases.
        changed: canvases whose class is another one; None for an image network.
        psnr: peak signal-to-noise ratio of the worst image against the reference's, dB; None for a classifier and for
            images that are equal.
        variance_ratio: variance of the outputs over the reference's; near 0 when they collapsed.
    """

    artifact: str
    format: str
    precision: str
    engine: str
    delegate: str
    max_difference: float
    mean_difference: float
    changed: int | None
    psnr: float | None
    variance_ratio: float


@dataclass(frozen=True)
class NetworkParityReport:
    """Parity of every artefact of a network on every engine found here.

    Attributes:
        model: name and version.
        task: ``classification`` or ``image``.
        canvases: number of canvases compared.
        rows: what was measured.
        unmeasured: what could not be.
        files: what each artefact's file says of itself.
        findings: of the audit, none of them grave.
    """

    model: str
    task: str
    canvases: int
    rows: tuple[NetworkArtifactParity, ...]
    unmeasured: tuple[Unmeasured, ...]
    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON with sorted keys, indented by 2."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


def measure_network_parity(
    bundle: Bundle,
    canvases: NDArray[np.uint8],
    expected: NDArray[np.float32],
    *,
    progress: Progress = lambda _: None,
) -> NetworkParityReport:
    """Run every artefact of a bundle on every engine found here and compare it with the reference model.

    Args:
        bundle: of a classifier or an image network.
        canvases: uint8 [N, H, W].
        expected: float32 [N, D], of the reference model for the canvases.
        progress: told what is being measured.

    Raises:
        ExportError: an artefact fails the audit.
    """
    model = bundle.manifest.model
    audited = audit(bundle, canvases, progress=progress)
    return NetworkParityReport(
        model=f"{model.name} {model.version}",
        task=model.task,
        canvases=len(canvases),
        rows=tuple(_compare(run, model.task, expected) for run in audited.runs),
        unmeasured=audited.unmeasured,
        files=audited.files,
        findings=audited.findings,
    )


def gate_network(report: NetworkParityReport, tolerances: Mapping[str, NetworkTolerances]) -> None:
    """Refuse artefacts that do not compute what the reference does.

    Raises:
        ParityError: one is beyond a tolerance; the sentence names it and the figure.
    """
    for row in report.rows:
        limits = tolerances[row.precision]
        changed = 0.0 if row.changed is None else row.changed / report.canvases
        # Written so that NaN fails.
        problems = [
            text
            for fine, text in (
                (
                    row.max_difference <= limits.max_difference,
                    f"its outputs differ by up to {row.max_difference:.4f} (allowed {limits.max_difference:g})",
                ),
                (
                    changed <= limits.changed_classes,
                    f"{changed:.1%} of its classes are others (allowed {limits.changed_classes:.1%})",
                ),
                (
                    row.variance_ratio >= limits.min_variance_ratio,
                    f"its outputs keep {row.variance_ratio:.2f} of the variance (at least {limits.min_variance_ratio})",
                ),
            )
            if not fine
        ]
        if problems:
            raise ParityError(
                f"{row.artifact} on {row.engine} does not compute what {report.model} does: {'; '.join(problems)}. "
                "Leave this precision out, declare it in the model's export.json, or train the model again."
            )


def load_network_tolerances(info: CheckpointInfo) -> dict[str, NetworkTolerances]:
    """Read the parity file of a network, by precision.

    Raises:
        CheckpointError: there is no such architecture.
        ExportError: the network has no such file, or the file lacks a number.
    """
    path = model_file(info, "parity")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {precision: NetworkTolerances(**numbers) for precision, numbers in data.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        names = ", ".join(field.name for field in fields(NetworkTolerances))
        raise ExportError(
            f"The parity tolerances {path} cannot be read ({error}); "
            f"write the numbers {names} there for each precision."
        ) from None


def _compare(run: Run, task: str, expected: NDArray[np.float32]) -> NetworkArtifactParity:
    differences = output_differences(task, run.embeddings, expected)
    is_image, worst = task == "image", float(differences.max())
    varied, reference = (float(values.var(axis=0).mean()) for values in (run.embeddings, expected))
    return NetworkArtifactParity(
        artifact=run.artifact.name,
        format=run.artifact.format,
        precision=run.artifact.precision,
        engine=f"{run.engine} {run.version}",
        delegate="not known" if run.placement is None else str(run.placement),
        max_difference=worst,
        mean_difference=float(differences.mean()),
        changed=None if is_image else int((run.embeddings.argmax(1) != expected.argmax(1)).sum()),
        psnr=float(-20 * np.log10(worst)) if is_image and worst > 0 else None,
        variance_ratio=varied / reference if reference > 0 else 1.0,
    )
