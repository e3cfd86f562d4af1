"""How the error rates change when the picture of the query gets worse, while the references stay as they were.

A few signers stand for all: the first by the hash of their identity, each with one enrolment and up to `QUERIES`
genuine samples and as many skilled forgeries. The images of these queries are distorted before they are harmonised (see
`distortions`); then they are harmonised, embedded and scored as ever. A query in which no usable signature is found is
a failure to acquire: it is counted, and not scored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.data import CanvasSet, Record, read_grey, track, upright
from sigedge.data.shards import Entry, code_digest, in_chunks, read_entries, write_shard
from sigedge.evaluation import distortions, image_features
from sigedge.evaluation.bootstrap import RESAMPLES, bootstrap_interval
from sigedge.evaluation.distortions import DISTORTIONS, Distortion
from sigedge.evaluation.metrics import equal_error_rate
from sigedge.evaluation.protocol import Protocol, make_protocol
from sigedge.evaluation.trials import GENUINE, SKILLED, Embeddings, TrialScores, score_trials
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import DataError
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

REFERENCES = 5
SIGNERS = 20
QUERIES = 6
CHUNK = 64
FOLDER = "distorted"


@dataclass(frozen=True)
class Subject:
    """The verifier that is examined.

    Attributes:
        spec: its preprocessing.
        decision: its rule.
        embed: from canvases uint8 [N, H, W], N at least 1, to embeddings float32 [N, D].
    """

    spec: PreprocessSpec
    decision: Decision
    embed: Callable[[NDArray[np.uint8]], Embeddings]


def measure_robustness(
    subject: Subject,
    canvases: CanvasSet,
    cache: Path,
    *,
    references: int = REFERENCES,
    signers: int = SIGNERS,
    seed: int = 0,
    bootstrap: int = RESAMPLES,
    ladders: Sequence[Distortion] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Error rates at every step of every distortion.

    Args:
        subject: the verifier.
        canvases: usable canvases of the evaluated records, undistorted; the images of queries are read again.
        cache: folder to keep distorted canvases in, so that a second run distorts and harmonises nothing.
        references: references an enrolment has.
        signers: how many take part at most.
        seed: of the draws, of what distortions draw, and of the bootstrap.
        bootstrap: resamples of signers; 0 leaves the intervals out.
        ladders: the distortions; all of `DISTORTIONS` when None.
        progress: show a bar when standard error is a terminal.

    Returns:
        ``references``, ``signers``, ``queries`` (``genuine`` and ``skilled``), ``seed``, ``operating_point``,
        ``threshold`` and ``distortions``: by name ``title``, ``unit`` and ``levels``. A level has its label ``level``;
        ``distorted``, False where the image is as it was; ``eer_skilled`` with ``eer_skilled_ci95``, a 95 % interval
        over signers; ``far_skilled`` and ``frr`` at the threshold; and ``not_acquired``, the share of all queries.
        None stands where the data cannot tell.

    Raises:
        DataError: no signer has more genuine samples than `references` and a forgery, or the cache cannot be written.
        ImageError: an image file is gone.
        EngineError: the engine fails.
    """
    ladders = DISTORTIONS if ladders is None else ladders
    chosen = choose_signers(canvases, references, signers)
    protocol = draw_queries(chosen.records, references, seed)
    embeddings = subject.embed(chosen.canvases)
    queries = sorted(row for draw in protocol.draws for row in (*draw.genuine, *draw.skilled))
    point = subject.decision.operating_point(subject.decision.default_operating_point, references)

    def measured(trials: TrialScores, acquired: int) -> dict[str, Any]:
        return {**_figures(trials, point.threshold, seed, bootstrap), "not_acquired": 1 - acquired / len(queries)}

    as_it_is = measured(_scored(protocol, embeddings, subject.decision), len(queries))
    levels: dict[str, list[dict[str, Any]]] = {ladder.name: [] for ladder in ladders}
    steps = [(ladder, label) for ladder in ladders for label in ladder.ladder]
    for ladder, label in track(steps, "Distorting", enabled=progress):
        found = as_it_is
        distorted = ladder.ladder[label] is not None
        if distorted:
            entries = distorted_entries(chosen, queries, ladder, label, subject.spec, cache, seed)
            usable = {row: entry for row, entry in zip(queries, entries, strict=True) if entry.quality.usable}
            found = measured(score_acquired(protocol, embeddings, usable, subject)[1], len(usable))
        levels[ladder.name].append({"level": label, "distorted": distorted, **found})
    return {
        "references": references,
        "signers": len(protocol.draws),
        "queries": {kind: sum(len(getattr(draw, kind)) for draw in protocol.draws) for kind in ("genuine", "skilled")},
        "seed": seed,
        "operating_point": point.name,
        "threshold": point.threshold,
        "distortions": {
            ladder.name: {"title": ladder.title, "unit": ladder.unit, "levels": levels[ladder.name]}
            for ladder in ladders
        },
    }


