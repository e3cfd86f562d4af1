"""Networks on the engines that people run them with: PyTorch eager or compiled, or ONNX Runtime; one thread."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.bench.pipeline import Pipeline

WEIGHTS = Path(__file__).resolve().parents[2] / "models" / "weights"
Network = Callable[[Any], Any]
EAGER, COMPILED, ONNX = "torch", "torch.compile", "onnxruntime"


def import_libraries(engine: str = EAGER) -> None:
    """What the peer imports before it can load anything."""
    import torch

    # As in torch's documentation for inference on one core.
    torch.set_num_threads(1)
    if engine == ONNX:
        import onnxruntime  # noqa: F401


def network(module: Any, engine: str, shape: tuple[int, ...]) -> Network:
    """A function of an array float32 of this shape, batch first, that returns an array.

    Args:
        module: `torch.nn.Module` in evaluation mode.
        engine: `EAGER`, `COMPILED` or `ONNX`.
        shape: of the input.
    """
    import torch

    module = module.eval()
    if engine == ONNX:
        return _onnx(module, shape)
    run = torch.compile(module) if engine == COMPILED else module

    def infer(array: Any) -> Any:
        with torch.inference_mode():
            return run(torch.from_numpy(array)).numpy()

    return infer


def _onnx(module: Any, shape: tuple[int, ...]) -> Network:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        torch.onnx.export(module, (torch.zeros(shape),), str(file), dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})[0]


def trained_pipeline(name: str, engine: str) -> Pipeline:
    """sigedge's canvas and the deployed network of committed weights, see `sigedge_models`.

    Args:
        name: of the weights.
        engine: as for `network`.
    """
    from sigedge_models import load_checkpoint
    from sigedge_runtime.preprocessing import PreprocessSpec

    model, info = load_checkpoint(WEIGHTS / f"{name}.safetensors")
    spec = PreprocessSpec.from_dict(info.preprocess)
    module: Any = model.export_module()
    shape = (1, 1, spec.canvas_height, spec.canvas_width)
    return Pipeline(lambda image: canvas_of_sigedge(image, spec), network(module, engine, shape))


def canvas_of_sigedge(image: Any, spec: Any = None) -> Any:
    """sigedge's harmonisation as float32 [1, 1, H, W] of 0 to 255: what the networks trained here read."""
    from sigedge_runtime.preprocessing import harmonise

    return harmonise(image, spec).canvas.astype(np.float32)[None, None]
