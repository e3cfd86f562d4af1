"""What a bundle says of itself: its artefacts, preprocessing, decision rule and provenance.

`manifest.schema.json` beside this file describes the same for readers in other languages.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sigedge_runtime._records import Record, dump_json, one_of, parse_json, require, unique
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import BundleError
from sigedge_runtime.preprocessing import PreprocessSpec

FORMAT_VERSION = 1
FORMATS = ("tflite", "onnx", "saved_model", "torch_program")
PRECISIONS = ("float32", "float16", "dynamic_range", "int8", "int16_activations", "mixed")
INPUT_DTYPES = ("uint8", "float32")
OUTPUT_DTYPES = ("float32", "int8", "uint8")
LAYOUTS = ("NHWC", "NCHW", "ND")
TASKS = ("verification", "classification", "image")
REJECTIONS = ("max_logit", "energy")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2}))?")


@dataclass(frozen=True)
class Quantization(Record):
    """Affine quantisation of a tensor: real value = scale * (stored value - zero_point)."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        require(math.isfinite(self.scale) and self.scale > 0, "scale must be a positive number")
        require(-128 <= self.zero_point <= 255, "zero_point must be between -128 and 255")


@dataclass(frozen=True)
class Tensor(Record):
    """Input or output of an artefact.

    Attributes:
        name: the tensor's name in the file.
        shape: static, batch first; inputs [1, H, W, 1] (NHWC) or [1, 1, H, W] (NCHW), outputs [1, D].
        dtype: ``uint8`` or ``float32`` for inputs; ``float32``, ``int8`` or ``uint8`` for outputs.
        layout: ``NHWC`` or ``NCHW`` for inputs, ``ND`` for outputs.
        quantization: how to read stored integers as real values; None for float tensors.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    quantization: Quantization | None

    def __post_init__(self) -> None:
        require(self.name != "", "name must not be empty")
        require(len(self.shape) > 0 and min(self.shape) > 0, "shape must hold positive sizes")
        one_of("layout", self.layout, LAYOUTS)
        require(len(self.shape) == len(self.layout), f"shape {list(self.shape)} does not fit layout {self.layout}")
        require(self.shape[0] == 1, "shape must have a batch size of 1")

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Height and width of an input."""
        return (self.shape[1], self.shape[2]) if self.layout == "NHWC" else (self.shape[2], self.shape[3])


@dataclass(frozen=True)
class Artifact(Record):
    """One deployable model file.

    Attributes:
        name: unique in the bundle, e.g. ``edgesig-int8-tflite``.
        file: path inside the bundle; a folder where the format is ``saved_model``.
        format: one of `FORMATS`; the runtime runs ``tflite`` and ``onnx``.
        precision: one of `PRECISIONS`.
        sha256: of the file, or of the folder's tree (`bundle.hash_tree`).
        size: bytes.
        input: takes raw canvas values 0 to 255.
        output: the unnormalised embedding of a verifier, the scores of a classifier before softmax or sigmoid, or an
            image in rows.
        score_tolerance: largest difference to the reference model that counts as parity, in (0, 2]: of a verifier's
            scores, of a classifier's probabilities, or the root mean square over an image as a share of 255.
    """

    name: str
    file: str
    format: str
    precision: str
    sha256: str
    size: int
    input: Tensor
    output: Tensor
    score_tolerance: float

    def __post_init__(self) -> None:
        require(_NAME.fullmatch(self.name) is not None, f"name {self.name!r} must be letters, digits, '.', '_', '-'")
        _require_path("file", self.file)
        one_of("format", self.format, FORMATS)
        one_of("precision", self.precision, PRECISIONS)
        _require_sha256("sha256", self.sha256)
        require(self.size > 0, "size must be positive")
        one_of("input.dtype", self.input.dtype, INPUT_DTYPES)
        one_of("input.layout", self.input.layout, ("NHWC", "NCHW"))
        one_of("output.dtype", self.output.dtype, OUTPUT_DTYPES)
        one_of("output.layout", self.output.layout, ("ND",))
        quantised = self.output.dtype != "float32"
        require(quantised == (self.output.quantization is not None), "output.quantization goes with integer dtypes")
        require(0 < self.score_tolerance <= 2, "score_tolerance must be above 0 and at most 2")


@dataclass(frozen=True)
class Rejection(Record):
    """When a classifier says that a canvas is of none of its classes.

    Attributes:
        measure: ``max_logit``, the largest score of a class (Hendrycks et al., ICML 2022), or ``energy``, the logarithm
            of the sum of their exponentials (Liu et al., NeurIPS 2020, eq. 4).
        threshold: below it the canvas is rejected.
    """

    measure: str
    threshold: float

    def __post_init__(self) -> None:
        one_of("measure", self.measure, REJECTIONS)
        require(math.isfinite(self.threshold), "threshold must be finite")


@dataclass(frozen=True)
class ModelInfo(Record):
    """The network behind the artefacts.

    Attributes:
        name: of the trained model.
        architecture: folder of `sigedge_models` that builds it.
        version: of the trained model.
        checkpoint_sha256: of the checkpoint.
        task: one of `TASKS`, what its output means.
        output_size: values it returns, D.
        labels: of a classifier's outputs, in their order; empty for other tasks.
        rejection: when a classifier rejects; None when it always names a class, and for other tasks.
        parameters: number of weights.
        licence: of the weights, one sentence.
    """

    name: str
    architecture: str
    version: str
    checkpoint_sha256: str
    task: str
    output_size: int
    labels: tuple[str, ...]
    rejection: Rejection | None
    parameters: int
    licence: str

    def __post_init__(self) -> None:
        require(_NAME.fullmatch(self.name) is not None, f"name {self.name!r} must be letters, digits, '.', '_', '-'")
        _require_sha256("checkpoint_sha256", self.checkpoint_sha256)
        one_of("task", self.task, TASKS)
        require(self.output_size > 0, "output_size must be positive")
        wanted = self.output_size if self.task == "classification" else 0
        require(len(self.labels) == wanted, f"labels must name {wanted} outputs")
        unique("labels", self.labels)
        require(self.rejection is None or self.task == "classification", "rejection belongs to a classifier")
        require(self.parameters > 0, "parameters must be positive")


