"""The order of the hops: for each artefact the step that makes it, and what that step reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sigedge_export.options import ExportOptions
from sigedge_export.targets import TARGETS, Target


@dataclass(frozen=True)
class Recipe:
    """How an artefact is made.

    Attributes:
        step: module below `sigedge_export.steps`.
        source: key of the artefact that the step reads; None for the checkpoint.
        reads: option of the step that takes the source.
        writes: option of the step that takes the file to write.
        tools: distributions whose version the result depends on.
    """

    step: str
    source: str | None
    reads: str
    writes: str
    tools: tuple[str, ...]


_TORCH = ("torch", "numpy")
_TO_ONNX = (*_TORCH, "onnx", "onnxscript", "onnx-ir")
_ORT = ("onnxruntime", "onnx", "numpy")
_TF = ("tensorflow", "numpy")
_QUANTIZER = ("ai-edge-quantizer", "ai-edge-litert", "numpy")

RECIPES: Mapping[str, Recipe] = {
    "float32-torch_program": Recipe("torch_to_program", None, "--checkpoint", "--program", _TORCH),
    "float32-onnx": Recipe("torch_to_onnx", None, "--checkpoint", "--onnx", _TO_ONNX),
    "float16-onnx": Recipe("onnx_to_float16", "float32-onnx", "--onnx", "--float16", _ORT),
    "int8-onnx": Recipe("onnx_to_qdq", "float32-onnx", "--onnx", "--qdq", _ORT),
    "float32-saved_model": Recipe(
        "onnx_to_saved_model", "float32-onnx", "--onnx", "--saved-model", (*_TF, "onnx2tf", "onnx")
    ),
    **{
        f"{precision}-tflite": Recipe(
            "saved_model_to_tflite", "float32-saved_model", "--saved-model", f"--{precision}", (*_TF, "ai-edge-litert")
        )
        for precision in ("float32", "float16", "int8")
    },
    **{
        f"{precision}-tflite": Recipe(
            "tflite_to_quantized", "float32-tflite", "--tflite", f"--{precision.replace('_', '-')}", _QUANTIZER
        )
        for precision in ("dynamic_range", "int16_activations", "mixed")
    },
}


@dataclass(frozen=True)
class Conversion:
    """One hop with its paths.

    Attributes:
        target: what it makes.
        recipe: how.
        inputs: files the step reads, by option.
        output: file (folder for a SavedModel) it writes.
        arguments: of the step beside its paths.
    """

    target: Target
    recipe: Recipe
    inputs: Mapping[str, Path]
    output: Path
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str | Path]:
        """Command line of the step."""
        paths = {**self.inputs, self.recipe.writes: self.output}
        return [*(part for option in paths.items() for part in option), *self.arguments]


def plan(
    checkpoint: Path, work: Path, targets: Sequence[Target], calibration: Path, options: ExportOptions
) -> list[Conversion]:
    """Every hop that the targets need, each after the one whose file it reads.

    Args:
        checkpoint: the trained model, absolute.
        work: folder of every file that is made, absolute.
        targets: what to make.
        calibration: ``.npy`` of the calibration canvases, absolute.
        options: of the model, for its float layers.
    """
    needed = {target.key for target in targets}
    # A source stands before what is made of it, so one pass from the end finds all.
    for target in reversed(TARGETS):
        source = RECIPES[target.key].source
        if target.key in needed and source is not None:
            needed.add(source)
    made = {target.key: work / f"{target.precision}{target.suffix}" for target in TARGETS}
    conversions = []
    for target in (target for target in TARGETS if target.key in needed):
        recipe = RECIPES[target.key]
        inputs = {recipe.reads: checkpoint if recipe.source is None else made[recipe.source]}
        if target.calibrated:
            inputs["--calibration"] = calibration
        layers = options.float_layers if target.precision == "mixed" else ()
        arguments = tuple(f"--float-layer={layer}" for layer in layers)
        conversions.append(Conversion(target, recipe, inputs, made[target.key], arguments))
    return conversions
