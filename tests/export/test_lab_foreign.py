"""Networks with attention, swish and transposed convolutions: every layer that computes finds its counterpart."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sigedge_export.lab.compare import compare
from sigedge_export.lab.expectation import EXPECTATIONS
from sigedge_export.lab.operators import LINEAR, kinds
from sigedge_export.lab.trace import Trace
from sigedge_export.lab.tracing import Stage

_spec = importlib.util.spec_from_file_location("lab_networks", Path(__file__).with_name("foreign_networks.py"))
networks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(networks)

CANVASES = np.where(np.random.default_rng(0).random((2, 32, 64)) < 0.2, 255, 0).astype(np.uint8)


def export(name: str, folder: Path) -> tuple[Path, Path]:
    """The network as a torch.export program and as ONNX."""
    import torch

    torch.manual_seed(0)
    network = getattr(networks, name)().eval()
    canvas = torch.zeros(1, 1, 32, 64)
    torch.export.save(torch.export.export(network, (canvas,)), folder / "network.pt2")
    torch.onnx.export(network, (canvas,), folder / "network.onnx", opset_version=18, dynamo=True, verbose=False)
    return folder / "network.pt2", folder / "network.onnx"


def linear(trace: Trace) -> list[str]:
    return [f"{layer.name} ({layer.operator})" for layer in trace.layers if LINEAR in kinds(layer.operator)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Attention", "Swish", "Generator"])
def test_a_foreign_network_is_aligned_from_pytorch_to_onnx(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "canvases.npy", CANVASES)
    program, graph = export(name, tmp_path)
    reference = Stage("torch", "torch_program", "float32", program).trace(tmp_path / "canvases.npy", tmp_path)
    candidate = Stage("onnx", "onnx", "float32", graph).trace(tmp_path / "canvases.npy", tmp_path)
    found = compare(reference, candidate, EXPECTATIONS["float32"])
    assert found.fault is None
    assert min(layer.sqnr_db for layer in found.noise) > 100
    assert len(linear(reference)) == len(linear(candidate)) >= 4
    assert not set(linear(candidate)) & set(found.only_candidate)
    # What is folded into a convolution or written as several operators stays alone, and is listed.
    listed = len(found.noise) + len(found.only_reference)
    assert listed <= len(reference.layers)
