from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sigedge.evaluation.columns import ABSENT, TABLES
from sigedge.evaluation.tables import NOTHING, main, render, render_page, update
from sigedge_runtime.errors import DataError

ACCURACY = {
    "dataset": "cedar-half",
    "split": "test",
    "artifact": "edgesig-int8-tflite",
    "references": {
        "10": {"signers": 11, "eer_skilled": 0.08, "eer_skilled_ci95": None, "eer_random": 0.01},
        "1": {
            "signers": 11,
            "eer_skilled": 0.1234,
            "eer_skilled_ci95": [0.1, 0.15],
            "eer_random": 0.02,
            "eer_random_ci95": [0.01, 0.03],
            "eer_per_signer_mean": 0.05,
            "frr_at_far_1pct": 0.4,
            "far_skilled": 0.11,
            "far_random": 0.001,
            "frr": 0.12,
            "cllr": 0.5,
            "min_cllr": 0.45,
        },
        "20": {"signers": 0, "eer_skilled": None},
    },
    "leak_gates": {"background_ink_auc": 0.5, "skeleton_auc": 0.714, "reference_swap_auc": 0.52},
    "meta": {"model": {"name": "edgesig"}},
}
LEAKS = {
    "dataset": "cedar-half",
    "signers": 55,
    "passed": True,
    "raw": {"background_ink_auc": 1.0, "skeleton_auc": 0.999},
    "canvas": {"background_ink_auc": 0.5, "skeleton_auc": None},
}
PARITY = {
    "model": "edgesig 0.1.0",
    "pairs": 400,
    "rows": [
        {
            "artifact": "edgesig-int8-tflite",
            "engine": "litert 2.1.0",
            "max_score_difference": 0.0123456,
            "p99_score_difference": 0.004,
            "flipped": 2,
            "eer_difference": {"estimate": 0.001, "low": -0.002, "high": 0.003},
            "size": 712_345,
            "bytes_per_parameter": 1.034,
            "latency": {"p50": {"estimate": 2.61, "low": 2.5, "high": 2.777}},
            "verdict": {"short": "no: slower"},
        },
        {"artifact": "edgesig-float32-saved_model", "engine": "tensorflow 2.19.0", "latency": None, "verdict": None},
    ],
}
BENCH = {
    "model": {"name": "edgesig"},
    "machine": {"cpu": "Some | CPU"},
    "protocol": {"threads": 1},
    "runs": [
        {
            "artifact": "edgesig-int8-tflite",
            "engine": "litert",
            "engine_version": "2.1.0",
            "size": 712_345,
            "stages_ms": {"total": {"p50": 7.123, "p95": 9.5}},
            "cold_start_ms": {"process": {"p50": 812.4}},
            "peak_rss_mb": 140.2,
        }
    ],
}


