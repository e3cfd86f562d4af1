"""Who is compared with a query: everybody in a small store, and those on a short list in a large one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime import search
from sigedge_runtime.errors import StoreError, TemplateMismatchError, UnknownUserError
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.search import FaissIndex, MatrixIndex, UserSearch, users
from sigedge_runtime.store import TemplateStore
from sigedge_runtime.verifier import Verifier

Vectors = NDArray[np.float32]
Draw = Callable[[int, int], NDArray[np.uint8]]
MINE, OTHER = "tiny:1:a:2", "tiny:1:b:3"
CELLS = LocalMatching(4, 6, 1, 2)
SIZE = CELLS.cells * 4


def samples(signer: int, count: int, first: int = 0) -> Vectors:
    """Templates of one signer: alike among themselves."""
    own = np.random.RandomState(signer).normal(size=SIZE)
    noise = [np.random.RandomState(1000 * signer + 7 + i).normal(size=SIZE) for i in range(first, first + count)]
    return CELLS.prepare(own + 0.3 * np.array(noise))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TemplateStore]:
    opened = TemplateStore(tmp_path / "templates.db")
    for signer in range(30):
        opened.add(name(signer), samples(signer, 1 + signer % 3), MINE)
    yield opened
    opened.close()


def name(signer: int) -> str:
    return f"user {signer:02d}"


def opened(store: TemplateStore, *, exact_up_to: int = 0, short_list: int = 5) -> UserSearch:
    found = UserSearch(store, MINE, CELLS, exact_up_to=exact_up_to, short_list=short_list)
    found.refresh()
    return found


def listed(found: UserSearch, signer: int) -> tuple[str, ...]:
    """Users compared with a further sample of a signer."""
    return found.gallery(samples(signer, 1, first=50)[0]).users


def test_everybody_is_compared_in_a_small_store(store: TemplateStore) -> None:
    found = opened(store, exact_up_to=60)
    gallery = found.gallery(samples(3, 1)[0])
    assert found.index is None
    assert gallery.users == tuple(name(signer) for signer in range(30))
    np.testing.assert_array_equal(gallery.vectors, store.gallery(MINE).vectors)


def test_one_template_more_and_there_is_a_short_list(store: TemplateStore) -> None:
    found = opened(store, exact_up_to=59)
    assert isinstance(found.index, MatrixIndex)
    assert len(found.index) == 60
    assert len(found.gallery(samples(3, 1)[0]).users) <= 5


def test_the_writer_is_first_on_the_short_list_with_all_own_templates(store: TemplateStore) -> None:
    found = opened(store)
    for signer in range(30):
        gallery = found.gallery(samples(signer, 1, first=50)[0])
        assert gallery.users[0] == name(signer)
        own = store.templates(name(signer), MINE)
        np.testing.assert_array_equal(gallery.vectors[: gallery.sizes[0]], own)
        assert gallery.sizes.sum() == len(gallery.vectors)
    assert found.enrolled == 30


def test_a_user_with_several_templates_on_the_list_is_on_it_once(store: TemplateStore) -> None:
    users_listed = listed(opened(store, short_list=60), 2)
    assert sorted(users_listed) == [name(signer) for signer in range(30)]


def test_more_users_are_listed_for_who_wants_more(store: TemplateStore) -> None:
    found, query = opened(store, short_list=1), samples(4, 1, first=50)[0]
    assert len(found.gallery(query).users) == 1
    assert len(found.gallery(query, least=60).users) == 30


def test_nothing_is_read_while_the_store_stays_the_same(store: TemplateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(store)
    for call in ("users", "galleries", "gallery"):
        monkeypatch.setattr(store, call, None)
    found.refresh()
    assert listed(found, 4)[0] == name(4)


def test_only_who_changed_is_read_again(store: TemplateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_ALIKE", users.timedelta(seconds=-60))  # nobody counts as enrolled just now
    found = opened(store)
    store.add(name(3), samples(3, 1, first=9), MINE)
    store.add("new", samples(77, 2), MINE)
    store.remove(name(5))
    read, original = [], store.templates
    monkeypatch.setattr(store, "templates", lambda user, identity: read.append(user) or original(user, identity))
    monkeypatch.setattr(store, "galleries", None)
    found.refresh()
    assert sorted(read) == ["new", name(3)]
    assert (found.enrolled, len(found.index or ())) == (30, 60 + 1 + 2 - 3)


def test_added_replaced_and_removed_users_are_followed(store: TemplateStore) -> None:
    found = opened(store)
    store.add("new", samples(77, 2), MINE)
    store.replace(name(1), samples(88, 2), MINE)  # as many as before, and within the same second
    store.remove(name(5))
    found.refresh()
    assert listed(found, 77)[0] == "new"
    assert listed(found, 88)[0] == name(1)
    assert name(5) not in listed(found, 5)
    assert (found.enrolled, len(found.index or ())) == (30, 60 + 2 - 3)


def test_a_user_who_was_met_twice_leaves_nothing_behind(store: TemplateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when somebody is replaced while the store is read in parts."""
    parts = list(store.galleries(MINE))
    with monkeypatch.context() as patched:
        patched.setattr(store, "galleries", lambda identity: iter([*parts, *parts]))
        found = opened(store)
    assert len(found.index or ()) == 120
    store.remove(name(5))
    found.refresh()
    assert len(found.index or ()) <= 120 - 2 * 3
    assert name(5) not in listed(found, 5)


