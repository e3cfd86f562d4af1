"""Indexes over short vectors: the exact one agrees with plain numpy, FAISS nearly, and both with the interface."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError
from sigedge_runtime.search import (
    NOBODY,
    FaissIndex,
    MatrixIndex,
    TemplateIndex,
    build_index,
    faiss_installed,
    users,
)

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
Build = Callable[[Labels, Vectors], TemplateIndex]


def matrix(labels: Labels, vectors: Vectors) -> MatrixIndex:
    index = MatrixIndex(vectors.shape[1])
    index.add(labels, vectors)
    return index


def drawn(count: int, size: int = 6, seed: int = 0) -> Vectors:
    found = np.random.RandomState(seed).normal(size=(count, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def coarse(count: int, seed: int) -> Vectors:
    """Small whole numbers: products are exact, and many are equal."""
    return np.random.RandomState(seed).randint(-1, 2, size=(count, 3)).astype(np.float32)


def brute_force(labels: Sequence[int], vectors: Vectors, query: Vectors, k: int) -> list[tuple[float, int]]:
    """Product and label of the best, by sorting everything."""
    return sorted(((-float(v @ query), label) for v, label in zip(vectors, labels, strict=True)))[:k]


BOTH = pytest.mark.parametrize("build", [matrix, FaissIndex])


@given(count=st.integers(1, 400), labels=st.integers(1, 50), k=st.integers(1, 60), seed=st.integers(0, 99))
def test_exact_search_agrees_with_sorting_everything(count: int, labels: int, k: int, seed: int) -> None:
    vectors, owners = coarse(count, seed), np.random.RandomState(seed).randint(0, labels, count).astype(np.int64)
    queries = coarse(2, seed + 1)
    found = matrix(owners, vectors).search(queries, k)
    assert found.labels.shape == found.similarities.shape == (2, min(k, count))
    for row, query in enumerate(queries):
        expected = brute_force(owners.tolist(), vectors, query, k)
        assert [(-s, label) for s, label in zip(found.similarities[row], found.labels[row], strict=True)] == expected


def test_exact_search_agrees_where_blocks_are_skipped() -> None:
    vectors, queries, k = drawn(5000), drawn(5, seed=1), 7
    found = matrix(np.arange(5000), vectors).search(queries, k)
    for row, query in enumerate(queries):
        np.testing.assert_array_equal(found.labels[row], np.argsort(-(vectors @ query), kind="stable")[:k])


def test_faiss_finds_nearly_all_that_exact_search_finds() -> None:
    labels, queries = np.arange(20_000), drawn(40, seed=1)
    vectors = drawn(20_000)
    exact, fast = (build(labels, vectors).search(queries, 10).labels for build in (matrix, FaissIndex))
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, fast, strict=True)])
    assert recall > 0.9
    assert np.mean(exact[:, 0] == fast[:, 0]) > 0.9


@BOTH
def test_a_vector_finds_itself_with_its_similarity(build: Build) -> None:
    vectors = drawn(300)
    found = build(np.arange(300), vectors).search(vectors, 1)
    np.testing.assert_array_equal(found.labels[:, 0], np.arange(300))
    np.testing.assert_allclose(found.similarities[:, 0], 1, atol=2e-3)


@BOTH
def test_the_best_come_first(build: Build) -> None:
    found = build(np.arange(500), drawn(500)).search(drawn(5, seed=1), 20)
    assert np.all(np.diff(found.similarities) <= 0)
    assert (found.labels.dtype, found.similarities.dtype) == (np.int64, np.float32)


@BOTH
def test_equals_come_in_the_order_of_their_labels(build: Build) -> None:
    labels = np.array([7, 3, 9, 1], np.int64)
    index = build(labels, np.tile(drawn(1), (4, 1)))
    assert index.search(drawn(1), 4).labels[0].tolist() == [1, 3, 7, 9]


@BOTH
def test_the_same_vectors_give_the_same_answers(build: Build) -> None:
    first, second = (build(np.arange(2000), drawn(2000)).search(drawn(9, seed=1), 15) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.similarities, second.similarities)


@BOTH
def test_more_than_there_are_is_all_that_there_are(build: Build) -> None:
    index = build(np.arange(3), drawn(3))
    found = index.search(drawn(2, seed=1), 100)
    assert found.labels.shape == found.similarities.shape == (2, 3)
    present = found.labels != NOBODY
    assert present.any(axis=1).all()
    assert np.all(np.isneginf(found.similarities) == ~present)


@BOTH
def test_several_vectors_of_a_user_are_added_found_and_removed_together(build: Build) -> None:
    index = build(np.array([5, 5, 6], np.int64), drawn(3))
    index.add(np.array([5], np.int64), drawn(1, seed=1))
    assert len(index) == 4
    assert index.search(drawn(1, seed=1), 1).labels.tolist() == [[5]]
    assert index.remove(np.array([5, 77], np.int64)) == 3
    assert len(index) == 1
    assert set(index.search(drawn(4), 4).labels.ravel().tolist()) <= {6, NOBODY}


@BOTH
def test_an_emptied_index_finds_nothing_and_takes_more(build: Build) -> None:
    index = build(np.array([1, 2], np.int64), drawn(2))
    assert index.remove(np.array([1, 2], np.int64)) == 2
    assert index.search(drawn(3), 5).labels.shape == (3, 0)
    index.add(np.array([4], np.int64), drawn(1))
    assert index.search(drawn(1), 5).labels.tolist() == [[4]]


@BOTH
def test_nothing_is_added_removed_or_asked(build: Build) -> None:
    index = build(np.array([1], np.int64), drawn(1))
    index.add(np.empty(0, np.int64), np.empty((0, 6), np.float32))
    assert index.remove(np.empty(0, np.int64)) == 0
    assert index.search(np.empty((0, 6), np.float32), 3).labels.shape == (0, 1)
    assert len(index) == 1


@BOTH
@pytest.mark.parametrize(
    ("labels", "shape", "said"),
    [
        ([1], (1, 5), "do not fit an index of vectors of 6 numbers"),
        ([1], (6,), "do not fit"),
        ([1, 2], (1, 6), "as many labels"),
        ([-1], (1, 6), "0 or more"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    build: Build, labels: list[int], shape: tuple[int, ...], said: str
) -> None:
    index = build(np.array([1], np.int64), drawn(1))
    with pytest.raises(StoreError, match=said):
        index.add(np.array(labels, np.int64), np.ones(shape, np.float32))
    assert len(index) == 1


@BOTH
@pytest.mark.parametrize(("shape", "k", "said"), [((1, 5), 1, "do not fit"), ((6,), 1, "do not fit"), ((1, 6), 0, "1")])
def test_what_cannot_be_searched_is_refused(build: Build, shape: tuple[int, ...], k: int, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        build(np.array([1], np.int64), drawn(1)).search(np.ones(shape, np.float32), k)


def test_faiss_is_not_built_of_nothing() -> None:
    with pytest.raises(StoreError, match="cannot be built"):
        FaissIndex(np.empty(0, np.int64), np.empty((0, 6), np.float32))


def test_faiss_is_outgrown_when_it_holds_four_times_as_much() -> None:
    index = FaissIndex(np.arange(10), drawn(10))
    index.add(np.arange(30), drawn(30))
    assert not index.outgrown
    index.add(np.array([99]), drawn(1))
    assert index.outgrown


def test_memory_is_that_of_vectors_and_labels() -> None:
    assert matrix(np.arange(100), drawn(100)).nbytes == 100 * (6 * 4 + 8)
    assert FaissIndex(np.arange(100), drawn(100)).nbytes == 100 * (6 * 2 + 8) + 20 * 6 * 4


def test_few_are_searched_exactly_and_many_by_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MATRIX_UP_TO", 50)
    assert isinstance(build_index(np.arange(50), drawn(50)), MatrixIndex)
    assert isinstance(build_index(np.arange(51), drawn(51)), FaissIndex)


def test_without_faiss_many_are_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_faiss(monkeypatch)
    monkeypatch.setattr(users, "MATRIX_UP_TO", 50)
    assert not faiss_installed()
    assert isinstance(build_index(np.arange(51), drawn(51)), MatrixIndex)


def test_asking_for_faiss_without_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_faiss(monkeypatch)
    with pytest.raises(StoreError, match=r"pip install 'sigedge\[search\]'"):
        FaissIndex(np.arange(3), drawn(3))


def hide_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed: a module that is None cannot be imported."""
    monkeypatch.setitem(sys.modules, "faiss", None)


