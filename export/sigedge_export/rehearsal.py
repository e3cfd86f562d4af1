"""The self-test that every device runs before it serves, run on the finished bundle before it ships."""

from __future__ import annotations

from collections.abc import Callable

from sigedge_runtime import engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import EngineError, ParityError
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.selftest import replay

Progress = Callable[[str], None]


def rehearse(bundle: Bundle, *, progress: Progress = lambda _: None) -> None:
    """Replay the golden vectors with every artefact on every engine found here.

    An engine that cannot load an artefact is passed over as long as another one can: the audit reports it.

    Args:
        bundle: finished, with its manifest and vectors.
        progress: told what is being replayed.

    Raises:
        ParityError: a device would refuse to serve with an artefact; the text names the first thing that differs.
        EngineError: no engine found here loads an artefact.
    """
    found = [name for name, status in engines.available().items() if status.available]
    for artifact in bundle.artifacts():
        fitting = [name for name in found if artifact.format in engines.engine_class(name).formats]
        refusals = [error for name in fitting if (error := _replay(bundle, artifact, name, progress)) is not None]
        if fitting and len(refusals) == len(fitting):
            raise refusals[0]


def _replay(bundle: Bundle, artifact: Artifact, name: str, progress: Progress) -> EngineError | None:
    """The error of an engine that cannot load the artefact."""
    progress(f"self-test of {artifact.name} on {name}")
    try:
        engine = engines.open_engine(name, artifact, bundle.path(artifact.file))
    except EngineError as error:
        return error
    with engine:
        report = replay(bundle, engine)
    if not report.passed:
        raise ParityError(
            f"Artefact {artifact.name} on {name} does not reproduce the golden vectors: {report.failures[0]} "
            "Export again, or leave this precision out."
        )
    return None
