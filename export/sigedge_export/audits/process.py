"""Put a question to a file in a child process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sigedge_export.process import run_step, step_folder
from sigedge_runtime.errors import ExportError


def ask(step: str, artifact: str, arguments: Sequence[str | Path]) -> dict[str, Any]:
    """Run an inspecting step and return the facts it writes.

    Args:
        step: name of the step, which takes ``--facts`` besides `arguments`.
        artifact: name, for the sentence.
        arguments: of the step; paths are absolute.

    Raises:
        ExportError: the step failed; its log is kept and named.
    """
    with step_folder(step.replace("_", "-")) as folder:
        facts = folder / "facts.json"
        try:
            run_step(step, [*arguments, "--facts", facts], folder)
        except ExportError as error:
            raise ExportError(f"Artefact {artifact} does not run. {error}") from error
        told: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    return told
