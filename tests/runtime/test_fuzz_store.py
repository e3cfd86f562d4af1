"""Files that are no store, or were one: only a StoreError leaves, and what was stored is not lost by asking."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigedge.fuzzing import targets
from sigedge.fuzzing.campaign import run
from sigedge.fuzzing.targets import IDENTITY, TEMPLATE_SIZE
from sigedge_runtime.errors import StoreError
from sigedge_runtime.store import TemplateStore

SEED = 20_26
SQLITE = b"SQLite format 3\0"


def test_damaged_stores_are_read_or_refused() -> None:
    report = run("mutated stores", SEED, 300)
    assert report.defects == [] and report.cases == 300
    assert report.outcomes["refused"] > 30 and report.outcomes["written"] > 30
    assert report.peak_growth_kb < 64 * 1024


@settings(max_examples=100)
@given(data=st.binary(min_size=1, max_size=3000), magic=st.booleans())
def test_random_bytes_are_no_store(data: bytes, magic: bool) -> None:
    assert targets.store((SQLITE if magic else b"") + data) == "refused"


def test_the_target_reads_a_sound_store(tmp_path: Path) -> None:
    store = TemplateStore(tmp_path / "sound.db")
    store.add("ada", np.ones((2, TEMPLATE_SIZE), np.float32), IDENTITY)
    try:
        assert targets.use_store(store) == "written"
        assert store.templates("ada", IDENTITY).shape == (2, TEMPLATE_SIZE)
    finally:
        store.close()


@settings(max_examples=30)
@given(cut=st.integers(1, 20_000))
def test_a_store_cut_short_says_so_or_is_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "whole.db"
    path.unlink(missing_ok=True)
    whole = TemplateStore(path)
    whole.add("ada", np.ones((3, TEMPLATE_SIZE), np.float32), IDENTITY)
    whole.close()
    content = path.read_bytes()
    assert targets.store(content) == "written"
    # The last page may end in bytes that nothing is stored in.
    allowed = {"refused"} if cut >= 4096 else {"refused", "written"}
    assert targets.store(content[: max(1, len(content) - cut)]) in allowed


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE users (name TEXT)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError):
        TemplateStore(path)
    assert path.read_bytes() == before
