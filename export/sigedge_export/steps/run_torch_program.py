"""Embeddings of a torch.export program, for the audit and the parity gate: no device runs this format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def run_torch_program(program_file: Path, canvases: Path, embeddings: Path) -> Path:
    """Embed every canvas.

    Args:
        program_file: as `torch_to_program` writes it.
        canvases: ``.npy`` of uint8 [N, H, W].
        embeddings: ``.npy`` to write, float32 [N, D].

    Returns:
        `embeddings`.
    """
    import torch

    module = torch.export.load(program_file).module()
    with torch.inference_mode():
        rows = [module(torch.from_numpy(canvas[None, None].astype(np.float32))).numpy() for canvas in np.load(canvases)]
    np.save(embeddings, np.concatenate(rows))
    return embeddings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="run_torch_program", description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    options = parser.parse_args(arguments)
    run_torch_program(options.program, options.canvases, options.embeddings)


if __name__ == "__main__":
    main()
