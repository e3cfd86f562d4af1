"""One small model, exported once in a session through the whole chain, for all tests of the chain."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from sigedge.export_inputs import calibration_canvases, golden_images, synthetic_parity_set
from sigedge_export import (
    Export,
    ExportOptions,
    GoldenImage,
    ParitySet,
    Reference,
    Tolerances,
    export_bundle,
    load_reference,
)
from sigedge_export.chain import Made, run_chain
from sigedge_export.process import Usage
from sigedge_export.targets import TARGETS, Target
from sigedge_runtime.bundle import MANIFEST, hash_file, hash_files, write_manifest
from sigedge_runtime.manifest import Manifest
from sigedge_runtime.preprocessing import PreprocessSpec

FLOAT_LAYER = "model_2/tf.nn.relu_2/Relu;model_2/tf.math.add_2/Add;model_2/tf.nn.convolution_2/convolution;Const_8"
FLOAT_ONNX = next(target for target in TARGETS if target.key == "float32-onnx")
NOTHING = Exception("no fault")

DECISION = {
    "fusion": "mean_max",
    "default_operating_point": "balanced",
    "operating_points": [
        {"name": "balanced", "references": 1, "threshold": 0.5, "far": 0.2, "frr": 0.2},
        {"name": "balanced", "references": 2, "threshold": 0.2, "far": 0.2, "frr": 0.2},
    ],
    "calibrations": [
        {"references": 1, "slope": 10.0, "intercept": -5.0},
        {"references": 2, "slope": 10.0, "intercept": -2.0},
    ],
    "consistency_weight": 0.5,
}
CELLS_DECISION = {
    **DECISION,
    "usual_consistency": {"mean": 0.4, "references": 2.0},
    "matching": {"rows": 8, "columns": 16, "reach_rows": 1, "reach_columns": 2, "demand_unit": 0.125},
}


@pytest.fixture(scope="session")
def calibration() -> NDArray[np.uint8]:
    return calibration_canvases(count=32)


@pytest.fixture(scope="session")
def parity_set() -> ParitySet:
    return synthetic_parity_set(signers=6, genuine=4, skilled=3)


@pytest.fixture(scope="session")
def golden() -> list[GoldenImage]:
    return golden_images(signers=2)


def train_small(
    path: Path,
    calibration: NDArray[np.uint8],
    config: dict[str, Any],
    decision: dict[str, Any],
    *,
    steps: int = 30,
    forgeries: bool = False,
) -> Path:
    """A small edgesig, trained for a few seconds so that it tells signers apart and stands quantisation."""
    import torch

    from sigedge.export_inputs import CALIBRATION_SEED, SAMPLES_PER_CALIBRATION_SIGNER
    from sigedge.synthesis import Synthesiser
    from sigedge.training.similarity import matching_of, similarities
    from sigedge_models import CheckpointInfo, create, save_checkpoint
    from sigedge_runtime.preprocessing import harmonise

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, waiting for a second thread takes longer than the work
    torch.manual_seed(5)
    config = {"stages": [[16, 2], [16, 2], [32, 2], [32, 2]], **config}
    model = create("edgesig", **config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    signers = torch.arange(len(calibration)) // SAMPLES_PER_CALIBRATION_SIGNER
    if forgeries:
        people, count = Synthesiser(CALIBRATION_SEED), int(signers[-1]) + 1
        forged = [harmonise(people.signer(number).skilled_forgery(0).image).canvas for number in range(count)]
        calibration = np.concatenate([calibration, forged])
        signers = torch.cat([signers, count + torch.arange(count)])  # every forgery is a signer of its own
    canvases = torch.from_numpy(calibration[:, None].astype(np.float32))
    same = (signers[:, None] == signers[None]).float()
    for _ in range(steps):
        found = similarities(model(canvases), matching_of(model))
        optimizer.zero_grad()
        ((found - same) ** 2).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.set_num_threads(threads)
    info = CheckpointInfo(
        architecture="edgesig",
        config=config,
        name="small",
        version="0.1",
        preprocess=PreprocessSpec().to_dict(),
        decision=decision,
        training={"data": "none"},
        licence="Apache-2.0",
        seed=5,
    )
    return save_checkpoint(path, model.eval(), info)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, calibration: NDArray[np.uint8]) -> Path:
    """One vector for the whole canvas, compared by cosine."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    return train_small(path, calibration, {"head": "global", "embedding_size": 16}, DECISION)


@pytest.fixture(scope="session")
def cells_checkpoint(tmp_path_factory: pytest.TempPathFactory, calibration: NDArray[np.uint8]) -> Path:
    """A vector for each of 8x16 cells, compared cell by cell."""
    path = tmp_path_factory.mktemp("cells") / "small.safetensors"
    return train_small(
        path, calibration, {"head": "local", "embedding_size": 8}, CELLS_DECISION, steps=20, forgeries=True
    )


