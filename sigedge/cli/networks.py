"""What `sigedge export` and `sigedge parity` do for classifiers and image networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sigedge.cli.console import Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sigedge_export import NetworkParityReport
    from sigedge_models import CheckpointInfo
    from sigedge_runtime.bundle import Bundle

CALIBRATION, PARITY = 200, 128
"""Canvases that a network is calibrated on, and compared on."""


def examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Inputs uint8 [count, H, W] of a network, drawn by its system.

    Raises:
        CheckpointError: its architecture brings no system.
    """
    from sigedge.systems import has_system, load_system
    from sigedge_runtime.errors import CheckpointError

    if not has_system(info.architecture):
        raise CheckpointError(
            f"The task of {info.name} is {info.task}, and {info.architecture} has no package in sigedge.systems that "
            "draws its inputs; add one."
        )
    return load_system(info.architecture).examples(info, count, seed)


def parity_network(output: Output, bundle: Bundle, checkpoint: Path) -> None:
    """Compare each artefact of a bundle with its checkpoint.

    Raises:
        ParityError: an artefact is beyond a tolerance.
    """
    from sigedge.cli.inputs import parity_meta
    from sigedge.export_inputs import PARITY_SEED
    from sigedge_export import gate_network, load_network_tolerances, load_reference, measure_network_parity

    reference = load_reference(checkpoint)
    canvases = examples(reference.info, PARITY, PARITY_SEED)
    report = measure_network_parity(bundle, canvases, reference.embed(canvases), progress=output.status)
    show_network_parity(output, report)
    output.result({**report.to_dict(), "meta": parity_meta(bundle)})
    gate_network(report, load_network_tolerances(reference.info))
    output.say("Every artefact computes what the reference does, within the network's tolerances.", "green")


def show_network_parity(output: Output, report: NetworkParityReport) -> None:
    """Print the report as a table, and what could not be measured."""
    columns = ("artefact", "engine", "max", "mean", "classes changed", "PSNR of the worst, dB", "variance kept, %")
    rows = [
        (
            row.artifact,
            row.engine,
            f"{row.max_difference:.5f}",
            f"{row.mean_difference:.5f}",
            "-" if row.changed is None else f"{row.changed} of {report.canvases}",
            "-" if row.psnr is None else f"{row.psnr:.1f}",
            f"{100 * row.variance_ratio:.1f}",
        )
        for row in report.rows
    ]
    unit = "probabilities" if report.task == "classification" else "root mean square as a share of 255"
    output.table(f"Differences to PyTorch ({unit}), {report.canvases} canvases", columns, rows)
    for missed in report.unmeasured:
        output.say(f"not measured: {missed.artifact} on {missed.engine}: {missed.reason}", "yellow")
