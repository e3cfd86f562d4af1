"""Trace a stage of the chain: each format by its own step in a child process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sigedge_export.lab.trace import Trace, load_trace
from sigedge_export.process import run_step
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import Artifact

Progress = Callable[[str], None]

STEPS = {
    "torch_program": "trace_torch",
    "onnx": "trace_onnx",
    "saved_model": "trace_saved_model",
    "tflite": "trace_tflite",
}

BEFORE = {
    "torch_program": (),
    "onnx": (("onnx", "float32"),),
    "saved_model": (("onnx", "float32"),),
    "tflite": (("onnx", "float32"), ("saved_model", "float32"), ("tflite", "float32")),
}
"""Through which other files an artefact of a format came from PyTorch, in order."""


@dataclass(frozen=True)
class Stage:
    """One form of the network on its way from PyTorch to an artefact.

    Attributes:
        name: ``torch``, or the artefact's.
        format: of the file, ``torch_program`` for a checkpoint too.
        precision: of the file.
        path: of the file.
    """

    name: str
    format: str
    precision: str
    path: Path

    def trace(self, canvases: Path, folder: Path) -> Trace:
        """Run it in a child process on canvases ``.npy`` uint8 [N, H, W]; the log stays in `folder`.

        Raises:
            ExportError: the file cannot be run; the text names it and its log.
        """
        step = STEPS[self.format]
        logs = folder / self.name
        logs.mkdir()
        trace = logs / "trace.npz"
        try:
            run_step(step, ["--model", self.path.resolve(), "--canvases", canvases, "--trace", trace], logs)
        except ExportError as error:
            raise ExportError(f"The layers of {self.name} cannot be traced. {error}") from error
        return load_trace(trace)


def stages(bundle: Bundle, artifact: Artifact, checkpoint: Path) -> tuple[list[Stage], list[str]]:
    """The stages from the checkpoint to an artefact that are there to be traced, and names of those that are not.

    Raises:
        ExportError: the artefact's format has no tracing step.
    """
    if artifact.format not in STEPS:
        raise ExportError(f"The layers of {artifact.name} cannot be traced; name an artefact of {', '.join(STEPS)}.")
    found, missing = [Stage("torch", "torch_program", "float32", checkpoint)], []
    wanted = dict.fromkeys([*BEFORE[artifact.format], (artifact.format, artifact.precision)])
    held = {(entry.format, entry.precision): entry for entry in bundle.manifest.artifacts}
    for key in wanted:
        if key not in held:
            missing.append(" ".join(reversed(key)))
            continue
        entry = held[key]
        found.append(Stage(entry.name, entry.format, entry.precision, bundle.path(entry.file)))
    return found, missing
