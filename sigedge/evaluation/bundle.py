"""Evaluating a bundle as it is deployed: its artefact, on an engine of this machine, with its own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sigedge.data.cache import DEFAULT_FOLDER, CanvasCache, CanvasSet
from sigedge.data.records import Record
from sigedge.evaluation.bootstrap import RESAMPLES
from sigedge.evaluation.embeddings import embed_canvases
from sigedge.evaluation.evaluate import REFERENCE_COUNTS, Scores, describe, score_records
from sigedge.evaluation.leaks import measure_leaks
from sigedge.evaluation.protocol import distinct_counts
from sigedge.evaluation.robustness import REFERENCES, Subject, measure_robustness
from sigedge.evaluation.stored_protocols import default_path, protocol_digest, stored_protocols
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import open_engine
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


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a bundle.

    Attributes:
        result: the figures, plain values for a result file.
        scores: the scored trials behind them, for plots.
    """

    result: dict[str, Any]
    scores: Scores


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
    protocol: Path | None = None,
    robustness_signers: int = 0,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
    progress: bool = True,
) -> Evaluation:
    """Evaluate one artefact of a bundle with the bundle's decision rule.

    Canvases, embeddings and protocols stay in the cache: an interrupted evaluation goes on where it was, and a second
    one scores the same trials and infers nothing.

    Args:
        bundle_path: folder or zip file; None for the bundle that ships with the package.
        records: test records of one data set.
        reference_counts, seed, bootstrap: as in `evaluate_embeddings`.
        artifact: name of the artefact; the one a device would choose by default.
        engine: name of the engine, or ``"auto"``.
        threads: CPU threads of the engine.
        split: which part of a split the records are, for the result.
        cache: folder of the caches.
        protocol: file of the trials, made when it does not exist; None keeps them in the cache.
        robustness_signers: signers to measure `robustness` on, with the largest of `reference_counts` up to 5
            references; 0 leaves it out.
        progress: show bars when standard error is a terminal.

    Returns:
        The scores, and what `evaluate_embeddings` returns, with ``split``, ``artifact``, ``acquisition`` (see
        `Acquired`), ``robustness`` where it was asked for, and, in ``meta``, the model, the artefact's SHA-256, the
        engine and the digest of the trials.

    Raises:
        BundleError: the bundle or the artefact does not exist or is damaged.
        EngineError: no installed engine runs the artefact, or it fails.
        DataError: no image is usable, the protocol is damaged or of other records, or a folder cannot be written.
    """
    cache, counts = Path(cache), distinct_counts(reference_counts)
    asked: dict[str, Any] = {}
    with Bundle.open(bundle_path) as bundle:
        manifest, chosen = bundle.manifest, bundle.artifact(artifact)
        decision = manifest.verification
        acquired = acquire(records, CanvasCache(cache, manifest.harmonisation), progress=progress)
        canvases = acquired.canvases
        place = protocol or default_path(cache, canvases.records, counts, seed)
        protocols = stored_protocols(place, canvases.records, counts, seed=seed)
        with closing(open_engine(engine, chosen, bundle.path(chosen.file), threads)) as opened:
            embeddings = embed_canvases(opened, canvases.canvases, cache=cache, progress=progress)
            # One bar at a time: that of the distortions stands for their embeddings too.
            quietly = partial(embed_canvases, opened, cache=cache, progress=False)
            if robustness_signers:
                asked["robustness"] = measure_robustness(
                    Subject(manifest.harmonisation, decision, quietly),
                    canvases,
                    cache,
                    references=max((count for count in counts if count <= REFERENCES), default=counts[0]),
                    signers=robustness_signers,
                    seed=seed,
                    bootstrap=bootstrap,
                    progress=progress,
                )
            engine_used = {"name": opened.name, "version": opened.version(), "threads": threads}
    scores = score_records(canvases.records, embeddings, protocols, decision=decision)
    gates = _canvas_gates(canvases, seed)
    result = describe(scores, canvases.records, leak_gates=gates, seed=seed, bootstrap=bootstrap)
    model = {name: getattr(manifest.model, name) for name in ("name", "version", "checkpoint_sha256")}
    file = {name: getattr(chosen, name) for name in ("name", "format", "precision", "sha256", "size")}
    result["meta"].update(model=model, artifact=file, engine=engine_used, protocol_sha256=protocol_digest(protocols))
    result.update(split=split, artifact=chosen.name, acquisition=acquired.counts, **asked)
    return Evaluation(result, scores)


def _canvas_gates(canvases: CanvasSet, seed: int) -> dict[str, float | None]:
    leaks = measure_leaks(canvases.records, None, canvases.canvases, seed=seed)["canvas"]
    return {name: leaks[name] for name in ("background_ink_auc", "skeleton_auc")}
