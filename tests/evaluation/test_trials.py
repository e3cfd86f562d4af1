from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.data import Record
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED, reference_swap_auc, score_trials, score_trials_by_rule
from sigedge_runtime.decision import FUSIONS, Calibration, Decision, OperatingPoint, ScoreRule, UsualConsistency
from sigedge_runtime.errors import BundleError, DataError, EngineError
from sigedge_runtime.matching import COSINE, LocalMatching, Matching
from sigedge_runtime.scoring import score

Known = Callable[..., tuple[list[Record], NDArray[np.float32]]]
# The known embeddings have 32 numbers: 2x4 cells of four.
CELLS = LocalMatching(2, 4, 1, 1)


USUAL = UsualConsistency(mean=0.4, references=2.0)
MEAN = ScoreRule("mean")


def decision_of(rule: ScoreRule, matching: LocalMatching | None) -> Decision:
    points = tuple(OperatingPoint("only", count, 0.5, 0.1, 0.1) for count in (1, 2))
    calibrations = tuple(Calibration(count, 1.0, 0.0) for count in (1, 2))
    return Decision(
        **rule._asdict(),
        default_operating_point="only",
        operating_points=points,
        calibrations=calibrations,
        matching=matching,
    )


@pytest.mark.parametrize("matching", [None, CELLS])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(("weight", "usual"), [(0.0, None), (0.5, None), (1.0, USUAL)])
@pytest.mark.parametrize("references", [1, 3])
def test_scores_are_those_of_the_runtime(
    known: Known,
    fusion: str,
    references: int,
    weight: float,
    usual: UsualConsistency | None,
    matching: LocalMatching | None,
) -> None:
    records, embeddings = known(signers=3, genuine=5, forged=3)
    protocol = make_protocol(records, references)
    decision = decision_of(ScoreRule(fusion, weight, usual), matching)
    trials = score_trials(protocol, embeddings, decision.rule, decision.similarity)
    expected, kinds, owners = [], [], []
    for draw in protocol.draws:
        for kind, queries in ((GENUINE, draw.genuine), (SKILLED, draw.skilled), (RANDOM, draw.random)):
            for query in queries:
                expected.append(score(embeddings[query], embeddings[list(draw.references)], decision))
                kinds.append(kind)
                owners.append(draw.signer)
    assert trials.scores == pytest.approx(expected, abs=1e-6)
    assert trials.kinds.tolist() == kinds
    assert [trials.names[index] for index in trials.signers] == owners


@pytest.mark.parametrize("matching", [COSINE, CELLS])
def test_many_rules_at_once_are_scored_as_one_by_one(known: Known, matching: Matching) -> None:
    records, embeddings = known(signers=3, genuine=5, forged=3)
    protocol = make_protocol(records, 3)
    rules = (ScoreRule("max", 1.0), MEAN, ScoreRule("max", 0.25), ScoreRule("mean", 1.0, USUAL))
    together = score_trials_by_rule(protocol, embeddings, rules, matching)
    for found, rule in zip(together, rules, strict=True):
        alone = score_trials(protocol, embeddings, rule, matching)
        assert np.array_equal(found.scores, alone.scores) and np.array_equal(found.kinds, alone.kinds)
        assert np.array_equal(found.signers, alone.signers) and found.names == alone.names
    assert len({found.scores.tobytes() for found in together}) == 4


def test_embeddings_are_compared_as_asked(known: Known) -> None:
    records, embeddings = known(signers=3, genuine=5, forged=3)
    protocol = make_protocol(records, 1)
    whole, cells = (score_trials(protocol, embeddings, MEAN, matching).scores for matching in (COSINE, CELLS))
    assert np.array_equal(whole, score_trials(protocol, embeddings, MEAN).scores)
    assert np.abs(whole - cells).max() > 0.05
    # A signer's numbers in another order in every cell, the same in all samples: nothing changes for either.
    turned = embeddings.reshape(-1, 8, 4)[:, :, ::-1].reshape(embeddings.shape)
    assert score_trials(protocol, turned, MEAN, CELLS).scores == pytest.approx(cells, abs=1e-5)
    with pytest.raises(EngineError, match="no vector for each of 5 cells"):
        score_trials(protocol, embeddings, MEAN, LocalMatching(1, 5, 0, 0))


