"""Votes of references, the accuracy they reach, and the confusion matrix of their decisions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sigedge.evaluation import make_protocol
from sigedge.evaluation.pair_figures import draw_confusion, draw_pairs
from sigedge.evaluation.pairs import DifferenceRule, PairVerdict
from sigedge.evaluation.trials import GENUINE, RANDOM, SKILLED
from sigedge.evaluation.voting import (
    Decisions,
    accuracy,
    accuracy_interval,
    confusion_matrix,
    decide_trials,
    decision_figures,
    majority,
    vote,
)
from sigedge_runtime.errors import DataError


def decisions(genuine: str, skilled: str, random: str = "", signers: int = 2) -> Decisions:
    """Decisions written as letters: a for accepted, r for rejected; signers take turns."""
    letters = genuine + skilled + random
    kinds = np.repeat(np.array([GENUINE, SKILLED, RANDOM], np.uint8), [len(genuine), len(skilled), len(random)])
    return Decisions(np.array([x == "a" for x in letters]), kinds, np.arange(len(letters)) % signers, signers)


class TestMajority:
    def test_more_than_half(self) -> None:
        votes = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
        assert majority(votes).tolist() == [True, False, True, False]

    def test_a_tie_is_rejected(self) -> None:
        assert not majority(np.array([[True, False]])).any()

    @given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 7))))
    def test_order_changes_nothing_and_one_more_yes_never_harms(self, votes: NDArray[np.bool_]) -> None:
        outcome = majority(votes)
        assert np.array_equal(outcome, majority(votes[:, ::-1]))
        more = votes.copy()
        more[:, 0] = True
        assert np.all(majority(more) >= outcome)

    def test_no_vote_is_an_error(self) -> None:
        with pytest.raises(DataError, match="decide nothing"):
            majority(np.zeros((3, 0), bool))


class TestTrials:
    def test_vote_asks_every_reference(self) -> None:
        references = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
        queries = np.array([[1, 0.05], [0, 1]], np.float32)
        assert vote(DifferenceRule(0.5), references, queries).tolist() == [True, False]

    def test_more_references_decide_better(self, known: Callable[..., tuple[list, NDArray[np.float32]]]) -> None:
        records, embeddings = known(noise=0.9, offset=0.9, signers=8, genuine=10, forged=8)
        rule = DifferenceRule(0.95)
        one, seven = (
            decide_trials(make_protocol(records, count), embeddings, rule).against(SKILLED) for count in (1, 7)
        )
        assert accuracy(seven) > accuracy(one)

    def test_every_trial_is_decided_once(self, known: Callable[..., tuple[list, NDArray[np.float32]]]) -> None:
        records, embeddings = known()
        protocol = make_protocol(records, 3)
        made = decide_trials(protocol, embeddings, DifferenceRule(1.0))
        wanted = sum(len(draw.genuine) + len(draw.skilled) + len(draw.random) for draw in protocol.draws)
        assert len(made.accepted) == len(made.kinds) == len(made.signers) == wanted
        assert set(made.signers) == set(range(6))

    def test_rows_that_do_not_fit_are_refused(self, known: Callable[..., tuple[list, NDArray[np.float32]]]) -> None:
        records, embeddings = known()
        with pytest.raises(DataError, match="do not fit a protocol of 84 records"):
            decide_trials(make_protocol(records, 3), embeddings[:-1], DifferenceRule(1.0))


class TestFigures:
    def test_accuracy_weighs_both_classes_alike(self) -> None:
        assert accuracy(decisions("aaar", "ra")) == pytest.approx((3 / 4 + 1 / 2) / 2)
        assert accuracy(decisions("aaar", "ra" * 50)) == pytest.approx((3 / 4 + 1 / 2) / 2)

    def test_the_interval_holds_the_accuracy_and_is_narrower_for_more_signers(self) -> None:
        rng = np.random.default_rng(0)
        widths = []
        for signers in (6, 60):
            letters = ["".join(rng.choice([*"aaar"], 40 * signers)), "".join(rng.choice([*"rrra"], 40 * signers))]
            made = decisions(letters[0], letters[1], signers=signers)
            low, high = accuracy_interval(made) or (0.0, 0.0)
            assert low < accuracy(made) < high
            widths.append(high - low)
        assert widths[1] < widths[0]

    def test_one_signer_has_no_interval(self) -> None:
        assert accuracy_interval(decisions("aa", "rr", signers=1)) is None

    def test_accuracy_needs_both_classes(self) -> None:
        with pytest.raises(DataError, match="one kind is missing"):
            accuracy(decisions("aaa", ""))

    def test_confusion_matrix(self) -> None:
        made = decisions("aaar", "rra", "r")
        assert confusion_matrix(made, normalised=False).tolist() == [[3, 1], [1, 2], [0, 1]]
        assert confusion_matrix(made) == pytest.approx(np.array([[0.75, 0.25], [1 / 3, 2 / 3], [0, 1]]))
        assert confusion_matrix(decisions("a", "r"))[2].tolist() == [0, 0]

    def test_figures_are_plain_and_agree(self) -> None:
        made = decisions("aaar", "rra", "rrrr")
        found = decision_figures(made)
        assert found["accuracy_skilled"] == pytest.approx((3 / 4 + 2 / 3) / 2)
        assert found["accuracy_random"] == pytest.approx((3 / 4 + 1) / 2)
        assert found["confusion"]["skilled forgery"] == {
            "accepted": 1,
            "rejected": 2,
            "share_accepted": pytest.approx(1 / 3),
        }


class TestDrawn:
    verdict = PairVerdict(True, 0.31, 0.73, 0.2)

    def image(self, *size: int) -> NDArray[np.uint8]:
        return np.random.default_rng(0).integers(0, 255, size, np.uint8)

    def test_pairs_and_matrix_are_files_that_do_not_change(self, tmp_path: Path) -> None:
        pairs = [("Two", self.image(20, 50), self.image(30, 40, 3), self.verdict)] * 2
        made = [draw_pairs(pairs, tmp_path / f"{number}" / "pair.png").read_bytes() for number in range(2)]
        assert made[0] == made[1] and made[0].startswith(b"\x89PNG")
        matrix = confusion_matrix(decisions("aaar", "rra", "r"))
        drawn = [draw_confusion(matrix, tmp_path / f"{number}" / "matrix.svg").read_text() for number in range(2)]
        assert drawn[0] == drawn[1] and "<svg" in drawn[0]

    def test_bad_input_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no pair to draw"):
            draw_pairs([], tmp_path / "pair.png")
        with pytest.raises(DataError, match=r"confusion matrix \[2, 2\]"):
            draw_confusion(np.zeros((2, 2)), tmp_path / "matrix.svg")
        with pytest.raises(DataError, match=r"matrix\.nosuch cannot be drawn"):
            draw_confusion(np.zeros((3, 2)), tmp_path / "matrix.nosuch")
