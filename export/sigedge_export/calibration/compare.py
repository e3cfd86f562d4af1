"""Which way to choose the ranges suits a model: int8 files by every method, measured by what they decide.

No method is best for every network: covering all values keeps the few large ones, clipping spends the 256 levels on the
many small ones. So each is tried, on validation signers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigedge_export import assembly
from sigedge_export.calibration.calibration_set import CalibrationSet
from sigedge_export.calibration.ranges import METHODS, check_method
from sigedge_export.chain import run_chain
from sigedge_export.inputs import GoldenImage, ParitySet
from sigedge_export.parity import ArtifactParity, ParityReport, measure_parity
from sigedge_export.process import run_step, step_folder
from sigedge_export.reference import load_reference
from sigedge_export.targets import TARGETS, Target
from sigedge_export.tolerances import load_tolerances
from sigedge_runtime.bundle import Bundle

Progress = Callable[[str], None]

QDQ, AI_EDGE, TENSORFLOW = "onnx-qdq", "tflite-ai-edge", "tflite-tensorflow"
WRITERS = (QDQ, AI_EDGE, TENSORFLOW)

TRAIN_ABOVE = 0.003
"""Rise of the equal error rate, 0 to 1, from which ranges no longer help and quantization-aware training shall."""

_SCRATCH = ("rows", "files", "findings")
_STEPS = {
    QDQ: ("onnx_to_qdq", "--onnx", "--qdq", ".onnx"),
    AI_EDGE: ("tflite_to_quantized", "--tflite", "--mixed", ".tflite"),
}
_CONVERTED = {"float32-onnx": QDQ, "float32-tflite": AI_EDGE, "int8-tflite": TENSORFLOW}


@dataclass(frozen=True)
class MethodRow:
    """One int8 file on one engine.

    Attributes:
        writer: one of `WRITERS`; TensorFlow's converter knows minmax only.
        method: one of `METHODS`.
        parity: the figures.
    """

    writer: str
    method: str
    parity: ArtifactParity

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"writer": self.writer, "method": self.method, **asdict(self.parity)}


@dataclass(frozen=True)
class Comparison:
    """Every method on one model.

    Attributes:
        report: of `measure_parity`, what the figures rest on.
        calibration: number of calibration canvases.
        rows: in the order of writers and methods.
        chosen: the best method of each writer, see `best_method`.
        verdicts: for each writer a sentence: do ranges suffice, or shall the model be trained with quantization?
    """

    report: ParityReport
    calibration: int
    rows: tuple[MethodRow, ...]
    chosen: dict[str, str]
    verdicts: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        # The audit's findings are about a scratch bundle: its files carry no metadata, and nobody ships them.
        facts = {name: value for name, value in self.report.to_dict().items() if name not in _SCRATCH}
        rows = [row.to_dict() for row in self.rows]
        return {
            **facts,
            "calibration_canvases": self.calibration,
            "chosen": self.chosen,
            "rows": rows,
            "verdicts": self.verdicts,
        }


def compare_ranges(
    checkpoint: Path,
    calibration: CalibrationSet,
    parity: ParitySet,
    golden: Sequence[GoldenImage],
    *,
    methods: Sequence[str] = METHODS,
    writers: Sequence[str] = WRITERS,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Make an int8 file by each method, and measure all of them against the checkpoint.

    Args:
        checkpoint: the trained model.
        calibration: what the ranges are measured on.
        parity: labelled canvases of validation signers: neither training signers, which calibrated, nor test
            signers, who must not choose anything.
        golden: images for the scratch bundle that the files are measured in.
        methods: among `METHODS`.
        writers: among `WRITERS`.
        progress: told each step before it runs.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ExportError: an unknown method, or a step or the audit failed; the text names the log.
    """
    for method in methods:
        check_method(method)
    reference = load_reference(checkpoint)
    with step_folder("calibration") as folder:
        files = _write_files(checkpoint, folder, calibration, methods, writers, progress)
        made = {_target(*key): path for key, path in files.items()}
        names = {_target(*key): "-".join(key) for key in files}
        tolerances = load_tolerances(reference.info.architecture)
        assembly.assemble(folder / "bundle", made, checkpoint, reference, golden, tolerances, names)
        with Bundle.open(folder / "bundle") as bundle:
            report = measure_parity(bundle, reference.embed(parity.canvases), parity, progress=progress)
    keys = {"-".join(key): key for key in files}
    rows = tuple(MethodRow(*keys[row.artifact], row) for row in report.rows)
    chosen = {writer: best_method(rows, writer) for writer in writers}
    verdicts = {writer: verdict(rows, writer, chosen[writer]) for writer in writers}
    return Comparison(report, len(calibration), rows, chosen, verdicts)


