"""The whole evaluation of a verifier of pairs, with the shipped bundle on drawn signers and on real ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record
from sigedge.evaluation.columns import ABSENT
from sigedge.evaluation.pair_system import (
    TESTED_ON,
    TRAINED_ON,
    Deployed,
    askew_figures,
    deployed,
    evaluate_pair_system,
    fit_rules,
)
from sigedge.evaluation.pairs import DifferenceRule, PairClassifier, difference, similarity
from sigedge.evaluation.tables import render
from sigedge_runtime.errors import DataError

pytest.importorskip("ai_edge_litert")


def drawn(dataset: int, signer: int, error: float, sample: int) -> NDArray[np.uint8]:
    """A hand's own line; a forger gets it less right."""
    heights = np.random.default_rng([dataset, signer]).integers(30, 130, 12)
    rng = np.random.default_rng([dataset, signer, sample, int(error)])
    points = np.column_stack([np.linspace(20, 380, 12), heights + rng.normal(0, error, 12)]).astype(np.int32)
    page = np.full((160, 400), 230, np.uint8)
    return np.asarray(cv2.polylines(page, [points], False, (40,), 3, cv2.LINE_AA), np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of drawn signers under the names of the data sets, with splits."""
    root = tmp_path_factory.mktemp("data")
    splits: dict[str, dict[str, list[str]]] = {}
    with (root / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "signer", "label", "sample", "width", "height"])
        for number, name in enumerate(TESTED_ON):
            parts = {"train": ["1", "2", "3", "4"]} if name in TRAINED_ON else {}
            splits[name] = {**parts, "test": ["5", "6"]}
            for signer in (name for part in splits[name].values() for name in part):
                for label, count, error in (("genuine", 6, 4.0), ("forged", 3, 25.0)):
                    for sample in range(count):
                        path = root / name / f"{signer}-{label}-{sample}.png"
                        path.parent.mkdir(exist_ok=True)
                        cv2.imwrite(str(path), drawn(number, int(signer), error, sample))
                        rows.writerow([path.relative_to(root), name, signer, label, sample, 400, 160])
    (root / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.fixture(scope="module")
def result(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate_pair_system(None, data, cache=tmp_path_factory.mktemp("cache"))


class TestResult:
    def test_is_plain_and_says_where_it_came_from(self, result: dict[str, Any]) -> None:
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert result["meta"]["model"]["name"] == "edgesig"
        assert result["meta"]["artifact"]["precision"] == "int8"

    def test_has_the_row_of_the_table_of_systems(self, result: dict[str, Any]) -> None:
        (row,) = result["networks"]
        low, high = row["ci95"]
        assert low <= row["value"] <= high
        assert row["parameters"] == 292_593 and len(row["checkpoint_sha256"]) == 64
        assert (row["network"], row["task"], row["reference_metric"]) == ("edgesig", "verification", "none given")

    def test_decides_every_data_set_by_every_rule(self, result: dict[str, Any]) -> None:
        assert set(result["decisions"]) == set(TESTED_ON)
        for rules in result["decisions"].values():
            assert set(rules) == {"difference", "logistic regression"}
            # Six genuine samples: ten references cannot be enrolled, and no figure is made up for them.
            assert all({"1"} <= set(counts) <= {"1", "3", "5"} for counts in rules.values())
            assert all(found["accuracy_random"] > 0.8 for counts in rules.values() for found in counts.values())

    def test_the_tables_show_it(self, result: dict[str, Any]) -> None:
        decisions, askew = (render(name, [result]) for name in ("pair-decisions", "askew"))
        assert decisions.count("\n") == 1 + 2 * (2 + 2 + 2) and ABSENT not in decisions
        assert askew.count("\n") == 5 and ABSENT not in askew

    def test_results_of_other_systems_have_no_rows_there(self) -> None:
        assert all("|" not in render(name, [{"networks": []}]) for name in ("pair-decisions", "askew"))

    def test_a_data_set_that_is_missing_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "index.csv").write_text("path,dataset,signer,label,sample\nx.png,other,1,genuine,1\n")
        (tmp_path / "splits.json").write_text("{}")
        with pytest.raises(DataError, match="no rows of data set 'cedar-half'"):
            evaluate_pair_system(None, tmp_path, cache=tmp_path / "cache")


class TestRules:
    def test_thresholds_are_of_the_validation_signers(
        self, known: Callable[..., tuple[list[Record], NDArray[np.float32]]]
    ) -> None:
        train = known(noise=0.2, signers=6)
        narrow, wide = (
            fit_rules(train, known(noise=noise, offset=1.2, seed=1, signers=5))["difference"] for noise in (0.2, 0.6)
        )
        assert isinstance(narrow, DifferenceRule) and isinstance(wide, DifferenceRule)
        assert narrow.threshold < wide.threshold

    def test_need_forgeries(self, known: Callable[..., tuple[list[Record], NDArray[np.float32]]]) -> None:
        train, honest = known(signers=4), known(signers=4, forged=0)
        with pytest.raises(DataError, match="no forgery"):
            fit_rules(train, honest)


def pairs_of(verifier: Deployed, data: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Of each test signer the first two genuine samples and the first forgery."""
    records, embeddings = verifier.known(data, "cedar-half", "test", 0)
    rows: dict[str, dict[bool, list[int]]] = {}
    for row, record in enumerate(records):
        rows.setdefault(record.signer, {True: [], False: []})[record.genuine].append(row)
    first, second, forged = zip(*((own[True][0], own[True][1], own[False][0]) for own in rows.values()), strict=True)
    return embeddings[list(first)], embeddings[list(second)], embeddings[list(forged)]


@pytest.fixture(scope="module")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.mark.research_data
def test_real_genuine_pairs_differ_less_than_forgeries(research_data: Path, real_cache: Path) -> None:
    with deployed(None, real_cache) as verifier:
        first, second, forged = pairs_of(verifier, research_data)
        assert len(first) == 11
        assert np.median(difference(first, second)) < np.median(difference(first, forged))
        assert np.median(similarity(first, second)) > np.median(similarity(first, forged))


@pytest.mark.research_data
def test_a_classifier_fitted_to_real_pairs_tells_other_signers_apart(research_data: Path, real_cache: Path) -> None:
    with deployed(None, real_cache) as verifier:
        records, embeddings = verifier.known(research_data, "cedar-half", "validation", 0)
        signers = sorted({record.signer for record in records})
        parts = []
        for chosen in (signers[:3], signers[3:]):
            keep = [record.signer in chosen for record in records]
            parts.append(([r for r, kept in zip(records, keep, strict=True) if kept], embeddings[keep]))
        rule = fit_rules(*parts)["logistic regression"]
        assert isinstance(rule, PairClassifier)
        first, second, forged = pairs_of(verifier, research_data)
    assert np.mean(rule.log_odds(first, second)) > np.mean(rule.log_odds(first, forged))


@pytest.mark.research_data
def test_real_pages_askew_cost_less_when_laid_level(research_data: Path, real_cache: Path) -> None:
    with deployed(None, real_cache) as verifier:
        records, _ = verifier.known(research_data, "cedar-half", "validation", 0)
        figures = askew_figures(records[:144:2], verifier)
    assert figures["askew_upright"]["eer_skilled_1"] <= figures["askew_plain"]["eer_skilled_1"] + 0.05