def test_selections(known: Known) -> None:
    records, embeddings = known(signers=3, genuine=5, forged=2)
    trials = score_trials(make_protocol(records, 1), embeddings, MEAN)
    assert [len(trials.of(kind)) for kind in (GENUINE, SKILLED, RANDOM)] == [30, 30, 30]
    assert np.array_equal(np.concatenate([trials.of(SKILLED, i) for i in range(3)]), trials.of(SKILLED))
    against = trials.against(RANDOM)
    assert set(against.kinds.tolist()) == {GENUINE, RANDOM} and against.names == trials.names
    first, others = trials.claiming(trials.names[:1]), trials.claiming(trials.names[1:])
    assert np.array_equal(first.scores, trials.scores[trials.signers == 0])
    assert len(first.scores) + len(others.scores) == len(trials.scores) and set(others.signers.tolist()) == {1, 2}
    assert trials.claiming([]).scores.size == 0


@pytest.mark.parametrize("matching", [COSINE, CELLS])
def test_scale_of_embeddings_does_not_matter(known: Known, matching: Matching) -> None:
    records, embeddings = known()
    protocol = make_protocol(records, 3)
    scales = np.linspace(0.1, 50, len(records), dtype=np.float32)[:, None]
    rows = (embeddings, scales * embeddings)
    plain, scaled = (score_trials(protocol, one, ScoreRule("max"), matching).scores for one in rows)
    assert scaled == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("matching", [COSINE, CELLS])
def test_swap_is_even_for_a_verifier_that_looks_at_the_signature(known: Known, matching: Matching) -> None:
    records, embeddings = known(signers=12, leak=0.0, offset=0.6)
    area = reference_swap_auc(make_protocol(records, 5), embeddings, "mean", matching)
    assert area == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("matching", "better"), [(COSINE, 0.3), (CELLS, 0.1)])
def test_swap_reveals_a_verifier_that_looks_at_the_scanner(known: Known, matching: Matching, better: float) -> None:
    records, embeddings = known(signers=12, leak=1.0, offset=0.6)
    trials = score_trials(make_protocol(records, 5), embeddings, MEAN, matching)
    assert trials.of(GENUINE).mean() > trials.of(SKILLED).mean() + better, "it looks like a good verifier"
    area = reference_swap_auc(make_protocol(records, 5), embeddings, "mean", matching)
    assert area is not None and area > 0.9


def test_swap_needs_two_signers_and_forgeries(known: Known) -> None:
    records, embeddings = known(signers=1)
    assert reference_swap_auc(make_protocol(records, 1), embeddings, "mean") is None
    records, embeddings = known(signers=3, forged=0)
    assert reference_swap_auc(make_protocol(records, 1), embeddings, "mean") is None


def test_bad_embeddings_are_refused(known: Known) -> None:
    records, embeddings = known()
    protocol = make_protocol(records, 1)
    with pytest.raises(DataError, match="do not fit 84 records"):
        score_trials(protocol, embeddings[1:], MEAN)
    with pytest.raises(DataError, match="do not fit"):
        score_trials(protocol, embeddings[:, 0], MEAN)
    with pytest.raises(BundleError, match="median"):
        score_trials(protocol, embeddings, ScoreRule("median"))
    for bad in (0.0, np.nan, np.inf):
        broken = embeddings.copy()
        broken[3] = bad
        with pytest.raises(EngineError):
            score_trials(protocol, broken, MEAN)


@pytest.mark.parametrize("matching", [COSINE, CELLS])
def test_no_draws_give_no_trials(known: Known, matching: Matching) -> None:
    records, embeddings = known(genuine=2)
    trials = score_trials(make_protocol(records, 4), embeddings, MEAN, matching)
    assert trials.names == () and len(trials.scores) == 0
    renamed = [replace(record, signer="only") for record in records[:1]]
    assert score_trials(make_protocol(renamed, 1), embeddings[:1], MEAN).scores.size == 0
