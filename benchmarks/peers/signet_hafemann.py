"""SigNet of Hafemann et al. with its own preprocessing: the pipeline that the toolkit sigver runs, from the paper.

L. G. Hafemann, R. Sabourin and L. S. Oliveira, "Learning features for offline handwritten signature verification using
deep convolutional neural networks", Pattern Recognition 70, 2017: preprocessing in section 4.1, the network in table 1.
Weights are random: time does not depend on them. Their writer-dependent support vector machine is not timed.
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

CANVAS = (730, 1042)
"""Rows and columns that the paper gives the signatures of CEDAR."""
RESIZED, CROPPED = (170, 242), (150, 220)
BLUR = 2.0
SCIPY, OPENCV = "scipy", "opencv"


def contestants() -> list[Contestant]:
    """By scipy on each engine, and by OpenCV on the fastest one: the paper's steps as fast as a library does them."""
    runs = [(SCIPY, networks.EAGER), (SCIPY, networks.COMPILED), (SCIPY, networks.ONNX), (OPENCV, networks.ONNX)]
    return [_contestant(library, engine) for library, engine in runs]


def _contestant(library: str, engine: str) -> Contestant:
    as_published = (library, engine) == (SCIPY, networks.EAGER)
    return Contestant(
        f"SigNet (Hafemann), preprocessing by {library}, {engine}",
        PEER,
        __file__,
        {"library": library, "engine": engine},
        facts={
            "artifact": "SigNet (Hafemann)",
            "engine": engine,
            "precision": "float32",
            "weights": "random",
            "yardstick": as_published,
            "first_verdict": as_published,
        },
    )


def import_libraries(library: str, engine: str) -> None:
    """What its engine needs."""
    import scipy.ndimage  # noqa: F401

    networks.import_libraries(engine)


def open_runner(library: str, engine: str) -> Pipeline:
    """The pipeline with random weights."""
    network = networks.network(signet, engine, (1, 1, *CROPPED), "signet-hafemann")
    return Pipeline(preprocess_scipy if library == SCIPY else preprocess_opencv, network)


def signet() -> Any:
    """Table 1: five convolutions and two fully connected layers, each with batch normalisation and ReLU."""
    import torch
    from torch import nn

    def convolution(before: int, after: int, size: int, stride: int, padding: int) -> list[nn.Module]:
        layer = nn.Conv2d(before, after, size, stride, padding, bias=False)
        return [layer, nn.BatchNorm2d(after), nn.ReLU()]

    def connected(before: int, after: int) -> list[nn.Module]:
        return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]

    torch.manual_seed(0)
    return nn.Sequential(
        *convolution(1, 96, 11, 4, 0),
        nn.MaxPool2d(3, 2),
        *convolution(96, 256, 5, 1, 2),
        nn.MaxPool2d(3, 2),
        *convolution(256, 384, 3, 1, 1),
        *convolution(384, 384, 3, 1, 1),
        *convolution(384, 256, 3, 1, 1),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        *connected(256 * 3 * 5, 2048),
        *connected(2048, 2048),
    )


def preprocess_scipy(image: Any) -> Any:
    """The paper's steps with the functions of scipy that scikit-image, which sigver uses, is a layer over."""
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(image.astype(np.float64), BLUR)
    threshold = otsu(image)
    page = centred(image, blurred <= threshold, threshold)
    size = _covering(page.shape)
    # An area that shrinks is smoothed first, by a Gaussian that is as wide as the step is long.
    steps = np.array(page.shape) / np.array(size)
    smooth = ndimage.gaussian_filter((255 - page).astype(np.float64), np.maximum(0, (steps - 1) / 2))
    resized = ndimage.zoom(smooth, 1 / steps, order=1, mode="constant", grid_mode=True)
    return _network_input(resized)


def preprocess_opencv(image: Any) -> Any:
    """The same steps in eight bits, by OpenCV."""
    import cv2

    blurred = cv2.GaussianBlur(image, (0, 0), BLUR)
    threshold, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    page = centred(image, blurred <= threshold, threshold)
    rows, columns = _covering(page.shape)
    return _network_input(cv2.resize(255 - page, (columns, rows), interpolation=cv2.INTER_AREA))


def otsu(image: Any) -> float:
    """Threshold between paper and ink (N. Otsu 1979): the grey level that parts the histogram best."""
    counts = np.bincount(image.reshape(-1), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    mass = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(np.nanargmax(between))


def centred(image: Any, ink: Any, threshold: float) -> Any:
    """The signature on a white page of the canvas's size, its centre of mass in the middle, and its paper white."""
    rows, columns = np.nonzero(ink)
    top, left = rows.min(), columns.min()
    cut = image[top : rows.max() + 1, left : columns.max() + 1]
    page = np.full(CANVAS, 255, np.uint8)
    start = [
        min(max(0, side // 2 - int(places.mean() - first)), max(0, side - length))
        for side, places, first, length in zip(CANVAS, (rows, columns), (top, left), cut.shape, strict=True)
    ]
    cut = cut[: CANVAS[0], : CANVAS[1]]
    page[start[0] : start[0] + cut.shape[0], start[1] : start[1] + cut.shape[1]] = cut
    page[page > threshold] = 255
    return page


def _covering(shape: tuple[int, ...]) -> tuple[int, int]:
    """The size that keeps the aspect and covers 170 x 242."""
    scale = max(RESIZED[0] / shape[0], RESIZED[1] / shape[1])
    return max(RESIZED[0], round(shape[0] * scale)), max(RESIZED[1], round(shape[1] * scale))


def _network_input(resized: Any) -> Any:
    """The middle 150 x 220 of it, 0 to 1, float32 [1, 1, 150, 220]."""
    top, left = (resized.shape[0] - CROPPED[0]) // 2, (resized.shape[1] - CROPPED[1]) // 2
    cropped = resized[top : top + CROPPED[0], left : left + CROPPED[1]]
    return np.ascontiguousarray(cropped, np.float32)[None, None] / np.float32(255)
