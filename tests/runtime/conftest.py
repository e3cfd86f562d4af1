"""A tiny but real bundle: model files of `tiny/`, drawn signatures, golden vectors by plain numpy."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge_runtime.bundle import MANIFEST, Bundle, hash_file, hash_files, write_manifest
from sigedge_runtime.decision import Calibration, Decision, EnrolmentBound, OperatingPoint
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.images import read_image
from sigedge_runtime.manifest import Artifact, Manifest, ModelInfo, Quantization, Tensor
from sigedge_runtime.matching import LocalMatching
from sigedge_runtime.preprocessing import PreprocessSpec, harmonise
from sigedge_runtime.scoring import score
from sigedge_runtime.vectors import VectorCase, Vectors, VectorScore

Draw = Callable[[int, int], NDArray[np.uint8]]

TINY = Path(__file__).parent / "tiny"
SIZE = 8
THRESHOLD = 0.85
SPEC = PreprocessSpec()
DECISION = Decision(
    fusion="mean_max",
    default_operating_point="balanced",
    operating_points=(
        OperatingPoint("balanced", 1, THRESHOLD, 0.05, 0.05),
        OperatingPoint("balanced", 3, THRESHOLD + 0.01, 0.03, 0.03),
        OperatingPoint("high-security", 1, 0.9999, 0.0, 0.9),
    ),
    calibrations=(Calibration(1, 40.0, -34.0), Calibration(3, 40.0, -34.4)),
    enrolment_bounds=(
        EnrolmentBound(1, 0.85, ()),
        EnrolmentBound(2, 0.8, tuple(0.9 + tenth / 100 for tenth in range(9))),
    ),
)


# Two cells of four numbers, and scores relative to how alike a user's references are; it knows nothing of enrolments,
# as bundles of old.
CELLS_DECISION = Decision(
    fusion="mean",
    default_operating_point="balanced",
    operating_points=(OperatingPoint("balanced", 1, 0.72, 0.05, 0.05), OperatingPoint("balanced", 2, 0.32, 0.04, 0.04)),
    calibrations=(Calibration(1, 40.0, -28.8), Calibration(2, 40.0, -12.8)),
    consistency_weight=0.5,
    matching=LocalMatching(1, 2, 0, 1),
)


def reference_embedding(canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the files of `tiny/` compute (see make_tiny_model.py)."""
    blocks = canvas.reshape(8, 16, 16, 16).mean(axis=(1, 3), dtype=np.float64).reshape(-1) / 255
    weights = np.random.RandomState(0).normal(size=(128, SIZE)).astype(np.float32)
    return (blocks @ weights).astype(np.float32)


def draw_signature(signer: int, sample: int) -> NDArray[np.uint8]:
    """A signature-like curve on paper: the signer sets its shape, the sample moves it a little."""
    shape, hand = np.random.RandomState(signer), np.random.RandomState(1000 * signer + sample)
    t = np.linspace(0, 1, 400)
    x, y = 60 + 480 * t, np.full_like(t, 150.0)
    for k in range(1, 7):
        amplitude, phase = shape.uniform(-1, 1, 2), shape.uniform(0, 6.28, 2)
        amplitude = amplitude + hand.normal(0, 0.02, 2)
        x = x + 45 / k * amplitude[0] * np.sin(6.28 * k * t + phase[0])
        y = y + 70 / k**0.5 * amplitude[1] * np.sin(6.28 * k * t + phase[1])
    image = np.full((300, 600), 235, np.uint8)
    points = np.stack([x, y], axis=1).round().astype(np.int32)[:, None]
    cv2.polylines(image, [points], False, 60, 5)
    return image


def tiny_artifact(file: str, precision: str, tolerance: float) -> Artifact:
    """The manifest's entry for a file of `tiny/`."""
    path = TINY / file
    form = path.suffix[1:]
    raw = form == "tflite" and precision == "int8"
    layout, shape = ("NHWC", (1, 128, 256, 1)) if form == "tflite" else ("NCHW", (1, 1, 128, 256))
    quantization = Quantization(1.0, 0) if raw else None
    return Artifact(
        name=f"tiny-{precision}-{form}",
        file=f"artifacts/{file}",
        format=form,
        precision=precision,
        sha256=hash_file(path),
        size=path.stat().st_size,
        input=Tensor("canvas", shape, "uint8" if raw else "float32", layout, quantization),
        output=Tensor("embedding", (1, SIZE), "float32", "ND", None),
        score_tolerance=tolerance,
    )


ARTIFACTS = (
    tiny_artifact("float32.onnx", "float32", 1e-4),
    tiny_artifact("int8.onnx", "int8", 0.1),
    tiny_artifact("float32.tflite", "float32", 1e-4),
    tiny_artifact("int8.tflite", "int8", 0.1),
)


