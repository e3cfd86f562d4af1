"""Every tensor that the PyTorch model computes on some canvases: the reference of the parity lab."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sigedge_export.lab.trace import INPUT, Recorder

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

SUFFIX_OF_PROGRAM = ".pt2"


class _Listener(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each operator's result under the path of the module that called it.

    Plain functions, such as an addition between two modules, are seen as well as the modules' own operators.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self._places: dict[int, int] = {}
        self._alive: list[torch.Tensor] = []  # a tensor's id is its own only as long as the tensor lives
        self.path: list[str] = []

    def record(self, name: str, operator: str, inputs: Sequence[int], value: torch.Tensor) -> None:
        self._places[id(value)] = self._recorder.add(name, operator, inputs, value.numpy())
        self._alive.append(value)

    def place(self, value: torch.Tensor) -> int:
        return self._places[id(value)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [self._places[id(value)] for value in _tensors(args) if id(value) in self._places]
        first = next(iter(_tensors((result,))), None)
        if given and first is not None and first.is_floating_point():
            operator = func._schema.name.partition("::")[2]
            self.record(".".join([*self.path[-1:], operator]), operator, given, first)
        return result


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def trace_torch(model: Path, canvases: Path, trace: Path) -> Path:
    """Run the deployed graph canvas by canvas.

    Args:
        model: checkpoint, or a program (``.pt2``) of `torch.export`.
        canvases: ``.npy`` of uint8 [N, H, W].
        trace: file to write.

    Returns:
        `trace`.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    # Otherwise an attention block is one operator here and ten in every exported graph.
    torch.backends.mha.set_fastpath_enabled(False)
    network = _load(model)
    recorder = Recorder("NCHW")
    output = 0
    for canvas in np.load(canvases):
        recorder.begin()
        output = _run(network, torch.from_numpy(canvas[None, None].astype(np.float32)), recorder)
    return recorder.save(trace, output)


def _load(model: Path) -> nn.Module:
    if model.suffix == SUFFIX_OF_PROGRAM:
        return torch.export.load(model).module()
    from sigedge_export.reference import deployed_module
    from sigedge_models.checkpoint import load_checkpoint

    return deployed_module(load_checkpoint(model)[0])


def _run(network: nn.Module, canvas: torch.Tensor, recorder: Recorder) -> int:
    listener = _Listener(recorder)
    listener.record("canvas", INPUT, [], canvas)
    with torch.inference_mode(), _module_paths(network, listener.path), listener:
        embedding = network(canvas)
    return listener.place(embedding)


@contextmanager
def _module_paths(network: nn.Module, path: list[str]) -> Iterator[None]:
    """Keep in `path` the names of the modules that are running, the innermost last."""
    handles: list[RemovableHandle] = []
    for name, module in network.named_modules():
        if name:
            handles.append(module.register_forward_pre_hook(_enter(path, name)))
            handles.append(module.register_forward_hook(_leave(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _enter(path: list[str], name: str) -> Callable[..., None]:
    return lambda *_: path.append(name)


def _leave(path: list[str]) -> Callable[..., None]:
    def leave(*_: object) -> None:  # a hook that returned the popped name would replace the module's result by it
        path.pop()

    return leave


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="trace_torch", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--trace", type=Path, required=True)
    options = parser.parse_args(arguments)
    trace_torch(options.model, options.canvases, options.trace)


if __name__ == "__main__":
    main()
