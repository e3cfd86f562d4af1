"""Who runs which operator of a TFLite file: read from what the interpreter says after delegation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DELEGATE = "DELEGATE"
# Operators with weights or large products: where they run decides how fast a network is, and in which precision.
HEAVY = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D", "SVDF"}
)


@dataclass(frozen=True)
class Operator:
    """An operator by name, with the indices of the tensors it reads and writes; a `DELEGATE` stands for several."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Graph:
    """The operators of a file, and the delegates that took some of them over."""

    def __init__(self, operators: Sequence[Operator], outputs: Sequence[int]) -> None:
        """Use all `operators` that the interpreter lists, delegates included, and the graph's output tensors."""
        self._delegates = {tensor: one for one in operators if one.name == DELEGATE for tensor in one.outputs}
        self._operators = [one for one in operators if one.name != DELEGATE]
        self._outputs = list(outputs)

    def heavy(self) -> list[Operator]:
        """Operators of the kinds in `HEAVY`."""
        return [one for one in self._operators if one.name in HEAVY]

    def left_to_builtin_kernels(self) -> list[Operator]:
        """The heavy operators that no delegate runs.

        An interpreter lists every operator of the file and the delegates, but not who runs what. Walking back from the
        outputs, through a delegate wherever one writes the tensor, meets just the operators that are left.
        """
        writers = {tensor: one for one in self._operators for tensor in one.outputs}
        todo, seen, left = list(self._outputs), set[int](), []
        while todo:
            tensor = todo.pop()
            if tensor in seen:
                continue
            seen.add(tensor)
            writer = self._delegates.get(tensor) or writers.get(tensor)
            if writer is None:
                continue
            todo.extend(writer.inputs)
            if writer.name in HEAVY and writer not in left:
                left.append(writer)
        return left

    def float_weights(self, dtypes: dict[int, str]) -> list[Operator]:
        """The heavy operators that read any float tensor; `dtypes` by tensor index."""
        return [one for one in self.heavy() if any(dtypes.get(tensor, "").startswith("float") for tensor in one.inputs)]
