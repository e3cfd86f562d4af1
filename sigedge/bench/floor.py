"""The floor as a contestant: the library calls of a verification with nothing around them.

The OpenCV and numpy calls of `harmonise` on each image, recorded and replayed in a straight line (`recorder`), and
the bare call that runs the network: `Interpreter.invoke()`, or `InferenceSession.run()`. No check, no quality, no
matching, no store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sigedge.bench.contestants import Runner, Stopwatch

if TYPE_CHECKING:
    from sigedge.bench.contestants import Image
    from sigedge_runtime.manifest import Artifact


def import_libraries(**_: object) -> None:
    """What a device imports."""
    import sigedge_runtime  # noqa: F401


def open_runner(bundle: str | None, engine: str, artifact: str, threads: int) -> FloorRunner:
    """Load the artefact of that name without the runtime's engine around it."""
    return FloorRunner(bundle, engine, artifact, threads)


class FloorRunner(Runner):
    """Replays recorded calls, then runs the network on what lies in its input."""

    def __init__(self, bundle: str | None, engine: str, artifact: str, threads: int) -> None:
        from sigedge_runtime.bundle import Bundle

        with Bundle.open(bundle) as opened:
            found = opened.artifact(artifact)
            self._spec = opened.manifest.harmonisation
            self.invoke = bare_call(engine, found, str(opened.path(found.file)), threads)

    def embed(self, image: Image) -> None:
        """Run the network alone."""
        self.invoke()

    def enroll(self, references: Sequence[Image]) -> None:
        """There is nothing to compare with."""
        return None

    def prepare(self, queries: Sequence[Image]) -> Sequence[Callable[[], None]]:
        """The calls of each image."""
        from sigedge.bench.recorder import record, straight_line
        from sigedge_runtime.preprocessing import harmonise

        return [straight_line(record(lambda image: harmonise(image, self._spec), one), one) for one in queries]

    def verify(self, image: Callable[[], None]) -> Mapping[str, float]:
        """The recorded calls of one image, and the bare inference."""
        watch = Stopwatch()
        with watch.stage("preprocess"):
            image()
        with watch.stage("infer"):
            self.invoke()
        return watch.spent


def bare_call(engine: str, artifact: Artifact, path: str, threads: int) -> Callable[[], Any]:
    """What runs the network once on a canvas of zeros that lies in its input already.

    Raises:
        EngineUnavailableError: the engine is not installed.
    """
    import numpy as np

    from sigedge_runtime.engines import engine_class

    library: Any = engine_class(engine).library()
    zeros = np.zeros(artifact.input.shape, artifact.input.dtype)
    if artifact.format == "tflite":
        interpreter = library.Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], zeros)
        return interpreter.invoke  # type: ignore[no-any-return]
    options = library.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if artifact.precision == "int8":
        options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {artifact.input.name: zeros}
    return lambda: session.run(None, feed)
