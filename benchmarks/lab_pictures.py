"""Draw what training and abstention rest on, from the result files alone: docs/images/*.png.

Usage: python benchmarks/lab_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sigedge.evaluation.results import read_result

ROOT = Path(__file__).resolve().parent.parent
RESULTS, IMAGES = ROOT / "benchmarks" / "results", ROOT / "docs" / "images"
COLOURS = {"1": "#1f5fa8", "5": "#c2571a"}
INK, SOFT = "#1d2330", "#8a92a0"
CURVES = ("real signers", "synthetic signers")
"""Groups of experiments whose rows are named by a number."""


def main() -> None:
    """Every picture whose result is there."""
    experiments = RESULTS / "experiments.json"
    if experiments.is_file():
        groups = read_result(experiments)["groups"]
        draw_learning_curves({name: groups[name] for name in CURVES if name in groups})
        draw_ablation(groups["training"])
    for path in RESULTS.glob("abstention-*.json"):
        draw_abstention(read_result(path))


def draw_learning_curves(groups: dict[str, Any]) -> None:
    """Skilled EER over the number of signers, one panel a group, on a logarithmic axis."""
    figure, panels = plt.subplots(1, len(groups), figsize=(4.2 * len(groups), 3.4), dpi=110, squeeze=False)
    for axes, (name, group) in zip(panels[0], groups.items(), strict=True):
        rows = sorted(group["rows"], key=lambda row: int(row["name"]))
        for count, colour in COLOURS.items():
            found = [row["by_count"][count] for row in rows]
            x, y = [int(row["name"]) for row in rows], [100 * one["eer_skilled"] for one in found]
            low, high = zip(*(one["eer_skilled_ci95"] for one in found), strict=True)
            axes.fill_between(x, [100 * v for v in low], [100 * v for v in high], color=colour, alpha=0.12, lw=0)
            axes.plot(x, y, "o-", color=colour, label=f"{count} reference{'s' if count != '1' else ''}")
        axes.set_xscale("log")
        axes.set_xticks(x, [str(value) for value in x])
        axes.minorticks_off()
        axes.set(xlabel=name, ylabel="skilled EER, %", ylim=(0, None))
        _quiet(axes)
    panels[0][0].legend(frameon=False, loc="lower left")
    _save(figure, "learning-curves")


def draw_ablation(group: dict[str, Any]) -> None:
    """Change of the skilled EER by each row, with its paired interval over signers; left is better."""
    rows = group["rows"][1:][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(rows) + 1.1), dpi=110)
    for offset, (count, colour) in zip((0.14, -0.14), COLOURS.items(), strict=True):
        changes = [row["by_count"][count]["change"] for row in rows]
        middle = [100 * change["estimate"] for change in changes]
        ends = [
            [100 * abs(change["estimate"] - change["low"]) for change in changes],
            [100 * abs(change["high"] - change["estimate"]) for change in changes],
        ]
        at = [position + offset for position in range(len(rows))]
        label = f"{count} reference{'s' if count != '1' else ''}"
        axes.errorbar(middle, at, xerr=ends, fmt="o", color=colour, ms=4, lw=1.2, label=label)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_xlabel("change of the skilled EER, points (left is better)")
    axes.legend(frameon=False, loc="lower right")
    _quiet(axes)
    _save(figure, "ablation")


def draw_abstention(result: dict[str, Any]) -> None:
    """Errors among the answered queries over the share sent back, the worst pictures first and at random."""
    curve = result["curve"]
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.4), dpi=110)
    sent = [100 * share for share in curve["rejected"]]
    for axes, names in zip(panels, (("eer",), ("far", "frr")), strict=True):
        for name, colour in zip(names, COLOURS.values(), strict=False):
            axes.plot(sent, [100 * v for v in curve["worst_first"][name]], color=colour, label=name.upper())
            axes.plot(sent, [100 * v for v in curve["at_random"][name]], color=colour, ls=":", label="at random")
        if result["bound"] is not None:
            axes.axvline(100 * curve["rejected"][curve["bounds"].index(result["bound"])], color=SOFT, lw=1, ls="--")
        axes.set(xlabel="queries asked for again, %", ylabel="errors among the others, %", ylim=(0, None))
        axes.legend(frameon=False)
        _quiet(axes)
    _save(figure, "abstention")


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(color="#e6e8ec", lw=0.6)
    axes.set_axisbelow(True)


def _save(figure: Any, name: str) -> None:
    """Without a date in it, so that equal pictures are equal files."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", metadata={"Software": None}, facecolor="white")
    plt.close(figure)
    print(f"written: {IMAGES / name}.png")


if __name__ == "__main__":
    main()
