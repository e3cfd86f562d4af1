"""The report: complete, self-contained, readable without colours, and honest about a fault."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from sigedge_export.audit import FileFacts, Finding, Unmeasured
from sigedge_export.chain import Hop
from sigedge_export.inputs import GENUINE, RANDOM, SKILLED
from sigedge_export.lab import BisectHop, BisectReport, FirstFault, LayerNoise
from sigedge_export.parity import ArtifactParity, PairScores, ParityReport
from sigedge_export.report import Latency, ReportData, headline, render_report, rows, summary, write_report
from sigedge_export.report.page import scientific
from sigedge_export.report.picture import BOX_HEIGHT, BOX_WIDTH, draw_chain
from sigedge_export.report.plots import GRID, histogram, scatter
from sigedge_export.statistics import Interval
from sigedge_export.tolerances import Tolerances
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError, ParityError
from sigedge_runtime.manifest import Manifest

PAIRS = 300
KIND = np.repeat([GENUINE, SKILLED, RANDOM], PAIRS // 3).astype(np.int8)
REFERENCE = np.random.default_rng(0).uniform(-0.3, 1, PAIRS)
LOOSE = Tolerances(0.1, 0.1, 0.1, 0.01, 0.9, 0.9)
# Artefact, engine, size, median time, largest score difference.
MEASURED = (
    ("float32", "onnx", "onnxruntime 1.23.0", 4_000_000, 3.0, 5e-7),
    ("int8", "onnx", "onnxruntime 1.23.0", 1_000_000, 6.0, 0.03),
    ("float32", "saved_model", "tensorflow 2.19.0", 4_100_000, None, 4e-7),
    ("float32", "tflite", "litert 2.1.0", 4_000_000, 3.0, 5e-7),
    ("int8", "tflite", "litert 2.1.0", 1_000_000, 1.0, 0.02),
    ("int8", "tflite", "tflite_runtime 2.14.0", 1_000_000, 9.0, 0.02),
)


def parity_row(precision: str, format_: str, engine: str, difference: float) -> ArtifactParity:
    return ArtifactParity(
        artifact=f"tiny-{precision}-{format_}",
        format=format_,
        precision=precision,
        engine=engine,
        delegate="XNNPACK, 17 of 18 nodes",
        max_score_difference=difference,
        p99_score_difference=difference / 2,
        flipped=3 if difference > 0.01 else 0,
        flipped_decisions=0.01 if difference > 0.01 else 0.0,
        eer=0.1,
        eer_difference=Interval(0.001, -0.002, 0.004),
        variance_ratio=1.0,
        effective_rank_ratio=1.0,
        accepted=0.4,
    )


def latency(precision: str, format_: str, engine: str, median: float) -> Latency:
    speed = 3.0 / median
    speedup = None if precision == "float32" else Interval(speed, 0.98 * speed, 1.02 * speed)
    p50 = Interval(median, 0.9 * median, 1.1 * median)
    return Latency(f"tiny-{precision}-{format_}", engine.split()[0], 60, p50, speedup)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """The shipped bundle's, with the artefacts above."""
    with Bundle.open() as bundle:
        shipped = bundle.manifest
    template, artifacts, files = shipped.artifacts[0], {}, dict(shipped.files)
    for precision, format_, _, size, *_ in MEASURED:
        name, file = f"tiny-{precision}-{format_}", f"artifacts/{precision}.{format_}"
        files[f"{file}/graph" if format_ == "saved_model" else file] = template.sha256
        artifacts[name] = replace(template, name=name, file=file, format=format_, precision=precision, size=size)
    return replace(shipped, artifacts=tuple(artifacts.values()), files=files)


