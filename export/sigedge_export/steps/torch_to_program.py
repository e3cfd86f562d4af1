"""Checkpoint to a torch.export program, the reference in one file that needs no source code of the network."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

TRACES = ("stack_trace", "nn_module_stack", "from_node", "source_fn_stack", "torch_fn")
"""What a node remembers of the run that traced it: paths of this machine and addresses of this process."""


def torch_to_program(checkpoint: Path, program_file: Path) -> Path:
    """Write the deployed graph of a checkpoint as a ``.pt2`` archive.

    Args:
        checkpoint: a file written by `sigedge_models.checkpoint.save_checkpoint`.
        program_file: file to write; takes float32 [1, 1, H, W] of values 0 to 255, returns float32 [1, D].

    Returns:
        `program_file`.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds NaN or infinite weights.
    """
    import torch

    from sigedge_export.reference import deployed_module
    from sigedge_models.checkpoint import load_checkpoint

    model, info = load_checkpoint(checkpoint)
    height, width = info.preprocess["canvas_height"], info.preprocess["canvas_width"]
    program = torch.export.export(deployed_module(model), (torch.zeros(1, 1, height, width),))
    for node in program.graph.nodes:
        for trace in TRACES:
            node.meta.pop(trace, None)
    # Into memory first: the archive names its parts after the file it is written to.
    archive = io.BytesIO()
    torch.export.save(program, archive)
    program_file.write_bytes(archive.getvalue())
    return program_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="torch_to_program", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--program", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch_to_program(options.checkpoint, options.program)


if __name__ == "__main__":
    main()
