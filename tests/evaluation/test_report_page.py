"""The report of an evaluation: complete, self-contained, and honest about what could not be measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record
from sigedge.evaluation.bundle import Evaluation
from sigedge.evaluation.evaluate import describe, score_records
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.reliability import ReliabilityBin
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, TrialScores
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.errors import DataError

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from sigedge.evaluation.report import render_report, write_report
from sigedge.evaluation.report.page import failure_to_acquire, gates, main_count, operating_points
from sigedge.evaluation.report.plots import (
    error_tradeoff,
    reliability_plot,
    robustness_panel,
    score_histogram,
    signer_bars,
)

Known = Callable[..., tuple[list[Record], NDArray[np.float32]]]
DECISION = Decision(
    fusion="max",
    default_operating_point="balanced",
    operating_points=(
        OperatingPoint("balanced", 1, 0.5, 0.111, 0.122),
        OperatingPoint("balanced", 3, 0.6, 0.133, 0.144),
        OperatingPoint("high-security", 1, 0.9, 0.011, 0.4),
    ),
    calibrations=(Calibration(1, 10.0, -5.0),),
)
META = {
    "model": {"name": "tiny", "version": "0.1", "checkpoint_sha256": "c" * 64},
    "artifact": {"name": "tiny-int8", "format": "tflite", "precision": "int8", "sha256": "d" * 64, "size": 1234},
    "engine": {"name": "litert", "version": "2.1.0", "threads": 1},
    "protocol_sha256": "e" * 64,
    "fold": 0,
}


def level(label: str, eer: float | None, lost: float = 0.0, distorted: bool = True) -> dict[str, Any]:
    return {
        "level": label,
        "distorted": distorted,
        "eer_skilled": eer,
        "eer_skilled_ci95": None if eer is None else [eer / 2, eer * 1.5],
        "far_skilled": eer,
        "frr": eer,
        "not_acquired": lost,
    }


ROBUSTNESS = {
    "references": 3,
    "signers": 4,
    "queries": {"genuine": 12, "skilled": 20},
    "seed": 0,
    "operating_point": "balanced",
    "threshold": 0.6,
    "distortions": {
        "blur": {
            "title": "Blur <soft>",
            "unit": "sigma",
            "levels": [level("0", 0.1, distorted=False), level("4", 0.325), level("9", None, 1.0)],
        },
        "ink": {"title": "Ink", "unit": "ink", "levels": [level("as it is", 0.1, distorted=False), level("red", 0.2)]},
    },
}


def evaluated(records: list[Record], embeddings: NDArray[np.float32], counts: tuple[int, ...] = (1, 3)) -> Evaluation:
    protocols = {count: make_protocol(records, count, seed=7) for count in counts}
    scores = score_records(records, embeddings, protocols, decision=DECISION)
    leak_gates = {"background_ink_auc": 0.5, "skeleton_auc": 0.71}
    result = describe(scores, records, leak_gates=leak_gates, bootstrap=100)
    result["meta"].update(META)
    acquisition = {"images": 90, "unreadable": 1, "duplicates": 4, "unusable": 3}
    result.update(split="test", artifact="tiny-int8", acquisition=acquisition)
    return Evaluation(result, scores)


@pytest.fixture
def evaluation(known: Known) -> Evaluation:
    made = evaluated(*known(offset=0.5, noise=0.4))
    made.result["dataset"] = "drawn <here>"
    made.result["robustness"] = ROBUSTNESS
    return made


def words(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(style|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


class Checker(HTMLParser):
    """Tags left open, ids used twice, what the page would fetch, and pictures without words."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "use", "path", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.pictures: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.add(tag)
        self.open += [] if tag in self.VOID else [tag]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.references += [given[name] or "" for name in ("src", "href", "xlink:href") if name in given]
        self.pictures += [given.get("aria-label") or ""] if given.get("role") == "img" else []

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_fetches_nothing_and_holds_no_photograph(evaluation: Evaluation) -> None:
    page = render_report(evaluation)
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and len(checker.ids) == len(set(checker.ids))
    assert all(reference.startswith("#") for reference in checker.references)
    assert {reference[1:] for reference in checker.references} <= set(checker.ids)
    assert not checker.tags & {"img", "image", "script", "link", "iframe"} and "data:image" not in page
    addresses = set(re.findall(r"https?://[^\s\"')]+", page))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}, "names, not addresses"
    # Trade-off, signers, two plots for each number of references, two distortions.
    assert len(checker.pictures) == 2 + 2 * 2 + 2 and all(len(label) > 20 for label in checker.pictures)


