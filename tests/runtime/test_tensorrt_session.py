"""Running a plan, against a recording fake: what is called in which order, and that nothing stays allocated."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_runtime.engines import TensorFacts
from sigedge_runtime.errors import EngineError
from sigedge_runtime.tensorrt.cuda import Cuda
from sigedge_runtime.tensorrt.library import TENSORRT, Library
from sigedge_runtime.tensorrt.session import Session

_spec = importlib.util.spec_from_file_location("fake_tensorrt", Path(__file__).with_name("fake_tensorrt.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

SIZES = (128 * 256 * 4, 8 * 4)
INFERENCE = ["cudaMemcpyAsync", "execute_async_v3", "cudaMemcpyAsync"]
LOAD = [
    "deserialize_cuda_engine",
    "create_execution_context",
    "cudaStreamCreateWithFlags",
    *["cudaMalloc", "cudaMallocHost", "set_tensor_address"] * 2,
    *INFERENCE,
    "cudaStreamSynchronize",
]
CAPTURE = ["cudaStreamBeginCapture", *INFERENCE, "cudaStreamEndCapture", "cudaGraphInstantiate"]
REPLAY = ["cudaGraphLaunch", "cudaStreamSynchronize"]
CLOSE = [
    "cudaGraphExecDestroy",
    "cudaGraphDestroy",
    *["cudaFreeHost", "cudaFree"] * 2,
    "cudaStreamDestroy",
    "del Context",
    "del Engine",
    "del Runtime",
]
CUDA_CALLS_OF_LOAD = [(name, LOAD[:i].count(name) + 1) for i, name in enumerate(LOAD) if name.startswith("cuda")]
CUDA_CALLS_OF_CAPTURE = ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"]


def sums(canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eight numbers that depend on every pixel and its place."""
    return canvas.reshape(8, -1).mean(axis=1) * np.arange(1, 9, dtype=np.float32)


@pytest.fixture
def gpu() -> Any:
    return fake.Recorder(sums)


def plan_of(gpu: Any) -> bytes:
    content: bytes = fake.Builder(gpu.tensorrt, None).build_serialized_network(None, fake.Config(gpu.tensorrt))
    gpu.calls.clear()
    gpu.counts.clear()
    return content


def load(gpu: Any, **options: Any) -> Session:
    return Session(Library(gpu.tensorrt, TENSORRT, "10.3.0"), Cuda(gpu.cuda), plan_of(gpu), **options)


def canvas(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, (1, 1, 128, 256)).astype(np.float32)


def nothing_is_left(gpu: Any) -> bool:
    return not gpu.live


def test_everything_is_called_in_order_and_freed_in_the_opposite_one(gpu: Any) -> None:
    session = load(gpu)
    assert gpu.names() == [*LOAD, *CAPTURE]
    gpu.calls.clear()
    session.run(canvas(0))
    assert gpu.names() == REPLAY
    gpu.calls.clear()
    session.close()
    session.close()
    assert gpu.names() == CLOSE
    assert nothing_is_left(gpu)
    with pytest.raises(EngineError, match="is closed; load it again"):
        session.run(canvas(0))


def test_buffers_have_the_size_of_their_tensors_and_their_addresses_are_used(gpu: Any) -> None:
    with_session = load(gpu)
    calls: dict[str, list[tuple[Any, ...]]] = {}
    for name, *arguments in gpu.calls:
        calls.setdefault(name, []).append(tuple(arguments))
    assert calls["cudaMalloc"] == calls["cudaMallocHost"] == [(SIZES[0],), (SIZES[1],)]
    bound = dict(calls["set_tensor_address"])
    (target, _, size, kind, _), (_, source, back, direction, _) = calls["cudaMemcpyAsync"][:2]
    assert (target, size, kind) == (bound["canvas"], SIZES[0], "to device")
    assert (source, back, direction) == (bound["embedding"], SIZES[1], "to host")
    assert len(set(calls["execute_async_v3"])) == 1, "one stream for all"
    with_session.close()


def test_results_come_from_the_replayed_graph_and_are_the_callers_own(gpu: Any) -> None:
    session = load(gpu)
    assert session.graph_refusal is None
    assert (session.input, session.output) == (
        TensorFacts((1, 1, 128, 256), "float32"),
        TensorFacts((1, 8), "float32"),
    )
    results = [session.run(canvas(seed)) for seed in range(5)]
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(result, sums(canvas(seed))[None])
    assert gpu.counts["cudaGraphLaunch"] == 5
    assert gpu.counts["execute_async_v3"] == 2, "one warm-up and one capture"
    session.close()


def test_without_a_graph_each_inference_is_enqueued(gpu: Any) -> None:
    session = load(gpu, graph=False)
    gpu.calls.clear()
    np.testing.assert_array_equal(session.run(canvas(1)), sums(canvas(1))[None])
    assert gpu.names() == [*INFERENCE, "cudaStreamSynchronize"]
    session.close()
    assert nothing_is_left(gpu) and gpu.counts["cudaStreamBeginCapture"] == 0


@pytest.mark.parametrize(("name", "nth"), CUDA_CALLS_OF_LOAD)
def test_a_cuda_call_that_fails_while_loading_is_named_and_nothing_stays(gpu: Any, name: str, nth: int) -> None:
    gpu.fail = {name: nth}
    with pytest.raises(EngineError, match=rf"{name} failed \(cudaErrorMemoryAllocation: a text\); free memory"):
        load(gpu)
    assert nothing_is_left(gpu)


