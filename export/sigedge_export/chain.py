"""The hops from a checkpoint to every wanted file: PyTorch, ONNX, SavedModel, TFLite, and ONNX to QDQ."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sigedge_export.process import run_step
from sigedge_export.targets import Target
from sigedge_runtime.errors import ExportError

Progress = Callable[[str], None]
Canvases = NDArray[np.uint8]


def run_chain(
    checkpoint: Path,
    work: Path,
    targets: Sequence[Target],
    calibration: Canvases | None,
    *,
    logs: Path,
    progress: Progress = lambda _: None,
) -> dict[Target, Path]:
    """Make the wanted files and, on the way, no hop that none of them needs.

    Args:
        checkpoint: the trained model.
        work: existing folder for intermediate and final files.
        targets: what to make.
        calibration: canvases uint8 [N, H, W]; needed when a target is int8.
        logs: existing folder; each step writes ``<step>.log`` there.
        progress: told each step before it runs.

    Returns:
        The file (folder for a SavedModel) of each target, all below `work`.

    Raises:
        ExportError: a step failed, or int8 is wanted without usable calibration canvases.
    """
    work = work.resolve()
    hops = _Hops(checkpoint.resolve(), work, targets, logs.resolve(), progress)
    if any(target.precision == "int8" for target in targets):
        np.save(hops.calibration, check_calibration(calibration))
    hops.run()
    return {target: hops.path(target) for target in targets}


def check_calibration(canvases: Canvases | None) -> Canvases:
    """The canvases, when an int8 file can be calibrated on them.

    Raises:
        ExportError: there are none, or they do not reach from 0 to 255, which the input scale of 1 rests on.
    """
    if canvases is None or len(canvases) == 0:
        raise ExportError("An int8 artefact needs calibration canvases; give some, or leave int8 out.")
    if canvases.dtype != np.uint8 or canvases.ndim != 3 or (canvases.min(), canvases.max()) != (0, 255):
        raise ExportError(
            f"The calibration canvases ({canvases.dtype}, shape {canvases.shape}) must be uint8 [N, H, W] and "
            "reach both 0 and 255; make them with sigedge_runtime.preprocessing.harmonise."
        )
    return canvases


class _Hops:
    """The steps in order, each with its paths."""

    def __init__(self, checkpoint: Path, work: Path, targets: Sequence[Target], logs: Path, progress: Progress) -> None:
        self._checkpoint, self._work, self._logs, self._progress = checkpoint, work, logs, progress
        self._targets = targets
        self.calibration = work / "calibration.npy"
        self._onnx = work / "float32.onnx"
        self._qdq = work / "int8.onnx"
        self._saved_model = work / "saved_model"

    def path(self, target: Target) -> Path:
        if target.format == "onnx":
            return self._onnx if target.precision == "float32" else self._qdq
        return self._saved_model if target.format == "saved_model" else self._work / f"{target.precision}.tflite"

    def run(self) -> None:
        wanted = {(target.format, target.precision) for target in self._targets}
        formats = {format_ for format_, _ in wanted}
        self._step("torch_to_onnx", ["--checkpoint", self._checkpoint, "--onnx", self._onnx])
        if ("onnx", "int8") in wanted:
            calibration: list[str | Path] = ["--calibration", self.calibration]
            self._step("onnx_to_qdq", ["--onnx", self._onnx, "--qdq", self._qdq, *calibration])
        if formats & {"saved_model", "tflite"}:
            self._step("onnx_to_saved_model", ["--onnx", self._onnx, "--saved-model", self._saved_model])
        if "tflite" in formats:
            self._step("saved_model_to_tflite", self._tflite_arguments())

    def _tflite_arguments(self) -> list[str | Path]:
        arguments: list[str | Path] = ["--saved-model", self._saved_model]
        for target in self._targets:
            if target.format == "tflite":
                arguments += [f"--{target.precision}", self.path(target)]
            if target.precision == "int8":
                arguments += ["--calibration", self.calibration]
        return arguments

    def _step(self, name: str, arguments: Sequence[str | Path]) -> None:
        self._progress(name)
        run_step(name, arguments, self._logs)


def place(source: Path, destination: Path) -> None:
    """Move a file or folder into a bundle, making the folders above it.

    Raises:
        ExportError: a step reported success but `source` is not there.
    """
    if not source.exists():
        raise ExportError(
            f"The chain reported success but wrote no {source.name}; read the logs and report it as a bug."
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, destination)
