"""Our contestants: every artefact of a bundle on every engine that runs it, and the floor under the flagship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sigedge.bench.contestants import FLOOR, OURS, Contestant
from sigedge.bench.options import BenchOptions
from sigedge_runtime.engines import available, engine_class
from sigedge_runtime.manifest import Artifact

MEMORY, PNG = "memory", "png"


class Combination(NamedTuple):
    """An artefact and an engine that runs it."""

    artifact: Artifact
    engine: str


def combinations(artifacts: tuple[Artifact, ...], options: BenchOptions) -> Iterator[Combination]:
    """Every runnable pair, best engine first."""
    for engine, status in available().items():
        if not status.available or options.engine not in (None, engine):
            continue
        for artifact in artifacts:
            fits = artifact.format in engine_class(engine).formats
            if fits and options.precision in (None, artifact.precision):
                yield Combination(artifact, engine)


def our_contestants(bundle: Path | None, chosen: Sequence[Combination], threads: Sequence[int]) -> list[Contestant]:
    """Every combination with every number of threads, in order; of the flagship also with a PNG file to decode.

    Args:
        bundle: folder or zip; None is the bundle shipped with the runtime.
        chosen: at least one.
        threads: at least one number.
    """
    ours = [_ours(bundle, one, count) for count in threads for one in chosen]
    best = flagship(ours)
    png = replace(
        best,
        name=f"{best.name}, from a PNG file",
        arguments={**best.arguments, "encoded": True},
        facts={**best.facts, "source": PNG},
    )
    return [*ours, png]


def floor_of(contestant: Contestant) -> Contestant:
    """The library calls of one of ours with nothing around them."""
    return replace(
        contestant,
        name=f"bare calls of {contestant.name}",
        kind=FLOOR,
        maker="sigedge.bench.floor",
        arguments={
            "bundle": contestant.arguments["bundle"],
            "engine": contestant.arguments["engine"],
            "artifact": contestant.facts["artifact"],
            "threads": contestant.threads,
        },
    )


def flagship(ours: Sequence[Contestant]) -> Contestant:
    """Whose figures count: the first of precision int8, else the first; engines are in the order of preference."""
    return next((one for one in ours if one.facts["precision"] == "int8"), ours[0])


def _ours(bundle: Path | None, combination: Combination, threads: int) -> Contestant:
    artifact, engine = combination
    return Contestant(
        name=f"{artifact.name} on {engine}, {threads} thread{'s' * (threads != 1)}",
        kind=OURS,
        maker="sigedge.bench.ours",
        arguments={
            "bundle": None if bundle is None else str(bundle),
            "engine": engine,
            "precision": artifact.precision,
            "threads": threads,
            "encoded": False,
        },
        threads=threads,
        facts={
            "engine": engine,
            "engine_version": engine_class(engine).version(),
            "artifact": artifact.name,
            "format": artifact.format,
            "precision": artifact.precision,
            "sha256": artifact.sha256,
            "size": artifact.size,
            "source": MEMORY,
            "weights": "trained",
        },
    )
