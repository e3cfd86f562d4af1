"""Which artefacts the chain can make, and what each must look like.

A new format or precision is one more entry of `TARGETS`, and the step that makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import FORMATS, PRECISIONS, Quantization, Tensor


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

    def file(self, model: str) -> str:
        """Path of the artefact inside a bundle."""
        return f"artifacts/{model}-{self.precision}{self.suffix}"

    def tensors(self, height: int, width: int, embedding_size: int) -> tuple[Tensor, Tensor]:
        """Declared input and output for canvases `height` x `width` and embeddings of `embedding_size`."""
        shape = (1, height, width, 1) if self.layout == "NHWC" else (1, 1, height, width)
        raw_canvas = Quantization(scale=1.0, zero_point=0) if self.input_dtype == "uint8" else None
        return (
            Tensor("canvas", shape, self.input_dtype, self.layout, raw_canvas),
            Tensor("embedding", (1, embedding_size), "float32", "ND", None),
        )


TARGETS = (
    Target("onnx", "float32", ".onnx", "NCHW"),
    Target("onnx", "int8", ".onnx", "NCHW"),
    Target("saved_model", "float32", "-saved_model", "NHWC"),
    Target("tflite", "float32", ".tflite", "NHWC"),
    Target("tflite", "float16", ".tflite", "NHWC"),
    Target("tflite", "int8", ".tflite", "NHWC", input_dtype="uint8"),
)

NOT_OFFERED = {
    "float16-onnx": "no engine of this version runs half-precision ONNX",
    "float16-saved_model": "a SavedModel is the float32 stage between ONNX and TFLite",
    "int8-saved_model": "a SavedModel is the float32 stage between ONNX and TFLite",
}


def choose_targets(formats: Sequence[str], precisions: Sequence[str]) -> tuple[Target, ...]:
    """All targets of the given formats and precisions; combinations in `NOT_OFFERED` are left out.

    Raises:
        ExportError: an unknown format or precision, or nothing is left.
    """
    for kind, chosen, known in (("format", formats, FORMATS), ("precision", precisions, PRECISIONS)):
        if unknown := [name for name in chosen if name not in known]:
            raise ExportError(f"Unknown {kind} {', '.join(unknown)}; choose among {', '.join(known)}.")
    targets = tuple(t for t in TARGETS if t.format in formats and t.precision in precisions)
    if not targets:
        wanted = [f"{precision}-{format_}" for format_ in formats for precision in precisions]
        reasons = "; ".join(f"{key}: {NOT_OFFERED[key]}" for key in wanted)
        raise ExportError(
            f"There is nothing to export ({reasons or 'no format or no precision is named'}); "
            f"choose among {', '.join(target.key for target in TARGETS)}."
        )
    return targets
