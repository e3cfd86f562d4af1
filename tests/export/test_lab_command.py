"""`sigedge parity --bisect` and `--sensitivity`: what they print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigedge.cli import app
from sigedge.cli.console import Output
from sigedge.cli.parity_lab import brief, show_bisect, show_sensitivity
from sigedge_export import Export
from sigedge_export.lab import (
    BisectHop,
    BisectReport,
    Fault,
    LayerLoss,
    LayerNoise,
    MixedLoss,
    SensitivityReport,
)
from sigedge_export.statistics import ScoreChange

LONG = "model_2/tf.nn.relu_1/Relu;model_2/tf.math.add_1/Add;Const_1"


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, ["parity", *map(str, arguments)])


def bisected(fault: bool) -> BisectReport:
    sound = LayerNoise(0, "canvas", "Input", 200.0, 0.0, "canvas")
    noisy = LayerNoise(1, LONG, "CONV_2D+RELU", 3.21, 0.5, "relu_1")
    found = Fault(noisy, 16.0, "dead_range", "The error enters.") if fault else None
    sound_hop = BisectHop("torch", "m-float32-onnx", "float32", (sound,), (), (), None)
    return BisectReport(
        "m-int8-tflite",
        4,
        (sound_hop, BisectHop("m-float32-onnx", "m-int8-tflite", "int8", (sound, noisy), ("pool (mean)",), (), found)),
        ("float32 tflite",),
        None,
    )


def test_a_fault_is_marked_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_bisect(Output(), bisected(fault=True))
    lines = capsys.readouterr().out.splitlines()
    (hop,) = (line for line in lines if "fault: dead range" in line)
    assert "m-float32-onnx -> m-int8-tflite" in hop and "1 there, 0 here" in hop
    (marked,) = (line for line in lines if "<-- here" in line)
    assert marked.split() == ["tf.nn.relu_1/Relu", "CONV_2D+RELU", "3.2", "0.5", "<--", "here"]
    assert any(line.startswith("not in the bundle: float32 tflite") for line in lines)


def test_without_a_fault_the_last_hop_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_bisect(Output(), bisected(fault=False))
    text = capsys.readouterr().out
    assert "m-float32-onnx -> m-int8-tflite, layer by layer" in text
    assert "<-- here" not in text and "equal" in text


def sensitivity(float_layers: tuple[str, ...] | None) -> SensitivityReport:
    loss = ScoreChange(0.02, 0.01, 3, 0.03)
    layer = LayerLoss(1, LONG, "CONV_2D+RELU", ("pad", LONG), loss)
    return SensitivityReport(
        "m-float32-tflite", "nobody", 100, 0.5, 0.01, (layer,), (MixedLoss(0, loss),), float_layers
    )


@pytest.mark.parametrize(
    ("float_layers", "sentence"),
    [
        (("pad", LONG), "Keep these in float to stay within a p99 score difference of 0.01"),
        ((), "All layers in int8 are within a p99 score difference of 0.01"),
        (None, "No list of layers in float reaches a p99 score difference of 0.01"),
    ],
)
def test_the_proposal_in_words(
    float_layers: tuple[str, ...] | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_sensitivity(Output(), sensitivity(float_layers))
    text = capsys.readouterr().out
    assert sentence in text and "3 of 100" in text
    assert (f"  {LONG}" in text.splitlines()) is bool(float_layers)


def test_names_are_cut_to_what_tells_them_apart() -> None:
    assert brief(LONG) == "tf.nn.relu_1/Relu"
    assert brief("blocks.1.conv") == "blocks.1.conv"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--split", "train"), "validation or test, not 'train'"),
        (("--split", "test"), "Synthetic signers have no test part"),
    ],
)
def test_other_parts_are_refused(options: tuple[str, ...], sentence: str) -> None:
    result = run(*options)
    assert result.exit_code == 2 and sentence in result.stderr


def test_an_artefact_that_is_not_there_is_refused(exported: Export, checkpoint: Path) -> None:
    result = run(exported.bundle, "--checkpoint", checkpoint, "--bisect", "nonsense")
    assert result.exit_code == 2 and "has no nonsense artefact" in result.stderr


def test_bisect_of_a_sound_artefact(exported: Export, checkpoint: Path) -> None:
    name = "small-float32-onnx"
    result = run(exported.bundle, "--checkpoint", checkpoint, "--bisect", name, "--json", "-")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["bisect"]["first_fault"] is None and found["meta"]["artifacts"][name]
    assert [layer["counterpart"] for layer in found["bisect"]["hops"][1]["layers"]][:3] == [
        *("canvas", "0.conv2d", "1.relu")
    ]
    assert "as near to the one before as its precision allows" in result.stderr
