"""What is not measured in turns of single verifications: many at once, the first of a process, and a size."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sigedge.bench import once
from sigedge.bench.contestants import Contestant
from sigedge.bench.options import BenchOptions
from sigedge.bench.summary import ratio_of_medians, summarise
from sigedge.bench.team import Images, Member, MemberError, needed, orders, processors
from sigedge_runtime import Verifier
from sigedge_runtime.bundle import Bundle, zip_bundle
from sigedge_runtime.errors import EngineError

BATCHES = 5
OURS = "sigedge verify"


def throughput(best: Contestant, images: Images, folder: Path, options: BenchOptions) -> dict[str, Any]:
    """Verifications a second of the batch path, by a process that may use as many processors as threads.

    Raises:
        EngineError: it does not run.
    """
    threads = options.batch_threads
    # Every one of them is a whole verification; the engine itself keeps to one thread.
    contestant = replace(best, threads=threads, arguments={**best.arguments, "threads": 1})
    try:
        with Member(contestant, images, folder) as member:
            member.batch(max(1, options.batch // 10), threads)
            answers = [member.batch(options.batch, threads) for _ in range(BATCHES)]
    except MemberError as error:
        raise needed(contestant, error) from error
    rates = [answer["per_second"] for answer in answers]
    return {
        "contestant": best.name,
        "way": answers[0]["way"],
        "threads": threads,
        "batch": options.batch,
        "per_second": [round(rate, 1) for rate in rates],
        "median": round(float(np.median(rates)), 1),
    }


def first_verdicts(
    best: Contestant, peers: Sequence[Contestant], images: Images, folder: Path, options: BenchOptions
) -> dict[str, Any]:
    """From the start of a process to its first verdict: `sigedge verify`, and peers that do the same.

    Returns:
        By name a summary in milliseconds, and how many times longer than `sigedge verify` it took.

    Raises:
        EngineError: `sigedge verify` gives no verdict.
    """
    query = folder / "query.png"
    cv2.imwrite(str(query), np.load(images.queries[0]))
    commands = {OURS: _our_command(best, images, query, folder)}
    for peer in peers:
        if peer.facts.get("first_verdict"):
            try:
                place = Path(tempfile.mkdtemp(dir=folder))
                commands[peer.name] = once.peer_command(peer, images.references, query, place)
            except once.OnceError:
                continue  # it stands among those who did not run already
    rounds = list(orders(len(commands), options.cold_starts))
    try:
        taken = once.take_turns(commands, rounds, processors(1))
    except once.OnceError as error:
        raise EngineError(f"A first verdict failed ({error}); run `sigedge selftest`.") from error
    same = {peer.name for peer in peers if peer.facts.get("same_network")}
    return {
        name: {
            **asdict(summarise(times)),
            "times_ours": ratio_of_medians(times, taken[OURS]),
            "same_network": name in same,
        }
        for name, times in taken.items()
    }


def zipped_size(bundle: Bundle, best: Contestant) -> int:
    """Bytes of the zip file that a device gets: golden vectors and card, and of the artefacts the flagship's alone."""
    name = best.facts["artifact"]
    others = sum(artifact.size for artifact in bundle.manifest.artifacts if artifact.name != name)
    with tempfile.TemporaryDirectory() as folder:
        return zip_bundle(bundle.root, Path(folder) / "bundle.zip").stat().st_size - others


def _our_command(best: Contestant, images: Images, query: Path, folder: Path) -> list[str]:
    bundle, store = best.arguments["bundle"], folder / "first.db"
    choice = {"engine": best.arguments["engine"], "precision": best.arguments["precision"]}
    with Verifier.open(bundle, store=store, selftest=False, **choice) as verifier:
        verifier.enroll(once.USER, [np.load(path) for path in images.references])
    return once.our_command(bundle, choice["engine"], choice["precision"], store, query)
