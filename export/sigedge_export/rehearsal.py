"""The self-test that every device runs before it serves, run on the finished bundle before it ships."""

from __future__ import annotations

from collections.abc import Callable

from sigedge_runtime import engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ParityError
from sigedge_runtime.selftest import replay


def rehearse(bundle: Bundle, *, progress: Callable[[str], None] = lambda _: None) -> None:
    """Replay the golden vectors with every artefact on every engine found here.

    Args:
        bundle: finished, with its manifest and vectors.
        progress: told what is being replayed.

    Raises:
        ParityError: a device would refuse to serve with an artefact; the text names the first thing that differs.
    """
    found = [name for name, status in engines.available().items() if status.available]
    for artifact in bundle.artifacts():
        for name in found:
            if artifact.format not in engines.engine_class(name).formats:
                continue
            progress(f"self-test of {artifact.name} on {name}")
            with engines.open_engine(name, artifact, bundle.path(artifact.file)) as engine:
                report = replay(bundle, engine)
            if not report.passed:
                raise ParityError(
                    f"Artefact {artifact.name} on {name} does not reproduce the golden vectors: {report.failures[0]} "
                    "Export again, or leave this precision out."
                )
