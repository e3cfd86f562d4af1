"""`sigedge calibrate`: the canvases that int8 ranges are measured on: draw them, check them, choose the ranges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.inputs import parity_set, read_part, read_splits
from sigedge.cli.types import DatasetsOption, FoldOption, JsonOption, SplitsOption

if TYPE_CHECKING:
    from sigedge.data import Record
    from sigedge_export.calibration import CalibrationSet, Comparison, Evaluation, Finding
    from sigedge_runtime.preprocessing import PreprocessSpec


@dataclass(frozen=True)
class RealData:
    """Real signatures as the options name them.

    Attributes:
        index: index file or folder; None for none.
        datasets: names of the data sets wanted; empty for all.
        splits: split file; None takes the one beside the index.
        fold: which fold is the test part.
    """

    index: Path | None
    datasets: list[str]
    splits: Path | None
    fold: int

    def training_records(self) -> list[Record]:
        """Records of the training signers; none without an index.

        Raises:
            DataError: the index or split cannot be used, or has no such signers.
        """
        if self.index is None:
            return []
        return read_part(self.index, self.datasets, "train", splits=self.splits, fold=self.fold)


@guard(kept="Nothing was written, and an older file is as it was.")
def calibrate(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Draw a set into this .npz file.", show_default=False)
    ] = None,
    lint: Annotated[
        Path | None, typer.Option("--lint", metavar="FILE", help="Check a set.", show_default=False)
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare", metavar="CHECKPOINT", help="Measure every way to choose the int8 ranges.", show_default=False
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", help="Set for --compare.", show_default="drawn anew"),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="Index of real signatures: training signers calibrate, validation signers compare.",
            show_default="synthetic signatures",
        ),
    ] = None,
    evaluation_index: Annotated[
        Path | None,
        typer.Option(
            "--evaluation-index",
            help="Index whose validation and test signers must not be in the set.",
            show_default="not checked",
        ),
    ] = None,
    dataset: DatasetsOption = None,
    splits: SplitsOption = None,
    fold: FoldOption = 0,
    count: Annotated[int, typer.Option("--count", min=1, help="Canvases to draw.")] = 200,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the draw.", show_default="900001")] = None,
    cache: Annotated[Path, typer.Option("--cache", help="Folder for evaluation canvases.")] = Path(".cache"),
    json: JsonOption = None,
) -> None:
    """Draw a calibration set (--out), check one (--lint; exit code 1 on errors), or compare ranges (--compare)."""
    from sigedge_export.calibration import load_calibration, save_calibration
    from sigedge_runtime.preprocessing import PreprocessSpec

    output = Output(json)
    _require_one(out, lint, compare)
    real = RealData(index, dataset or [], splits, fold)
    if compare is not None:
        _compare(output, compare, calibration, real, count, seed)
        return
    checked = load_calibration(lint) if lint is not None else _draw(real, count, seed, PreprocessSpec())
    held_out = _evaluation(checked, RealData(evaluation_index, [], splits, fold), cache)
    findings = _show_findings(output, checked, PreprocessSpec(), held_out)
    if out is not None:
        output.say(f"Calibration set: {save_calibration(out, checked)}", "green")
    output.result(_facts(checked, findings))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(REJECTED)


def checked_calibration(output: Output, file: Path, real: RealData, spec: PreprocessSpec) -> CalibrationSet:
    """A set for an export: findings are shown, and errors refuse it.

    Args:
        output: where the findings go.
        file: of the set.
        real: index whose validation and test signers must not be in it.
        spec: preprocessing of the model.

    Raises:
        DataError: the file is no calibration set, or the index cannot be used.
        ExportError: the lint found an error.
    """
    from sigedge_export.calibration import load_calibration, refuse_errors

    checked = load_calibration(file)
    refuse_errors(_show_findings(output, checked, spec, _evaluation(checked, real)))
    return checked


def _require_one(out: Path | None, lint: Path | None, compare: Path | None) -> None:
    from sigedge_runtime.errors import DataError

    if sum(option is not None for option in (out, lint, compare)) != 1:
        raise DataError("Say what to do with exactly one of --out FILE, --lint FILE and --compare CHECKPOINT.")


def _draw(real: RealData, count: int, seed: int | None, spec: PreprocessSpec) -> CalibrationSet:
    from sigedge.export_inputs import CALIBRATION_SEED, calibration_set

    records = real.training_records()
    return calibration_set(count, spec, records, seed=CALIBRATION_SEED if seed is None else seed)


def _evaluation(checked: CalibrationSet, real: RealData, cache: Path | None = None) -> Evaluation | None:
    """Validation and test signers of an index, with a cache their canvases too; None without an index."""
    from sigedge.data import CanvasCache, read_any
    from sigedge.export_inputs import evaluation_signers
    from sigedge_export.calibration import Evaluation, canvas_hash

    if real.index is None:
        return None
    records = read_any(real.index)
    drawn_from = {origin.dataset for origin in checked.origins if origin.seed is None}
    signers = evaluation_signers(records, drawn_from, read_splits(real.index, real.splits), fold=real.fold)
    held_out = [record for record in records if record.identity in signers]
    if cache is None or not held_out:
        return Evaluation(signers, frozenset())
    canvases = CanvasCache(cache / "canvases").canvases(held_out).usable().canvases
    return Evaluation(signers, frozenset(canvas_hash(canvas) for canvas in canvases))


def _show_findings(
    output: Output, checked: CalibrationSet, spec: PreprocessSpec, held_out: Evaluation | None
) -> list[Finding]:
    from sigedge_export.calibration import lint

    findings = lint(checked, spec=spec, evaluation=held_out)
    for finding in findings:
        output.say(f"{finding.severity}: {finding}", "red" if finding.severity == "error" else "yellow")
    if not findings:
        output.say(f"{len(checked)} canvases, nothing to complain of.", "green")
    return findings


def _facts(checked: CalibrationSet, findings: list[Finding]) -> dict[str, object]:
    datasets = [origin.dataset for origin in checked.origins]
    return {
        "canvases": len(checked),
        "datasets": {name: datasets.count(name) for name in sorted(set(datasets))},
        "signers": len({origin.identity for origin in checked.origins}),
        "seed": checked.seed,
        "spec_digest": checked.spec_digest,
        "findings": [finding.to_dict() for finding in findings],
    }


def _compare(output: Output, checkpoint: Path, file: Path | None, real: RealData, count: int, seed: int | None) -> None:
    from sigedge.evaluation.results import provenance
    from sigedge.export_inputs import golden_images
    from sigedge_export import load_reference
    from sigedge_export.calibration import compare_ranges, lint
    from sigedge_runtime.bundle import hash_file
    from sigedge_runtime.preprocessing import PreprocessSpec

    info = load_reference(checkpoint).info
    spec = PreprocessSpec.from_dict(info.preprocess)
    drawn = _draw(real, count, seed, spec) if file is None else checked_calibration(output, file, real, spec)
    samples = parity_set(real.index, real.datasets, spec, splits=real.splits, fold=real.fold)
    found = compare_ranges(checkpoint, drawn, samples, golden_images(spec=spec), progress=output.status)
    _show_comparison(output, found)
    model = {"name": info.name, "version": info.version, "checkpoint_sha256": hash_file(checkpoint)}
    meta = provenance(model=model, seed=drawn.seed, fold=real.fold, calibration=_facts(drawn, lint(drawn, spec=spec)))
    output.result({**found.to_dict(), "meta": meta})


def _show_comparison(output: Output, found: Comparison) -> None:
    rows = [
        (
            row.writer,
            row.method,
            row.parity.engine,
            f"{row.parity.max_score_difference:.4f}",
            f"{row.parity.p99_score_difference:.4f}",
            f"{row.parity.flipped} of {found.report.pairs}",
            f"{100 * row.parity.eer_difference.estimate:+.2f} "
            f"[{100 * row.parity.eer_difference.low:+.2f}, {100 * row.parity.eer_difference.high:+.2f}]",
        )
        for row in found.rows
    ]
    columns = ("file", "ranges", "engine", "max", "p99", "flipped", "EER change, points")
    output.table(f"int8 against PyTorch, {found.report.source}", columns, rows)
    for sentence in found.verdicts.values():
        output.say(sentence)
