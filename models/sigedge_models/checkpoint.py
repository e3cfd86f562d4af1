"""Checkpoints: safetensors, never pickles, with all that the chain needs in their header."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from sigedge_models.registry import create
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import CheckpointError

TASKS = ("verification", "classification", "image")
"""What a network returns for a canvas: an embedding, the scores of classes (before softmax or sigmoid), or an image in
rows, [N, H*W] of values 0 to 255."""

_KEY = "sigedge"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    Attributes:
        architecture: folder of `sigedge_models` that builds the network.
        config: arguments of that architecture.
        name: name of the trained model.
        version: version of the trained model.
        preprocess: `PreprocessSpec.to_dict()` of its canvases; of an ``image`` network their size alone.
        decision: `Decision` in plain values: fusion, operating points and calibration, fixed on validation signers;
            what a classifier needs beside its scores, e.g. when to reject.
        training: data sets, signers, recipe and what else made it.
        licence: licence state of the weights, one sentence.
        seed: seed of the training.
        task: one of `TASKS`, what the network's output is.
        labels: names of a classifier's outputs, in their order.
    """

    architecture: str
    config: dict[str, Any]
    name: str
    version: str
    preprocess: dict[str, Any]
    decision: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    seed: int = 0
    task: str = "verification"
    labels: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise TypeError(f"task {self.task!r} is none of {', '.join(TASKS)}")


def save_checkpoint(path: Path, model: nn.Module, info: CheckpointInfo, *, half: bool = False) -> Path:
    """Write weights and info to a safetensors file, whole or not at all.

    Args:
        path: file to write.
        model: its weights.
        info: stands in the file's header.
        half: store floating-point weights as float16, at half the size. The model keeps the rounded weights, so that
            what is measured with it afterwards is what the file holds.

    Raises:
        CheckpointError: a weight is not finite.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        model.load_state_dict(state)
    _check_finite(path, state)
    # `save_file` would make a file that nobody else can read, whatever the umask.
    return write_atomically(path, save(state, metadata={_KEY: json.dumps(asdict(info), sort_keys=True)}))


def load_checkpoint(path: Path) -> tuple[nn.Module, CheckpointInfo]:
    """The model in evaluation mode, and what its checkpoint says of itself.

    Raises:
        CheckpointError: the file is missing, is no sigedge checkpoint, does not fit its architecture, or holds
            weights that are not finite.
    """
    state, info = _read(Path(path))
    _check_finite(path, state)
    model = create(info.architecture, **info.config)
    load_weights(model, state, path, info.architecture)
    return model.eval(), info


def load_weights(
    model: nn.Module, state: Mapping[str, torch.Tensor], path: Path, architecture: str, *, parts: bool = False
) -> None:
    """Put weights into a model.

    Args:
        model: receives them.
        state: tensors by name, from the file `path`.
        path: named in the error.
        architecture: of the model, likewise.
        parts: only those whose names the model shares; the others keep the weights they have.

    Raises:
        CheckpointError: names or shapes differ; of `parts`, no name is shared or shapes differ.
    """
    try:
        model.load_state_dict(state, strict=not parts or not (state.keys() & model.state_dict().keys()))
    except RuntimeError as error:
        # PyTorch lists every key; the first few are enough to see what is wrong.
        reason = textwrap.shorten(str(error).splitlines()[-1], 160, placeholder=" ...")
        raise CheckpointError(
            f"The weights in {path} do not fit the architecture '{architecture}' ({reason}); "
            "train it again, or use the sigedge version that wrote it."
        ) from error


def _read(path: Path) -> tuple[dict[str, torch.Tensor], CheckpointInfo]:
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}; train one with `sigedge train`, or check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        if _looks_like_a_pickle(path):
            raise CheckpointError(
                f"{path} is a pickle, as torch.save writes it, and sigedge loads no pickles because they can run any "
                "program; convert it to safetensors where you trust it, with sigedge_models.save_checkpoint."
            ) from None
        raise CheckpointError(f"{path} is no complete safetensors file ({error}); copy or train it again.") from error
    if _KEY not in metadata:
        raise CheckpointError(f"{path} holds no sigedge header; give a checkpoint that `sigedge train` wrote.")
    return state, _parse(path, metadata[_KEY])


def _looks_like_a_pickle(path: Path) -> bool:
    """By the first bytes of a file that is no safetensors file: a zip of torch.save, or a bare pickle."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _parse(path: Path, text: str) -> CheckpointInfo:
    try:
        values = json.loads(text)
        unknown = set(values) - {entry.name for entry in fields(CheckpointInfo)}
        if unknown:
            raise TypeError(f"unknown entries {sorted(unknown)}")
        return CheckpointInfo(**values)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"The header of {path} is damaged ({error}); copy or train it again.") from error


def _check_finite(path: Path, state: dict[str, torch.Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"The weights '{name}' for {path} hold NaN or infinite values; train again with a lower learning rate."
            )
