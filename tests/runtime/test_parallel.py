"""Many signatures at a time: the same answers as one by one, in order, and an error costs its own item alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime import Embedding, Verdict, Verifier
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.errors import EngineError, ImageError, QualityError, UnknownUserError
from sigedge_runtime.parallel import CHUNK, Workers

Draw = Callable[[int, int], NDArray[np.uint8]]
BLANK = np.full((300, 600), 255, np.uint8)


@pytest.fixture(scope="module")
def verifier(master_bundle: Path, draw: Draw) -> Iterator[Verifier]:
    with Verifier.open(master_bundle, selftest=False) as opened:
        for signer, user in enumerate(("ada", "bob")):
            opened.enroll(user, [draw(signer, sample) for sample in range(3)])
        yield opened


def answer(verdict: Any) -> Any:
    """A verdict without its timings."""
    return {key: value for key, value in verdict.to_dict().items() if key != "timings"}


@pytest.mark.parametrize("workers", [1, 2, 3, None])
def test_verdicts_are_those_of_one_by_one(verifier: Verifier, draw: Draw, workers: int | None) -> None:
    pairs = [(user, draw(signer, sample)) for sample in range(3, 9) for signer in (0, 1) for user in ("ada", "bob")]
    found = verifier.verify_many(pairs, workers=workers)
    assert [answer(one) for one in found] == [answer(verifier.verify(user, image)) for user, image in pairs]
    assert {one.accepted for one in found if isinstance(one, Verdict)} == {True, False}


def test_embeddings_are_those_of_one_by_one(verifier: Verifier, draw: Draw) -> None:
    images = [draw(signer, 5) for signer in range(2 * CHUNK + 3)]
    for image, found in zip(images, verifier.embed_many(images, workers=2), strict=True):
        assert isinstance(found, Embedding)
        np.testing.assert_array_equal(found.vector, verifier.embed(image).vector)


def test_an_error_stands_in_its_place(verifier: Verifier, draw: Draw, tmp_path: Path) -> None:
    pairs = [
        ("ada", draw(0, 4)),
        ("nobody", draw(0, 4)),
        ("ada", BLANK),
        ("bob", tmp_path / "none.png"),
        ("bob", draw(1, 4)),
    ]
    found = verifier.verify_many(pairs, workers=2)
    kinds = [Verdict, UnknownUserError, QualityError, ImageError, Verdict]
    assert [type(one) for one in found] == kinds
    assert "nobody" in str(found[1])


def test_nothing_gives_nothing(verifier: Verifier) -> None:
    assert verifier.verify_many([]) == [] and verifier.embed_many([], workers=2) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(verifier: Verifier, workers: int) -> None:
    with pytest.raises(EngineError, match=f"{workers} workers do nothing; use 1 or more"):
        verifier.embed_many([BLANK], workers=workers)


def test_workers_are_started_once_and_closed_with_the_verifier(master_bundle: Path, draw: Draw) -> None:
    before = threading.active_count()
    with Verifier.open(master_bundle, selftest=False) as opened:
        for count in (2, 3, 2, 3):
            opened.embed_many([draw(0, sample) for sample in range(5 * CHUNK)], workers=count)
        assert threading.active_count() <= before + 5
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def engine(verifier: Verifier) -> Engine:
    return verifier.engine


@given(st.integers(0, 3 * CHUNK), st.integers(1, 4))
def test_results_come_in_order(engine: Engine, items: int, count: int) -> None:
    with Workers(engine, count) as workers:
        assert workers.map(lambda item, _: item * item, list(range(items))) == [item * item for item in range(items)]


def test_no_engine_serves_two_tasks_at_a_time(engine: Engine) -> None:
    busy, twice = set[int](), list[int]()

    def task(item: int, own: Engine) -> None:
        if id(own) in busy:
            twice.append(item)
        busy.add(id(own))
        own.infer(np.zeros((128, 256), np.uint8))
        busy.remove(id(own))

    with Workers(engine, 3) as workers:
        workers.map(task, list(range(300)))
    assert twice == []


def test_what_is_no_error_of_ours_is_raised(engine: Engine) -> None:
    with Workers(engine, 2) as workers:
        with pytest.raises(ZeroDivisionError):
            workers.map(lambda item, _: 1 // item, [1, 0, 1])
        assert workers.map(lambda item, _: item, [7]) == [7], "the workers go on"


def test_canvases_are_inferred_bit_for_bit(engine: Engine) -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 1, 128, 256)).astype(np.uint8)
    with Workers(engine, 2) as workers:
        np.testing.assert_array_equal(workers.infer(canvases), engine.infer_batch(canvases))
        assert workers.infer(canvases[:0]).shape == (0, 8)
        with pytest.raises(EngineError, match="A canvas must be uint8"):
            workers.infer(canvases[:, :5])
    assert engine.infer(canvases[0]).shape == (8,), "the engine that was given stays open"


def test_a_clone_that_does_not_open_leaves_nothing_open(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = verifier.artifact
    with open_engine("litert", artifact, verifier.bundle.path(artifact.file)) as engine:
        clones, clone = list[Engine](), type(engine).clone

        def second_fails(self: Engine) -> Engine:
            if clones:
                raise EngineError("no memory")
            clones.append(clone(self))
            return clones[-1]

        monkeypatch.setattr(type(engine), "clone", second_fails)
        with pytest.raises(EngineError, match="no memory"):
            Workers(engine, 3)
        with pytest.raises(EngineError, match="closed"):
            clones[0].infer(np.zeros((128, 256), np.uint8))
