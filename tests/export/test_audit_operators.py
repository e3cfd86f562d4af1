"""Operator versions, weights and delegates: the rules by themselves, and the table against the engines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_export.audits.facts import Finding, Placement, Weight, require_sound
from sigedge_export.audits.operators import EngineOperators, Operator, known_engines, refusal
from sigedge_export.audits.weights import EXPECTED, by_dtype, bytes_per_parameter, judge
from sigedge_export.audits.whole import inspect_whole
from sigedge_export.process import run_step
from sigedge_export.steps.inspect_tflite import _delegated
from sigedge_runtime.engines import available
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import PRECISIONS, Artifact, Tensor

RELEASES = {release.engine: release for release in known_engines()}


def artifact(precision: str, size: int = 1, format: str = "onnx") -> Artifact:
    tensors = (
        Tensor("canvas", (1, 1, 8, 8), "float32", "NCHW", None),
        Tensor("embedding", (1, 4), "float32", "ND", None),
    )
    return Artifact("model", "artifacts/model", format, precision, "0" * 64, size, *tensors, score_tolerance=0.1)


@pytest.mark.parametrize("engine", ["litert", "tflite_runtime"])
def test_the_table_is_what_the_engine_itself_answers(engine: str, tmp_path: Path) -> None:
    status, release = available()[engine], RELEASES[engine]
    if not status.available or status.detail != release.version:
        pytest.skip(f"{release} is not installed")
    table = tmp_path / "table.json"
    run_step("probe_operators", ["--engine", engine, "--table", table], tmp_path)
    (row,) = json.loads(table.read_text())["engines"].values()
    assert row["version"] == release.version and row["distribution"] == release.distribution
    assert {name: tuple(pair) for name, pair in row["operators"].items()} == release.operators


def test_the_table_holds_the_two_engines_of_the_runtime() -> None:
    assert {str(release) for release in RELEASES.values()} == {"ai-edge-litert 2.1.0", "tflite-runtime 2.14.0"}
    assert all(len(release.operators) > 140 for release in RELEASES.values())


def test_the_newer_engine_loads_all_that_the_older_does() -> None:
    older, newer = RELEASES["tflite_runtime"].operators, RELEASES["litert"].operators
    assert all(newer[name][0] <= lowest and highest <= newer[name][1] for name, (lowest, highest) in older.items())


def test_what_an_engine_does_not_know_is_named() -> None:
    release = EngineOperators("old", "old-runtime", "1.0", {"CONV_2D": (2, 3)})
    needed = [Operator("PAD", 1), Operator("CONV_2D", 2), Operator("CONV_2D", 4), Operator("CONV_2D", 1)]
    unknown = release.unknown([*needed, Operator("custom FlexErf", 1)])
    assert [str(one) for one in unknown] == [
        "CONV_2D version 1",
        "CONV_2D version 4",
        "PAD version 1",
        "custom FlexErf version 1",
    ]
    assert refusal(release, unknown).startswith(
        "old-runtime 1.0 does not know CONV_2D version 1, CONV_2D version 4, PAD"
    )
    assert release.unknown([Operator("CONV_2D", 3)]) == ()


def test_there_is_an_expectation_for_every_precision() -> None:
    assert set(EXPECTED) == set(PRECISIONS)


KERNEL, BIAS = 10_000, 100


def network(kernel: str, width: int, bias: str = "float32", bias_width: int = 4) -> list[Weight]:
    return [Weight(kernel, KERNEL, KERNEL * width), Weight(bias, BIAS, BIAS * bias_width)]


@pytest.mark.parametrize(
    ("precision", "weights"),
    [
        ("float32", network("float32", 4)),
        ("float16", network("float16", 2, "float16", 2)),
        ("dynamic_range", network("int8", 1)),
        ("int8", network("int8", 1, "int32")),
        ("int16_activations", network("int8", 1, "int64", 8)),
        ("mixed", [*network("int8", 1, "int32"), Weight("float32", 2000, 8000)]),
    ],
)
def test_weights_as_they_should_be_pass_and_those_of_other_precisions_do_not(
    precision: str, weights: list[Weight]
) -> None:
    parameters = sum(one.elements for one in weights)
    assert judge(artifact(precision), weights, parameters) == []
    for other in PRECISIONS:
        if not EXPECTED[other].dtypes & EXPECTED[precision].dtypes:
            (finding,) = judge(artifact(other), weights, parameters)
            assert finding.grave and f"declared {other}" in str(finding)


def test_a_file_of_four_bytes_a_parameter_is_no_int8_file() -> None:
    (finding,) = judge(artifact("int8"), network("float32", 4), KERNEL + BIAS)
    assert finding.grave and "100% float32, 4.0 bytes a parameter" in str(finding)


def test_one_layer_that_was_not_quantised_is_found() -> None:
    weights = [*network("int8", 1, "int32"), Weight("float32", 5000, 20_000)]
    (finding,) = judge(artifact("int8"), weights, 15_100)
    assert finding.grave and "67% int8 and 33% float32" in str(finding)


def test_lost_or_doubled_weights_are_reported() -> None:
    (lost,) = judge(artifact("float32"), network("float32", 4), 2 * KERNEL)
    (twice,) = judge(artifact("int8"), 2 * network("int8", 1), KERNEL)
    assert not lost.grave and "2.02 bytes a parameter, outside 3.2 to 4.8" in str(lost)
    assert not twice.grave and "2.08 bytes a parameter, outside 0.8 to 1.6" in str(twice)


def test_a_file_without_weights_is_of_no_precision() -> None:
    for precision in PRECISIONS:
        (finding,) = judge(artifact(precision), [], 100)
        assert finding.grave and "its weights are missing" in str(finding)


def test_small_constants_do_not_decide() -> None:
    """Shapes, biases and scales of many layers are no sign of another precision."""
    weights = [Weight("int8", 2000, 2000), *[Weight("float32", 1000, 4000)] * 5]
    assert not any(finding.grave for finding in judge(artifact("int8"), weights, 7000))


def test_bytes_are_counted_by_type() -> None:
    weights = network("int8", 1, "int32")
    assert by_dtype([*weights, *weights]) == {"int32": 800, "int8": 20_000}
    assert bytes_per_parameter(weights, 5200) == 2


def test_a_folder_smaller_than_its_weights_is_reported() -> None:
    sound = inspect_whole(artifact("float32", size=4100, format="saved_model"), 1000)
    assert sound.findings == () and sound.facts.bytes_per_parameter == 4.1
    (finding,) = inspect_whole(artifact("float32", size=2000, format="saved_model"), 1000).findings
    assert not finding.grave and "2.00 bytes a parameter, less than 3.2" in str(finding)


def node(inputs: list[int], outputs: list[int]) -> dict[str, list[int]]:
    return {"inputs": inputs, "outputs": outputs}


def test_nodes_between_the_ends_of_a_delegate_are_its() -> None:
    """0 -> 1 -> 2 -> 3 -> 4 with a branch 1 -> 5 -> 4; tensor 9 is a constant."""
    graph = [node([0], [1]), node([1, 9], [2]), node([2, 9], [3]), node([1], [5]), node([3, 5], [4])]
    assert _delegated(graph, 5) == 0
    assert _delegated([*graph, node([0, 9], [4])], 5) == 5
    assert _delegated([*graph, node([1, 9], [3])], 5) == 2
    assert _delegated([*graph, node([0, 9], [1]), node([3, 5], [4])], 5) == 2
    assert _delegated([*graph, node([1, 9], [4])], 5) == 4


@given(st.data())
def test_two_delegates_share_no_node_of_a_chain(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 12))
    graph = [node([index], [index + 1]) for index in range(length)]
    cuts = sorted(data.draw(st.lists(st.integers(0, length), min_size=2, max_size=6, unique=True)))
    ranges = list(zip(cuts[::2], cuts[1::2], strict=False))
    delegates = [node([start], [end]) for start, end in ranges]
    assert _delegated([*graph, *delegates], length) == sum(end - start for start, end in ranges)


def test_a_placement_reads_as_words() -> None:
    assert str(Placement("XNNPACK", 17, 18)) == "XNNPACK, 17 of 18 nodes"


def test_only_what_is_grave_stops_an_export() -> None:
    minor, first, second = (Finding("a", "Minor.", False), Finding("b", "First.", True), Finding("c", "Second.", True))
    require_sound((minor,))
    with pytest.raises(ExportError, match=r"^First\.$"):
        require_sound((minor, first))
    with pytest.raises(ExportError, match=r"^First\. \(1 more are wrong\.\)$"):
        require_sound((first, minor, second))
