"""The cache of embeddings: what is computed once stays, whatever interrupts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge.evaluation.embeddings import canvas_hash, embed_canvases
from sigedge_runtime.engines import Engine
from sigedge_runtime.errors import DataError

CANVASES = np.random.default_rng(0).integers(0, 2, (10, 8, 16), np.uint8) * np.uint8(255)


@dataclass
class CountingEngine:
    """Sums of rows as an embedding; `stop_after` inferences it is interrupted."""

    name: str = "counting"
    sha256: str = "a" * 64
    release: str = "1.0"
    stop_after: int = 10**6
    seen: list[str] = field(default_factory=list)

    @property
    def artifact(self) -> Any:
        return SimpleNamespace(sha256=self.sha256)

    def version(self) -> str:
        return self.release

    def infer(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append(canvas_hash(canvas))
        return canvas.sum(axis=1).astype(np.float32)


def embed(engine: CountingEngine, cache: Path | None, canvases: NDArray[np.uint8] = CANVASES) -> NDArray[np.float32]:
    return embed_canvases(cast(Engine, engine), canvases, cache=cache, chunk=3, progress=False)


def test_a_second_run_infers_nothing_and_gives_the_same(tmp_path: Path) -> None:
    first, second = CountingEngine(), CountingEngine()
    made = embed(first, tmp_path)
    assert made.dtype == np.float32 and np.array_equal(made, CANVASES.sum(axis=2))
    assert np.array_equal(embed(second, tmp_path), made)
    assert len(first.seen) == 10 and second.seen == []
    assert np.array_equal(embed(second, tmp_path, CANVASES[::-1]), made[::-1]) and second.seen == []


@given(stop=st.integers(0, 9))
def test_an_interruption_loses_at_most_a_chunk(tmp_path_factory: pytest.TempPathFactory, stop: int) -> None:
    cache = tmp_path_factory.mktemp("cache")
    with pytest.raises(KeyboardInterrupt):
        embed(CountingEngine(stop_after=stop), cache)
    again = CountingEngine()
    assert np.array_equal(embed(again, cache), CANVASES.sum(axis=2))
    assert len(again.seen) == 10 - stop // 3 * 3


@pytest.mark.parametrize("changed", [{"sha256": "b" * 64}, {"name": "other"}, {"release": "1.1"}])
def test_another_file_engine_or_version_computes_its_own(tmp_path: Path, changed: dict[str, str]) -> None:
    embed(CountingEngine(), tmp_path)
    other = CountingEngine(**changed)
    embed(other, tmp_path)
    assert len(other.seen) == 10


def test_a_new_canvas_is_all_that_is_computed(tmp_path: Path) -> None:
    embed(CountingEngine(), tmp_path, CANVASES[:7])
    engine = CountingEngine()
    embed(engine, tmp_path)
    assert engine.seen == [canvas_hash(canvas) for canvas in CANVASES[7:]]


def test_equal_canvases_are_computed_once(tmp_path: Path) -> None:
    engine = CountingEngine()
    made = embed(engine, None, CANVASES[[0, 1, 0, 0]])
    assert len(engine.seen) == 2 and np.array_equal(made[0], made[2])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, damage: bytes | None) -> None:
    made = embed(CountingEngine(), tmp_path)
    victim = sorted(tmp_path.rglob("*.npz"))[0]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2] if damage is None else damage)
    engine = CountingEngine()
    assert np.array_equal(embed(engine, tmp_path), made) and 0 < len(engine.seen) <= 3
    assert embed(second := CountingEngine(), tmp_path) is not None and second.seen == []


def test_canvases_of_another_shape_are_others() -> None:
    flat = np.zeros((4, 8), np.uint8)
    assert canvas_hash(flat) != canvas_hash(flat.reshape(8, 4))


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        embed(CountingEngine(), tmp_path / "file")