@pytest.fixture(scope="session")
def reference(checkpoint: Path) -> Reference:
    return load_reference(checkpoint)


@pytest.fixture(scope="session")
def tolerances() -> dict[str, Tolerances]:
    exact = Tolerances(1e-4, 5e-5, 0.0005, 0.0005, 0.99, 0.99)
    half = Tolerances(0.005, 0.003, 0.01, 0.005, 0.98, 0.98)
    coarse = Tolerances(0.08, 0.05, 0.02, 0.02, 0.9, 0.9)
    return {
        "float32": exact,
        "float16": half,
        "dynamic_range": coarse,
        "int8": coarse,
        "int16_activations": coarse,
        "mixed": coarse,
    }


@pytest.fixture(scope="session")
def options() -> ExportOptions:
    """The small model keeps its third convolution in float; its layers have other names than the flagship's."""
    return ExportOptions(float_layers=(FLOAT_LAYER,))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hops")


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
    checkpoint: Path,
    calibration: NDArray[np.uint8],
    parity_set: ParitySet,
    golden: list[GoldenImage],
    tolerances: dict[str, Tolerances],
    options: ExportOptions,
    cache: Path,
) -> Export:
    """The small model through every hop of the chain and the gate."""
    return export_bundle(
        checkpoint,
        tmp_path_factory.mktemp("exported") / "small",
        golden=golden,
        parity=parity_set,
        calibration=calibration,
        tolerances=tolerances,
        options=options,
        cache=cache,
    )


@pytest.fixture
def altered(exported: Export, tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Copy the bundle with one artefact alone, let a function spoil its file, and sign it off again."""

    def alter(name: str, spoil: Callable[[Path], None]) -> Path:
        folder = tmp_path / "altered"
        shutil.copytree(exported.bundle, folder)
        manifest = Manifest.from_json((folder / MANIFEST).read_text())
        artifact = next(artifact for artifact in manifest.artifacts if artifact.name == name)
        spoil(folder / artifact.file)
        for path in (folder / "artifacts").iterdir():
            if path != folder / artifact.file:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        spoilt = dataclasses.replace(
            artifact,
            sha256=hash_file(folder / artifact.file),
            size=(folder / artifact.file).stat().st_size,
        )
        write_manifest(folder, dataclasses.replace(manifest, artifacts=(spoilt,), files=hash_files(folder)))
        return folder

    return alter


@pytest.fixture
def fake_chain(exported: Export, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the chain by copies of what it made once; files in the returned list replace the ONNX file."""
    spoilt: list[Path] = []

    def copy_artifacts(checkpoint: Path, work: Path, targets: list[Target], *_: object, **__: object) -> Made:
        made = {}
        for target in targets:
            source, copy = exported.bundle / target.file("small"), work / target.key
            if spoilt and target == FLOAT_ONNX:
                source = spoilt[0]
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
            made[target] = copy
        return Made(made, ())

    assert run_chain.__name__ == "run_chain"
    monkeypatch.setattr("sigedge_export.pipeline.run_chain", copy_artifacts)
    return spoilt


class FakeChild:
    """A step that ends at once and writes a word, or does what `faults` says of the hop."""

    started: ClassVar[list[tuple[str, list[str | Path]]]]
    faults: ClassVar[dict[str, BaseException | None]]

    def __init__(self, name: str, arguments: list[str | Path], logs: Path, log: str) -> None:
        self.started.append((log, arguments))
        self._hop = log
        self._output = [part for part in arguments if isinstance(part, Path)][-1]

    def poll(self) -> Usage:
        fault = self.faults.get(self._hop, NOTHING)
        if isinstance(fault, BaseException) and fault is not NOTHING:
            raise fault
        if fault is NOTHING:
            self._output.write_text(f"made as {self._hop}")
        return Usage(0.5, 1000)

    def end(self) -> None:
        """It has ended."""


@pytest.fixture
def fake_children(monkeypatch: pytest.MonkeyPatch) -> type[FakeChild]:
    """No converter runs: a hop writes its name. `faults` maps a hop to an error, or to None to write nothing."""
    monkeypatch.setattr(FakeChild, "started", [], raising=False)
    monkeypatch.setattr(FakeChild, "faults", {}, raising=False)
    monkeypatch.setattr("sigedge_export.chain.Child", FakeChild)
    return FakeChild


@pytest.fixture(scope="session")
def vectors(exported: Export) -> dict[str, object]:
    content: dict[str, object] = json.loads((exported.bundle / "vectors" / "vectors.json").read_text())
    return content
