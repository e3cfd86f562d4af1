"""The HTTP service: what it accepts, what it refuses, and what it says of itself."""

from __future__ import annotations

import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("fastapi", reason="the service needs FastAPI (pip install 'sigedge[kiosk]')")
pytest.importorskip("httpx2", reason="Starlette's test client needs httpx2")

from starlette.testclient import TestClient

from sigedge.cli import app as command_line
from sigedge.cli.serve import listen
from sigedge.synthesis import Synthesiser
from sigedge.systems.signauth.api import create_app
from sigedge.systems.signauth.predict import SignatureClassifier
from sigedge.systems.signauth.prepare import SPEC
from sigedge_runtime.errors import DataError

LIMIT = 200_000


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Before a classifier that knows by the ink: much of it is ada's, little nobody's."""

    def infer(canvas: np.ndarray) -> np.ndarray:
        return np.array([float(canvas.mean()) - 5, -3.0], np.float32)

    classifier = SignatureClassifier("ink", ["ada", "bob"], 0.5, SPEC, infer)
    return TestClient(create_app(classifier, max_upload=LIMIT))


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="module")
def signature() -> bytes:
    return png(Synthesiser(5).signer(0).genuine(1).image)


def post(client: TestClient, content: bytes, name: str = "00503005.png") -> tuple[int, dict]:
    answer = client.post("/upload_image", files={"file": (name, content, "image/png")})
    return answer.status_code, answer.json()


def test_answers_whose_signature_it_is(client: TestClient, signature: bytes) -> None:
    status, found = post(client, signature)
    assert status == 200
    assert (found["file"], found["known"], found["label"], found["nearest"]) == ("00503005.png", True, "ada", "ada")
    assert 0.5 < found["probability"] < 1 and set(found["probabilities"]) == {"ada", "bob"}


def test_says_that_it_is_nobodys(client: TestClient) -> None:
    page = np.full((200, 600), 250, np.uint8)
    cv2.polylines(page, [np.array([[100, 100], [300, 110], [500, 95]], np.int32)], False, (30,), 3)
    status, found = post(client, png(page))
    assert (status, found["known"], found["label"], found["nearest"]) == (200, False, None, "ada")


def test_the_content_counts_and_not_its_name(client: TestClient, signature: bytes) -> None:
    assert post(client, b"#!/bin/sh\nrm -rf /", "photo.png")[0] == 415
    assert post(client, signature, "signature.txt")[0] == 200
    status, problem = post(client, signature[:400])
    assert status == 415 and "truncated" in problem["detail"]


def test_a_blank_page_is_no_signature(client: TestClient) -> None:
    status, problem = post(client, png(np.full((90, 200), 250, np.uint8)))
    assert status == 422 and "no usable signature" in problem["detail"]


def test_an_image_that_unpacks_to_too_many_pixels_is_not_decoded(client: TestClient) -> None:
    bomb = png(np.full((8000, 4000), 255, np.uint8))
    assert len(bomb) < LIMIT
    status, problem = post(client, bomb)
    assert status == 415 and "more than 24 megapixels" in problem["detail"]


def test_a_large_upload_is_refused_whatever_its_header_says(client: TestClient, signature: bytes) -> None:
    status, problem = post(client, signature + bytes(LIMIT))
    assert status == 413 and "0.19" in problem["detail"]
    # Sent in pieces there is no length to believe.
    pieces = (bytes(50_000) for _ in range(8))
    sent = client.post("/upload_image", content=pieces, headers={"content-type": "multipart/form-data; boundary=x"})
    assert sent.status_code == 413


def test_a_request_without_a_file_is_explained(client: TestClient) -> None:
    answer = client.post("/upload_image")
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "file"]
    assert client.get("/upload_image").status_code == 405


def test_describes_itself(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]["/upload_image"]["post"]["responses"]) == {"200", "413", "415", "422"}
    assert client.get("/health").json() == {"status": "ok", "model": "ink", "classes": 2}
    assert client.get("/docs").status_code == 200


def test_a_port_in_use_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        assert isinstance(taken, socket.socket)
        with pytest.raises(DataError, match=r"cannot be listened on .* choose another --port"):
            listen("127.0.0.1", taken.getsockname()[1])


def test_the_command_refuses_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line, ["serve", str(tmp_path / "none.safetensors"), "--port", "0"])
    assert result.exit_code == 2 and "There is no checkpoint" in result.stderr
