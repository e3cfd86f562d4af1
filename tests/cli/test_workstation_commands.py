"""`evaluate` and `bench` on the tiny bundle, `export` and `parity` on an untrained network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sigedge.synthesis import write_dataset

FIGURES = (
    "eer_skilled",
    "eer_skilled_ci95",
    "eer_random",
    "eer_per_signer_mean",
    "frr_at_far_1pct",
    "auc",
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synth") / "people", signers=4, genuine=4, forged=3, seed=11)


def test_evaluate_writes_every_figure_by_references(run, dataset: Path, master_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the leak gates need scikit-learn (pip install 'sigedge[train]')")
    result = run(
        *("evaluate", master_bundle, "--index", dataset, "--refs", "1,2", "--bootstrap", 50),
        *("--cache", tmp_path / "cache", "--json", tmp_path / "result.json"),
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert list(found["references"]) == ["1", "2"]
    for block in found["references"].values():
        assert set(FIGURES) <= block.keys() and 0 <= block["eer_skilled"] <= 1
    assert {"background_ink_auc", "reference_swap_auc", "skeleton_auc"} <= found["leak_gates"].keys()
    assert found["artifact"] == "tiny-int8-tflite" and found["split"] == "test" and found["meta"]["fold"] == 0
    assert "EER skilled" in result.stdout and "Leak gates" in result.stdout


def test_evaluate_writes_a_page_and_keeps_its_trials(
    run, dataset: Path, master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sklearn", "matplotlib", "jinja2"):
        pytest.importorskip(module)
    from sigedge.evaluation.distortions import DISTORTIONS

    rotation = replace(DISTORTIONS[0], ladder={"0": None, "10": 10.0})
    monkeypatch.setattr("sigedge.evaluation.robustness.DISTORTIONS", (rotation,))
    options = ("--refs", "2", "--bootstrap", 20, "--cache", tmp_path / "cache", "--protocol", tmp_path / "trials.json")
    asked = ("--robustness", "--robustness-signers", 2, "--report", tmp_path / "page.html", "--json", "-")
    result = run("evaluate", master_bundle, "--index", dataset, *options, *asked)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["robustness"]["references"] == 2 and found["robustness"]["signers"] == 2
    page = (tmp_path / "page.html").read_text()
    assert found["meta"]["protocol_sha256"] in page and "Rotation" in page and "page.html" in result.stderr
    assert json.loads((tmp_path / "trials.json").read_text())[0]["references"] == 2
    damaged = tmp_path / "trials.json"
    damaged.write_text("nothing")
    result = run("evaluate", master_bundle, "--index", dataset, *options)
    assert result.exit_code == 2 and "holds no stored protocol" in result.stderr


def test_a_system_has_no_page_of_a_bundle(run, tmp_path: Path) -> None:
    result = run("evaluate", "cgan", "--report", tmp_path / "page.html")
    assert result.exit_code == 2 and "cgan is no bundle; leave --report" in result.stderr


def test_bench_measures_each_engine_in_processes_of_their_own(run, master_bundle: Path, tmp_path: Path) -> None:
    options = ("--repeats", 3, "--cold-starts", 1, "--precision", "int8", "--device-id", "desk")
    files = ("--json", tmp_path / "bench-desk.json", "--page", tmp_path / "page.html")
    result = run("bench", master_bundle, *options, *files)
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "bench-desk.json").read_text())
    assert {row["artifact"] for row in found["runs"]} == {"tiny-int8-tflite", "tiny-int8-onnx"}
    assert len({row["peak_rss_mb"] for row in found["runs"]}) > 1
    for row in found["runs"]:
        stages = row["stages_ms"]
        assert stages["total"]["n"] == 3 and stages["total"]["p50"] >= stages["infer"]["p50"] > 0
        assert row["cold_start_ms"]["import"]["p50"] > 1 and row["selftest"]["passed"]
        assert len(row["sha256"]) == 64
    assert found["machine"]["cpu"] and found["energy"] == "not measured" and found["model"]["name"] == "tiny"
    assert str(tmp_path) not in json.dumps(found)
    assert "Figures of this run" in result.stdout
    assert "desk" in (tmp_path / "page.html").read_text()


def test_bench_refuses_a_device_that_cannot_be_a_file_name(run, master_bundle: Path) -> None:
    result = run("bench", master_bundle, "--device-id", "../up")
    assert result.exit_code == 2 and "device id" in result.stderr


def test_bench_says_which_engine_is_missing(run, master_bundle: Path) -> None:
    result = run("bench", master_bundle, "--engine", "litert", "--precision", "float16")
    assert result.exit_code == 2 and "float16" in result.stderr and "sigedge[litert]" in result.stderr


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flagship's architecture, untrained, with a made-up decision rule."""
    torch = pytest.importorskip("torch", reason="checkpoints need PyTorch (pip install 'sigedge[export]')")
    from sigedge_models import CheckpointInfo, create, save_checkpoint
    from sigedge_runtime.decision import Calibration, Decision, OperatingPoint
    from sigedge_runtime.preprocessing import PreprocessSpec

    torch.manual_seed(0)
    model = create("edgesig").eval()
    points, calibrations = (OperatingPoint("balanced", 1, 0.5, 0.1, 0.1),), (Calibration(1, 10.0, -5.0),)
    decision = Decision("mean", "balanced", points, calibrations, matching=model.matching)
    info = CheckpointInfo(
        "edgesig", {}, "edgesig", "0.0", PreprocessSpec().to_dict(), decision.to_dict(), {}, "for tests"
    )
    return save_checkpoint(tmp_path_factory.mktemp("weights") / "w.safetensors", model, info)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from sigedge.cli import app

    out = tmp_path_factory.mktemp("export") / "bundle"
    arguments = [
        "export",
        str(checkpoint),
        "--out",
        str(out),
        "--format",
        "onnx",
        "--precision",
        "float32",
        "--no-cache",
    ]
    result = CliRunner().invoke(app, [*arguments, "--json", str(out.parent / "export.json")])
    assert result.exit_code == 0, result.output
    return out


