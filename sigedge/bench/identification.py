"""How long the parts of an identification take that follow the embedding."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from sigedge.bench.summary import summarise
from sigedge_runtime.decision import Decision
from sigedge_runtime.matching import Vector
from sigedge_runtime.scoring import scores
from sigedge_runtime.search import TemplateIndex, short_vectors
from sigedge_runtime.search.index import Labels
from sigedge_runtime.store import Gallery

Value = TypeVar("Value")


def timed(work: Callable[[], Value]) -> tuple[Value, float]:
    """What some work returns, and how many milliseconds it took."""
    start = time.perf_counter()
    found = work()
    return found, (time.perf_counter() - start) * 1e3


def time_match(
    index: TemplateIndex,
    queries: Vector,
    decision: Decision,
    read: Callable[[Labels], Gallery],
    short_list: int,
) -> dict[str, Any]:
    """Time the way from prepared queries to scores by a short list, query by query.

    Args:
        index: over short vectors.
        queries: float32 [Q, D], prepared; Q at least 1.
        decision: of the bundle.
        read: templates of the users with some labels.
        short_list: templates on a short list.

    Returns:
        Summaries in milliseconds (`sigedge.bench.summary.Summary` as a mapping): ``search``, ``read``, ``compare``,
        ``consistency`` (of users about whom nothing is remembered), ``remembered`` (all but that) and ``total``.
    """
    rows = [_time_one(index, query, decision, read, short_list) for query in queries]
    return {part: asdict(summarise([row[part] for row in rows])) for part in rows[0]}


def _time_one(
    index: TemplateIndex, query: Vector, decision: Decision, read: Callable[[Labels], Gallery], short_list: int
) -> dict[str, float]:
    matching = decision.similarity
    found, search = timed(lambda: index.search(short_vectors(query[None], matching), short_list))
    gallery, reading = timed(lambda: read(found.labels[0]))
    known, consistency = timed(lambda: matching.consistencies(gallery.vectors, gallery.sizes))
    _, compare = timed(lambda: scores(query, gallery.vectors, gallery.sizes, decision, known))
    remembered = search + reading + compare
    parts = {"search": search, "read": reading, "compare": compare, "consistency": consistency}
    return {**parts, "remembered": remembered, "total": remembered + consistency}
