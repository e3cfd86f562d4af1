"""`sigedge data leaks`: can the scan alone tell genuine from forged?"""

from __future__ import annotations

from typing import Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.data.options import DEFAULT_CACHE, CacheOption, DatasetOption, LayoutOption, SourceArgument
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import JsonOption, SeedOption

PROBES = {"background_ink_auc": "background and ink level", "skeleton_auc": "skeleton and texture"}


@guard(kept="Canvases made so far stay in the cache; the same command goes on from there.")
def leaks(
    source: SourceArgument,
    layout: LayoutOption = "auto",
    dataset: DatasetOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Probe images of PATH, raw and preprocessed, without any reference; exit code 1 when the gate fails."""
    from sigedge.data import read_any
    from sigedge.evaluation.leak_gates import measure_dataset_leaks

    found = measure_dataset_leaks(read_any(source, layout, dataset), cache=cache, seed=seed)
    output = Output(json)
    rows = [(label, _auc(found["raw"][name]), _auc(found["canvas"][name])) for name, label in PROBES.items()]
    output.table(
        f"AUC of single-image probes, {found['signers']} signers (0.5 knows nothing)",
        ("probe", "raw", "canvas"),
        rows,
    )
    if found["passed"] is False:
        output.say(f"The canvases leak: the first probe is above {found['gate']}.", "red")
    output.result(found)
    if found["passed"] is False:
        raise typer.Exit(REJECTED)


def _auc(value: Any) -> str:
    return "not measured" if value is None else f"{value:.3f}"
