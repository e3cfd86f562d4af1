"""Make the model files of `tiny/`: `python tests/runtime/make_tiny_model.py`. Needs TensorFlow and onnx; run by hand.

The model is the mean of each 16x16 block of the canvas, 0 to 1, times a fixed random matrix: small, real, and easy to
compute without any engine. `nan.onnx` is the same with one infinite weight.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

HEIGHT, WIDTH, BLOCK, SIZE = 128, 256, 16, 8
FOLDER = Path(__file__).parent / "tiny"


def weights() -> NDArray[np.float32]:
    """[blocks, SIZE]; the stream of RandomState never changes."""
    blocks = (HEIGHT // BLOCK) * (WIDTH // BLOCK)
    return np.random.RandomState(0).normal(size=(blocks, SIZE)).astype(np.float32)


def canvases(count: int = 16) -> NDArray[np.float32]:
    """Sparse canvases [N, H, W] for calibration, half of them with filled blocks."""
    random = np.random.RandomState(1)
    filled = np.kron(random.rand(count, HEIGHT // BLOCK, WIDTH // BLOCK) < 0.3, np.ones((BLOCK, BLOCK)))
    return (255 * filled * (random.rand(count, HEIGHT, WIDTH) < 0.5)).astype(np.float32)


class Tiny(tf.Module):
    """The model in TensorFlow."""

    @tf.function(input_signature=[tf.TensorSpec([1, HEIGHT, WIDTH, 1], tf.float32, name="canvas")])
    def __call__(self, canvas: tf.Tensor) -> dict[str, tf.Tensor]:
        pooled = tf.nn.avg_pool2d(canvas, BLOCK, BLOCK, "VALID")
        return {"embedding": tf.matmul(tf.reshape(pooled, [1, -1]), tf.constant(weights() / 255))}


def make_tflite(int8: bool) -> bytes:
    """Convert; int8 takes uint8 canvases as they are."""
    model = Tiny()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.__call__.get_concrete_function()], model)
    if int8:
        data = canvases()
        data[0], data[1] = 0, 255
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one[None, ..., None]] for one in data)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.float32
    return bytes(converter.convert())


def make_onnx(matrix: NDArray[np.float32]) -> onnx.ModelProto:
    """Build the graph by hand."""
    nodes = [
        helper.make_node("AveragePool", ["canvas"], ["pooled"], kernel_shape=[BLOCK] * 2, strides=[BLOCK] * 2),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("canvas", TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, SIZE])],
        [numpy_helper.from_array(matrix / np.float32(255), "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Canvases(CalibrationDataReader):  # type: ignore[misc]
    """Calibration data for onnxruntime."""

    def __init__(self) -> None:
        self._rest = iter(canvases())

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        canvas = next(self._rest, None)
        return None if canvas is None else {"canvas": canvas[None, None]}


def make_qdq(target: Path) -> None:
    """Quantise as the export chain does."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "float32.onnx"
        onnx.save(make_onnx(weights()), source)
        quantize_static(
            source,
            target,
            Canvases(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "float32.tflite").write_bytes(make_tflite(int8=False))
    (FOLDER / "int8.tflite").write_bytes(make_tflite(int8=True))
    onnx.save(make_onnx(weights()), FOLDER / "float32.onnx")
    make_qdq(FOLDER / "int8.onnx")
    broken = weights()
    broken[:, 0] = np.inf
    onnx.save(make_onnx(broken), FOLDER / "nan.onnx")


if __name__ == "__main__":
    main()