def test_export_writes_a_bundle_and_its_figures(exported: Path) -> None:
    assert (exported / "manifest.json").is_file() and exported.with_name("bundle.zip").is_file()
    found = json.loads((exported.parent / "export.json").read_text())
    assert [row["artifact"] for row in found["parity"]["rows"]] == ["edgesig-float32-onnx"]
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert found["report"] == str(exported.with_name("bundle.report.html"))
    assert "Unanswered" in page and "Refused." not in page
    manifest = json.loads((exported / "manifest.json").read_text())
    grid = {"rows": 8, "columns": 16, "reach_rows": 1, "reach_columns": 2}
    assert manifest["decision"]["matching"] == {**grid, "demand_unit": 0.125}
    assert manifest["model"]["output_size"] == 8 * 16 * 17


def test_a_refused_export_leaves_a_report_that_says_why(
    run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from sigedge_export import load_tolerances

    limits = {
        precision: replace(limit, max_score_difference=1e-12) for precision, limit in load_tolerances("edgesig").items()
    }
    for module in ("sigedge_export.pipeline", "sigedge.export_report"):
        monkeypatch.setattr(f"{module}.load_tolerances", lambda architecture: limits)
    options = ("--formats", "onnx", "--precisions", "float32", "--no-cache")
    result = run("export", checkpoint, "--out", tmp_path / "b", *options)
    assert result.exit_code == 1 and "max_score_difference" in result.stderr, result.stderr
    page = (tmp_path / "b.report.html").read_text(encoding="utf-8")
    assert "Refused." in page and 'class="failed"' in page and not (tmp_path / "b").exists()


def test_report_of_a_bundle(run, exported: Path, checkpoint: Path, tmp_path: Path) -> None:
    options = ("--checkpoint", checkpoint, "--out", tmp_path / "new" / "page.html", "--json", tmp_path / "page.json")
    result = run("report", exported, *options)
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "edgesig-float32-onnx" in page and " s</text>" in page, "the export's own record of its steps is used"
    found = json.loads((tmp_path / "page.json").read_text())
    row = found["rows"][0]
    assert row["latency"]["n"] == found["latency_protocol"]["rounds"] and row["latency"]["p50"]["low"] > 0
    assert row["verdict"] is None and found["verdict"] is None and row["size"] > 1_000_000
    assert found["meta"]["model"]["name"] == "edgesig" and len(found["meta"]["artifacts"]) == 1


def test_report_takes_no_test_part_of_synthetic_signers(run, exported: Path, checkpoint: Path, tmp_path: Path) -> None:
    result = run("report", exported, "--checkpoint", checkpoint, "--split", "test", "--out", tmp_path / "page.html")
    assert result.exit_code == 2 and "--index" in result.stderr and not list(tmp_path.iterdir())


def test_an_exported_bundle_passes_its_selftest(run, exported: Path) -> None:
    assert run("selftest", exported).exit_code == 0


def test_parity_of_a_sound_bundle(run, exported: Path, checkpoint: Path) -> None:
    result = run("parity", exported, "--checkpoint", checkpoint, "--json", "-")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["rows"][0]["max_score_difference"] < 1e-4 and found["pairs"] > 500


def test_parity_on_labelled_signatures(run, exported: Path, checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    splits = tmp_path / "splits.json"
    names = [f"signer_{number:04d}" for number in range(1, 5)]
    splits.write_text(json.dumps({"people": {"train": names, "test": []}}))
    options = ("--checkpoint", checkpoint, "--index", dataset, "--splits", splits)
    result = run("parity", exported, *options, "--json", "-")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["source"] == "validation signers of people"


def test_parity_refuses_another_checkpoint(run, master_bundle: Path, checkpoint: Path) -> None:
    result = run("parity", master_bundle, "--checkpoint", checkpoint)
    assert result.exit_code == 2 and str(checkpoint) in result.stderr and "not the checkpoint" in result.stderr


@pytest.mark.parametrize(
    ("formats", "precisions", "calibrated"),
    [
        ("torch_program,onnx", "float32,float16", False),
        ("tflite", "dynamic_range", True),
        ("onnx", "float32,int8", True),
        ("tflite", "float32,int16_activations", True),
        ("tflite", "mixed", True),
    ],
)
def test_the_checkpoint_is_read_once_and_calibration_drawn_where_it_is_used(
    run,
    formats: str,
    precisions: str,
    calibrated: bool,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from functools import partial

    from sigedge import export_inputs
    from sigedge_models import checkpoint as checkpoints
    from sigedge_runtime.errors import ExportError

    read, drawn, given = [], [], []

    def load(path: Path) -> object:
        read.append(path)
        return load_checkpoint(path)

    def draw(**options: object) -> object:
        drawn.append(options)
        return few(**options)

    def stop(checkpoint: Path, work: Path, targets: object, calibration: object, **_: object) -> None:
        given.append(calibration)
        raise ExportError("Enough.")

    load_checkpoint, few = checkpoints.load_checkpoint, partial(export_inputs.calibration_canvases, 4)
    monkeypatch.setattr(checkpoints, "load_checkpoint", load)
    monkeypatch.setattr(export_inputs, "calibration_canvases", draw)
    monkeypatch.setattr(export_inputs, "synthetic_parity_set", partial(export_inputs.synthetic_parity_set, 2, 2, 1))
    monkeypatch.setattr("sigedge_export.pipeline.run_chain", stop)
    result = run("export", checkpoint, "--out", tmp_path / "b", "--formats", formats, "--precisions", precisions)
    assert result.exit_code == 2 and "Enough." in result.stderr
    assert len(read) == 1 and len(drawn) == calibrated
    assert [canvases is not None and len(canvases) for canvases in given] == [4 if calibrated else False]


def test_a_precision_that_is_not_offered(run, checkpoint: Path, tmp_path: Path) -> None:
    result = run("export", checkpoint, "--out", tmp_path / "b", "--formats", "onnx", "--precisions", "float32,mixed")
    assert result.exit_code == 2 and "mixed-onnx" in result.stderr
    assert not list(tmp_path.iterdir())