def test_changes_by_another_connection_are_followed(store: TemplateStore, tmp_path: Path) -> None:
    found = opened(store)
    other = TemplateStore(tmp_path / "templates.db")
    other.add("new", samples(77, 2), MINE)
    other.close()
    found.refresh()
    assert listed(found, 77)[0] == "new"


def test_an_index_that_followed_equals_one_built_anew(store: TemplateStore) -> None:
    found = opened(store, short_list=12)
    for signer in (3, 9, 4):
        store.replace(name(signer), samples(100 + signer, 2), MINE)
        store.add(name(signer + 1), samples(200 + signer, 1), MINE)
        found.refresh()
    fresh = opened(store, short_list=12)
    for signer in (3, 9, 103, 109, 104, 203, 20):
        assert listed(found, signer) == listed(fresh, signer)


def test_who_was_removed_since_is_not_compared(store: TemplateStore) -> None:
    found = opened(store)
    store.remove(name(4))
    assert name(4) not in listed(found, 4)


def test_when_the_whole_list_was_removed_since_a_sentence_says_so(store: TemplateStore) -> None:
    found = opened(store, short_list=1)
    store.remove(name(4))
    with pytest.raises(UnknownUserError, match="identify again"):
        listed(found, 4)


def test_a_store_that_shrank_is_compared_wholly_again_and_then_grows_again(store: TemplateStore) -> None:
    found = opened(store, exact_up_to=58)
    store.remove(name(2))
    found.refresh()
    assert found.index is None
    store.add(name(2), samples(2, 3), MINE)
    found.refresh()
    assert len(found.index or ()) == 60
    assert listed(found, 2)[0] == name(2)


def test_nobody_is_enrolled(tmp_path: Path) -> None:
    with pytest.raises(UnknownUserError, match="enrol a user first"):
        opened(TemplateStore(tmp_path / "empty.db"))


def test_everybody_was_removed(store: TemplateStore) -> None:
    found = opened(store)
    for signer in range(30):
        store.remove(name(signer))
    for _ in range(2):
        with pytest.raises(UnknownUserError, match="enrol a user first"):
            found.refresh()


