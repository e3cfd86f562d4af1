"""What LiteRT and its predecessor share: one interpreter interface."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.manifest import Quantization


class TfliteEngine(Engine):
    """Runs ``.tflite`` files on the CPU through an `Interpreter` class."""

    formats = frozenset({"tflite"})

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        self._interpreter = library.Interpreter(model_path=str(self.path), num_threads=self.threads)
        self._interpreter.allocate_tensors()
        (taken,), (given,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = taken["index"], given["index"]
        return _facts(taken), _facts(given)

    def _infer_impl(self, tensor: NDArray[Any]) -> NDArray[Any]:
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        result: NDArray[Any] = self._interpreter.get_tensor(self._output)
        return result

    def _close_impl(self) -> None:
        del self._interpreter


def _facts(details: dict[str, Any]) -> TensorFacts:
    scale, zero_point = details["quantization"]
    quantization = Quantization(float(scale), int(zero_point)) if scale else None
    return TensorFacts(tuple(int(side) for side in details["shape"]), np.dtype(details["dtype"]).name, quantization)
