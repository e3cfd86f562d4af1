"""Siamese ResNet as trained here: a small ResNet with spatial attention, see `sigedge_models.siamese_resnet`."""

from __future__ import annotations

import sys
from pathlib import Path

from sigedge.bench.contestants import PEER, Contestant
from sigedge.bench.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _networks as networks


def contestants() -> list[Contestant]:
    """In PyTorch and on ONNX Runtime."""
    return [
        Contestant(
            f"Siamese ResNet as trained here, {engine}",
            PEER,
            __file__,
            {"engine": engine},
            facts={
                "artifact": "siamese_resnet-float32",
                "engine": engine,
                "precision": "float32",
                "weights": "trained",
                "model": "siamese_resnet",
            },
        )
        for engine in (networks.EAGER, networks.ONNX)
    ]


def import_libraries(engine: str) -> None:
    """What its engine needs."""
    networks.import_libraries(engine)


def open_runner(engine: str) -> Pipeline:
    """sigedge's canvas and the trained network."""
    return networks.trained_pipeline("siamese_resnet", engine)
