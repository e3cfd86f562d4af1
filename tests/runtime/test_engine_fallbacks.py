"""What runs otherwise than was asked for is told: real files on real engines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from sigedge_runtime.bundle import DEFAULT_BUNDLE, Bundle
from sigedge_runtime.engines import Engine, engine_class, open_engine
from sigedge_runtime.engines._tflite_graph import DELEGATE, Graph, Operator
from sigedge_runtime.errors import EngineError


@pytest.mark.parametrize("name", ["tiny-float32-tflite", "tiny-int8-tflite"])
def test_litert_runs_what_was_asked_for(load: Callable[..., Engine], name: str) -> None:
    with load("litert", name) as engine:
        assert engine.fallbacks == ()


def test_float_tensors_in_an_int8_artefact_are_told(load: Callable[..., Engine]) -> None:
    with load("litert", "tiny-float32-tflite", precision="int8") as engine:
        (sentence,) = engine.fallbacks
    assert sentence.startswith("int8 was asked for, but 1 of 1 heavy operators of tiny-float32-tflite run in float")
    assert "FULLY_CONNECTED" in sentence


def test_float_weights_are_what_a_float_artefact_should_have(load: Callable[..., Engine]) -> None:
    with load("litert", "tiny-float32-tflite", precision="float32") as engine:
        assert engine.fallbacks == ()


def test_without_xnnpack_the_builtin_kernels_are_told(
    load: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteRT itself, asked to leave XNNPACK out."""
    from ai_edge_litert import interpreter as real

    stand_in = ModuleType("ai_edge_litert.interpreter")
    stand_in.Interpreter = lambda **options: real.Interpreter(  # type: ignore[attr-defined]
        **options, experimental_op_resolver_type=real.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", stand_in)
    with load("litert", "tiny-int8-tflite") as engine:
        (sentence,) = engine.fallbacks
    assert sentence == (
        "XNNPACK was to run tiny-int8-tflite, but 1 of 1 heavy operators run on the slower built-in kernels "
        "(FULLY_CONNECTED)."
    )


def test_a_version_that_tells_nothing_of_its_operators_has_no_fallbacks(
    load: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_edge_litert import interpreter as real

    monkeypatch.delattr(real.Interpreter, "_get_ops_details")
    with load("litert", "tiny-float32-tflite", precision="int8") as engine:
        assert engine.fallbacks == ()


def test_the_shipped_int8_file_runs_in_int8_on_xnnpack() -> None:
    with Bundle.open(DEFAULT_BUNDLE) as shipped:
        artifact = shipped.artifact(precision="int8", format="tflite")
        with open_engine("litert", artifact, shipped.path(artifact.file)) as engine:
            assert engine.fallbacks == ()


def test_tflite_runtime_gives_xnnpack_no_int8() -> None:
    pytest.importorskip("tflite_runtime", reason="tflite-runtime is not installed")
    with Bundle.open(DEFAULT_BUNDLE) as shipped:
        artifact = shipped.artifact(precision="int8", format="tflite")
        with open_engine("tflite_runtime", artifact, shipped.path(artifact.file)) as engine:
            (sentence,) = engine.fallbacks
    assert "heavy operators run on the slower built-in kernels" in sentence and "CONV_2D" in sentence


def test_quantised_layers_of_onnx_run_in_float_on_a_cpu(load: Callable[..., Engine]) -> None:
    with load("onnxruntime", "tiny-int8-onnx") as engine:
        (sentence,) = engine.fallbacks
    assert sentence.startswith(
        "int8 was asked for, but on the CPU ONNX Runtime runs the layers of tiny-int8-onnx in float"
    )
    with load("onnxruntime", "tiny-float32-onnx") as engine:
        assert engine.fallbacks == ()


def test_fallbacks_of_a_closed_engine_are_not_known_until_somebody_asked(load: Callable[..., Engine]) -> None:
    engine = load("litert", "tiny-float32-tflite")
    engine.close()
    with pytest.raises(EngineError, match="closed; open it again"):
        _ = engine.fallbacks
    with engine.open():
        assert engine.fallbacks == ()
    assert engine.fallbacks == (), "it was asked while it was open"


CONV1, CONV2 = Operator("CONV_2D", (0, 10), (1,)), Operator("CONV_2D", (1, 11), (2,))
POOL, DENSE = Operator("AVERAGE_POOL_2D", (2,), (3,)), Operator("FULLY_CONNECTED", (3, 12), (4,))
ALL = [CONV1, CONV2, POOL, DENSE]


@pytest.mark.parametrize(
    ("delegates", "left"),
    [
        ([], [CONV1, CONV2, DENSE]),
        ([Operator(DELEGATE, (0, 10, 11, 12), (4,))], []),
        ([Operator(DELEGATE, (0, 10, 11), (2,))], [DENSE]),
        ([Operator(DELEGATE, (1, 11, 12), (4,))], [CONV1]),
        ([Operator(DELEGATE, (0, 10), (1,)), Operator(DELEGATE, (2, 12), (4,))], [CONV2]),
    ],
)
def test_the_walk_meets_what_no_delegate_runs(delegates: list[Operator], left: list[Operator]) -> None:
    found = Graph([*ALL, *delegates], [4]).left_to_builtin_kernels()
    assert sorted(found, key=ALL.index) == left


def test_float_tensors_are_found_by_operator() -> None:
    graph = Graph(ALL, [4])
    assert graph.float_weights({0: "int8", 10: "int8", 1: "int8", 11: "float32", 12: "int8", 3: "int8"}) == [CONV2]
    assert graph.float_weights({2: "float32"}) == [], "an average has no weights"


def test_a_loop_in_the_graph_ends() -> None:
    graph = Graph([Operator("CONV_2D", (1,), (0,)), Operator("CONV_2D", (0,), (1,))], [1])
    assert len(graph.left_to_builtin_kernels()) == 2


def test_every_engine_has_fallbacks_to_ask_for() -> None:
    assert isinstance(Engine.fallbacks, property)
    assert engine_class("litert").fallbacks is Engine.fallbacks
