"""A peer as a contestant: a preprocessing, a network, and the distance to the references.

A comparison with the references in memory is generous to a peer: no store is read, and no threshold looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigedge.bench.contestants import Runner, Stopwatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sigedge.bench.contestants import Image

    Vector = NDArray[np.float32]


class Pipeline(Runner):
    """Verifies by the mean cosine to the references.

    Args:
        preprocess: uint8 [H, W] to whatever the network takes.
        network: that to an embedding float32 [D] or [1, D].
    """

    def __init__(self, preprocess: Callable[[Any], Any], network: Callable[[Any], Any]) -> None:
        self._preprocess, self._network = preprocess, network
        self._references: Vector | None = None

    def embed(self, image: Image) -> None:
        """See `Runner`."""
        self.embedding(image)

    def embedding(self, image: Image, watch: Stopwatch | None = None) -> Vector:
        """The embedding at unit length, float32 [D]."""
        import numpy as np

        watch = watch or Stopwatch()
        with watch.stage("preprocess"):
            canvas = self._preprocess(image)
        with watch.stage("infer"):
            vector = np.asarray(self._network(canvas), np.float32).reshape(-1)
        with watch.stage("match"):
            unit: Vector = vector / np.linalg.norm(vector)
        return unit

    def enroll(self, references: Sequence[Image]) -> None:
        """See `Runner`."""
        import numpy as np

        self._references = np.stack([self.embedding(image) for image in references])

    def save(self, path: Path) -> None:
        """Write the references down for a process that starts later, ``.npy``."""
        import numpy as np

        np.save(path, self._references)  # type: ignore[arg-type]

    def load(self, path: Path) -> None:
        """Read references that `save` wrote."""
        import numpy as np

        self._references = np.load(path)

    def verify(self, image: Image) -> Mapping[str, float]:
        """See `Runner`."""
        self.score(image, watch := Stopwatch())
        return watch.spent

    def score(self, image: Image, watch: Stopwatch | None = None) -> float:
        """Mean cosine to the references, -1 to 1."""
        assert self._references is not None, "enroll comes first"
        watch = watch or Stopwatch()
        vector = self.embedding(image, watch)
        with watch.stage("match"):
            return float((self._references @ vector).mean())
