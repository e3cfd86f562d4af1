"""ONNX Runtime on the CPU (package onnxruntime)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.engines.base import Engine, TensorFacts

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}
_ERRORS_ONLY = 3


class OnnxruntimeEngine(Engine):
    """Runs ``.onnx`` files on the CPU.

    int8 files (QDQ) run without graph optimisation: fused integer kernels round otherwise than the graph says, so that
    results would differ from those of the accelerators the files are made for.
    """

    name = "onnxruntime"
    formats = frozenset({"onnx"})
    module = "onnxruntime"
    distribution = "onnxruntime"

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        options = library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = _ERRORS_ONLY
        if self.artifact.precision == "int8":
            options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = library.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        (taken,), (given,) = self._session.get_inputs(), self._session.get_outputs()
        self._input = taken.name
        return _facts(taken), _facts(given)

    def _infer_impl(self, tensor: NDArray[Any]) -> NDArray[Any]:
        (result,) = self._session.run(None, {self._input: tensor})
        return np.asarray(result)

    def _close_impl(self) -> None:
        del self._session


def _facts(value: Any) -> TensorFacts:
    """Shape and type of a graph input or output; a dynamic side, for which there is a name, counts as 0."""
    shape = tuple(side if isinstance(side, int) else 0 for side in value.shape)
    return TensorFacts(shape, _DTYPES.get(value.type, value.type))