@dataclass(frozen=True)
class Manifest(Record):
    """Everything a bundle says of itself.

    Attributes:
        format_version: `FORMAT_VERSION`.
        created: ISO 8601 date, or date and time with a zone.
        model: the network.
        preprocess: how an image becomes a canvas; None for an ``image`` network, which takes canvases as they are.
        artifacts: the deployable files; names are unique.
        decision: fusion, thresholds and calibration of a verifier; None for other tasks.
        vectors: path of the golden vectors inside the bundle.
        card: path of the model card inside the bundle.
        training: free-form facts: data sets, seed and the like.
        tools: versions of the tools that made the bundle.
        files: SHA-256 of every file of the bundle but ``manifest.json`` and its signature, ``manifest.sig``.
    """

    format_version: int
    created: str
    model: ModelInfo
    preprocess: PreprocessSpec | None
    artifacts: tuple[Artifact, ...]
    decision: Decision | None
    vectors: str
    card: str
    training: dict[str, Any]
    tools: dict[str, str]
    files: dict[str, str]

    def __post_init__(self) -> None:
        require(self.format_version == FORMAT_VERSION, f"format_version must be {FORMAT_VERSION}")
        require(_DATE.fullmatch(self.created) is not None, f"created {self.created!r} must be an ISO 8601 date")
        require(len(self.artifacts) > 0, "artifacts must not be empty")
        unique("artifacts", (artifact.name for artifact in self.artifacts))
        task = self.model.task
        require((self.decision is not None) == (task == "verification"), f"decision does not fit the task {task}")
        require((self.preprocess is None) == (task == "image"), f"preprocess does not fit the task {task}")
        cells = self.decision.matching.cells if self.decision and self.decision.matching else 1
        require(self.model.output_size % cells == 0, f"output_size must hold a vector for each of {cells} cells")
        for path, digest in self.files.items():
            _require_path("files", path)
            _require_sha256(f"files[{path!r}]", digest)
        for path in (self.vectors, self.card):
            require(path in self.files, f"files lacks {path!r}")
        for artifact in self.artifacts:
            self._check_artifact(artifact)

    def _check_artifact(self, artifact: Artifact) -> None:
        """Hold an artefact against the rest of the manifest."""
        if artifact.format == "saved_model":
            listed = any(path.startswith(f"{artifact.file}/") for path in self.files)
        else:
            listed = self.files.get(artifact.file) == artifact.sha256
        require(listed, f"files does not list {artifact.file!r} with the SHA-256 of artefact {artifact.name!r}")
        height, width = self._canvas_shape()
        expected = (1, height, width, 1) if artifact.input.layout == "NHWC" else (1, 1, height, width)
        require(artifact.input.shape == expected, f"artefact {artifact.name!r} does not take a {height}x{width} canvas")
        size = self.model.output_size
        require(artifact.output.shape == (1, size), f"artefact {artifact.name!r} does not return {size} values")

    def _canvas_shape(self) -> tuple[int, int]:
        if self.preprocess is not None:
            return self.preprocess.canvas_height, self.preprocess.canvas_width
        return self.artifacts[0].input.canvas_shape

    @property
    def verification(self) -> Decision:
        """The decision rule of a verifier.

        Raises:
            BundleError: the bundle holds a network of another task.
        """
        if self.decision is None:
            raise BundleError(
                f"{self.model.name} is no verifier, its task is {self.model.task}; open it with "
                "sigedge_runtime.Network, or give the bundle of a verifier."
            )
        return self.decision

    @property
    def harmonisation(self) -> PreprocessSpec:
        """How an image becomes a canvas.

        Raises:
            BundleError: the network takes canvases as they are.
        """
        if self.preprocess is None:
            raise BundleError(
                f"{self.model.name} reads no harmonised signatures, its task is {self.model.task}; open it with "
                "sigedge_runtime.Network, or give the bundle of a verifier."
            )
        return self.preprocess

    @classmethod
    def from_json(cls, text: str, where: str = "manifest.json") -> Manifest:
        """Read a manifest.

        Raises:
            BundleError: not JSON, another format version, or against a rule; the sentence names the field.
        """
        data = parse_json(text, where)
        version = data.get("format_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise BundleError(
                f"{where} has format version {version}, newer than {FORMAT_VERSION}; update sigedge on this device."
            )
        return cls.from_dict(data, where)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, indent 2, a final newline."""
        return dump_json(self)


def _require_sha256(field: str, value: str) -> None:
    require(_SHA256.fullmatch(value) is not None, f"{field} must be 64 lower-case hexadecimal digits")


def _require_path(field: str, value: str) -> None:
    require(is_safe_path(value), f"{field} {value!r} must be a relative path inside the bundle")


def is_safe_path(path: str) -> bool:
    """Whether `path` is relative, in normal form, with forward slashes, and stays inside its folder."""
    if not path or "\\" in path or ":" in path or "\0" in path:
        return False
    parts = PurePosixPath(path).parts
    return ".." not in parts and "/".join(parts) == path and not path.startswith("/") and path != "."
