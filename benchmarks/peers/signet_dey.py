"""SigNet of Dey et al.: in the paper's size on the paper's input, and as trained here.

S. Dey et al., "SigNet: Convolutional Siamese Network for Writer Independent Offline Signature Verification",
arXiv 1707.02131: the network in table 1, the input in section 3.1, resized to 155 x 220 and inverted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.bench.contestants import PEER, Contestant
from sigedge.bench.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _networks as networks

INPUT = (155, 220)
PAPER, TRAINED = "paper", "trained"


def contestants() -> list[Contestant]:
    """The paper's size in PyTorch and on ONNX Runtime; ours on ONNX Runtime."""
    runs = [(PAPER, networks.EAGER), (PAPER, networks.ONNX), (TRAINED, networks.ONNX)]
    return [_contestant(size, engine) for size, engine in runs]


def _contestant(size: str, engine: str) -> Contestant:
    facts = {"engine": engine, "precision": "float32"}
    if size == PAPER:
        facts |= {"artifact": "SigNet (Dey)", "weights": "random"}
        return Contestant(
            f"SigNet (Dey), the paper's size, {engine}", PEER, __file__, {"size": size, "engine": engine}, facts=facts
        )
    facts |= {"artifact": "signet-float32", "weights": "trained", "model": "signet"}
    return Contestant(
        f"SigNet (Dey) as trained here, {engine}", PEER, __file__, {"size": size, "engine": engine}, facts=facts
    )


def import_libraries(size: str, engine: str) -> None:
    """What its engine needs."""
    networks.import_libraries(engine)


def open_runner(size: str, engine: str) -> Pipeline:
    """The pipeline of either size."""
    if size == TRAINED:
        return networks.trained_pipeline("signet", engine)
    return Pipeline(preprocess, networks.network(paper_size, engine, (1, 1, *INPUT), "signet-dey"))


def paper_size() -> Any:
    """Table 1 with all its channels, and no stride in the first layer; random weights."""
    import torch

    from sigedge_models import create

    torch.manual_seed(0)
    return create("signet", width=1.0, stride=1, canvas_height=INPUT[0], canvas_width=INPUT[1])


def preprocess(image: Any) -> Any:
    """Resized and inverted, float32 [1, 1, 155, 220] of 0 to 255, which the network here divides by 255 itself."""
    import cv2

    resized = cv2.resize(image, INPUT[::-1], interpolation=cv2.INTER_LINEAR)
    return (255 - resized).astype(np.float32)[None, None]
