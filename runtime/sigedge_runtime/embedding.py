"""From an image to an embedding, with all that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sigedge_runtime._clock import Clock
from sigedge_runtime.engines import Engine
from sigedge_runtime.errors import QualityError
from sigedge_runtime.images import ImageSource, describe, read_image
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.matching import Matching
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise
from sigedge_runtime.results import Embedding


@dataclass(frozen=True)
class Embedder:
    """Embeds images with one open engine; a pickled one is opened again, with an engine of its own.

    Attributes:
        engine: runs the network.
        preprocess: how an image becomes a canvas.
        matching: prepares embeddings for comparison.
        identity: of the embeddings, see `Embedding`.
    """

    engine: Engine
    preprocess: PreprocessSpec
    matching: Matching
    identity: str

    def embed(self, image: ImageSource, clock: Clock | None = None) -> Embedding:
        """Embed one image; the timings are the clock's.

        Raises:
            ImageError: the image cannot be read.
            QualityError: it shows no usable signature; the sentence says why.
            EngineError: inference failed.
        """
        clock = clock or Clock()
        with clock.stage("decode"):
            pixels = read_image(image)
        with clock.stage("preprocess"):
            canvas, quality = harmonise(pixels, self.preprocess)
        if not quality.usable:
            raise QualityError(f"{describe(image)} shows no usable signature: {quality.reasons}", quality)
        with clock.stage("infer"):
            vector = self.matching.prepare(self.engine.infer(canvas))
        return Embedding(vector, self.identity, quality, clock.timings())

    def __reduce__(self) -> tuple[Callable[..., Embedder], tuple[object, ...]]:
        """What opens it again where the file of its engine is at hand."""
        engine = self.engine
        opened = (type(engine), engine.artifact, engine.path, engine.threads)
        return _open_again, (*opened, self.preprocess, self.matching, self.identity)


def _open_again(
    kind: type[Engine],
    artifact: Artifact,
    path: Path,
    threads: int,
    preprocess: PreprocessSpec,
    matching: Matching,
    identity: str,
) -> Embedder:
    return Embedder(kind(artifact, path, threads).open(), preprocess, matching, identity)
