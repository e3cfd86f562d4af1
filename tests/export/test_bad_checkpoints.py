"""Files that are no checkpoint of ours are refused with a sentence, and none of them gets to run anything."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sigedge_export import GoldenImage, ParitySet, export_bundle, load_reference
from sigedge_models import create, load_checkpoint, save_checkpoint
from sigedge_runtime.errors import BundleError, CheckpointError


class Malicious:
    """Unpickling it runs a program, which leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def bare_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


def text_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=0))


def torch_archive(path: Path, content: object) -> None:
    torch.save(content, path)


def plain_zip(path: Path, content: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content))


PICKLES = [bare_pickle, text_pickle, torch_archive, plain_zip]


@pytest.mark.parametrize("write", PICKLES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_malicious_pickle_is_refused_and_never_runs(
    write: Callable[[Path, object], None], suffix: str, tmp_path: Path
) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"weights{suffix}"
    write(path, Malicious(canary))
    with pytest.raises(CheckpointError, match=rf"weights\{suffix} is"):
        load_reference(path)
    assert not canary.exists()


def test_the_canary_would_have_sung(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Malicious(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("write", [bare_pickle, torch_archive])
def test_honest_weights_in_a_pickle_are_told_how_to_become_safetensors(
    write: Callable[[Path, object], None], tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    write(path, create("edgesig").state_dict())
    with pytest.raises(CheckpointError, match=r"weights\.pt is a pickle.*convert it to safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize("length", [640, 128, 1152])
def test_safetensors_that_begin_like_a_pickle_are_read(length: int, checkpoint: Path, tmp_path: Path) -> None:
    """The file begins with the length of its header, which may have the bytes of a pickle's first operation."""
    model, info = load_checkpoint(checkpoint)
    path = save_checkpoint(tmp_path / "w.safetensors", model, info)
    size = int.from_bytes(path.read_bytes()[:8], "little")
    padded = (size - size % 2048 + 2048) + length
    content = path.read_bytes()
    path.write_bytes(padded.to_bytes(8, "little") + content[8 : 8 + size].ljust(padded) + content[8 + size :])
    assert path.read_bytes()[:1] == b"\x80"
    assert load_checkpoint(path)[1] == info


def test_weights_of_another_architecture_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(checkpoint, framework="pt") as file:
        header = file.metadata()
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    save_file(other.state_dict(), tmp_path / "other.safetensors", metadata=header)
    with pytest.raises(CheckpointError, match=r"other\.safetensors do not fit the architecture 'edgesig'"):
        load_reference(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "resnet"}, "no architecture named 'resnet'; choose one of: .*edgesig"),
        ({"architecture": "os"}, "no architecture named 'os'"),
        ({"config": {"wings": 2}}, "configuration .*wings.* does not fit 'edgesig'"),
        ({"config": {"stages": [[-4, 2]]}}, "configuration .* does not fit 'edgesig'"),
    ],
)
def test_a_header_that_names_another_network(
    changes: dict[str, Any], sentence: str, checkpoint: Path, tmp_path: Path
) -> None:
    model, info = load_checkpoint(checkpoint)
    path = save_checkpoint(tmp_path / "w.safetensors", model, replace(info, **changes))
    with pytest.raises(CheckpointError, match=sentence):
        load_reference(path)


@pytest.mark.parametrize("entry", ["preprocess", "decision"])
def test_a_header_without_preprocessing_or_decision_is_refused_before_anything_is_written(
    entry: str, checkpoint: Path, tmp_path: Path, golden: list[GoldenImage], parity_set: ParitySet
) -> None:
    model, info = load_checkpoint(checkpoint)
    path = save_checkpoint(tmp_path / "w.safetensors", model, replace(info, **{entry: {}}))
    with pytest.raises(BundleError):
        export_bundle(
            path, tmp_path / "out", golden=golden, parity=parity_set, formats=["onnx"], precisions=["float32"]
        )
    assert [found.name for found in tmp_path.iterdir()] == ["w.safetensors"]
