"""Whose signature is it? Classifying images and folders with a checkpoint or a bundle."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.data import SkippedFile
from sigedge.systems.signauth.labels import NOBODY
from sigedge.systems.signauth.rejection import NOBODY_KNOWN, decide, energy, probabilities
from sigedge_runtime.errors import BundleError, CheckpointError, ImageError, QualityError
from sigedge_runtime.images import MAX_PIXELS, ImageSource, describe, read_image
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise

Infer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Logits float32 [K] of a canvas uint8 [H, W]."""

COLUMNS = ("file", "label", "nearest", "probability", "score")


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one signature.

    Attributes:
        label: whose it is; None when it is nobody's whom the classifier knows.
        nearest: of the people known, the most probable, rejected or not.
        probability: of `nearest`, 0 to 1; beside nobody known, where the classifier can reject.
        score: log-odds of anybody known against nobody; at or above the threshold the signature is accepted.
        probabilities: of all people by label.
        issues: what is wrong with the image, sentences; it could be used nevertheless.
    """

    label: str | None
    nearest: str
    probability: float
    score: float
    probabilities: dict[str, float]
    issues: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class SignatureClassifier:
    """A classifier of known people, ready to run; a context manager, safe to call from several threads.

    It knows a closed set: it can say which of its people a signature resembles, and that it resembles none. It compares
    with no reference, so that nobody can be added without training.

    Args:
        name: of the model.
        labels: its people, in the order of the outputs.
        threshold: least score of a known person's signature; None rejects nothing.
        spec: how an image becomes a canvas.
        infer: runs the network.
        resources: closed together with the classifier.
    """

    def __init__(
        self,
        name: str,
        labels: Sequence[str],
        threshold: float | None,
        spec: PreprocessSpec,
        infer: Infer,
        resources: ExitStack | None = None,
    ) -> None:
        self.name, self.labels, self.threshold, self.spec = name, tuple(labels), threshold, spec
        self._infer, self._resources = infer, resources or ExitStack()

    @classmethod
    def open(cls, model: str | os.PathLike[str], *, threads: int = 1) -> SignatureClassifier:
        """Open a checkpoint (``.safetensors``) or a bundle, of which the best file that runs here is taken.

        Raises:
            CheckpointError: the file is missing, damaged or no classifier.
            BundleError: likewise a bundle.
            EngineError: no engine runs the bundle's files.
        """
        path = Path(model)
        if path.suffix == ".safetensors":
            return _from_checkpoint(path)
        return _from_bundle(path, threads)

    def classify(self, image: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Prediction:
        """Classify one image; one of more than `max_pixels` is refused before it is decoded.

        Raises:
            ImageError: it cannot be read.
            QualityError: it shows no usable signature.
        """
        canvas, quality = harmonise(read_image(image, max_pixels=max_pixels), self.spec)
        if not quality.usable:
            raise QualityError(f"{describe(image)} shows no usable signature: {quality.reasons}", quality)
        logits = self._infer(canvas)[None]
        chances = probabilities(logits, rejects=self.threshold is not None)[0]
        decided, nearest = int(decide(logits, self.threshold)[0]), int(logits[0].argmax())
        return Prediction(
            label=None if decided == NOBODY_KNOWN else self.labels[decided],
            nearest=self.labels[nearest],
            probability=float(chances[nearest]),
            score=float(energy(logits)[0]),
            probabilities={label: float(chance) for label, chance in zip(self.labels, chances, strict=True)},
            issues=[issue.message for issue in quality.issues],
        )

    def classify_all(self, images: Iterable[Path], skipped: list[SkippedFile]) -> Iterable[tuple[Path, Prediction]]:
        """Classify image after image; what cannot be used is appended to `skipped` instead of being yielded."""
        for path in images:
            try:
                yield path, self.classify(path)
            except (ImageError, QualityError) as error:
                skipped.append(SkippedFile(path, str(error)))

    def close(self) -> None:
        """Free the engine and what was unpacked; closing twice does nothing."""
        self._resources.close()

    def __enter__(self) -> SignatureClassifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def predictions_csv(predictions: Iterable[tuple[Path, Prediction]], folder: Path) -> str:
    """CSV text of predictions, by `COLUMNS`: paths below `folder`, `labels.NOBODY` where nobody is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for path, found in predictions:
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        writer.writerow((name, found.label or NOBODY, found.nearest, f"{found.probability:.4f}", f"{found.score:.4f}"))
    return text.getvalue()


def _from_checkpoint(path: Path) -> SignatureClassifier:
    import torch

    from sigedge_models import load_checkpoint

    model, info = load_checkpoint(path)
    if info.task != "classification":
        raise CheckpointError(
            f"{path} is a model for {info.task}, no classifier; give one that `sigedge train signauth` wrote."
        )
    module = model.export_module()  # type: ignore[operator]

    def infer(canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = module(torch.from_numpy(canvas[None, None].astype(np.float32)))
        return np.asarray(logits[0].numpy(), np.float32)

    rejection = info.decision.get("rejection")
    threshold = None if rejection is None else float(rejection["threshold"])
    return SignatureClassifier(info.name, info.labels, threshold, PreprocessSpec.from_dict(info.preprocess), infer)


def _from_bundle(path: Path, threads: int) -> SignatureClassifier:
    from sigedge_runtime.network import Network

    with ExitStack() as stack:
        network = stack.enter_context(Network.open(path, threads=threads))
        model = network.manifest.model
        if model.task != "classification":
            raise BundleError(f"{path} holds a model for {model.task}, no classifier; name a bundle of a classifier.")
        threshold = None if model.rejection is None else model.rejection.threshold
        spec = network.manifest.harmonisation
        return SignatureClassifier(model.name, model.labels, threshold, spec, network.run, stack.pop_all())
