from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record
from sigedge.evaluation import evaluate_embeddings, make_protocol, reference_swap_auc, score_trials
from sigedge.evaluation.metrics import cllr, equal_error_rate
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint, ScoreRule
from sigedge_runtime.errors import DataError
from sigedge_runtime.matching import LocalMatching

Known = Callable[..., tuple[list[Record], NDArray[np.float32]]]

DECISION = Decision(
    fusion="max",
    default_operating_point="balanced",
    operating_points=(
        OperatingPoint("balanced", 1, 0.5, 0.1, 0.1),
        OperatingPoint("balanced", 3, 0.6, 0.1, 0.1),
        OperatingPoint("high-security", 1, 0.9, 0.01, 0.4),
    ),
    calibrations=(Calibration(1, 10.0, -5.0), Calibration(3, 20.0, -11.0)),
)
PROMISED = {
    "eer_skilled",
    "eer_skilled_ci95",
    "eer_random",
    "eer_per_signer_mean",
    "eer_worst_decile",
    "frr_at_far_1pct",
    "frr_at_far_01pct",
    "auc",
    "cllr",
    "min_cllr",
    "far_skilled",
    "far_random",
    "frr",
}


def test_every_promised_figure_is_there_and_is_json(known: Known) -> None:
    records, embeddings = known()
    result = evaluate_embeddings(records, embeddings, reference_counts=(1, 3), decision=DECISION, bootstrap=200)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result["references"]) == {"1", "3"}
    for figures in result["references"].values():
        assert set(figures) >= PROMISED
        assert all(figures[name] is not None for name in PROMISED)
        low, high = figures["eer_skilled_ci95"]
        assert 0 <= low <= figures["eer_skilled"] <= high <= 1
    assert set(result["leak_gates"]) == {"background_ink_auc", "skeleton_auc", "reference_swap_auc"}
    assert (result["dataset"], result["images"], result["signers"], result["fusion"]) == ("drawn", 84, 6, "max")
    assert {"date", "machine", "versions", "seed"} <= set(result["meta"])


def test_embeddings_are_compared_as_the_decision_says(known: Known) -> None:
    records, embeddings = known(offset=0.5)
    cells = LocalMatching(2, 4, 1, 1)
    result = evaluate_embeddings(
        records, embeddings, reference_counts=(3,), decision=replace(DECISION, matching=cells), bootstrap=0
    )
    protocol = make_protocol(records, 3)
    trials = score_trials(protocol, embeddings, ScoreRule("max"), cells)
    genuine, skilled = (trials.of(kind) for kind in (GENUINE, SKILLED))
    figures = result["references"]["3"]
    assert figures["eer_skilled"] == equal_error_rate(genuine, skilled)
    assert figures["cllr"] == pytest.approx(cllr(20 * genuine - 11, 20 * skilled - 11))
    assert result["leak_gates"]["reference_swap_auc"] == reference_swap_auc(protocol, embeddings, "max", cells)
    by_cosine = evaluate_embeddings(records, embeddings, reference_counts=(3,), decision=DECISION, bootstrap=0)
    assert by_cosine["references"]["3"]["cllr"] != pytest.approx(figures["cllr"], rel=0.01)


def test_figures_agree_with_the_trials(known: Known) -> None:
    records, embeddings = known(offset=0.5)
    figures = evaluate_embeddings(records, embeddings, reference_counts=(3,), decision=DECISION)["references"]["3"]
    trials = score_trials(make_protocol(records, 3), embeddings, ScoreRule("max"))
    genuine, skilled, random = (trials.of(kind) for kind in (GENUINE, SKILLED, RANDOM))
    assert figures["trials"] == {"genuine": len(genuine), "skilled": len(skilled), "random": len(random)}
    assert figures["eer_skilled"] == equal_error_rate(genuine, skilled)
    assert figures["eer_random"] == equal_error_rate(genuine, random)
    own = [equal_error_rate(trials.of(GENUINE, i), trials.of(SKILLED, i)) for i in range(6)]
    assert figures["eer_per_signer_mean"] == pytest.approx(np.mean(own))
    assert figures["eer_worst_decile"] == max(own), "of 6 signers, the worst tenth is one"
    assert figures["cllr"] == pytest.approx(cllr(20 * genuine - 11, 20 * skilled - 11))
    assert figures["operating_point"] == "balanced" and figures["threshold"] == 0.6
    assert figures["frr"] == np.mean(genuine < 0.6)
    assert figures["far_skilled"] == np.mean(skilled >= 0.6)
    assert figures["far_random"] == np.mean(random >= 0.6)
    assert figures["operating_points"]["high-security"]["frr"] == np.mean(genuine < 0.9)


def test_worse_forgers_and_more_references_lower_the_error(known: Known) -> None:
    rates = {}
    for offset in (0.3, 1.5):
        records, embeddings = known(signers=10, offset=offset, noise=0.5, genuine=12)
        found = evaluate_embeddings(records, embeddings, reference_counts=(1, 10), fusion="mean", bootstrap=0)
        rates[offset] = [found["references"][count]["eer_skilled"] for count in ("1", "10")]
    assert rates[1.5][0] < rates[0.3][0] and rates[1.5][1] < rates[0.3][1]
    assert rates[0.3][1] < rates[0.3][0]


