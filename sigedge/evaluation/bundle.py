"""Evaluating a bundle as it is deployed: its artefact, on an engine of this machine, with its own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.data.cache import DEFAULT_FOLDER, CanvasCache, CanvasSet
from sigedge.data.progress import track
from sigedge.data.records import Record
from sigedge.evaluation.bootstrap import RESAMPLES
from sigedge.evaluation.evaluate import REFERENCE_COUNTS, evaluate_embeddings
from sigedge.evaluation.leaks import measure_leaks
from sigedge.evaluation.trials import Embeddings
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.errors import DataError


@dataclass(frozen=True)
class Acquired:
    """Canvases that a verifier would accept, and what was left out on the way to them.

    Attributes:
        canvases: usable canvases without exact duplicates.
        counts: ``images`` given, ``unreadable``, ``duplicates`` and ``unusable`` ones among them, by number.
    """

    canvases: CanvasSet
    counts: dict[str, int]


def acquire(records: Sequence[Record], cache: CanvasCache, *, progress: bool = True) -> Acquired:
    """Canvases to evaluate on; what is left out is counted as a failure to acquire.

    Raises:
        DataError: not one record is left.
    """
    if not records:
        raise DataError("There is no record to evaluate; check the data set and the part of the split.")
    read = cache.canvases(records, progress=progress)
    unique = read.unique()
    usable = unique.usable()
    counts = {
        "images": len(records),
        "unreadable": len(read.report.skipped),
        "duplicates": len(read) - len(unique),
        "unusable": len(unique) - len(usable),
    }
    if not len(usable):
        raise DataError(f"Not one of {len(records)} images shows a usable signature; run `sigedge data check`.")
    return Acquired(usable, counts)


def evaluate_bundle(
    bundle_path: str | Path | None,
    records: Sequence[Record],
    *,
    reference_counts: Sequence[int] = REFERENCE_COUNTS,
    artifact: str | None = None,
    engine: str = "auto",
    threads: int = 1,
    split: str = "test",
    cache: str | Path = DEFAULT_FOLDER,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
    progress: bool = True,
) -> dict[str, Any]:
    """Evaluate one artefact of a bundle with the bundle's decision rule.

    Args:
        bundle_path: folder or zip file; None for the bundle that ships with the package.
        records: test records of one data set.
        reference_counts, seed, bootstrap: as in `evaluate_embeddings`.
        artifact: name of the artefact; the one a device would choose by default.
        engine: name of the engine, or ``"auto"``.
        threads: CPU threads of the engine.
        split: which part of a split the records are, for the result.
        cache: folder of the canvas cache.
        progress: show bars when standard error is a terminal.

    Returns:
        What `evaluate_embeddings` returns, with ``split``, ``artifact``, ``acquisition`` (see `Acquired`) and,
        in ``meta``, the model, the artefact's SHA-256 and the engine.

    Raises:
        BundleError: the bundle or the artefact does not exist or is damaged.
        EngineError: no installed engine runs the artefact, or it fails.
        DataError: no image is usable.
    """
    with Bundle.open(bundle_path) as bundle:
        manifest, chosen = bundle.manifest, bundle.artifact(artifact)
        acquired = acquire(records, CanvasCache(cache, manifest.harmonisation), progress=progress)
        with closing(open_engine(engine, chosen, bundle.path(chosen.file), threads)) as opened:
            embeddings = embed_canvases(opened, acquired.canvases, progress=progress)
            engine_used = {"name": opened.name, "version": opened.version(), "threads": threads}
    result = evaluate_embeddings(
        acquired.canvases.records,
        embeddings,
        reference_counts=reference_counts,
        decision=manifest.verification,
        seed=seed,
        bootstrap=bootstrap,
        leak_gates=_canvas_gates(acquired.canvases, seed),
    )
    model = {name: getattr(manifest.model, name) for name in ("name", "version", "checkpoint_sha256")}
    file = {name: getattr(chosen, name) for name in ("name", "format", "precision", "sha256", "size")}
    result["meta"].update(model=model, artifact=file, engine=engine_used)
    return {**result, "split": split, "artifact": chosen.name, "acquisition": acquired.counts}


def embed_canvases(engine: Engine, canvases: CanvasSet, *, progress: bool = True) -> Embeddings:
    """Embeddings float32 [N, D] of canvases, one by one as a device computes them."""
    shown = track(canvases.canvases, "Embedding", total=len(canvases), enabled=progress)
    return np.stack([engine.infer(canvas) for canvas in shown])


def _canvas_gates(canvases: CanvasSet, seed: int) -> dict[str, float | None]:
    leaks = measure_leaks(canvases.records, None, canvases.canvases, seed=seed)["canvas"]
    return {name: leaks[name] for name in ("background_ink_auc", "skeleton_auc")}
