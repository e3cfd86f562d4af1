"""signauth: whose signature is it, of the people known, or nobody's? See docs/systems/signauth.md.

PyTorch is imported where something is trained or measured; to classify with a bundle, an engine is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sigedge_models import CheckpointInfo

__all__ = ["evaluate", "examples", "train"]

CLASSIFIER = "classifier"


def train(
    data: Path,
    out: Path,
    *,
    recipe: Path | None = None,
    cache: Path = Path(".cache"),
    steps: int | None = None,
    initial: Path | None = None,
    classes: int | None = None,
    update: Path | None = None,
) -> Mapping[str, Path]:
    """Train the classifier; arguments, result and errors as of `training.train_classifier`."""
    from sigedge.systems.signauth.training import train_classifier

    checkpoint = train_classifier(
        data, out, recipe=recipe, cache=cache, steps=steps, initial=initial, classes=classes, update=update
    )
    return {CLASSIFIER: checkpoint}


def examples(info: CheckpointInfo, count: int, seed: int) -> NDArray[np.uint8]:
    """Canvases uint8 [count, 256, 256] for calibration and parity; see `calibration.draw_examples`."""
    from sigedge.systems.signauth.calibration import draw_examples

    return draw_examples(info, count, seed)


def evaluate(models: Path, data: Path, *, cache: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """The classifier's figures and those of the experiments beside it; see `evaluation.evaluate_models`."""
    from sigedge.systems.signauth.evaluation import evaluate_models

    return evaluate_models(models, data, cache=cache, progress=progress)
