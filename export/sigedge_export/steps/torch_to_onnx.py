"""Checkpoint to ONNX float32: static batch of one, tensors named ``canvas`` and ``embedding``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

OPSET = 18
"""Read by TensorRT 10 and onnx2tf, and the lowest that PyTorch's exporter writes without converting down."""

STACK_TRACE = "pkg.torch.onnx.stack_trace"
"""Property of a node that holds paths of the machine it was exported on."""


def torch_to_onnx(checkpoint: Path, onnx_file: Path) -> Path:
    """Write the deployed graph of a checkpoint as one self-contained ONNX file.

    The batch is fixed at one: a graph with a free batch axis passes onnx2tf with a wrong output shape.

    Args:
        checkpoint: a file written by `sigedge_models.checkpoint.save_checkpoint`.
        onnx_file: file to write; input ``canvas`` float32 [1, 1, H, W] of values 0 to 255, output
            ``embedding`` float32 [1, D].

    Returns:
        `onnx_file`.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds NaN or infinite weights.
    """
    import onnx
    import torch

    from sigedge_export.reference import deployed_module
    from sigedge_models.checkpoint import load_checkpoint

    model, info = load_checkpoint(checkpoint)
    height, width = info.preprocess["canvas_height"], info.preprocess["canvas_width"]
    torch.onnx.export(
        deployed_module(model),
        (torch.zeros(1, 1, height, width),),
        onnx_file,
        input_names=["canvas"],
        output_names=["embedding"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    graph = onnx.load(onnx_file)
    for node in graph.graph.node:
        for entry in [entry for entry in node.metadata_props if entry.key == STACK_TRACE]:
            node.metadata_props.remove(entry)
    onnx.save(graph, onnx_file)
    return onnx_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="torch_to_onnx", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--onnx", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch_to_onnx(options.checkpoint, options.onnx)


if __name__ == "__main__":
    main()