def choose_signers(canvases: CanvasSet, references: int, signers: int) -> CanvasSet:
    """The canvases of the first signers, by the hash of their identity, who can be enrolled and have a forger.

    Raises:
        DataError: there is none.
    """
    genuine = Counter(record.identity for record in canvases.records if record.genuine)
    forged = {record.identity for record in canvases.records if not record.genuine}
    fitting = [identity for identity in forged if genuine[identity] > references]
    if not fitting:
        raise DataError(
            f"Robustness needs a signer with more than {references} genuine signatures and a forgery; "
            "name other data, fewer references with --refs, or leave --robustness out."
        )
    names = set(sorted(fitting, key=lambda identity: hashlib.sha256(identity.encode()).digest())[:signers])
    return canvases.select([record.identity in names for record in canvases.records])


def draw_queries(records: Sequence[Record], references: int, seed: int) -> Protocol:
    """One enrolment a signer, with at most `QUERIES` genuine queries and as many forged ones; no random forgeries."""
    drawn = make_protocol(records, references, seed=seed)
    first = {draw.signer: draw for draw in reversed(drawn.draws)}
    draws = tuple(
        replace(draw, genuine=draw.genuine[:QUERIES], skilled=draw.skilled[:QUERIES], random=())
        for _, draw in sorted(first.items())
    )
    return replace(drawn, draws=draws)


def distorted_entries(
    canvases: CanvasSet,
    rows: Sequence[int],
    distortion: Distortion,
    label: str,
    spec: PreprocessSpec,
    cache: Path,
    seed: int,
) -> list[Entry]:
    """Canvases and qualities of distorted images: from the cache, and else made and stored.

    An interruption loses at most `CHUNK` images of work.

    Args:
        canvases: of the undistorted images.
        rows: which of them, R.
        distortion: what happens to the images.
        label: of the step of its ladder.
        spec: preprocessing.
        cache: folder of the cache.
        seed: of what the distortion draws.

    Returns:
        R entries, for `rows` in their order.

    Raises:
        DataError: the cache cannot be written.
        ImageError: an image file is gone.
    """
    folder = cache / FOLDER / f"{spec.digest()[:16]}-{_code_digest()[:12]}" / f"{distortion.name}-{label}-{seed}"
    known = read_entries(folder, {canvases.pixels[row] for row in rows})
    missing = {canvases.pixels[row]: canvases.records[row] for row in rows if canvases.pixels[row] not in known}
    for part in in_chunks(missing.items(), CHUNK):
        fresh = {
            pixels: Entry(*harmonise(distortion.apply(read_grey(record), label, pixels, seed), spec), pixels)
            for pixels, record in part
        }
        write_shard(folder, fresh)
        known.update(fresh)
    return [known[canvases.pixels[row]] for row in rows]


@once
def _code_digest() -> str:
    return code_digest(distortions, image_features, upright)


def score_acquired(
    protocol: Protocol, embeddings: Embeddings, usable: Mapping[int, Entry], subject: Subject
) -> tuple[Protocol, TrialScores]:
    """Score a protocol whose queries are other pictures now.

    Args:
        protocol: the trials.
        embeddings: float32 [N, D] of the pictures as they were.
        usable: by row of a query, what became of its picture; queries without an entry are left out.
        subject: the verifier.

    Returns:
        The protocol with the queries that are left, and their scores in its order.
    """
    changed, rows = embeddings.copy(), list(usable)
    if rows:
        changed[rows] = subject.embed(np.stack([usable[row].canvas for row in rows]))
    kept = _only(protocol, set(rows))
    return kept, _scored(kept, changed, subject.decision)


def _only(protocol: Protocol, acquired: set[int]) -> Protocol:
    """The protocol without the queries in which no signature was found, and without signers who have none left."""

    def kept(rows: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(row for row in rows if row in acquired)

    draws = (replace(draw, genuine=kept(draw.genuine), skilled=kept(draw.skilled)) for draw in protocol.draws)
    return replace(protocol, draws=tuple(draw for draw in draws if draw.genuine or draw.skilled))


def _scored(protocol: Protocol, embeddings: Embeddings, decision: Decision) -> TrialScores:
    return score_trials(protocol, embeddings, decision.rule, decision.similarity)


def _figures(trials: TrialScores, threshold: float, seed: int, bootstrap: int) -> dict[str, Any]:
    genuine, skilled = trials.of(GENUINE), trials.of(SKILLED)
    both = len(genuine) > 0 and len(skilled) > 0
    interval = None
    if both and bootstrap:
        are_genuine, count = trials.kinds == GENUINE, len(trials.names)
        interval = bootstrap_interval(trials.scores, are_genuine, trials.signers, count, resamples=bootstrap, seed=seed)
    return {
        "eer_skilled": equal_error_rate(genuine, skilled) if both else None,
        "eer_skilled_ci95": list(interval) if interval else None,
        "far_skilled": float((skilled >= threshold).mean()) if len(skilled) else None,
        "frr": float((genuine < threshold).mean()) if len(genuine) else None,
    }