def cells(table: str) -> list[list[str]]:
    """Cells of a Markdown table, without the ruler."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert set("".join(lines[1])) <= {":", "-"}
    assert len({len(line) for line in lines}) == 1, "every row has every column"
    return [lines[0], *lines[2:]]


def column(table: str, heading: str) -> list[str]:
    head, *rows = cells(table)
    return [row[head.index(heading)] for row in rows]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    files: dict[str, Any] = {
        "accuracy-cedar": ACCURACY,
        "leaks-cedar": LEAKS,
        "parity-edgesig": PARITY,
        "bench-edgesig": BENCH,
    }
    for name, content in files.items():
        (results / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Title\n\n<!-- table:accuracy -->\nold\n<!-- /table:accuracy -->\n\nend\n")
    (tmp_path / "docs" / "plain.md").write_text("no table here\n")
    return tmp_path


def test_accuracy_stands_next_to_its_gates() -> None:
    table = render("accuracy", [ACCURACY])
    assert column(table, "references") == ["1", "10"], "in order, without the count nobody could be tested with"
    assert column(table, "data set") == ["cedar-half test"] * 2
    assert column(table, "EER skilled [95 %]") == ["12.3 [10.0, 15.0]", "8.0"]
    assert column(table, "EER random [95 %]") == ["2.0 [1.0, 3.0]", "1.0"]
    assert column(table, "EER per signer") == ["5.0", ABSENT]
    assert column(table, "FRR at FAR 1 %") == ["40.0", ABSENT]
    assert column(table, "FAR skilled / random") == ["11.0 / 0.1", f"{ABSENT} / {ABSENT}"]
    assert column(table, "Cllr (least)") == ["0.50 (0.45)", f"{ABSENT} ({ABSENT})"]
    assert column(table, "background and ink AUC") == ["0.50", "0.50"]
    assert column(table, "skeleton AUC") == ["0.71", "0.71"]
    assert column(table, "reference swap AUC") == ["0.52", "0.52"]


def test_leaks_parity_and_latency() -> None:
    leaks = render("leaks", [LEAKS, {**LEAKS, "passed": False}])
    assert column(leaks, "gate") == ["passed", "FAILED"]
    assert column(leaks, "background and ink, raw") == ["1.00", "1.00"]
    assert column(leaks, "skeleton and texture, canvas") == [ABSENT, ABSENT]
    parity = render("parity", [PARITY])
    shown = {
        "artefact on engine": "edgesig-int8-tflite on litert 2.1.0",
        "kB": "712",
        "bytes a weight": "1.03",
        "largest score difference": "0.01235",
        "flipped decisions": "2 of 400",
        "EER change, points [95 %]": "+0.10 [-0.20, +0.30]",
        "inference ms [95 %]": "2.61 [2.50, 2.78]",
        "worth it beside float32": "no: slower",
    }
    for heading, cell in shown.items():
        first, second = column(parity, heading)
        assert first == cell
        assert second == ("edgesig-float32-saved_model on tensorflow 2.19.0" if "artefact" in heading else ABSENT)
    latency = render("latency", [{**BENCH, "machine": {"cpu": "CPU"}}])
    assert column(latency, "total ms") == ["7.12 (9.50)"]
    assert column(latency, "infer ms") == [ABSENT]
    assert column(latency, "kB") == ["712"] and column(latency, "cold start ms") == ["812"]
    assert r"Some \| CPU" in render("latency", [BENCH])


@pytest.mark.parametrize("name", sorted(TABLES))
def test_absent_or_empty_results_are_said(name: str) -> None:
    assert render(name, []) == NOTHING
    assert cells(render(name, [{}])) if name == "leaks" else render(name, [{}]) == NOTHING


def test_pages_are_rewritten_once(repository: Path) -> None:
    readme = repository / "README.md"
    assert update(repository) == [readme]
    page = readme.read_text()
    assert page.startswith("# Title\n\n<!-- table:accuracy -->\n| data set |")
    assert page.endswith("|\n<!-- /table:accuracy -->\n\nend\n") and "old" not in page
    assert update(repository) == []
    assert readme.read_text() == page


def test_check_writes_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (repository / "README.md").read_text()
    assert main(["--check", "--root", str(repository)]) == 1
    assert "README.md: out of date" in capsys.readouterr().out
    assert (repository / "README.md").read_text() == before
    assert main(["--root", str(repository)]) == 0
    assert main(["--check", "--root", str(repository)]) == 0


def test_a_page_may_show_one_model(repository: Path) -> None:
    other = {**ACCURACY, "artifact": "other-int8", "meta": {"model": {"name": "other"}}}
    results = repository / "benchmarks" / "results"
    (results / "accuracy-other.json").write_text(json.dumps(other))
    both = render_page("<!-- table:accuracy -->\n<!-- /table:accuracy -->", results)
    one = render_page("<!-- table:accuracy other -->\n<!-- /table:accuracy -->", results)
    assert "edgesig-int8" in both and "other-int8" in both
    assert "edgesig-int8" not in one and "other-int8" in one
    assert one.startswith("<!-- table:accuracy other -->\n| ")
    for table in ("parity", "latency"):
        page = f"<!-- table:{table} edgesig -->\n<!-- /table:{table} -->"
        assert "edgesig-int8-tflite" in render_page(page, results)
        assert NOTHING in render_page(page.replace(" edgesig", " other"), results)


def test_several_tables_on_a_page(repository: Path) -> None:
    page = "a\n<!-- table:leaks -->\n<!-- /table:leaks -->\nb\n<!-- table:parity -->x<!-- /table:parity -->\nc"
    made = render_page(page.replace(" -->x", " -->\nx\n"), repository / "benchmarks" / "results")
    assert [part for part in made.split("\n") if part in "abcx"] == ["a", "b", "c"]
    assert made.count("| :--- |") == 2


def test_bad_pages_and_files_are_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = repository / "benchmarks" / "results"
    with pytest.raises(DataError, match="no table 'speed'; use one of: accuracy"):
        render_page("<!-- table:speed -->\n<!-- /table:speed -->", results)
    with pytest.raises(DataError, match="does not close it"):
        render_page("<!-- table:leaks -->\n", results)
    before = (repository / "README.md").read_text()
    (results / "accuracy-broken.json").write_text("{")
    assert main(["--root", str(repository)]) == 2
    assert "accuracy-broken.json cannot be read" in capsys.readouterr().err
    assert (repository / "README.md").read_text() == before


class TestTablesOfTheLab:
    def test_realism_has_a_row_for_each_data_set(self) -> None:
        sides = {"real": {"signers": 38, "images": 228}, "synthetic": {"signers": 38, "images": 228}}
        table = render("realism", [{"sets": {"cedar-half": {"auc": 0.693, "trained": 0.612, **sides}}}])
        assert table.splitlines()[-1] == "| cedar-half | 38 | 228 | 0.69 | 0.61 |"

    def test_an_experiment_stands_beside_its_change(self) -> None:
        figures = {
            "eer_skilled": 0.127,
            "eer_skilled_ci95": [0.09, 0.16],
            "change": {"estimate": 0.013, "low": -0.002, "high": 0.03},
        }
        swap = {"reference_swap_auc": {"bhsig260-hindi": 0.5149}}
        rows = [{"name": "no synthetic signers", "by_count": {"1": figures}, **swap}]
        table = render("experiments", [{"groups": {"training": {"steps": 400, "preprocessing": 2, "rows": rows}}}])
        shown = "| training | 2 | no synthetic signers | 400 | 12.7 [9.0, 16.0] | +1.3 [-0.2, +3.0] |"
        assert table.splitlines()[-1] == f"{shown} {ABSENT} | {ABSENT} | 0.51 |"

    def test_transfer_tells_what_fixed_thresholds_do(self) -> None:
        block = {"eer_skilled": 0.2, "eer_random": 0.03, "far_skilled": 0.3, "far_random": 0.01, "frr": 0.1}
        block |= {"cllr": 0.71, "min_cllr": 0.6, "reference_swap_auc": 0.47}
        row = {
            "model": {"name": "edgesig-clean"},
            "trained_on": ["synthetic"],
            "datasets": {"cedar-half": {"10": block}},
        }
        table = render("transfer", [{"rows": [row]}])
        shown = "| synthetic | cedar-half | 10 | 20.0 | 3.0 | 30.0 / 1.0 | 10.0 | 0.71 (0.60) | 0.47 |"
        assert table.splitlines()[-1] == shown


class TestRobustnessAndAbstention:
    LEVELS = (
        {"level": "0", "eer_skilled": 0.05, "not_acquired": 0.0},
        {"level": "10", "eer_skilled": None, "not_acquired": 1.0},
    )

    def test_a_ladder_is_one_row_with_every_step(self) -> None:
        ladder = {"title": "Rotation", "unit": "degrees", "levels": self.LEVELS}
        result = {**ACCURACY, "robustness": {"distortions": {"rotation": ladder}}}
        table = render("robustness", [result])
        assert column(table, "EER skilled by step") == [f"0: 5.0, 10: {ABSENT}"]
        assert column(table, "not acquired by step") == ["0: 0.0, 10: 100.0"]

    def test_results_without_robustness_give_no_row(self) -> None:
        assert render("robustness", [ACCURACY]) == NOTHING

    @staticmethod
    def abstention(bound: float | None) -> dict[str, Any]:
        rates = {"eer": [0.2, 0.1], "far": [0.3, 0.2], "frr": [0.1, 0.05]}
        random = {"eer": [0.2, 0.2], "far": [0.3, 0.3], "frr": [0.1, 0.1]}
        curve = {"bounds": [0.1, 0.4], "rejected": [0.0, 0.05], "worst_first": rates, "at_random": random}
        return {"signers": 18, "pictures": 9000, "bound": bound, "curve": curve}

    def test_a_bound_stands_beside_what_it_brings(self) -> None:
        table = render("abstention", [self.abstention(0.4)])
        assert column(table, "FAR / FRR, all answered") == ["30.0 / 10.0"]
        assert column(table, "asked for again") == ["5.0"]
        assert column(table, "FAR / FRR of the others") == ["20.0 / 5.0"]
        assert column(table, "with as many asked at random") == ["30.0 / 10.0"]

    def test_without_a_bound_nothing_is_claimed(self) -> None:
        table = render("abstention", [self.abstention(None)])
        assert column(table, "bound") == column(table, "FAR / FRR of the others") == [ABSENT]

    def test_a_training_has_a_row_for_each_part(self) -> None:
        meta = {"threads": 1, "machine": {"cpu": "Some"}}
        parts = [{"name": "one", "steps": 50, "images": 3200, "minutes": 1.6}, {"name": "two", "minutes": None}]
        table = render("training", [{"rows": parts, "meta": meta}])
        assert column(table, "gives") == ["one", "two"] and column(table, "minutes") == ["2", ABSENT]
