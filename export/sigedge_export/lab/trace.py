"""What a network computed on the way: every intermediate tensor, in the order of execution, in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["NCHW", "NHWC"]

INPUT = "Input"
"""Operator of the first layer of every trace, the canvas as the network receives it."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One tensor that one operator computed.

    Attributes:
        name: of the tensor, as its format calls it.
        operator: as its format calls it, ``INPUT`` for the canvas; ``CONV_2D+RELU`` where two are one.
        inputs: places in the trace of the layers it was computed from; constants are left out.
        values: float32 [N, 1, ...], one run for each of N canvases, dequantised where they are integers.
    """

    name: str
    operator: str
    inputs: tuple[int, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trace:
    """A run of one network on N canvases.

    Attributes:
        layout: where the channels of its images are.
        layers: in the order of execution; the first is the canvas.
        output: place of the layer that is the embedding.
    """

    layout: Layout
    layers: tuple[Layer, ...]
    output: int


class Recorder:
    """Collects the runs of one network, canvas by canvas, and writes them as a trace.

    Every run must add the same tensors in the same order; names are made unique by a number.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._heads: list[tuple[str, str, tuple[int, ...]]] = []
        self._values: list[list[NDArray[np.float32]]] = []
        self._place = 0

    def begin(self) -> None:
        """Start the run of the next canvas."""
        self._place = 0

    def add(self, name: str, operator: str, inputs: Sequence[int], value: NDArray[np.generic]) -> int:
        """Record a tensor of the current run and return its place.

        Raises:
            ValueError: an earlier run had another tensor at this place.
        """
        place, self._place = self._place, self._place + 1
        if place == len(self._heads):
            self._heads.append((self._unique(name), operator, tuple(inputs)))
            self._values.append([])
        elif self._heads[place][1:] != (operator, tuple(inputs)):
            raise ValueError(f"the network ran another way for another canvas, at {self._heads[place][0]}")
        self._values[place].append(np.array(value, dtype=np.float32))
        return place

    def save(self, file: Path, output: int) -> Path:
        """Write the trace whose embedding is at the place `output`, and return `file`."""
        heads = [{"name": name, "operator": operator, "inputs": inputs} for name, operator, inputs in self._heads]
        header = json.dumps({"layout": self._layout, "output": output, "layers": heads})
        values = {f"values_{place}": np.stack(runs) for place, runs in enumerate(self._values)}
        np.savez(file, header=np.array(header), **values)
        return file

    def _unique(self, name: str) -> str:
        taken = {head[0] for head in self._heads}
        numbered = (f"{name}_{number}" for number in range(1, len(taken) + 2))
        return name if name not in taken else next(entry for entry in numbered if entry not in taken)


def load_trace(file: Path) -> Trace:
    """Read what `Recorder.save` wrote."""
    with np.load(file) as stored:
        header = json.loads(str(stored["header"]))
        layers = tuple(
            Layer(head["name"], head["operator"], tuple(head["inputs"]), stored[f"values_{place}"])
            for place, head in enumerate(header["layers"])
        )
    return Trace(header["layout"], layers, header["output"])
