"""Many threads on one verifier: no error, no enrolment lost, and a soak that would notice either."""

from __future__ import annotations

import json
import mmap
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sigedge.bench import soak as module
from sigedge.bench.soak import USERS, Soak, memory_growth, resident_mb, soak
from sigedge_runtime.errors import DataError, UnknownUserError
from sigedge_runtime.verifier import Verifier


@pytest.mark.parametrize("place", ["file", "memory"])
def test_eight_threads_verify_while_one_enrols(place: str, cells_bundle: Path, draw: Any, tmp_path: Path) -> None:
    signers = [[draw(signer, sample) for sample in range(4)] for signer in range(3)]
    store = tmp_path / "templates.db" if place == "file" else None
    looks: list[float] = []
    with Verifier.open(cells_bundle, store=store) as verifier:
        done = soak(verifier, signers, 4, sample_every=0.2, report=lambda so_far: looks.append(so_far.memory[-1][1]))
        stored = {user.name: user.templates for user in verifier.store.users()}
    assert done.errors == {} and done.lost == []
    # How many there are depends on the machine; a stuck thread would keep the soak from ending.
    assert done.verifications > 0 and done.enrolments >= USERS and done.threads == 8
    assert len(stored) == USERS and all(count % 2 == 0 for count in stored.values())
    assert len(looks) == len(done.memory) > 0 and min(looks) > 10
    json.dumps(done.to_dict(), allow_nan=False)


class FakeVerifier:
    """Takes enrolments; what the store holds and what verifying does is up to the test."""

    def __init__(self, counts: dict[str, int] | None = None, error: Exception | None = None) -> None:
        self.counts, self.error, self.keeps = dict(counts or {}), error, counts is None
        self.store = SimpleNamespace(
            users=lambda: [SimpleNamespace(name=name, templates=count) for name, count in self.counts.items()]
        )

    def enroll(self, user: str, images: list[Any], *, replace: bool) -> None:
        if self.keeps:
            self.counts[user] = len(images) + (0 if replace else self.counts[user])

    def verify(self, user: str, image: Any) -> None:
        threading.Event().wait(0.001)
        if self.error:
            raise self.error

    def identify(self, image: Any) -> None:
        self.verify("", image)


IMAGES = [[np.zeros((9, 9), np.uint8)] * 3]


def run(verifier: FakeVerifier) -> Soak:
    return soak(verifier, IMAGES, 0.2, threads=2, sample_every=0.05)  # type: ignore[arg-type]


def test_a_sound_verifier_passes() -> None:
    done = run(FakeVerifier())
    assert done.errors == {} and done.lost == [] and done.verifications > 0


def test_lost_enrolments_are_noticed() -> None:
    done = run(FakeVerifier(counts={"soak-0": 1}))
    assert len(done.lost) == USERS
    assert done.lost[0].startswith("soak-0 has 1 templates instead of ")
    assert done.lost[1].startswith("soak-1 has 0 templates instead of ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnknownUserError("Nobody is enrolled."), "UnknownUserError: Nobody is enrolled."),
        (KeyError("cache"), "undocumented KeyError: 'cache'"),
    ],
)
def test_errors_are_counted_and_the_soak_goes_on(error: Exception, text: str) -> None:
    done = run(FakeVerifier(error=error))
    assert set(done.errors) == {text} and done.errors[text] > 0
    assert done.verifications == 0 and done.enrolments >= USERS
    assert done.to_dict()["errors"][text] == done.errors[text]


def test_growth_is_what_memory_gains_once_warm() -> None:
    warming = [(second, 100.0 + 10 * second) for second in range(30)]
    steady = [(second, 400.0) for second in range(30, 90)]
    assert memory_growth([*warming, *steady])["mb_per_minute"] == 0
    growing = [(second, 400.0 + second) for second in range(30, 90)]
    found = memory_growth([*warming, *growing])
    assert found["mb_per_minute"] == pytest.approx(60) and found["end_mb"] == 489 and found["warm_mb"] == 430
    # One spike, as of a collection that comes late, is no growth.
    assert memory_growth([*warming, *steady[:-1], (89, 900.0)])["mb_per_minute"] == 0
    assert memory_growth(warming[:2]) == {"mb_per_minute": None, "warm_mb": None, "end_mb": None}


def test_too_few_signatures_are_refused() -> None:
    for few in ([], [[np.zeros((9, 9), np.uint8)] * 2]):
        with pytest.raises(DataError, match="3 signatures or more"):
            soak(FakeVerifier(), few, 0.1)  # type: ignore[arg-type]


def test_memory_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resident_mb()
    # Straight from the system: an allocator may have as much in stock from earlier work.
    held = np.frombuffer(mmap.mmap(-1, 64 * 2**20), np.uint8)
    held.fill(1)
    assert resident_mb() - before > 48

    class Nothing:
        def __init__(self, path: str) -> None: ...

        def read_text(self, encoding: str) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(module, "Path", Nothing)
    with pytest.raises(DataError, match="run the soak on Linux"):
        resident_mb()
