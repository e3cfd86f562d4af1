"""Which artefact of a bundle shall run here, and on what."""

from __future__ import annotations

from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine, EngineChoice, choose, engine_class, open_chosen
from sigedge_runtime.errors import BundleError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact


def choose_for(
    bundle: Bundle, engine: str, precision: str | None, threads: int | None = 1, *, anew: bool = False
) -> tuple[Artifact, EngineChoice]:
    """The best artefact that the wanted, or any installed, engine runs; and for it the engine that is fastest here.

    Args:
        bundle: opened.
        engine: name of an engine, or ``auto``.
        precision: of the artefact; None for any.
        threads: CPU threads; None takes as many as are fastest here.
        anew: measure, whatever has been measured before.

    Raises:
        BundleError: there is no such artefact; the sentence lists what there is.
        EngineUnavailableError: no installed engine runs any of them.
        EngineError: there is no such engine, or it cannot run the file.
    """
    problem: EngineUnavailableError | None = None
    for artifact in _candidates(bundle, engine, precision):
        try:
            return artifact, choose(engine, artifact, bundle.path(artifact.file), threads, anew=anew)
        except EngineUnavailableError as error:
            problem = problem or error  # of the best one: it says what to install
    assert problem is not None
    raise problem


def open_best(bundle: Bundle, engine: str, precision: str | None, threads: int | None = 1) -> Engine:
    """Open the engine that `choose_for` chooses; arguments and errors as there."""
    artifact, choice = choose_for(bundle, engine, precision, threads)
    return open_chosen(choice, artifact, bundle.path(artifact.file))


def _candidates(bundle: Bundle, engine: str, precision: str | None) -> tuple[Artifact, ...]:
    """Artefacts of the precision that the engine runs, best first.

    Raises:
        BundleError: there is none.
        EngineError: there is no such engine.
    """
    found = bundle.artifacts(precision=precision)
    if engine != "auto":
        found = tuple(one for one in found if one.format in engine_class(engine).formats)
    if not found:
        wanted = f"{precision or 'runnable'} artefact" + ("" if engine == "auto" else f" for the engine {engine}")
        held = ", ".join(artifact.name for artifact in bundle.manifest.artifacts)
        raise BundleError(f"The bundle {bundle.name} has no {wanted}; it holds {held}.")
    return found