def test_colours_have_a_dark_and_a_printed_side(evaluation: Evaluation) -> None:
    page = render_report(evaluation)
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    used = set(re.findall(r"var\((--[\w-]+)\)", page))
    for scheme in re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL):
        assert used <= set(re.findall(r"(--[\w-]+):", scheme))


def test_it_shows_every_figure_and_where_it_comes_from(evaluation: Evaluation) -> None:
    text = words(render_report(evaluation))
    block = evaluation.result["references"]["3"]
    shown = [f"{100 * block[name]:.1f} %" for name in ("eer_skilled", "eer_random", "eer_per_signer_mean", "frr")]
    shown += [f"{100 * block[name]:.1f} %" for name in ("eer_worst_decile", "frr_at_far_1pct", "frr_at_far_01pct")]
    shown += [f"{block[name]:.3f}" for name in ("auc", "cllr", "min_cllr")]
    shown += ["[{:.1f}, {:.1f}]".format(*(100 * end for end in block["eer_skilled_ci95"]))]
    for part in (
        *shown,
        *("tiny 0.1", "c" * 64, "d" * 64, "e" * 64, "litert 2.1.0", "seed 7", "fold 0"),
        *("resamples of signers, seed 0", "drawn &lt;here&gt;"),
        *("Of 90 images, 1 could not be read", "a failure to acquire of 4.7 %"),
        *("13.3 %", "14.4 %", "1.1 %"),  # of the operating points on validation
        *("Blur &lt;soft&gt;", "32.5 % [16.2, 48.8]", "(undistorted)", "12 genuine and 20 forged queries"),
    ):
        assert part in text, part
    assert text.index("Equal error rate") < text.index("By number of references") < text.index("Leak gates")


def test_a_failed_gate_is_told_before_any_table(evaluation: Evaluation) -> None:
    evaluation.result["leak_gates"]["background_ink_auc"] = 0.5501
    text = words(render_report(evaluation))
    assert text.index("Background and ink fails the leak gate") < text.index("By number of references")
    evaluation.result["leak_gates"].update(background_ink_auc=0.55, reference_swap_auc=0.4)
    assert "fails the leak gate" not in words(render_report(evaluation))


@pytest.mark.parametrize(
    ("value", "states"),
    [(0.55, ("passed", "passed", "below")), (0.56, ("failed", "failed", "above")), (None, ("not measured",) * 3)],
)
def test_gates_are_held_against_one_limit(value: float | None, states: tuple[str, ...]) -> None:
    found = gates(dict.fromkeys(("background_ink_auc", "reference_swap_auc", "skeleton_auc"), value))
    assert tuple(gate.state for gate in found) == states and all(len(gate.meaning) > 60 for gate in found)


def test_operating_points_stand_beside_validation(evaluation: Evaluation) -> None:
    rows = {(row.references, row.name): row for row in operating_points(evaluation)}
    assert set(rows) == {(count, name) for count in (1, 3) for name in ("balanced", "high-security")}
    row, trials = rows[3, "balanced"], evaluation.scores.trials[3]
    forged = np.concatenate([trials.of(SKILLED), trials.of(RANDOM)])
    assert row.far == pytest.approx(np.mean(forged >= 0.6)) and row.frr == np.mean(trials.of(GENUINE) < 0.6)
    assert (row.validation_far, row.validation_frr, row.measured_with) == (0.133, 0.144, 3)
    assert rows[3, "high-security"].measured_with == 1