def best_method(rows: Sequence[MethodRow], writer: str) -> str:
    """The method with the smallest p99 score difference among those whose EER is not shown to be higher.

    Equal error rates of int8 files differ by less than their own intervals, so that the lowest is mostly luck; the
    score differences behind them are measured on every pair and do tell the methods apart.

    Args:
        rows: at least one of the writer.
        writer: one of `WRITERS`.
    """
    own = [row for row in rows if row.writer == writer]
    unharmed = [row for row in own if row.parity.eer_difference.low <= 0]
    return min(unharmed or own, key=lambda row: row.parity.p99_score_difference).method


def verdict(rows: Sequence[MethodRow], writer: str, method: str) -> str:
    """Whether the ranges suffice by the rule `TRAIN_ABOVE`, as a sentence; on several engines the worst counts."""
    own = [row.parity for row in rows if (row.writer, row.method) == (writer, method)]
    change = max((parity.eer_difference for parity in own), key=lambda interval: interval.estimate)
    figures = (
        f"{writer} with {method} ranges moves the EER by {100 * change.estimate:+.2f} points "
        f"[{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
    )
    if change.estimate > TRAIN_ABOVE:
        return f"{figures}: train with quantization (sigedge train --quantization-aware --initial CHECKPOINT)."
    return f"{figures}: at most {100 * TRAIN_ABOVE:.1f}, so that training with quantization is not called for."


def _write_files(
    checkpoint: Path,
    folder: Path,
    calibration: CalibrationSet,
    methods: Sequence[str],
    writers: Sequence[str],
    progress: Progress,
) -> dict[tuple[str, str], Path]:
    """The int8 file of each writer and method."""
    work, logs = folder / "work", folder / "logs"
    work.mkdir()
    logs.mkdir()
    targets = [target for target in TARGETS if _CONVERTED.get(target.key) in writers]
    progress("float32 files")
    made = run_chain(checkpoint, work, targets, calibration.canvases, logs=logs)
    sources = {_CONVERTED[target.key]: path for target, path in made.files.items()}
    canvases = folder / "calibration.npy"
    np.save(canvases, calibration.canvases)
    files: dict[tuple[str, str], Path] = {}
    for writer in (writer for writer in writers if writer in _STEPS):
        step, taken, given, suffix = _STEPS[writer]
        for method in methods:
            progress(f"{step} {method}")
            files[writer, method] = folder / f"{writer}-{method}{suffix}"
            ends: list[str | Path] = [taken, sources[writer], given, files[writer, method]]
            run_step(step, [*ends, "--calibration", canvases, "--ranges", method], logs)
    if TENSORFLOW in writers:
        files[TENSORFLOW, "minmax"] = sources[TENSORFLOW]
    return files


def _target(writer: str, method: str) -> Target:
    if writer == QDQ:
        return Target("onnx", "int8", f"-{writer}-{method}.onnx", "NCHW")
    dtype = "uint8" if writer == TENSORFLOW else "float32"
    return Target("tflite", "int8", f"-{writer}-{method}.tflite", "NHWC", input_dtype=dtype)
