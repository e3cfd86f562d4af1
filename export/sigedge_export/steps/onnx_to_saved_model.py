"""ONNX to a TensorFlow SavedModel by onnx2tf, channels last."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def onnx_to_saved_model(onnx_file: Path, saved_model: Path) -> Path:
    """Convert an ONNX file with one input and one output.

    onnx2tf would write its own TFLite files beside the SavedModel, which takes longer; here it only
    rebuilds the network, and the SavedModel is written with a named signature.

    Args:
        onnx_file: input ``canvas`` float32 [1, 1, H, W], output ``embedding`` float32 [1, D].
        saved_model: folder to write; its signature ``serving_default`` takes ``canvas`` float32 [1, H, W, 1]
            and returns ``embedding`` float32 [1, D].

    Returns:
        `saved_model`.
    """
    import onnx2tf
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=saved_model.parent) as scratch:
        network: Any = onnx2tf.convert(
            input_onnx_file_path=str(onnx_file),
            output_folder_path=scratch,
            not_use_onnxsim=True,
            not_use_opname_auto_generate=True,
            disable_model_save=True,
            verbosity="warn",
        )
    canvas = tf.TensorSpec(network.inputs[0].shape, tf.float32, name="canvas")

    @tf.function(input_signature=[canvas])  # type: ignore[untyped-decorator]
    def serve(canvas: Any) -> dict[str, Any]:
        return {"embedding": network(canvas)}

    holder = tf.Module()
    holder.network = network
    # Some operators of onnx2tf make variables that no layer owns, and TensorFlow saves only what is owned.
    if loose := list(serve.get_concrete_function().graph.variables):
        holder.loose = loose
    tf.saved_model.save(holder, str(saved_model), signatures={"serving_default": serve})
    # It holds a random identifier; without it the same network gives the same bytes.
    (saved_model / "fingerprint.pb").unlink()
    return saved_model


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="onnx_to_saved_model", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--saved-model", type=Path, required=True)
    options = parser.parse_args(arguments)
    onnx_to_saved_model(options.onnx, options.saved_model)


if __name__ == "__main__":
    main()
