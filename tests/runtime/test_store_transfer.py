"""Export and import: a file that any program can read, taken over as a whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.errors import StoreError, TemplateMismatchError
from sigedge_runtime.store import Merged, TemplateStore, export_templates, import_templates

MINE = "tiny:abababababab:tiny-int8-tflite:0123456789ab"
OTHER = "tiny:abababababab:tiny-float32-onnx:ba9876543210"
KEY = b"k" * 32


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.RandomState(seed).normal(size=(count, 4)).astype(np.float32)


def content(store: TemplateStore) -> list[tuple[object, ...]]:
    return [(one.name, one.identity, one.created, one.vectors.tolist(), one.times) for one in store.stored()]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TemplateStore]:
    """ada with two templates, zoë ✓ with one."""
    with TemplateStore(tmp_path / "templates.db", key=KEY) as opened:
        opened.add("ada", vectors(2), MINE)
        opened.add("zoë ✓", vectors(1, 1), MINE)
        yield opened


@pytest.fixture
def exported(store: TemplateStore, tmp_path: Path) -> Path:
    path = tmp_path / "export.jsonl"
    assert export_templates(store, path) == Merged(users=2, templates=3)
    return path


def test_everything_comes_back(store: TemplateStore, exported: Path) -> None:
    with TemplateStore() as other:
        assert import_templates(other, exported) == Merged(2, 3)
        assert content(other) == content(store)
        assert other.users() == store.users()


def test_the_file_is_what_the_documentation_says(exported: Path) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    header, ada, zoe, end = [json.loads(line) for line in lines]
    assert header == {"format": "sigedge-templates", "version": 1}
    assert ada["user"] == "ada" and ada["identity"] == MINE and zoe["user"] == "zoë ✓"
    raw = b"".join(base64.b64decode(one["vector"]) for one in ada["templates"])
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4").reshape(2, 4), vectors(2))
    assert ada["created"] == ada["templates"][0]["created"] and ada["created"].endswith("+00:00")
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    assert end == {"end": {"users": 2, "templates": 3, "sha256": digest}}
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600


def test_an_export_overwrites_nothing_unasked(store: TemplateStore, exported: Path) -> None:
    before = exported.read_bytes()
    store.add("eve", vectors(1), MINE)
    with pytest.raises(StoreError, match=r"export\.jsonl exists; name another"):
        export_templates(store, exported)
    assert exported.read_bytes() == before
    assert export_templates(store, exported, overwrite=True).users == 3


def test_an_export_that_cannot_be_written(store: TemplateStore, exported: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        export_templates(store, exported / "export.jsonl")


def test_an_empty_store_exports_and_imports(tmp_path: Path) -> None:
    with TemplateStore() as store:
        assert export_templates(store, tmp_path / "empty.jsonl") == Merged(0, 0)
        assert import_templates(store, tmp_path / "empty.jsonl") == Merged(0, 0)


def other_store(*users: tuple[str, int, int]) -> TemplateStore:
    store = TemplateStore()
    for name, count, seed in users:
        store.add(name, vectors(count, seed), MINE)
    return store


def test_enrolled_users_are_refused_unless_told(exported: Path) -> None:
    with other_store(("zoë ✓", 1, 5)) as store:
        with pytest.raises(StoreError, match=r"'zoë ✓' is enrolled in .* already; say whether .*--existing"):
            import_templates(store, exported)
        assert [user.name for user in store.users()] == ["zoë ✓"], "not even those who were new"


@pytest.mark.parametrize(
    ("existing", "added", "expected"),
    [
        ("keep", Merged(1, 2), [(1, 5)]),
        ("replace", Merged(2, 3), [(1, 1)]),
        ("merge", Merged(2, 3), [(1, 5), (1, 1)]),
    ],
)
def test_what_is_done_with_enrolled_users(
    exported: Path, existing: str, added: Merged, expected: list[tuple[int, int]]
) -> None:
    with other_store(("zoë ✓", 1, 5)) as store:
        assert import_templates(store, exported, existing=existing) == added
        found = store.templates("zoë ✓", MINE)
        np.testing.assert_array_equal(found, np.concatenate([vectors(*one) for one in expected]))
        assert len(store.templates("ada", MINE)) == 2


def test_merging_twice_adds_nothing(store: TemplateStore, exported: Path) -> None:
    before = content(store)
    assert import_templates(store, exported, existing="merge") == Merged(0, 0)
    assert content(store) == before


def test_an_unknown_way_is_refused(store: TemplateStore, exported: Path) -> None:
    with pytest.raises(StoreError, match="choose one of refuse, keep, replace, merge"):
        import_templates(store, exported, existing="guess")


def test_templates_of_another_model_are_not_mixed_in(exported: Path) -> None:
    with TemplateStore() as store:
        store.add("eve", vectors(1), OTHER)
        for existing in ("refuse", "keep", "replace", "merge"):
            with pytest.raises(TemplateMismatchError, match=r"'ada' were made by .*int8.*, those in .* by .*float32"):
                import_templates(store, exported, existing=existing)
        assert [user.name for user in store.users()] == ["eve"]


def test_a_user_of_another_model_is_not_merged(exported: Path) -> None:
    with other_store(("eve", 1, 0)) as store:
        store.add("ada", vectors(1), OTHER)
        with pytest.raises(TemplateMismatchError, match="'ada'"):
            import_templates(store, exported, existing="merge")
        assert import_templates(store, exported, existing="replace") == Merged(2, 3)


def rewritten(path: Path, change: Callable[[list[dict]], None]) -> None:
    """The same file with other content and a right end, as another program might write it."""
    entries = [json.loads(line) for line in path.read_text().splitlines()][:-1]
    change(entries)
    body = "".join(json.dumps(entry) + "\n" for entry in entries)
    counts = {"users": len(entries) - 1, "templates": sum(len(e.get("templates") or []) for e in entries[1:])}
    end = {"end": {**counts, "sha256": hashlib.sha256(body.encode()).hexdigest()}}
    path.write_text(body + json.dumps(end) + "\n")


def test_files_of_other_programs_are_read(exported: Path) -> None:
    rewritten(exported, lambda entries: entries[1].update(user="grace"))
    with TemplateStore() as store:
        import_templates(store, exported)
        assert [user.name for user in store.users()] == ["grace", "zoë ✓"]


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e[2].pop("identity"),
        lambda e: e[2].update(identity=7),
        lambda e: e[2].update(user=" "),
        lambda e: e[2].update(user=None),
        lambda e: e[2].update(templates=[]),
        lambda e: e[2].update(templates=None),
        lambda e: e[2].update(templates={"vector": "AAAA"}),
        lambda e: e[2]["templates"][0].update(vector="no base64!"),
        lambda e: e[2]["templates"][0].update(vector=base64.b64encode(b"12345").decode()),
        lambda e: e[2]["templates"][0].update(vector=base64.b64encode(np.float32([np.nan] * 4).tobytes()).decode()),
        lambda e: e[2]["templates"][0].pop("created"),
        lambda e: e[2]["templates"].append({"created": "x", "vector": base64.b64encode(bytes(8)).decode()}),
        lambda e: e[2].update(templates=[{"created": "x", "vector": base64.b64encode(bytes(8)).decode()}]),
        lambda e: e.append(e[1]),
        lambda e: e[0].update(version=2),
        lambda e: e[0].update(format="other"),
        lambda e: e.pop(0),
    ],
)
def test_a_file_with_a_mistake_changes_nothing(exported: Path, change: Callable[[list[dict]], None]) -> None:
    rewritten(exported, change)
    with TemplateStore() as store:
        with pytest.raises(StoreError, match=r"export\.jsonl|is enrolled in|have 2 values"):
            import_templates(store, exported)
        assert store.users() == ()


@given(data=st.data())
@settings(max_examples=60)
def test_a_file_that_was_altered_or_cut_changes_nothing(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("transfer") / "export.jsonl"
    with other_store(("ada", 2, 0), ("bob", 1, 1)) as source:
        export_templates(source, path)
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        altered = whole[:position]
    else:
        altered = whole[:position] + bytes([whole[position] ^ data.draw(st.integers(1, 255))]) + whole[position + 1 :]
    path.write_bytes(altered)
    with TemplateStore() as store:
        with pytest.raises(StoreError, match=r"export\.jsonl"):
            import_templates(store, path)
        assert store.users() == ()


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    with TemplateStore() as store:
        for text in ("", "text\n", "[]\n", "{}\n", "\xff\n", "[" * 100_000 + "\n"):
            path.write_text(text, encoding="latin-1")
            with pytest.raises(StoreError, match=r"some\.file"):
                import_templates(store, path)
        with pytest.raises(StoreError, match="cannot be read"):
            import_templates(store, tmp_path / "nowhere")


def test_a_line_without_end_is_not_read_into_memory(
    store: TemplateStore, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigedge_runtime.store.transfer._LONGEST_LINE", 100)
    with pytest.raises(StoreError, match=r"Line 2 of .* cannot be used"):
        import_templates(store, exported, existing="merge")


def test_nothing_follows_the_end(exported: Path) -> None:
    exported.write_bytes(exported.read_bytes() + b"{}\n")
    with TemplateStore() as store, pytest.raises(StoreError, match="something follows the end"):
        import_templates(store, exported)
