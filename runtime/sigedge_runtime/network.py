"""Networks that are no verifiers: classifiers, and networks that return an image."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._first_selftest import require_selftest
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.choice import open_best
from sigedge_runtime.engines import Engine, EngineChoice
from sigedge_runtime.errors import BundleError, QualityError
from sigedge_runtime.images import ImageSource, describe, read_image
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.outputs import rejection_measure, softmax
from sigedge_runtime.preprocessing import harmonise

if TYPE_CHECKING:
    from sigedge_runtime.selftest import SelftestReport


@dataclass(frozen=True)
class Classification:
    """What a classifier says of an image.

    Attributes:
        label: the class with the highest score.
        probability: of that class, 0 to 1, by softmax over all classes.
        known: False when the classifier rejects the image as of none of its classes; the label is then the nearest.
        scores: of each class by label, before softmax.
        identity: model, checkpoint and artefact that computed it.
    """

    label: str
    probability: float
    known: bool
    scores: dict[str, float]
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Network:
    """Runs one artefact of a bundle whose task is classification or image; open it with `Network.open`.

    A context manager; safe to call from several threads, which then share one engine in turn.
    """

    def __init__(self, bundle: Bundle, engine: Engine, resources: ExitStack) -> None:
        """Use `Network.open`."""
        self.bundle, self.engine, self._resources = bundle, engine, resources

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle,
        *,
        engine: str = "auto",
        precision: str | None = None,
        threads: int | None = 1,
        selftest: bool | None = None,
    ) -> Network:
        """Check a bundle, warm an engine and replay the golden vectors.

        Args:
            bundle: a folder, a ``.zip`` file or an open bundle, which stays open.
            engine: name of an engine (`engines.names()`), or ``auto`` for the one that is fastest here.
            precision: ``int8``, ``float16`` or ``float32``; default: the best artefact that the engine runs.
            threads: CPU threads of the engine; None takes as many as are fastest here.
            selftest: True replays the golden vectors; None does so unless they passed before on this machine with the
                same bundle, engine, libraries and code; False, never, only to study a bundle that fails.

        Raises:
            BundleError: the bundle is not intact, lacks the precision, or holds a verifier.
            EngineError: no engine runs the artefact, or it fails.
            SelftestError: this device does not compute what the reference does.
        """
        with ExitStack() as stack:
            opened = bundle if isinstance(bundle, Bundle) else stack.enter_context(Bundle.open(bundle))
            if opened.manifest.model.task == "verification":
                raise BundleError(f"The bundle {opened.name} holds a verifier; open it with sigedge_runtime.Verifier.")
            running = open_best(opened, engine, precision, threads)
            stack.callback(running.close)
            require_selftest(opened, running, selftest)
            return cls(opened, running, stack.pop_all())

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def artifact(self) -> Artifact:
        """The artefact that runs."""
        return self.engine.artifact

    @property
    def engine_choice(self) -> EngineChoice | None:
        """Engine, threads and precision that run, why, and what was measured; None for an engine that was handed in."""
        return self.engine.choice

    @property
    def identity(self) -> str:
        """What computes: model, checkpoint, artefact and its SHA-256 (12 digits of each sum)."""
        model, artifact = self.manifest.model, self.artifact
        return f"{model.name}:{model.checkpoint_sha256[:12]}:{artifact.name}:{artifact.sha256[:12]}"

    def run(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Output float32 [D] for a canvas uint8 [H, W]: scores of classes, or an image in rows.

        Raises:
            EngineError: the canvas has another shape or type, or inference failed.
        """
        return self.engine.infer(canvas)

    def classify(self, image: ImageSource) -> Classification:
        """Harmonise an image and name its class.

        Raises:
            BundleError: the network is no classifier.
            ImageError: the image cannot be read.
            QualityError: it shows no usable signature; the sentence says why.
            EngineError: inference failed.
        """
        canvas, quality = harmonise(read_image(image), self.manifest.harmonisation)
        if not quality.usable:
            raise QualityError(f"{describe(image)} shows no usable signature: {quality.reasons}", quality)
        return self.classify_canvas(canvas)

    def classify_canvas(self, canvas: NDArray[np.uint8]) -> Classification:
        """Name the class of a harmonised canvas uint8 [H, W]; errors as in `classify`."""
        model = self.manifest.model
        self._require_task("classification")
        logits = self.run(canvas)
        best = int(logits.argmax())
        measure = None if model.rejection is None else rejection_measure(logits, model.rejection.measure)
        return Classification(
            label=model.labels[best],
            probability=float(softmax(logits)[best]),
            known=model.rejection is None or measure is None or measure >= model.rejection.threshold,
            scores={label: float(score) for label, score in zip(model.labels, logits, strict=True)},
            identity=self.identity,
        )

    def translate(self, canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image, uint8 [H, W], that an ``image`` network makes of a canvas, uint8 of the size it takes.

        Raises:
            BundleError: the network returns no image.
            EngineError: the canvas has another shape or type, or inference failed.
        """
        self._require_task("image")
        output = self.run(canvas)
        height, width = self.engine.canvas_shape
        if output.size != height * width:
            raise BundleError(
                f"{self.manifest.model.name} returns {output.size} values, no image of {height}x{width}; use `run`."
            )
        return np.clip(np.rint(output), 0, 255).astype(np.uint8).reshape(height, width)

    def selftest(self) -> SelftestReport:
        """Replay the golden vectors of the bundle; errors as in `sigedge_runtime.selftest.replay`."""
        from sigedge_runtime.selftest import replay

        return replay(self.bundle, self.engine)

    def close(self) -> None:
        """Free the engine and what was unpacked; closing twice does nothing."""
        self._resources.close()

    def __enter__(self) -> Network:
        """The network itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the network."""
        self.close()

    def _require_task(self, task: str) -> None:
        model = self.manifest.model
        if model.task != task:
            raise BundleError(f"The task of {model.name} is {model.task}, not {task}; use `run`, or another bundle.")
