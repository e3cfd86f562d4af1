"""Which artefacts the chain can make, and what each must look like.

A new format or precision is one more entry of `TARGETS`, and the step that makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import FORMATS, PRECISIONS, Quantization, Tensor

CALIBRATED = ("dynamic_range", "int8", "int16_activations", "mixed")
"""Precisions that are made with calibration canvases, which set ranges of activations or correct biases."""


@dataclass(frozen=True)
class Target:
    """One kind of artefact.

    Attributes:
        format: one of `sigedge_runtime.manifest.FORMATS`.
        precision: one of `sigedge_runtime.manifest.PRECISIONS`.
        suffix: end of the file name.
        layout: of the input, ``"NHWC"`` or ``"NCHW"``.
        input_dtype: of the input.
    """

    format: str
    precision: str
    suffix: str
    layout: str
    input_dtype: str = "float32"

    @property
    def key(self) -> str:
        """Short name, e.g. ``int8-tflite``; the artefact is called ``<model>-<key>``."""
        return f"{self.precision}-{self.format}"

    @property
    def calibrated(self) -> bool:
        """Whether making it takes calibration canvases."""
        return self.precision in CALIBRATED

    def file(self, model: str) -> str:
        """Path of the artefact inside a bundle."""
        return f"artifacts/{model}-{self.precision}{self.suffix}"

    def tensors(self, height: int, width: int, output_size: int) -> tuple[Tensor, Tensor]:
        """Declared input and output for canvases `height` x `width` and `output_size` values returned."""
        shape = (1, height, width, 1) if self.layout == "NHWC" else (1, 1, height, width)
        raw_canvas = Quantization(scale=1.0, zero_point=0) if self.input_dtype == "uint8" else None
        return (
            Tensor("canvas", shape, self.input_dtype, self.layout, raw_canvas),
            Tensor("embedding", (1, output_size), "float32", "ND", None),
        )


TARGETS = (
    Target("torch_program", "float32", ".pt2", "NCHW"),
    Target("onnx", "float32", ".onnx", "NCHW"),
    Target("onnx", "float16", ".onnx", "NCHW"),
    Target("onnx", "int8", ".onnx", "NCHW"),
    Target("saved_model", "float32", "-saved_model", "NHWC"),
    Target("tflite", "float32", ".tflite", "NHWC"),
    Target("tflite", "float16", ".tflite", "NHWC"),
    Target("tflite", "dynamic_range", ".tflite", "NHWC"),
    Target("tflite", "int8", ".tflite", "NHWC", input_dtype="uint8"),
    Target("tflite", "int16_activations", ".tflite", "NHWC"),
    Target("tflite", "mixed", ".tflite", "NHWC"),
)

_STAGE = "a SavedModel is the float32 stage between ONNX and TFLite; ask for tflite"
_REFERENCE = "a torch.export program is the float32 reference that the others are measured against"
_REDUCED = ("float16", "dynamic_range", "int8", "int16_activations", "mixed")

NOT_OFFERED = {
    **{f"{precision}-saved_model": _STAGE for precision in _REDUCED},
    **{f"{precision}-torch_program": _REFERENCE for precision in _REDUCED},
    "dynamic_range-onnx": "TensorRT takes no ranges measured while it runs; ask for int8, whose ranges are in the file",
    "int16_activations-onnx": "TensorRT has no 16-bit integer activations; ask for float16",
    "mixed-onnx": "layers are kept in float by the quantiser of TFLite files alone; ask for float16 or int8",
}
"""Combinations that no model has, and why; those of one model stand in its ``export.json``."""


def choose_targets(
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    declined: Mapping[str, str] | None = None,
) -> tuple[Target, ...]:
    """All targets of the given formats and precisions.

    Combinations in `NOT_OFFERED` are left out as long as every format and precision that was named yields something.

    Args:
        formats: None takes all.
        precisions: None takes all.
        declined: combinations that this model does not offer, by key, and why; they are left out, but naming both the
            format and the precision of one is an error.

    Raises:
        ExportError: an unknown format or precision, one that yields nothing, or a declined combination was named.
    """
    for kind, chosen, known in (("format", formats, FORMATS), ("precision", precisions, PRECISIONS)):
        if unknown := [name for name in chosen or () if name not in known]:
            raise ExportError(f"Unknown {kind} {', '.join(unknown)}; choose among {', '.join(known)}.")
    declined = declined or {}
    wanted = [
        f"{precision}-{format_}"
        for format_ in (FORMATS if formats is None else formats)
        for precision in (PRECISIONS if precisions is None else precisions)
    ]
    targets = tuple(target for target in TARGETS if target.key in wanted and target.key not in declined)
    _check_named(targets, formats, precisions, {key: {**NOT_OFFERED, **declined}.get(key, "") for key in wanted})
    if formats is not None and precisions is not None and (refused := [key for key in wanted if key in declined]):
        raise _refusal({key: declined[key] for key in refused})
    return targets


def _check_named(
    targets: tuple[Target, ...],
    formats: Sequence[str] | None,
    precisions: Sequence[str] | None,
    reasons: Mapping[str, str],
) -> None:
    """Every format and precision that somebody named yields at least one target."""
    barren = [name for name in formats or () if name not in {target.format for target in targets}]
    barren += [name for name in precisions or () if name not in {target.precision for target in targets}]
    if barren or not targets:
        named = {key: why for key, why in reasons.items() if why and set(key.split("-", 1)) & {*barren}}
        raise _refusal(named)


def _refusal(reasons: Mapping[str, str]) -> ExportError:
    told = "; ".join(f"{key}: {reason}" for key, reason in reasons.items())
    return ExportError(
        f"There is nothing to export for that choice ({told or 'no format or no precision is named'}); "
        f"leave it out, or choose among {', '.join(target.key for target in TARGETS)}."
    )
