"""A store whose row about itself is gone is damaged, and says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from sigedge_runtime import StoreError, TemplateStore
from sigedge_runtime.store import store_facts


def test_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "templates.db"
    store = TemplateStore(path)
    store.add("ada", np.ones((1, 4), np.float32), "a:b:c:d")
    store.close()
    database = sqlite3.connect(path)
    database.execute("DELETE FROM store")
    database.commit()
    database.close()
    with pytest.raises(StoreError, match="what it says of itself is missing"):
        TemplateStore(path)
    with pytest.raises(StoreError, match="what it says of itself is missing"):
        store_facts(path)
