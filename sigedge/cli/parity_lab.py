"""The laboratory side of `sigedge parity`: what --bisect and --sensitivity print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigedge.cli.console import Output

if TYPE_CHECKING:
    from sigedge_export.lab import BisectHop, BisectReport, LayerNoise, SensitivityReport
    from sigedge_export.statistics import ScoreChange


def show_bisect(output: Output, report: BisectReport) -> None:
    """Print every hop in a line, then layer by layer the one where the error enters, or the last one."""
    title = f"From images and PyTorch to {report.artifact}, on {report.canvases} canvases"
    columns = ("hop", "layers", "without counterpart", "least SQNR, dB", "verdict")
    output.table(title, columns, [_hop_row(hop) for hop in report.hops])
    for name in report.missing:
        output.say(f"not in the bundle: {name}; the hop goes past it", "yellow")
    shown = next((hop for hop in report.hops if hop.fault is not None), report.hops[-1])
    rows = [_layer_row(layer, shown) for layer in shown.layers]
    output.table(f"{_hop_name(shown)}, layer by layer", ("layer", "SQNR, dB", "largest difference", ""), rows)


def _hop_name(hop: BisectHop) -> str:
    return f"{hop.reference} -> {hop.candidate}"


def _hop_row(hop: BisectHop) -> tuple[object, ...]:
    least = min(hop.layers, key=lambda layer: layer.sqnr_db)
    alone = f"{len(hop.only_reference)} there, {len(hop.only_candidate)} here"
    verdict = "as expected" if hop.fault is None else f"fault: {hop.fault.kind.replace('_', ' ')}"
    return (_hop_name(hop), len(hop.layers), alone, f"{_decibel(least.sqnr_db)} at {brief(least.layer)}", verdict)


def _layer_row(layer: LayerNoise, hop: BisectHop) -> tuple[object, ...]:
    mark = "<-- here" if hop.fault is not None and layer == hop.fault.layer else ""
    return (f"{brief(layer.layer)}  {layer.operator}", _decibel(layer.sqnr_db), f"{layer.max_difference:.3g}", mark)


def show_sensitivity(output: Output, report: SensitivityReport) -> None:
    """Print what each layer costs alone, what the mixed lists cost, and the list that is proposed."""
    columns = ("layer", "p99", "max", "flipped")
    rows = [(f"{brief(layer.layer)}  {layer.operator}", *_loss(layer.loss, report)) for layer in report.layers]
    output.table(f"Score differences with one layer of {report.artifact} in int8, {report.source}", columns, rows)
    mixed = [(f"{entry.kept} most sensitive in float", *_loss(entry.loss, report)) for entry in report.mixed]
    output.table("All other layers in int8", ("layers", "p99", "max", "flipped"), mixed)
    output.say(_proposal(report), "yellow" if report.float_layers is None else "green")
    for name in report.float_layers or ():
        output.say(f"  {name}")


def _loss(loss: ScoreChange, report: SensitivityReport) -> tuple[str, str, str]:
    flipped = f"{loss.flipped} of {report.pairs}"
    return (f"{loss.p99_score_difference:.5f}", f"{loss.max_score_difference:.5f}", flipped)


def _proposal(report: SensitivityReport) -> str:
    allowed = f"a p99 score difference of {report.tolerance:g}"
    if report.float_layers is None:
        return f"No list of layers in float reaches {allowed}; use 16-bit activations or float16."
    if not report.float_layers:
        return f"All layers in int8 are within {allowed}; no mixed-precision list is needed."
    return f"Keep these in float to stay within {allowed} (float_layers of the model's export.json):"


def brief(name: str) -> str:
    """A layer's name short enough for a table: TensorFlow strings scopes and all fused operators together."""
    return "/".join(name.partition(";")[0].split("/")[-2:])


def _decibel(value: float) -> str:
    from sigedge_export.lab.noise import EXACT

    return "equal" if value >= EXACT else "not finite" if value <= -EXACT else f"{value:.1f}"
