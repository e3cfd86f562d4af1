"""Recall of identification: the draws, the spliced users, and the place of who wins the exact comparison."""

from __future__ import annotations

import numpy as np
import pytest

from sigedge.evaluation.identification import Splices, Trials, draw_trials, rank_winners, scores_of_all
from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
from sigedge_runtime.errors import DataError
from sigedge_runtime.matching import LocalMatching, Vector
from sigedge_runtime.scoring import scores
from sigedge_runtime.search import MatrixIndex, short_vectors

CELLS = LocalMatching(4, 8, 1, 2)
SIZE = CELLS.cells * 4
DECISION = Decision(
    fusion="mean_max",
    default_operating_point="balanced",
    operating_points=(OperatingPoint("balanced", 1, 0.7, 0.05, 0.05), OperatingPoint("balanced", 2, 0.3, 0.04, 0.04)),
    calibrations=(Calibration(1, 40.0, -28.0), Calibration(2, 40.0, -12.0)),
    consistency_weight=0.5,
    matching=CELLS,
)
SIGNERS = 12


def samples(signers: int = SIGNERS, each: int = 5) -> tuple[Vector, list[str], list[str]]:
    random = np.random.RandomState(0)
    own = random.normal(size=(signers, 1, SIZE))
    drawn = (own + 0.4 * random.normal(size=(signers, each, SIZE))).reshape(-1, SIZE)
    names = [f"s{signer}" for signer in range(signers) for _ in range(each)]
    kinds = ["real" if signer < 4 else "synthetic" for signer in range(signers) for _ in range(each)]
    return CELLS.prepare(drawn), names, kinds


@pytest.fixture
def trials() -> Trials:
    return draw_trials(*samples(), references=3, queries=6, seed=1)