@pytest.mark.parametrize("exact_up_to", [0, 1000])
def test_templates_of_another_identity_are_refused_every_time(store: TemplateStore, exact_up_to: int) -> None:
    found = opened(store, exact_up_to=exact_up_to)
    store.add("stranger", samples(77, 2), OTHER)
    for _ in range(2):
        with pytest.raises(TemplateMismatchError, match="stranger"):
            found.refresh()
    with pytest.raises(TemplateMismatchError, match="stranger"):
        opened(store, exact_up_to=exact_up_to)
    store.remove("stranger")
    found.refresh()
    assert listed(found, 3)[0] == name(3) or exact_up_to


def test_templates_of_another_size_are_refused(store: TemplateStore) -> None:
    found = opened(store)
    with pytest.raises(StoreError, match="have 95 values, but those in"):
        store.add("short", np.ones((1, SIZE - 1), np.float32), MINE)
    found.refresh()


def test_a_store_that_grew_is_given_to_faiss(store: TemplateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MATRIX_UP_TO", 62)
    found = opened(store)
    for signer in range(30, 33):
        store.add(name(signer), samples(signer, 1), MINE)
        found.refresh()
    assert isinstance(found.index, MatrixIndex)  # outgrown, but nothing changed since
    store.add(name(33), samples(33, 1), MINE)
    found.refresh()
    assert isinstance(found.index, FaissIndex)
    assert len(found.index) == 64
    assert [listed(found, signer)[0] for signer in (3, 33)] == [name(3), name(33)]


def test_an_index_that_faiss_outgrew_is_built_anew(store: TemplateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MATRIX_UP_TO", 0)
    found = opened(store)
    first = found.index
    store.add("many", samples(50, 200), MINE)
    found.refresh()
    assert found.index is first
    store.add("more", samples(51, 1), MINE)
    found.refresh()
    assert found.index is not first
    assert isinstance(found.index, FaissIndex)


def test_threads_search_beside_one_that_enrols(store: TemplateStore) -> None:
    found = opened(store)

    def look(signer: int) -> bool:
        if signer % 5 == 0:
            store.add("new", samples(90, 1, first=signer), MINE)
        found.refresh()
        return listed(found, signer)[0] == name(signer)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(30)))


@pytest.fixture
def galleries(cells_bundle: Path, draw: Draw) -> Iterator[tuple[Verifier, Verifier]]:
    """Two verifiers of one store: one compares everybody, and one has a short list of all templates."""
    with Verifier.open(cells_bundle, selftest=False) as exact:
        for signer in range(6):
            exact.enroll(name(signer), [draw(signer, sample) for sample in range(1 + signer % 3)])
        with Verifier.open(cells_bundle, store=exact.store, selftest=False) as short:
            yield exact, short


@pytest.mark.parametrize("limit", [1, 5, 9])
def test_identify_answers_alike_with_and_without_a_short_list(
    galleries: tuple[Verifier, Verifier], draw: Draw, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    exact, short = galleries
    monkeypatch.setattr(short._search, "_exact_up_to", 0)
    for signer in range(6):
        one, other = (verifier.identify(draw(signer, 8), limit) for verifier in (exact, short))
        assert short._search.index is not None
        assert exact._search.index is None
        assert one.enrolled == other.enrolled == 6
        for mine, theirs in zip(one.candidates, other.candidates, strict=True):
            assert (mine.user, mine.references, mine.accepted) == (theirs.user, theirs.references, theirs.accepted)
            assert mine.score == pytest.approx(theirs.score, abs=1e-6)


def test_identify_follows_enrolments_with_a_short_list(
    galleries: tuple[Verifier, Verifier], draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, short = galleries
    monkeypatch.setattr(short._search, "_exact_up_to", 0)
    short.identify(draw(0, 8))
    exact.enroll("new", [draw(20, 0), draw(20, 1)])
    assert short.identify(draw(20, 8)).candidates[0].user == "new"
    exact.store.remove("new")
    assert "new" not in [one.user for one in short.identify(draw(20, 8)).candidates]


def test_its_names_are_those_it_says() -> None:
    assert search.__all__ == sorted(search.__all__, key=lambda one: (one.upper() != one, one.islower(), one))
    assert all(hasattr(search, one) for one in search.__all__)
