"""Measure a bundle: every artefact on every installed engine that runs it, beside peers and the floor, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sigedge.bench.contestants import FLOOR, OURS, PEER, Contestant, peers_of
from sigedge.bench.entries import MEMORY, combinations, flagship, floor_of, our_contestants
from sigedge.bench.figures import figures
from sigedge.bench.images import HEIGHT, WIDTH, real_scans, synthetic_scans, write_scans
from sigedge.bench.jetson import Tegrastats, power_mode
from sigedge.bench.machine import describe_machine, library_versions
from sigedge.bench.options import BenchOptions
from sigedge.bench.rows import row
from sigedge.bench.singles import first_verdicts, throughput, zipped_size
from sigedge.bench.team import Images, Member, MemberError, block, needed, orders, processors
from sigedge.data import track
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, EngineUnavailableError

__all__ = ["BenchOptions", "measure_bundle"]

FORMAT_VERSION = 2
OTHERS = 1 / 3


def measure_bundle(bundle: Path | None, options: BenchOptions | None = None) -> dict[str, Any]:
    """Measure a bundle; returns the results as plain JSON types, times in milliseconds.

    Args:
        bundle: folder or zip; None is the bundle shipped with the runtime.
        options: how much to measure; the defaults when None.

    Raises:
        BundleError: the bundle cannot be opened.
        EngineUnavailableError: no installed engine runs any artefact that was asked for.
        EngineError: a measuring process failed.
        DataError: there are no such scans or peers.
    """
    options = options or BenchOptions()
    with Bundle.open(bundle) as opened, tempfile.TemporaryDirectory(prefix="sigedge-bench-") as name:
        chosen = list(combinations(opened.manifest.artifacts, options))
        if not chosen:
            raise EngineUnavailableError(
                f"No engine here ({options.engine or 'any'}) runs an artefact ({options.precision or 'any'}) "
                f"of {bundle or 'the shipped bundle'}; install one: pip install 'sigedge[litert]'."
            )
        ours = our_contestants(bundle, chosen, options.threads)
        peers = [] if options.peers is None else peers_of(options.peers)
        folder, best = Path(name), flagship(ours)
        images = _images(folder, options)
        with Tegrastats() as board:
            members, not_run = _side_by_side([*ours, floor_of(best), *peers], best, images, folder, options)
            many = throughput(best, images, folder, options)
            firsts = first_verdicts(best, peers, images, folder, options)
        model, zipped = opened.manifest.model, zipped_size(opened, best)
        return {
            "format_version": FORMAT_VERSION,
            "device_id": options.device_id,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "model": {"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256},
            "machine": {**describe_machine(), "power_mode": power_mode()},
            "libraries": library_versions(),
            "protocol": _protocol(options),
            "energy": board.energy(),
            "board": board.summary(),
            "bundle_zipped": zipped,
            "runs": [row(member) for member in members if member.contestant.kind == OURS],
            "floors": [row(member) for member in members if member.contestant.kind == FLOOR],
            "peers": [row(member) for member in members if member.contestant.kind == PEER],
            "not_run": not_run,
            "throughput": many,
            "first_verdict_ms": firsts,
            "figures": figures(members, best, many, firsts, zipped),
        }


def _images(folder: Path, options: BenchOptions) -> Images:
    count = options.references + options.queries
    scans = synthetic_scans(options.seed, count) if options.scans is None else real_scans(options.scans, count)
    return write_scans(folder, scans, options.references)


def _protocol(options: BenchOptions) -> dict[str, Any]:
    kind = "synthetic" if options.scans is None else "real"
    return {
        **asdict(options),
        "scans": kind,
        "peers": options.peers is not None,
        "threads": list(options.threads),
        "input": f"{kind} scans, grey, {WIDTH} x {HEIGHT}, in memory, in turn",
        "order": "each contestant in a process of its own, one running at a time, in an order drawn anew each round",
        "outliers": "kept",
        "affinity": {str(count): processors(count) for count in options.threads},
    }


def _side_by_side(
    contestants: Sequence[Contestant], best: Contestant, images: Images, folder: Path, options: BenchOptions
) -> tuple[list[Member], list[dict[str, str]]]:
    """All that ran, measured and ended; and which peers did not run and why.

    Raises:
        EngineError: one of ours did not run.
    """
    members: list[Member] = []
    not_run = []
    with ExitStack() as stack:
        for contestant in track(contestants, "Starting", total=len(contestants)):
            try:
                members.append(stack.enter_context(_started(contestant, images, folder, options)))
            except MemberError as error:
                if contestant.kind != PEER:
                    raise needed(contestant, error) from error
                not_run.append({"contestant": contestant.name, "reason": str(error)})
        try:
            _take_turns(members, best, options)
        except MemberError as error:
            raise EngineError(
                f"A measuring process ended early ({error}); measure again with more free memory."
            ) from error
    return members, not_run


def _started(contestant: Contestant, images: Images, folder: Path, options: BenchOptions) -> Member:
    """The process that stays, after others that end at once.

    Several of ours, to measure cold starts; one of a peer, which exports or compiles for the one that stays.
    """
    several = contestant.kind == OURS and contestant.facts["source"] == MEMORY
    earlier = []
    for _ in range(options.cold_starts - 1 if several else contestant.kind == PEER):
        with Member(contestant, images, folder, serve=False) as member:
            earlier += member.cold_starts if several else []
    member = Member(contestant, images, folder)
    member.cold_starts = [*earlier, *member.cold_starts]
    return member


def _take_turns(members: Sequence[Member], best: Contestant, options: BenchOptions) -> None:
    """Find out how long a turn of each may be, then take turns, then let them tell what they end with."""
    rounds = min(options.rounds, options.repeats)
    # The tail of the flagship needs thousands of verifications; for the median of others hundreds are plenty.
    longest = [
        options.longest_turn_ms * (1 if member.contestant == best or member.contestant.kind == FLOOR else OTHERS)
        for member in members
    ]
    counts = [
        block(member.probe(), options.repeats, rounds, limit) for member, limit in zip(members, longest, strict=True)
    ]
    for order in track(list(orders(len(members), rounds)), "Taking turns"):
        for index in order:
            members[index].turn(counts[index], options.warm_up)
    for member in members:
        member.finish()
