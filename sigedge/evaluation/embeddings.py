"""Embeddings of canvases, computed one by one as a device does and kept on disk.

An embedding is kept under everything it depends on: the artefact's SHA-256, the engine with its version, and the hash
of the canvas. They are stored in chunks, each file whole or not at all, so that an interruption loses at most one chunk
and a second evaluation infers nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge.data.progress import track
from sigedge.data.shards import DAMAGED, in_chunks, write_arrays
from sigedge.evaluation.trials import Embeddings
from sigedge_runtime.engines import Engine

CHUNK = 64
FOLDER = "embeddings"


def embed_canvases(
    engine: Engine, canvases: NDArray[np.uint8], *, cache: Path | None = None, chunk: int = CHUNK, progress: bool = True
) -> Embeddings:
    """Embed canvases, or take from the cache what was embedded before.

    Args:
        engine: open, of the artefact to run.
        canvases: uint8 [N, H, W], N at least 1.
        cache: folder to keep embeddings in; nothing is kept when None.
        chunk: embeddings a file.
        progress: show a bar when standard error is a terminal.

    Returns:
        float32 [N, D], as the network gives them.

    Raises:
        EngineError: the engine fails.
        DataError: the cache cannot be written.
    """
    keys = [canvas_hash(canvas) for canvas in canvases]
    folder = None if cache is None else cache / FOLDER / _identity(engine)
    known = {} if folder is None else _read(folder, set(keys))
    missing = {key: canvas for key, canvas in zip(keys, canvases, strict=True) if key not in known}
    for part in in_chunks(track(list(missing.items()), "Embedding", enabled=progress), chunk):
        fresh = {key: engine.infer(canvas) for key, canvas in part}
        if folder is not None:
            write_arrays(folder, list(fresh), embeddings=np.stack(list(fresh.values())))
        known.update(fresh)
    return np.stack([known[key] for key in keys])


def canvas_hash(canvas: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of a canvas uint8 [H, W], its size included."""
    height, width = canvas.shape
    return hashlib.sha256(f"{height}x{width}:".encode() + canvas.tobytes()).hexdigest()


def _identity(engine: Engine) -> str:
    """Name of the folder: what computes the embeddings."""
    return f"{engine.artifact.sha256[:16]}-{engine.name}-{engine.version()}"


def _read(folder: Path, wanted: Set[str]) -> dict[str, NDArray[np.float32]]:
    """The wanted embeddings of a folder; damaged files are passed over, so that they are computed anew."""
    known = {}
    for path in sorted(folder.glob("*.npz")):
        with contextlib.suppress(*DAMAGED), np.load(path) as shard:
            rows = zip(shard["keys"].tolist(), shard["embeddings"].astype(np.float32), strict=True)
            known.update({key: row for key, row in rows if key in wanted})
    return known