def test_what_could_not_be_measured_is_said(known: Known) -> None:
    records, embeddings = known(forged=0, signers=2)
    text = words(render_report(evaluated(records, embeddings, (1,))))
    assert "Equal error rate \N{EN DASH} against skilled forgeries" in text and "Not measured: run" in text
    assert "Every signer" not in text and "nothing to plot" not in text
    records, embeddings = known(genuine=3)
    nobody = evaluated(records, embeddings, (5,))
    text = words(render_report(nobody))
    assert "nothing to plot" in text and "no signer has enough signatures" in text


def test_the_page_begins_with_five_references_or_the_next_below() -> None:
    blocks = {count: {"signers": signers} for count, signers in (("1", 9), ("3", 9), ("5", 0), ("10", 9))}
    assert main_count(blocks) == 3
    assert main_count({"7": {"signers": 4}, "10": {"signers": 4}}) == 7
    assert main_count({"7": {"signers": 0}}) == 7


def test_duplicates_are_no_failure_to_acquire() -> None:
    assert failure_to_acquire({"images": 20, "unreadable": 1, "duplicates": 10, "unusable": 1}) == 0.2


def trials_of(count: int = 400) -> TrialScores:
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), count)
    scores = rng.normal(np.array([0.8, 0.5, 0.0])[kinds], 0.2)
    return TrialScores(scores, kinds, np.arange(3 * count) % 7, tuple("abcdefg"))


def drawings() -> dict[str, str]:
    bins = [ReliabilityBin(0.1, 0.2, (0.1, 0.3), 0.5), ReliabilityBin(0.9, 0.8, None, 0.5)]
    return {
        "det": error_tradeoff("d", {1: trials_of(), 5: trials_of(50)}),
        "histogram": score_histogram("h", trials_of(), {"balanced": 0.5, "strict": 0.7}),
        "signers": signer_bars("s", [0.0, 0.1, 0.3], 0.13),
        "reliability": reliability_plot("c", bins),
        "robustness": robustness_panel("r", ROBUSTNESS["distortions"]["blur"], 0.5),  # type: ignore[index]
    }


def test_plots_are_well_formed_scalable_and_deterministic() -> None:
    made = drawings()
    for svg in made.values():
        root = ElementTree.fromstring(svg)
        assert "viewBox" in root.attrib and "width" not in root.attrib
        assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", svg), "every colour is the page's"
        assert "<style" not in svg and "font-family" not in svg and "<image" not in svg
    assert made == drawings()
    for word in ("skilled forgeries", "random forgeries", "1 reference", "5 references", "equal errors"):
        assert f">{word}<" in made["det"]
    assert ">balanced, 0.500<" in made["histogram"] and ">strict, 0.700<" in made["histogram"]
    assert ">mean 13.0 %<" in made["signers"] and ">sigma<" in made["robustness"]


def test_a_plot_without_errors_is_a_plot_all_the_same() -> None:
    apart = trials_of()
    apart = replace(apart, scores=np.where(apart.kinds == GENUINE, 1.0, 0.0))
    for svg in (error_tradeoff("d", {1: apart}), score_histogram("h", apart, {}), signer_bars("s", [0.0, 0.0], 0.0)):
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_many_trials_make_no_large_plot() -> None:
    assert len(error_tradeoff("d", {1: trials_of(20_000)})) < 60_000


def test_the_file_is_written_whole_or_not_at_all(known: Known, tmp_path: Path) -> None:
    evaluation = evaluated(*known(signers=3), (1,))
    path = write_report(tmp_path / "new" / "report.html", evaluation)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(DataError, match=r"report\.html.* cannot be written"):
        write_report(path / "report.html", evaluation)
