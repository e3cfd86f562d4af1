"""Networks on the engines that people run them with: PyTorch eager or compiled, or ONNX Runtime; one thread."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.bench.pipeline import Pipeline

WEIGHTS = Path(__file__).resolve().parents[2] / "models" / "weights"
Network = Callable[[Any], Any]
EAGER, COMPILED, ONNX = "torch", "torch.compile", "onnxruntime"
FOLDER_VARIABLE = "SIGEDGE_BENCH_FOLDER"
"""Where a bench lets its processes keep what a later start shall find: exported networks."""


def import_libraries(engine: str) -> None:
    """What a process imports that runs a network on this engine."""
    if engine == ONNX:
        import onnxruntime  # noqa: F401

        return
    import torch

    torch.set_num_threads(1)


def network(build: Callable[[], Any], engine: str, shape: tuple[int, ...], name: str) -> Network:
    """A function of an array float32 of this shape, batch first, that returns an array.

    Args:
        build: makes the `torch.nn.Module`.
        engine: `EAGER`, `COMPILED` or `ONNX`.
        shape: of the input.
        name: of the exported file, unique among the peers.
    """
    if engine == ONNX:
        return _onnx(_exported(build, shape, name))
    import torch

    module = build().eval()
    run = torch.compile(module) if engine == COMPILED else module

    def infer(array: Any) -> Any:
        with torch.inference_mode():
            return run(torch.from_numpy(array)).numpy()

    return infer


def _exported(build: Callable[[], Any], shape: tuple[int, ...], name: str) -> Path:
    """The network as an ONNX file, made by a child: the process that is measured shall hold no PyTorch.

    A process that holds it already makes the file itself: its threads do not live on in a fork, which waits for them.
    """
    file = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.mkdtemp()) / f"{name}.onnx"
    if not file.exists() and "torch" in sys.modules:
        _export(build, shape, file)
    elif not file.exists():
        child = os.fork()
        if child == 0:
            try:
                _export(build, shape, file)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            raise RuntimeError(f"{name} cannot be exported to ONNX")
    return file


def _export(build: Callable[[], Any], shape: tuple[int, ...], file: Path) -> None:
    import torch

    # The exporter tells its progress on stdout, where the answers of the measuring process go.
    with contextlib.redirect_stdout(sys.stderr):
        torch.onnx.export(build().eval(), (torch.zeros(shape),), str(file), dynamo=True, verbose=False)


def _onnx(file: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})[0]


def trained_pipeline(name: str, engine: str) -> Pipeline:
    """sigedge's canvas and the deployed network of committed weights, see `sigedge_models`.

    Args:
        name: of the weights.
        engine: as for `network`.
    """
    from sigedge_runtime.preprocessing import PreprocessSpec

    spec = PreprocessSpec()
    shape = (1, 1, spec.canvas_height, spec.canvas_width)
    return Pipeline(canvas_of_sigedge, network(lambda: _deployed(name), engine, shape, name))


def _deployed(name: str) -> Any:
    from sigedge_models import load_checkpoint

    model, _ = load_checkpoint(WEIGHTS / f"{name}.safetensors")
    module: Any = model
    return module.export_module()


def canvas_of_sigedge(image: Any) -> Any:
    """sigedge's harmonisation as float32 [1, 1, H, W] of 0 to 255: what the networks trained here read."""
    from sigedge_runtime.preprocessing import harmonise

    return harmonise(image).canvas.astype(np.float32)[None, None]