def write_tiny_vectors(folder: Path, decision: Decision) -> None:
    """Golden vectors of two signers, two samples each."""
    for name in ("images", "canvases"):
        (folder / name).mkdir(parents=True)
    cases, embeddings = [], {}
    for signer in (0, 1):
        for sample in (0, 1):
            name = f"s{signer}-{sample}"
            cv2.imwrite(str(folder / f"images/{name}.png"), draw_signature(signer, sample))
            canvas = harmonise(read_image(folder / f"images/{name}.png"), SPEC).canvas
            cv2.imwrite(str(folder / f"canvases/{name}.png"), canvas)
            embeddings[name] = reference_embedding(canvas)
            digest = hashlib.sha256(canvas.tobytes()).hexdigest()
            values = tuple(map(float, embeddings[name]))
            cases.append(
                VectorCase(name, str(signer), "genuine", f"images/{name}.png", f"canvases/{name}.png", digest, values)
            )
    scores = []
    for references, query in ((("s0-0",), "s0-1"), (("s0-0", "s0-1"), "s1-0"), (("s1-0",), "s1-1")):
        found = score(embeddings[query], np.stack([embeddings[one] for one in references]), decision)
        threshold = decision.operating_point(decision.default_operating_point, len(references)).threshold
        scores.append(VectorScore(references, query, found, found >= threshold))
    vectors = Vectors(1, "numpy float32", tuple(cases), tuple(scores))
    (folder / "vectors.json").write_text(vectors.to_json(), encoding="utf-8")


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw a signature from the numbers of the signer and the sample."""
    return draw_signature


@pytest.fixture(scope="session")
def master_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle folder that `bundle_folder` copies; tests must not change it."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    (folder / "artifacts").mkdir(parents=True)
    for artifact in ARTIFACTS:
        shutil.copy(TINY / Path(artifact.file).name, folder / artifact.file)
    write_tiny_vectors(folder / "vectors", DECISION)
    (folder / "CARD.md").write_text("# Tiny\nA model for tests.\n", encoding="utf-8")
    write_manifest(
        folder,
        Manifest(
            format_version=1,
            created="2026-01-31",
            model=ModelInfo("tiny", "tiny", "1.0", "ab" * 32, "verification", SIZE, (), None, 1024, "Apache-2.0"),
            preprocess=SPEC,
            artifacts=ARTIFACTS,
            decision=DECISION,
            vectors="vectors/vectors.json",
            card="CARD.md",
            training={"data": ["none"], "seed": 0},
            tools={"numpy": np.__version__},
            files=hash_files(folder),
        ),
    )
    return folder


@pytest.fixture(scope="module")
def bundle(master_bundle: Path) -> Iterator[Bundle]:
    """The master bundle, open; nothing may change its files."""
    with Bundle.open(master_bundle) as opened:
        yield opened


@pytest.fixture
def load(bundle: Bundle) -> Callable[..., Engine]:
    """Opens an artefact of the bundle by name, on an engine, with changes to what the manifest says of it."""

    def open_one(engine: str, name: str, **changes: Any) -> Engine:
        artifact = bundle.artifact(name)
        return open_engine(engine, replace(artifact, **changes), bundle.path(artifact.file))

    return open_one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a template store may be made."""
    return tmp_path / "templates.db"


@pytest.fixture
def bundle_folder(master_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own to use or to spoil."""
    return Path(shutil.copytree(master_bundle, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def cells_bundle(master_bundle: Path, sign_off: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, but their embeddings are compared cell by cell; tests must not change it."""
    folder = Path(shutil.copytree(master_bundle, tmp_path_factory.mktemp("bundles") / "cells"))
    shutil.rmtree(folder / "vectors")
    write_tiny_vectors(folder / "vectors", CELLS_DECISION)
    sign_off(folder, decision=CELLS_DECISION)
    return folder


@pytest.fixture
def manifest_data(master_bundle: Path) -> dict[str, Any]:
    """The manifest as parsed JSON, free to change."""
    data: dict[str, Any] = json.loads((master_bundle / MANIFEST).read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="session")
def sign_off() -> Callable[..., None]:
    """Write a changed bundle's manifest anew, so that only what the files say is wrong."""

    def write(folder: Path, **changes: Any) -> None:
        manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
        write_manifest(folder, replace(manifest, files=hash_files(folder), **changes))

    return write


@pytest.fixture
def nan_bundle(bundle_folder: Path, sign_off: Callable[..., None]) -> Path:
    """A bundle whose only artefact computes NaN and infinity."""
    shutil.rmtree(bundle_folder / "artifacts")
    (bundle_folder / "artifacts").mkdir()
    shutil.copy(TINY / "nan.onnx", bundle_folder / "artifacts")
    sign_off(bundle_folder, artifacts=(tiny_artifact("nan.onnx", "float32", 1e-4),))
    return bundle_folder


@pytest.fixture(scope="session")
def expected() -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The exact embedding of a canvas."""
    return reference_embedding
