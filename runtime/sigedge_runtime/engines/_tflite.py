"""What LiteRT and its predecessor share: one interpreter interface."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.engines._tflite_graph import Graph, Operator
from sigedge_runtime.engines.base import Engine, TensorFacts
from sigedge_runtime.manifest import Quantization


class TfliteEngine(Engine):
    """Runs ``.tflite`` files through an `Interpreter` class, on the CPU unless a subclass brings another delegate.

    Attributes:
        accelerator: who is to run the operators, for sentences.
    """

    formats = frozenset({"tflite"})
    accelerator: ClassVar[str] = "XNNPACK"

    def _load_impl(self, library: Any) -> tuple[TensorFacts, TensorFacts]:
        options = self._options(library)
        self._interpreter = library.Interpreter(model_path=str(self.path), num_threads=self.threads, **options)
        self._interpreter.allocate_tensors()
        (taken,), (given,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        # Functions that return views, called anew each time: the interpreter runs only while no view is alive.
        self._input = self._interpreter.tensor(taken["index"])
        self._output = self._interpreter.tensor(given["index"])
        return _facts(taken), _facts(given)

    def _infer_impl(self, tensor: NDArray[np.uint8]) -> NDArray[Any]:
        np.copyto(self._input(), tensor, casting="unsafe")
        self._interpreter.invoke()
        result: NDArray[Any] = self._output()
        return result

    def _close_impl(self) -> None:
        del self._input, self._output, self._interpreter

    def _options(self, library: Any) -> dict[str, Any]:
        """Further options of the interpreter; by default it takes XNNPACK by itself."""
        return {}

    def _fallbacks_impl(self) -> list[str]:
        operators = self._operators()
        if operators is None:
            return []
        graph = Graph(operators, [entry["index"] for entry in self._interpreter.get_output_details()])
        found = []
        if left := graph.left_to_builtin_kernels():
            total = len(graph.heavy())
            found.append(
                f"{self.accelerator} was to run {self.artifact.name}, but {len(left)} of {total} heavy operators run "
                f"on the slower built-in kernels ({', '.join(sorted({operator.name for operator in left}))})."
            )
        if self.artifact.precision == "int8" and (floats := graph.float_weights(self._dtypes())):
            names = ", ".join(sorted({operator.name for operator in floats}))
            found.append(
                f"int8 was asked for, but {len(floats)} of {len(graph.heavy())} heavy operators of "
                f"{self.artifact.name} run in float ({names})."
            )
        return found

    def _operators(self) -> list[Operator] | None:
        """The graph as the interpreter has it; None where a version of the library does not tell."""
        try:
            return [
                Operator(entry["op_name"], tuple(map(int, entry["inputs"])), tuple(map(int, entry["outputs"])))
                for entry in self._interpreter._get_ops_details()
            ]
        except (AttributeError, KeyError, ValueError):
            return None

    def _dtypes(self) -> dict[int, str]:
        return {entry["index"]: np.dtype(entry["dtype"]).name for entry in self._interpreter.get_tensor_details()}


def _facts(details: dict[str, Any]) -> TensorFacts:
    scale, zero_point = details["quantization"]
    quantization = Quantization(float(scale), int(zero_point)) if scale else None
    return TensorFacts(tuple(int(side) for side in details["shape"]), np.dtype(details["dtype"]).name, quantization)
