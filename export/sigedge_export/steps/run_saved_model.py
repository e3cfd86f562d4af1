"""Embeddings of a SavedModel, for the audit and the parity gate: no device runs this format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def run_saved_model(saved_model: Path, canvases: Path, embeddings: Path) -> Path:
    """Embed every canvas.

    Args:
        saved_model: folder with the signature that `onnx_to_saved_model` writes.
        canvases: ``.npy`` of uint8 [N, H, W].
        embeddings: ``.npy`` to write, float32 [N, D].

    Returns:
        `embeddings`.
    """
    import tensorflow as tf

    network = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    rows: list[NDArray[np.float32]] = [
        network(canvas=tf.constant(canvas[None, :, :, None], tf.float32))["embedding"].numpy()
        for canvas in np.load(canvases)
    ]
    np.save(embeddings, np.concatenate(rows))
    return embeddings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step as a program."""
    parser = argparse.ArgumentParser(prog="run_saved_model", description=__doc__)
    parser.add_argument("--saved-model", type=Path, required=True)
    parser.add_argument("--canvases", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    options = parser.parse_args(arguments)
    run_saved_model(options.saved_model, options.canvases, options.embeddings)


if __name__ == "__main__":
    main()