@pytest.fixture(scope="module")
def data(manifest: Manifest) -> ReportData:
    found = tuple(parity_row(precision, form, engine, diff) for precision, form, engine, _, _, diff in MEASURED)
    noise = np.random.default_rng(1)
    scores = tuple(REFERENCE + noise.uniform(-diff, diff, PAIRS) for *_, diff in MEASURED)
    facts = {
        artifact.name: FileFacts(artifact.name, artifact.format, artifact.precision, artifact.size, 1.03, {})
        for artifact in manifest.artifacts
    }
    facts["tiny-int8-tflite"] = replace(facts["tiny-int8-tflite"], loads_on=("ai-edge-litert 2.1.0",))
    report = ParityReport(
        model="tiny 1.0",
        source="signers of <nobody>",
        signers=6,
        canvases=60,
        pairs=PAIRS,
        operating_point="balanced",
        threshold=0.5,
        reference_eer=0.123,
        reference_accepted=0.4,
        rows=found,
        unmeasured=(Unmeasured("tiny-int8-onnx", "tensorrt", "There is no GPU."),),
        files=tuple(facts.values()),
        findings=(Finding("tiny-int8-onnx", "A finding to be read.", grave=False),),
        scores=PairScores(KIND, REFERENCE, scores),
    )
    return ReportData(
        manifest=manifest,
        created="2026-11-21T12:00:00+00:00",
        machine={"cpu": "Some <CPU>", "usable_cores": 2},
        versions={"numpy": "1.26.4"},
        parity=report,
        tolerances=dict.fromkeys(("float32", "int8"), LOOSE),
        latencies=tuple(latency(row[0], row[1], row[2], row[4]) for row in MEASURED if row[4] is not None),
        hops=(
            Hop("float32-onnx", "torch_to_onnx", "done", 6.14),
            Hop("float32-saved_model", "onnx_to_saved_model", "cached", 0.1),
        ),
    )


@pytest.fixture(scope="module")
def plain(data: ReportData) -> ReportData:
    """The same without plots, which take the time."""
    return replace(data, parity=replace(data.parity, scores=None))


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render_report(data)