def test_the_same_seed_gives_the_same_figures(known: Known) -> None:
    records, embeddings = known(genuine=12, noise=1.0)
    first, again, other = (
        evaluate_embeddings(records, embeddings, reference_counts=(5,), seed=seed, bootstrap=50)["references"]
        for seed in (0, 0, 1)
    )
    assert first == again and first != other
    order = np.random.default_rng(0).permutation(len(records))
    shuffled = evaluate_embeddings([records[i] for i in order], embeddings[order], reference_counts=(5,), bootstrap=50)[
        "references"
    ]
    assert shuffled["5"]["eer_skilled"] == pytest.approx(first["5"]["eer_skilled"])


def test_a_stored_protocol_is_replayed(known: Known) -> None:
    records, embeddings = known(genuine=12)
    stored = {5: make_protocol(records, 5, seed=77)}
    replayed = evaluate_embeddings(records, embeddings, reference_counts=(5,), protocols=stored, bootstrap=0)
    drawn = evaluate_embeddings(records, embeddings, reference_counts=(5,), seed=77, bootstrap=0)
    assert replayed["references"] == drawn["references"]
    with pytest.raises(DataError, match="other records"):
        evaluate_embeddings(records[1:], embeddings[1:], reference_counts=(5,), protocols=stored)


def test_given_leak_gates_stand_beside_the_figures(known: Known) -> None:
    records, embeddings = known()
    gates = {"background_ink_auc": 0.5, "skeleton_auc": 0.7}
    result = evaluate_embeddings(records, embeddings, reference_counts=(1,), leak_gates=gates, bootstrap=0)
    assert result["leak_gates"]["background_ink_auc"] == 0.5
    assert result["leak_gates"]["skeleton_auc"] == 0.7
    assert result["leak_gates"]["reference_swap_auc"] == pytest.approx(0.5, abs=0.2)


def test_what_the_data_cannot_tell_is_none(known: Known) -> None:
    records, embeddings = known(forged=0)
    figures = evaluate_embeddings(records, embeddings, reference_counts=(1,), decision=DECISION)["references"]["1"]
    assert figures["eer_skilled"] is figures["auc"] is figures["cllr"] is figures["far_skilled"] is None
    assert figures["eer_per_signer_mean"] is figures["eer_skilled_ci95"] is figures["det"] is None
    assert figures["eer_random"] is not None and figures["frr"] is not None

    records, embeddings = known(signers=1)
    figures = evaluate_embeddings(records, embeddings, reference_counts=(1,), decision=DECISION)["references"]["1"]
    assert figures["eer_random"] is figures["eer_random_ci95"] is figures["eer_skilled_ci95"] is None
    assert figures["eer_skilled"] is not None and not math.isnan(figures["eer_skilled"])

    without_rule = evaluate_embeddings(records, embeddings, reference_counts=(1,))["references"]["1"]
    assert without_rule["operating_points"] == {} and without_rule["cllr"] is None


def test_counts_beyond_the_data_leave_everyone_out(known: Known) -> None:
    records, embeddings = known(genuine=5)
    result = evaluate_embeddings(records, embeddings, reference_counts=(3, 10), bootstrap=20)
    assert result["references"]["3"]["left_out"] == 0 and result["references"]["3"]["signers"] == 6
    assert result["references"]["10"]["left_out"] == 6 and result["references"]["10"]["signers"] == 0
    assert result["references"]["10"]["eer_skilled"] is None
    assert result["leak_gates"]["reference_swap_auc"] is not None


def test_some_signers_without_forgeries(known: Known) -> None:
    records, embeddings = known()
    keep = [i for i, record in enumerate(records) if record.genuine or record.signer in ("1", "2")]
    figures = evaluate_embeddings([records[i] for i in keep], embeddings[keep], reference_counts=(1,), bootstrap=300)[
        "references"
    ]["1"]
    assert figures["signers"] == 6 and figures["trials"]["skilled"] == 2 * 8 * 6
    assert figures["eer_skilled_ci95"] is not None


def test_nothing_to_evaluate(known: Known) -> None:
    records, embeddings = known()
    with pytest.raises(DataError, match="no record to evaluate"):
        evaluate_embeddings([], embeddings[:0])
    with pytest.raises(DataError, match="name at least one"):
        evaluate_embeddings(records, embeddings, reference_counts=())
    with pytest.raises(DataError, match="ask for at least 1"):
        evaluate_embeddings(records, embeddings, reference_counts=(0,))


def test_two_data_sets_are_named(known: Known) -> None:
    records, embeddings = known(signers=2)
    both = [replace(r, dataset="else") if r.signer == "2" else r for r in records]
    assert evaluate_embeddings(both, embeddings, reference_counts=(1,), bootstrap=0)["dataset"] == "drawn, else"
