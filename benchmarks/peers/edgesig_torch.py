"""The flagship's own network in PyTorch: what the runtime saves, with nothing else changed.

Its embeddings are compared by their cosine here, which is less work than the flagship's own comparison cell by cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sigedge.bench.contestants import PEER, Contestant
from sigedge.bench.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _networks as networks


def contestants() -> list[Contestant]:
    """Eager and compiled."""
    return [
        Contestant(
            f"edgesig in PyTorch, {engine}",
            PEER,
            __file__,
            {"engine": engine},
            facts={
                "artifact": "edgesig-float32-torch",
                "engine": engine,
                "precision": "float32",
                "weights": "trained",
                "first_verdict": engine == networks.EAGER,
                "same_network": engine == networks.EAGER,
            },
        )
        for engine in (networks.EAGER, networks.COMPILED)
    ]


def import_libraries(engine: str) -> None:
    """What its engine needs."""
    networks.import_libraries(engine)


def open_runner(engine: str) -> Pipeline:
    """sigedge's canvas and the trained network."""
    return networks.trained_pipeline("edgesig", engine)