def words(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


class Checker(HTMLParser):
    """Tags left open, ids used twice, what the page would fetch, pictures without words, and what tables lie in."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "use", "path", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.pictures: list[str] = []
        self.headings: list[str | None] = []
        self.boxes: list[str] = []
        self.table_boxes: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
            self.boxes.append(given.get("class") or "")
        self.table_boxes += [self.boxes[-2]] if tag == "table" else []
        self.ids += [given["id"] or ""] if "id" in given else []
        self.references += [given[name] or "" for name in ("src", "href", "xlink:href") if name in given]
        self.pictures += [given.get("aria-label") or ""] if given.get("role") == "img" else []
        self.headings += [given.get("scope")] if tag == "th" else []

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()
            self.boxes.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag
            self.boxes.pop()


@pytest.fixture(scope="module")
def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    return checker


def test_the_page_is_whole_and_fetches_nothing(page: str, checked: Checker) -> None:
    assert checked.open == []
    assert checked.references and all(reference.startswith("#") for reference in checked.references)
    assert {reference[1:] for reference in checked.references} <= set(checked.ids)
    addresses = set(re.findall(r"https?://[^\s\"')]+", page))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}, "names, not addresses"
    assert "<script" not in page and "@import" not in page


def test_no_id_is_used_twice(checked: Checker) -> None:
    assert len(checked.ids) == len(set(checked.ids))


def test_it_can_be_heard(checked: Checker) -> None:
    assert len(checked.pictures) == 1 + 2 * 5 and all(len(label) > 20 for label in checked.pictures)
    assert set(checked.headings) == {"col", "row"}


def test_wide_tables_scroll_in_boxes_of_their_own(page: str, checked: Checker) -> None:
    assert checked.table_boxes == ["scroll"] * 3
    assert ".scroll { overflow-x: auto; }" in page


def test_the_verdict_stands_before_everything_else(page: str) -> None:
    text = words(page)
    assert "Yes: 3.00x faster [2.94, 3.06], 4.0x smaller, EER +0.10 points" in text
    assert text.index("Yes: 3.00x") < text.index("The chain") < text.index("Every artefact")


def test_it_shows_the_figures_and_where_they_come_from(page: str, manifest: Manifest) -> None:
    text = words(page)
    for part in (
        *("5e-7", "0.02000", "p99 0.01000", "4.0 MB", "1.03 a parameter", "12.30 %", "[2.70, 3.30]"),
        *("XNNPACK, 17 of 18 nodes", "ai-edge-litert 2.1.0", "no: slower", "reference", "not measured"),
        *("signers of &lt;nobody&gt;", "Some &lt;CPU&gt;", "numpy 1.26.4", "6.1 s", "reused", "A finding to be read."),
        *(
            "There is no GPU.",
            "sigedge report --bisect",
            manifest.model.checkpoint_sha256,
            manifest.artifacts[0].sha256,
        ),
    ):
        assert part in text, part


def test_colours_have_a_dark_and_a_printed_side(page: str) -> None:
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    used = set(re.findall(r"var\((--[\w-]+)\)", page))
    for scheme in re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL):
        assert used <= set(re.findall(r"(--[\w-]+):", scheme))


def test_a_refused_export_shows_its_fault(plain: ReportData) -> None:
    strict = {**plain.tolerances, "int8": replace(LOOSE, max_score_difference=0.025)}
    page = render_report(replace(plain, tolerances=strict, fault="Artefact tiny-int8-onnx strays <far>."))
    text = words(page)
    assert "Refused. Artefact tiny-int8-onnx strays &lt;far&gt;." in text
    assert "✗ ONNX int8" in text and "✗ TFLite int8" not in text
    assert "max score difference is 0.03, allowed is at most 0.025" in text
    assert page.count('class="failed"') == 1 and "no: beyond tolerance" in text


def test_without_times_scores_or_int8_it_says_so(plain: ReportData) -> None:
    bare = replace(plain.parity, rows=plain.parity.rows[:1], scores=None)
    text = words(render_report(replace(plain, parity=bare, latencies=(), hops=())))
    assert "Unanswered" in text and "scores of the pairs were not kept" in text
    assert "times of this export were not recorded" in text


def test_a_busy_machine_is_told(plain: ReportData) -> None:
    assert "machine was busy" not in words(render_report(plain))
    waiting = tuple(replace(latency, waited=0.83, speedup=None) for latency in plain.latencies)
    text = words(render_report(replace(plain, latencies=waiting)))
    assert "waited for the processor for 83 % of its time" in text and "Undecided, speed not measured" in text


def test_missing_tolerances_are_an_error(plain: ReportData) -> None:
    with pytest.raises(ParityError, match="tiny-int8-onnx has no parity tolerances"):
        render_report(replace(plain, tolerances={"float32": LOOSE}))


def bisection(fault: FirstFault | None) -> BisectReport:
    layers = tuple(LayerNoise(i, f"stage<{i}>", "CONV_2D", ratio, 0.1) for i, ratio in enumerate((200.0, 31.0, 12.5)))
    hop = BisectHop("tiny-float32-tflite", "tiny-int8-tflite", "int8", layers, (), (), None)
    return BisectReport("tiny-int8-tflite", 4, (hop,), (), fault)


def test_layers_are_listed_with_the_noisiest_marked(plain: ReportData) -> None:
    fault = FirstFault("a -> b", "stage", "CONV_2D", 12.5, 20.0, "range", "Its range is dead.")
    page = render_report(replace(plain, bisections=(bisection(fault),)))
    text = words(page)
    assert (
        "2 CONV_2D stage&lt;2&gt; 12.5 dB ▲ noisiest" in text
        and "stage&lt;0&gt; exact" in text
        and text.count("▲ noisiest") == 1
    )
    assert "Its range is dead." in text and "sigedge report --bisect" not in text
    assert [float(width) for width in re.findall(r'worst" aria-hidden="true"><i style="width: ([\d.]+)', page)] == [
        20.8
    ]
    assert "Its range is dead." not in words(render_report(replace(plain, bisections=(bisection(None),))))


def test_rows_compare_only_like_with_like(data: ReportData) -> None:
    found = {(row.parity.artifact, row.parity.engine): row for row in rows(data)}
    assert found["tiny-int8-tflite", "litert 2.1.0"].verdict.answer == "yes"
    assert found["tiny-int8-tflite", "tflite_runtime 2.14.0"].verdict is None, "no float32 file ran on that engine"
    assert found["tiny-int8-onnx", "onnxruntime 1.23.0"].verdict.short == "no: slower"
    assert found["tiny-float32-tflite", "litert 2.1.0"].verdict is None
    assert found["tiny-float32-saved_model", "tensorflow 2.19.0"].latency is None
    first = headline(rows(data))
    assert first.parity.artifact == "tiny-int8-tflite" and first.parity.engine == "litert 2.1.0"
    assert headline(rows(data)[:2]).parity.artifact == "tiny-int8-onnx" and headline(()) is None


def test_the_summary_is_plain_values(data: ReportData) -> None:
    import json

    found = json.loads(json.dumps(summary(data), allow_nan=False))
    row = next(row for row in found["rows"] if row["artifact"] == "tiny-int8-tflite")
    assert row["size"] == 1_000_000 and row["bytes_per_parameter"] == 1.03
    assert row["verdict"]["short"] == "yes" and row["latency"]["speedup"]["estimate"] == 3.0
    assert row["loads_on"] == ["ai-edge-litert 2.1.0"] and found["verdict"]["answer"] == "yes"
    assert "scores" not in found and found["pairs"] == PAIRS


def test_the_picture_has_a_place_for_everything(data: ReportData) -> None:
    picture = draw_chain(data, rows(data))
    places = {placed.box.key: (placed.x, placed.y) for placed in picture.boxes}
    assert {"checkpoint", "float32-onnx", "int8-onnx", "float32-saved_model", "int8-tflite"} <= set(places)
    assert len(set(places.values())) == len(places)
    assert max(x for x, _ in places.values()) + BOX_WIDTH == picture.width
    columns: dict[float, list[float]] = {}
    for x, y in places.values():
        columns.setdefault(x, []).append(y)
    for column in columns.values():
        assert np.diff(sorted(column)).min(initial=BOX_HEIGHT + 1) > BOX_HEIGHT, "boxes do not overlap"
    assert len(picture.arrows) == len(places) - 1
    for placed in picture.boxes:
        if placed.box.parent:
            assert places[placed.box.parent][0] < placed.x, "arrows lead to the right"
    assert "TFLite int8 from SavedModel float32" in picture.alt


def test_a_stage_that_is_not_kept_is_drawn_all_the_same(data: ReportData, manifest: Manifest) -> None:
    alone = tuple(artifact for artifact in manifest.artifacts if artifact.name == "tiny-int8-tflite")
    boxes = {
        placed.box.key: placed.box
        for placed in draw_chain(replace(data, manifest=replace(manifest, artifacts=alone)), ()).boxes
    }
    assert boxes["float32-saved_model"].detail == "not kept" and boxes["float32-saved_model"].state == "between"
    assert boxes["float32-saved_model"].parent == "float32-onnx" and boxes["float32-onnx"].parent == "checkpoint"


def test_plots_are_well_formed_scalable_and_deterministic() -> None:
    scores = REFERENCE + 1e-4
    made = scatter("s", KIND, REFERENCE, scores, 0.5), histogram("h", REFERENCE, scores)
    for svg in made:
        root = ElementTree.fromstring(svg)
        assert "viewBox" in root.attrib and "width" not in root.attrib
        assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", svg), "every colour is the page's"
        assert "<style" not in svg and "font-family" not in svg
    assert made == (scatter("s", KIND, REFERENCE, scores, 0.5), histogram("h", REFERENCE, scores))
    for word in ("genuine", "skilled forgery", "random forgery", "threshold"):
        assert f">{word}<" in made[0]


def test_only_flipped_pairs_are_ringed() -> None:
    scores = REFERENCE.copy()
    assert "decided otherwise" not in scatter("s", KIND, REFERENCE, scores, 0.5)
    scores[np.abs(REFERENCE - 0.5).argmin()] = 1 - REFERENCE[np.abs(REFERENCE - 0.5).argmin()] + 0.01
    flipped = (scores >= 0.5) != (REFERENCE >= 0.5)
    assert ("decided otherwise" in scatter("s", KIND, REFERENCE, scores, 0.5)) == flipped.any()


def test_points_on_top_of_each_other_are_drawn_once() -> None:
    many = np.tile(REFERENCE[:10], 200)
    kind = np.full(len(many), GENUINE, np.int8)
    assert len(scatter("s", kind, many, many + 0.2 / GRID, 0.5)) < 30_000


def test_equal_scores_have_a_histogram_too() -> None:
    assert ElementTree.fromstring(histogram("h", REFERENCE, REFERENCE)).tag.endswith("svg")


def test_the_file_is_written_whole_or_not_at_all(plain: ReportData, tmp_path: Path) -> None:
    path = write_report(tmp_path / "new" / "report.html", plain)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(ExportError, match=r"report\.html.* cannot be written"):
        write_report(path / "report.html", plain)


def test_small_differences_keep_their_power_of_ten() -> None:
    assert [scientific(value) for value in (0.0, 5.3e-7, 0.00063, 0.1)] == ["0.00000", "5e-7", "0.00063", "0.10000"]
