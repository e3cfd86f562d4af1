"""Which artefact of a bundle shall run here."""

from __future__ import annotations

from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import engine_class, installed_engine
from sigedge_runtime.errors import BundleError
from sigedge_runtime.manifest import Artifact


def choose_artifact(bundle: Bundle, engine: str, precision: str | None) -> Artifact:
    """The best artefact that the wanted, or any installed, engine runs.

    Args:
        bundle: opened.
        engine: name of an engine, or ``auto``.
        precision: of the artefact; None for any.

    Raises:
        BundleError: there is none; the sentence lists what there is.
        EngineError: there is no such engine.
    """
    candidates = bundle.artifacts(precision=precision)
    if engine != "auto":
        candidates = tuple(one for one in candidates if one.format in engine_class(engine).formats)
    if not candidates:
        wanted = f"{precision or 'runnable'} artefact" + ("" if engine == "auto" else f" for the engine {engine}")
        held = ", ".join(artifact.name for artifact in bundle.manifest.artifacts)
        raise BundleError(f"The bundle {bundle.name} has no {wanted}; it holds {held}.")
    for candidate in candidates:
        if engine != "auto" or installed_engine(candidate.format) is not None:
            return candidate
    # None is installed: opening the best one says what to install.
    return candidates[0]