class Lifetime(RuleBasedStateMachine):
    """Whatever is added and removed in whatever order, exact search finds what sorting everything finds."""

    def __init__(self) -> None:
        super().__init__()
        self.index = MatrixIndex(3)
        self.rows: list[tuple[int, Any]] = []

    @rule(label=st.integers(0, 6), count=st.integers(0, 9), seed=st.integers(0, 99))
    def add(self, label: int, count: int, seed: int) -> None:
        vectors = coarse(count, seed)
        self.index.add(np.full(count, label, np.int64), vectors)
        self.rows += [(label, row) for row in vectors]

    @rule(labels=st.lists(st.integers(0, 6), max_size=3))
    def remove(self, labels: list[int]) -> None:
        kept = [row for row in self.rows if row[0] not in labels]
        assert self.index.remove(np.array(labels, np.int64)) == len(self.rows) - len(kept)
        self.rows = kept

    @invariant()
    def finds_the_same(self) -> None:
        assert len(self.index) == len(self.rows)
        query = coarse(1, 7)
        found = self.index.search(query, 4)
        pairs = [(-s, label) for s, label in zip(found.similarities[0], found.labels[0], strict=True)]
        owners = [label for label, _ in self.rows]
        assert pairs == brute_force(owners, np.array([v for _, v in self.rows]), query[0], 4)


TestLifetime = Lifetime.TestCase
TestLifetime.settings = settings(max_examples=30, stateful_step_count=15)
