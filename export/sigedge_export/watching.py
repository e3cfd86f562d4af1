"""Networks opened so that every tensor of a run can be read, for the steps that measure activations or trace layers.

For their child processes alone: each function loads an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


def open_session(model: onnx.ModelProto, names: Sequence[str], *, optimised: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` on one CPU thread whose `run` can also be asked for inner tensors.

    The last bits of a sum depend on how many threads share it, and files made from what is read here shall not.

    Args:
        model: left as it is.
        names: tensors that its nodes compute, at will outputs of the graph among them.
        optimised: let the runtime fuse what lies between the named tensors. Otherwise it computes node by node what the
            graph says: optimised, it rounds otherwise.
    """
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    present = {output.name for output in watched.graph.output}
    # Without a type the runtime infers it.
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])


def open_interpreter(tflite: Path | bytes) -> Any:
    """An `ai_edge_litert.interpreter.Interpreter` of a file or its content, on one CPU thread, that keeps every tensor.

    It computes without a delegate: XNNPACK fuses operators and leaves the tensors between them unwritten. Its integer
    kernels may round otherwise, by one step of the scale.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite if isinstance(tflite, bytes) else tflite.read_bytes(),
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def dequantised(interpreter: Any, details: dict[str, Any]) -> NDArray[np.float32]:
    """A tensor of the interpreter's last run, or a constant, as the real values it stands for.

    Args:
        interpreter: of `open_interpreter`.
        details: the tensor's, of `Interpreter.get_tensor_details`; per channel where its scales are.
    """
    stored: NDArray[Any] = interpreter.get_tensor(details["index"])
    parameters = details["quantization_parameters"]
    scales = parameters["scales"]
    if not len(scales):
        return stored.astype(np.float32)
    zero_points = np.broadcast_to(parameters["zero_points"], scales.shape)  # one may stand for all channels
    shape = [1] * stored.ndim
    if len(scales) > 1:
        shape[parameters["quantized_dimension"]] = len(scales)
    real: NDArray[np.float32] = (stored.astype(np.float32) - zero_points.reshape(shape)) * scales.reshape(shape)
    return real.astype(np.float32)
