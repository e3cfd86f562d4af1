"""Peers: their preprocessing does what their papers say, and their networks have the papers' sizes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from sigedge.bench.contestants import PEER, load_maker, peers_of
from sigedge.bench.images import synthetic_scans


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def hafemann(folder: Path) -> ModuleType:
    return load_maker(str(folder / "signet_hafemann.py"))


def test_every_peer_says_who_it_is(folder: Path) -> None:
    peers = peers_of(folder)
    assert len({peer.name for peer in peers}) == len(peers) >= 10
    assert all(peer.kind == PEER and peer.threads == 1 for peer in peers)
    assert all(peer.facts["weights"] in ("random", "trained") for peer in peers)
    for flag in ("yardstick", "same_network"):
        assert sum(bool(peer.facts.get(flag)) for peer in peers) == 1, flag
    assert {peer.facts.get("engine") for peer in peers} == {"torch", "torch.compile", "onnxruntime"}


def test_otsu_is_that_of_opencv(hafemann: ModuleType) -> None:
    for scan in synthetic_scans(5, 3):
        expected, _ = cv2.threshold(scan, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        assert hafemann.otsu(scan) == pytest.approx(expected, abs=1)


def test_the_centre_of_mass_lies_in_the_middle_and_paper_is_white(hafemann: ModuleType) -> None:
    image = np.full((300, 400), 220, np.uint8)
    image[40:60, 30:230] = 30
    image[60:160, 30:50] = 30
    page = hafemann.centred(image, image < 100, 125.0)
    assert page.shape == hafemann.CANVAS and set(np.unique(page)) == {30, 255}
    rows, columns = np.nonzero(page == 30)
    assert abs(rows.mean() - page.shape[0] / 2) <= 1 and abs(columns.mean() - page.shape[1] / 2) <= 1
    assert len(rows) == (image == 30).sum(), "nothing is cut"


def test_a_signature_larger_than_the_canvas_is_cut(hafemann: ModuleType) -> None:
    image = np.full((900, 1300), 30, np.uint8)
    assert hafemann.centred(image, image < 100, 125.0).shape == hafemann.CANVAS


def test_both_ways_to_preprocess_agree(hafemann: ModuleType) -> None:
    for scan in synthetic_scans(6, 2):
        by_scipy, by_opencv = hafemann.preprocess_scipy(scan), hafemann.preprocess_opencv(scan)
        for found in (by_scipy, by_opencv):
            assert found.shape == (1, 1, 150, 220) and found.dtype == np.float32
            assert found.min() >= 0 and found.max() <= 1 and found.max() > 0.2, "ink is bright"
        assert np.corrcoef(by_scipy.ravel(), by_opencv.ravel())[0, 1] > 0.9


def test_the_input_of_dey_is_inverted_and_small(folder: Path) -> None:
    dey = load_maker(str(folder / "signet_dey.py"))
    found = dey.preprocess(np.full((547, 588), 240, np.uint8))
    assert found.shape == (1, 1, 155, 220) and found.dtype == np.float32 and np.all(found == 15)


@pytest.mark.parametrize(
    ("file", "build", "shape", "outputs", "millions"),
    [
        ("signet_hafemann.py", "signet", (150, 220), 2048, 15.8),
        ("mobilenet.py", "mobilenet_v3_small", (128, 256), 576, 0.93),
    ],
)
def test_networks_have_the_sizes_of_their_papers(
    folder: Path, file: str, build: str, shape: tuple[int, int], outputs: int, millions: float
) -> None:
    torch = pytest.importorskip("torch", reason="peers need PyTorch (pip install 'sigedge[train]')")
    module = getattr(load_maker(str(folder / file)), build)().eval()
    with torch.inference_mode():
        assert module(torch.zeros(1, 1, *shape)).shape == (1, outputs)
    count = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    assert count == pytest.approx(millions, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_a_trained_peer_embeds_alike_on_every_engine(
    folder: Path, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="peers need PyTorch (pip install 'sigedge[train]')")
    pytest.importorskip("onnxruntime", reason="running ONNX needs it (pip install 'sigedge[onnx]')")
    monkeypatch.setenv("SIGEDGE_BENCH_FOLDER", str(tmp_path))
    threads = torch.get_num_threads()
    scan = synthetic_scans(7, 1)[0]
    maker = load_maker(str(folder / "siamese_resnet.py"))
    try:
        maker.import_libraries(engine=engine)
        found = maker.open_runner(engine=engine).embedding(scan)
        expected = maker.open_runner(engine="torch").embedding(scan)
    finally:
        torch.set_num_threads(threads)
    assert np.allclose(found, expected, atol=1e-4) and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
