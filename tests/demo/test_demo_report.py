"""The demo's report: complete, self-contained, and honest about a wrong decision."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sigedge.cli.demo import summary
from sigedge.demo.report import picture_uri, render_report
from sigedge.demo.result import ArtifactRow, Case, DemoResult, Picture
from sigedge.synthesis import Synthesiser
from sigedge_runtime.preprocessing import harmonise

FIGURES = {
    "artifact": "edgesig-int8-tflite",
    "max_score_difference": 0.0123,
    "p99_score_difference": 0.004,
    "flipped": 3,
    "eer_difference": {"estimate": 0.001, "low": -0.002, "high": 0.004},
    "variance_ratio": 0.998,
    "effective_rank_ratio": 0.991,
}
PARITY = {
    "pairs": 1234,
    "signers": 16,
    "canvases": 192,
    "threshold": 0.7,
    "operating_point": "balanced",
    "reference_eer": 0.051,
    "source": "16 synthetic signers",
}
MACHINE = {"cpu": "Some <CPU>", "usable_cores": 2, "os": "Linux", "python": "3.11"}


def verdict(score: float) -> SimpleNamespace:
    """What the report reads of a `sigedge_runtime.Verdict`."""
    return SimpleNamespace(
        accepted=score >= 0.7,
        score=score,
        threshold=0.7,
        probability=0.9,
        timings=SimpleNamespace(total=9.5),
        to_dict=lambda: {"score": score},
    )


def picture(index: int) -> Picture:
    scan = Synthesiser(900_004).signer(0).genuine(index).image
    return Picture(scan, harmonise(scan).canvas)


@pytest.fixture(scope="module")
def result() -> DemoResult:
    return DemoResult(
        model="edgesig 0.1.0",
        created="2026-11-21T12:00:00+00:00",
        machine=MACHINE,
        references=(picture(0), picture(1)),
        cases=(
            Case("Genuine sample", True, picture(2), verdict(0.91)),
            Case("Skilled forgery", False, picture(3), verdict(0.55)),
            Case("Random forgery", False, picture(4), verdict(0.05)),
        ),
        rows=(
            ArtifactRow("edgesig-int8-tflite", "tflite", "int8", "litert 2.1", 260_000, 9.4, FIGURES),
            ArtifactRow(
                "edgesig-float32-saved_model", "saved_model", "float32", "tensorflow 2", 900_000, None, FIGURES
            ),
        ),
        parity=PARITY,
        seconds={"export and parity": 61.0, "measure": 20.0},
    )


class Checker(HTMLParser):
    """Tags that are opened and never closed, and everything the page would fetch."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(result: DemoResult) -> None:
    checker = Checker()
    checker.feed(render_report(result))
    assert checker.open == []
    assert len(checker.sources) == 2 * 3 + 2
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)


def test_it_shows_verdicts_and_figures(result: DemoResult) -> None:
    page = re.sub(r"\s+", " ", render_report(result))
    assert "All 3 decisions as expected" in page
    assert page.count('<span class="badge no">rejected') == 2 and page.count('<span class="badge yes">accepted') == 1
    for text in ("0.01230", "flipped of 1234", "254 KiB", "not run", "5.1 %", "+0.10", "61 s, measure 20 s."):
        assert text in page, text


def test_it_escapes_what_it_did_not_write(result: DemoResult) -> None:
    assert "Some &lt;CPU&gt;" in render_report(result)


def test_a_wrong_decision_is_said_at_the_top(result: DemoResult) -> None:
    wrong = replace(result, cases=(*result.cases[:2], Case("Random forgery", False, picture(4), verdict(0.8))))
    page = re.sub(r"\s+", " ", render_report(wrong))
    assert not wrong.right and "1 of 3 decisions not as expected" in page and "not the expected decision" in page


def test_pictures_are_embedded_whole_up_to_a_size() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    assert np.array_equal(decode(picture_uri(image)), image)
    assert decode(picture_uri(np.zeros((100, 2000, 3), np.uint8))).shape[:2] == (32, 640)


def decode(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition(",")[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_summary_is_plain_values(result: DemoResult) -> None:
    import json

    found = json.loads(json.dumps(summary(result)))
    assert found["right"] is True and [case["verdict"]["score"] for case in found["cases"]] == [0.91, 0.55, 0.05]
    assert found["artifacts"][0]["flipped"] == 3 and found["artifacts"][1]["median_ms"] is None
