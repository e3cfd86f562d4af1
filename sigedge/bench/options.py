"""How much a bench measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

THIS_DEVICE = "this-machine"


@dataclass(frozen=True)
class BenchOptions:
    """How much to measure.

    Attributes:
        repeats: verifications timed for each contestant; fewer of one whose turns would get too long.
        rounds: turns that they are spread over.
        warm_up: verifications at the start of every turn that are not counted.
        longest_turn_ms: a turn of the flagship or the floor holds no more verifications than fit in it, those of others
            than fit in a third of it; at least one.
        cold_starts: fresh processes of each of our contestants, and of each first verdict; a peer starts twice, and the
            second time counts: it finds what it compiled or exported.
        references: enrolled templates that a query is matched with.
        queries: different images that are verified in turn.
        threads: threads of the inference engine; each number is measured.
        engine: only this engine; None measures every installed one.
        precision: only artefacts of this precision; None measures all.
        seed: seed of the synthetic images.
        scans: folder of real scans; None draws synthetic ones.
        peers: folder of peers; None measures the bundle alone.
        device_id: what the device is called on a page with others.
        batch_threads: threads of the batch path.
        batch: verifications of one batch.
    """

    repeats: int = 5000
    rounds: int = 60
    warm_up: int = 1
    longest_turn_ms: float = 120.0
    cold_starts: int = 5
    references: int = 10
    queries: int = 8
    threads: tuple[int, ...] = (1,)
    engine: str | None = None
    precision: str | None = None
    seed: int = 0
    scans: Path | None = None
    peers: Path | None = None
    device_id: str = THIS_DEVICE
    batch_threads: int = 2
    batch: int = 1000