def short_index(trials: Trials, splices: Splices) -> MatrixIndex:
    vectors = np.concatenate([short_vectors(trials.references.reshape(-1, SIZE), CELLS), *splices.short_vectors()])
    index = MatrixIndex(vectors.shape[1])
    index.add(np.arange(len(vectors), dtype=np.int64) // trials.references.shape[1], vectors)
    return index


def spliced(trials: Trials, count: int) -> Splices:
    return Splices.draw(trials.references, CELLS, count, seed=2)


def test_references_are_no_queries_and_both_are_of_their_signer(trials: Trials) -> None:
    prepared, names, _ = samples()
    row = {vector.tobytes(): name for vector, name in zip(prepared, names, strict=True)}
    enrolled = [{row[template.tobytes()] for template in own} for own in trials.references]
    assert enrolled == [{f"s{signer}"} for signer in range(SIGNERS)]
    assert [row[query.tobytes()] for query in trials.queries] == [f"s{owner}" for owner in trials.owners]
    references = {template.tobytes() for template in trials.references.reshape(-1, SIZE)}
    assert not references & {query.tobytes() for query in trials.queries}
    assert len(references) == SIGNERS * 3


def test_so_many_queries_are_drawn_of_each_kind(trials: Trials) -> None:
    assert trials.kinds.tolist() == ["real"] * 6 + ["synthetic"] * 6
    assert np.all((trials.owners < 4) == (trials.kinds == "real"))


def test_the_same_seed_draws_the_same_and_another_does_not(trials: Trials) -> None:
    again, other = (draw_trials(*samples(), references=3, queries=6, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(trials.queries, again.queries)
    assert not np.array_equal(trials.queries, other.queries)


def test_signers_with_too_few_samples_are_left_out_and_without_any_nothing_can_be_drawn() -> None:
    prepared, names, kinds = samples()
    trials = draw_trials(prepared[1:-2], names[1:-2], kinds[1:-2], references=4, queries=99, seed=0)
    assert len(trials.references) == SIGNERS - 2
    with pytest.raises(DataError, match="more than 5 genuine samples"):
        draw_trials(prepared, names, kinds, references=5, queries=1, seed=0)


def test_the_first_users_keep_their_queries(trials: Trials) -> None:
    part = trials.first(4)
    assert len(part.references) == 4
    assert set(part.kinds.tolist()) == {"real"}
    np.testing.assert_array_equal(part.queries, trials.queries[trials.asked(4)])


def test_a_spliced_user_has_the_left_of_one_and_the_right_of_another(trials: Trials) -> None:
    splices = spliced(trials, 50)
    grids = splices.templates(np.arange(50)).reshape(50, 3, 4, 8, 4)
    whole = trials.references.reshape(SIGNERS, 3, 4, 8, 4)
    for user, (left, right, cut) in enumerate(zip(splices.left, splices.right, splices.cuts, strict=True)):
        assert left != right
        assert 2 <= cut < 6
        np.testing.assert_array_equal(grids[user, :, :, :cut], whole[left, :, :, :cut])
        np.testing.assert_array_equal(grids[user, :, :, cut:], whole[right, :, :, cut:])


def test_short_vectors_of_spliced_users_are_those_of_their_prepared_templates(trials: Trials) -> None:
    splices = spliced(trials, 450)
    parts = list(splices.short_vectors())
    assert [len(part) for part in parts] == [600, 600, 150]
    prepared = CELLS.prepare(splices.templates(np.arange(450)).reshape(-1, SIZE))
    np.testing.assert_allclose(np.concatenate(parts), short_vectors(prepared, CELLS), atol=1e-5)


def test_scores_of_all_are_the_runtimes(trials: Trials) -> None:
    found = scores_of_all(trials, DECISION)
    expected = [scores(q, trials.references.reshape(-1, SIZE), trials.sizes, DECISION) for q in trials.queries]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_winner_is_who_scores_best_of_all_enrolled_and_spliced_users(trials: Trials) -> None:
    splices = spliced(trials, 40)
    ranks = rank_winners(trials, scores_of_all(trials, DECISION), splices, short_index(trials, splices), DECISION)
    everybody = np.concatenate(
        [trials.references.reshape(-1, SIZE), CELLS.prepare(splices.templates(np.arange(40)).reshape(-1, SIZE))]
    )
    for row, query in enumerate(trials.queries):
        exact = scores(query, everybody, np.full(SIGNERS + 40, 3, np.intp), DECISION)
        assert ranks.winners[row] == np.argmax(exact)


def test_a_spliced_user_can_win(trials: Trials) -> None:
    splices = spliced(trials, 40)
    query = CELLS.prepare(splices.templates(np.array([7]))[0, :1])
    asked = Trials(trials.references, query, np.array([0], np.intp), np.array(["spliced"]))
    ranks = rank_winners(asked, scores_of_all(asked, DECISION), splices, short_index(trials, splices), DECISION)
    assert ranks.winners.tolist() == [SIGNERS + 7]
    assert ranks.places.tolist() == [0]


def test_places_are_those_of_the_winners_first_template(trials: Trials) -> None:
    splices = spliced(trials, 40)
    index = short_index(trials, splices)
    ranks = rank_winners(trials, scores_of_all(trials, DECISION), splices, index, DECISION)
    order = index.search(short_vectors(trials.queries, CELLS), len(index)).labels
    assert [int(np.argmax(labels == winner)) for labels, winner in zip(order, ranks.winners, strict=True)] == list(
        ranks.places
    )
    for length in (1, 3, 50):
        assert ranks.recall(length).tolist() == [place < length for place in ranks.places]


def test_a_winner_that_is_not_among_the_neighbours_is_missed(trials: Trials) -> None:
    none = spliced(trials, 0)
    exact = np.zeros((len(trials.queries), SIGNERS))
    exact[np.arange(len(exact)), (trials.owners + 1) % SIGNERS] = 1  # somebody whose templates are far away
    ranks = rank_winners(trials, exact, none, short_index(trials, none), DECISION, neighbours=1)
    missed = ranks.places == -1
    assert missed.any()
    assert not ranks.recall(1000)[missed].any()