@pytest.mark.parametrize("name", CUDA_CALLS_OF_CAPTURE)
def test_a_plan_that_cannot_be_captured_runs_all_the_same_and_says_why(gpu: Any, name: str) -> None:
    gpu.fail = {name: 1}
    session = load(gpu)
    assert session.graph_refusal is not None and f"{name} failed" in session.graph_refusal
    np.testing.assert_array_equal(session.run(canvas(2)), sums(canvas(2))[None])
    assert gpu.counts["cudaGraphLaunch"] == 0
    session.close()
    assert nothing_is_left(gpu)


def test_a_refusal_to_enqueue_while_capturing_ends_the_capture(gpu: Any) -> None:
    gpu.fail = {"execute_async_v3": 2}
    session = load(gpu)
    assert session.graph_refusal is not None and "could not enqueue" in session.graph_refusal
    np.testing.assert_array_equal(session.run(canvas(3)), sums(canvas(3))[None])
    session.close()
    assert nothing_is_left(gpu)


@pytest.mark.parametrize(
    ("name", "nth", "word"),
    [
        ("deserialize_cuda_engine", 1, r"cannot load the plan \(serialization assertion failed\)"),
        ("create_execution_context", 1, "cannot load the plan"),
        ("set_tensor_address", 2, "refused the buffer of embedding"),
        ("execute_async_v3", 1, "could not enqueue the plan"),
    ],
)
def test_what_tensorrt_refuses_is_told_and_nothing_stays(gpu: Any, name: str, nth: int, word: str) -> None:
    gpu.fail = {name: nth}
    with pytest.raises(EngineError, match=word):
        load(gpu)
    assert nothing_is_left(gpu)


@pytest.mark.parametrize("name", REPLAY)
def test_a_cuda_call_that_fails_while_running_is_named(gpu: Any, name: str) -> None:
    session = load(gpu)
    gpu.fail = {name: gpu.counts[name] + 1}
    with pytest.raises(EngineError, match=f"{name} failed"):
        session.run(canvas(0))
    session.close()
    assert nothing_is_left(gpu)


def test_a_broken_gpu_is_told_once_and_closing_adds_no_error(gpu: Any) -> None:
    session = load(gpu)
    gpu.sticky, gpu.fail = True, {"cudaGraphLaunch": 1}
    with pytest.raises(EngineError, match="cudaGraphLaunch failed"):
        session.run(canvas(0))
    session.close()
    assert gpu.counts["cudaFree"] == 2, "it tried"


def test_a_failure_to_load_is_told_although_freeing_fails_too(gpu: Any) -> None:
    gpu.sticky, gpu.fail = True, {"cudaMallocHost": 2}
    with pytest.raises(EngineError, match="cudaMallocHost failed"):
        load(gpu)


def test_a_failure_to_free_is_told_and_the_rest_is_freed(gpu: Any) -> None:
    session = load(gpu)
    gpu.fail = {"cudaFree": 1}
    with pytest.raises(EngineError, match="cudaFree failed"):
        session.close()
    session.close()
    assert [kind for kind, _ in gpu.live.values()] == ["device memory"], "the one that could not be freed"


@pytest.mark.parametrize("graph", [True, False])
def test_what_is_written_to_the_page_locked_memory_is_inferred(gpu: Any, graph: bool) -> None:
    session = load(gpu, graph=graph)
    for seed in range(2):
        session.input_memory[...] = canvas(seed)
        np.testing.assert_array_equal(session.execute(), sums(canvas(seed))[None])
    assert np.shares_memory(session.execute(), session.execute()), "a view: nothing is copied for the engine"
    session.close()
    with pytest.raises(EngineError, match="closed; load it again"):
        session.execute()


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((1, 1, 128, 256), np.uint8),
        np.zeros((1, 1, 128, 256), np.float64),
        np.zeros((128, 256), np.float32),
        np.zeros((1, 1, 256, 128), np.float32),
    ],
)
def test_a_tensor_of_another_type_or_shape_is_refused(gpu: Any, tensor: NDArray[Any]) -> None:
    session = load(gpu)
    with pytest.raises(EngineError, match=r"takes float32 \[1, 1, 128, 256\], not"):
        session.run(tensor)
    session.close()


@pytest.mark.parametrize(
    ("inputs", "outputs", "word"),
    [
        ([("canvas", (-1, 1, 128, 256))], [("embedding", (-1, 8))], r"no fixed shape \(\[-1, 1, 128, 256\]\)"),
        ([("a", (1, 2)), ("b", (1, 2))], [("embedding", (1, 8))], "instead of one input and one output"),
        ([("canvas", (1, 2))], [], "instead of one input and one output"),
    ],
)
def test_a_plan_with_other_tensors_is_refused(gpu: Any, inputs: Any, outputs: Any, word: str) -> None:
    gpu.tensorrt.inputs, gpu.tensorrt.outputs = inputs, outputs
    with pytest.raises(EngineError, match=word):
        load(gpu)
    assert nothing_is_left(gpu)


@given(st.sampled_from(sorted({*LOAD, *CAPTURE, *REPLAY})), st.integers(1, 4), st.booleans())
def test_whatever_fails_the_result_is_right_or_the_error_names_it(name: str, nth: int, graph: bool) -> None:
    gpu = fake.Recorder(sums)
    gpu.fail = {name: nth}
    try:
        session = load(gpu, graph=graph)
    except EngineError as error:
        assert not name.startswith("cuda") or name in str(error)
        assert nothing_is_left(gpu)
        return
    for seed in range(2):
        try:
            np.testing.assert_array_equal(session.run(canvas(seed)), sums(canvas(seed))[None])
        except EngineError as error:
            assert not name.startswith("cuda") or name in str(error)
    session.close()
    assert nothing_is_left(gpu)
