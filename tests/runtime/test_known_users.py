"""What is remembered of users: right after every change, laid out once, and never more than a few."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import Bundle
from sigedge_runtime.known_users import RECENT, KnownUsers


@pytest.fixture
def users() -> KnownUsers:
    with Bundle.open() as bundle:
        return KnownUsers(bundle.manifest.verification)


def references(users: KnownUsers, seed: int, count: int = 3) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, 2048)).astype(np.float32)
    return users._decision.similarity.prepare(drawn)


def test_equal_references_are_laid_out_once(users: KnownUsers) -> None:
    first = users.enrolled("ada", references(users, 0))
    assert users.enrolled("ada", first.references) is first
    assert users.enrolled("ada", first.references.copy()) is first


def test_a_change_is_seen(users: KnownUsers) -> None:
    old, new = references(users, 0), references(users, 1)
    first, second = users.enrolled("ada", old), users.enrolled("ada", new)
    assert second.references is new and second.consistency != first.consistency
    assert second.consistency == users.strangers(new).consistency == users.consistency("ada", new)
    assert users.enrolled("ada", old).consistency == first.consistency


def test_users_with_the_same_references_are_no_one_user(users: KnownUsers) -> None:
    shared = references(users, 0)
    assert users.enrolled("ada", shared).consistency == users.enrolled("bob", shared).consistency
    assert users.enrolled("ada", references(users, 2)).references is not users.enrolled("bob", shared).references


def test_few_stay_laid_out(users: KnownUsers) -> None:
    for number in range(3 * RECENT):
        users.enrolled(f"user {number}", references(users, number, 1))
        assert 1 <= len(users._recent) <= RECENT
    assert len(users._consistencies) == 3 * RECENT
