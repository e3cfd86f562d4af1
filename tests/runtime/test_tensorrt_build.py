"""Building plans: for real with TensorRT-RTX, which needs no GPU for it, and against a fake of TensorRT 10 and 11."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sigedge_runtime.bundle import Bundle, hash_file
from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Tensor
from sigedge_runtime.tensorrt import BuildOptions, Outcome, build_engine
from sigedge_runtime.tensorrt.cuda import Cuda
from sigedge_runtime.tensorrt.library import RTX, find_library
from sigedge_runtime.tensorrt.machine import this_machine
from sigedge_runtime.tensorrt.session import Session

_spec = importlib.util.spec_from_file_location("fake_tensorrt", Path(__file__).with_name("fake_tensorrt.py"))
fake = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake)

SM89 = BuildOptions(ahead_of_time="sm89")
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="tensorrt-rtx-cu12-bindings is not installed"
)

Build = Callable[..., Outcome]


@pytest.fixture
def said() -> list[str]:
    """What was announced."""
    return []


@pytest.fixture
def build(master_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Build:
    """Build an artefact of the tiny bundle, or another file in its place, into a folder of the test's own."""
    monkeypatch.setenv("SIGEDGE_TENSORRT_CACHE", str(tmp_path / "plans"))

    def run(
        options: BuildOptions | None = None,
        *,
        precision: str = "float32",
        file: Path | None = None,
        progress: Any = None,
        **changes: Any,
    ) -> Outcome:
        with Bundle.open(master_bundle) as bundle:
            artifact = bundle.artifact(format="onnx", precision="int8" if precision == "int8" else "float32")
            path = file or bundle.path(artifact.file)
            artifact = replace(artifact, precision=precision, sha256=hash_file(path), **changes)
            return build_engine(artifact, path, 1024, options, announce=said.append, progress=progress)

    return run


@pytest.fixture
def float16(master_bundle: Path, tmp_path: Path) -> Path:
    """The tiny network in half precision, as the export chain makes it."""
    onnx = pytest.importorskip("onnx")
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(master_bundle / "artifacts" / "float32.onnx"), keep_io_types=True)
    onnx.save(model, tmp_path / "float16.onnx")
    return tmp_path / "float16.onnx"


@pytest.fixture
def altered(master_bundle: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """The tiny float32 network with a change."""
    onnx = pytest.importorskip("onnx")

    def alter(change: Callable[[Any], None]) -> Path:
        model = onnx.load(master_bundle / "artifacts" / "float32.onnx")
        change(model.graph)
        onnx.save(model, tmp_path / "altered.onnx")
        return tmp_path / "altered.onnx"

    return alter


@needs_rtx
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_each_precision_builds_for_real(build: Build, float16: Path, precision: str) -> None:
    outcome = build(SM89, precision=precision, file=float16 if precision == "float16" else None)
    key = outcome.record.key
    assert outcome.built and outcome.path.stat().st_size == outcome.record.size > 1000
    assert (key.precision, key.flavour, key.compute_capability) == (precision, "tensorrt_rtx", "8.9")
    assert outcome.record.layers > 2 and outcome.record.build_seconds > 0


@needs_rtx
def test_a_plan_that_is_there_is_not_built_again(build: Build, said: list[str]) -> None:
    first = build(SM89)
    again = build(SM89)
    assert (again.built, again.path, again.record) == (False, first.path, first.record)
    assert len(said) == 1
    first.path.write_bytes(first.path.read_bytes()[:-1])
    assert build(SM89).built, "a damaged plan is built anew"
    forced = build(replace(SM89, force=True))
    assert forced.built and forced.path == first.path
    assert build(replace(SM89, ahead_of_time="8.6")).path != first.path


@needs_rtx
def test_the_announcement_says_what_and_what_is_known_of_the_time(build: Build, said: list[str]) -> None:
    outcome = build(SM89)
    build(replace(SM89, force=True))
    version = outcome.record.key.version
    assert said[0].startswith(
        f"Building tiny-float32-onnx (1,024 parameters, 4 layers) with TensorRT-RTX {version} for"
    )
    assert "GPUs of compute capability 8.9: TensorRT-RTX times no kernels" in said[0]
    assert f"the last build here, with version {version}, took {outcome.record.build_seconds:.1f} s." in said[1]


@needs_rtx
def test_progress_tells_phases_from_none_to_all_of_their_steps(build: Build) -> None:
    told: list[tuple[str, int, int]] = []
    build(SM89, progress=lambda *step: told.append(step))
    phases = {phase for phase, _, _ in told}
    assert len(phases) > 3
    for phase in phases:
        steps = [(done, total) for name, done, total in told if name == phase]
        assert steps[0][0] == 0 and steps[-1][0] == steps[-1][1]
        assert all(0 <= done <= total for done, total in steps)


@needs_rtx
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_stopping_ends_the_build_and_stores_nothing(build: Build, error: type[BaseException], tmp_path: Path) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        if done == 1:
            raise error

    with pytest.raises(error):
        build(SM89, progress=stop)
    assert not (tmp_path / "plans").exists()


@needs_rtx
def test_a_node_that_cannot_be_parsed_is_named(build: Build, altered: Callable[..., Path], tmp_path: Path) -> None:
    def spoil(graph: Any) -> None:
        graph.node[0].op_type, graph.node[0].name = "NoSuchOperator", "first"

    with pytest.raises(
        EngineError,
        match=r"altered\.onnx: TensorRT-RTX .* cannot parse it \(node first of type NoSuchOperator: .*export",
    ):
        build(SM89, file=altered(spoil))
    assert not (tmp_path / "plans").exists()


@needs_rtx
@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_file_that_is_no_model_is_named(build: Build, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"junk\.onnx: TensorRT-RTX .* (cannot parse it|finds the inputs)"):
        build(SM89, file=tmp_path / "junk.onnx")


@needs_rtx
def test_a_dynamic_batch_is_refused(build: Build, altered: Callable[..., Path]) -> None:
    def spoil(graph: Any) -> None:
        graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    with pytest.raises(EngineError, match=r"finds the inputs .*-1, 1, 128, 256.* where the manifest says"):
        build(SM89, file=altered(spoil))


@needs_rtx
def test_a_file_unlike_its_manifest_is_refused(build: Build) -> None:
    with pytest.raises(EngineError, match=r"finds the outputs .* export it again with static shapes"):
        build(SM89, output=Tensor("embedding", (1, 9), "float32", "ND", None))


@needs_rtx
@pytest.mark.parametrize("target", ["sm12", "8", "", "none", "current", "sm8.75"])
def test_an_unknown_compute_capability_is_refused(build: Build, target: str) -> None:
    with pytest.raises(EngineError, match=r"does not build for .*choose one of sm75, sm80"):
        build(BuildOptions(ahead_of_time=target))


@needs_rtx
def test_workspace_is_limited_for_real(build: Build) -> None:
    assert build(replace(SM89, workspace_mib=64)).record.workspace_mib == 64


@needs_rtx
def test_a_real_plan_is_handed_to_the_real_runtime_which_finds_no_gpu(build: Build) -> None:
    library = find_library(RTX)
    cuda = Cuda(fake.Recorder(lambda canvas: canvas).cuda)
    with pytest.raises(EngineError, match=r"cannot load the plan \(.*CUDA"):
        Session(library, cuda, build(SM89).path.read_bytes())


@needs_rtx
@pytest.mark.parametrize(
    ("stand_in", "real"),
    [
        ("Builder", "Builder"),
        ("Config", "IBuilderConfig"),
        ("Context", "IExecutionContext"),
        ("Engine", "ICudaEngine"),
        ("IProgressMonitor", "IProgressMonitor"),
        ("Network", "INetworkDefinition"),
        ("Parser", "OnnxParser"),
        ("Runtime", "Runtime"),
        ("Timings", "ITimingCache"),
    ],
)
def test_the_fake_has_no_method_that_the_real_library_lacks(stand_in: str, real: str) -> None:
    names = {name for name in vars(getattr(fake, stand_in)) if not name.startswith("_")} - {"content"}
    assert names <= set(dir(getattr(find_library(RTX).module, real)))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake TensorRT 10.3 on a fake GPU."""
    recorder = fake.Recorder(lambda canvas: canvas)
    recorder.install(monkeypatch)
    return recorder


def calls(gpu: Any, name: str) -> list[tuple[Any, ...]]:
    return [tuple(arguments) for called, *arguments in gpu.calls if called == name]


def test_tensorrt_is_asked_for_a_strongly_typed_network(gpu: Any, build: Build) -> None:
    key = build().record.key
    assert calls(gpu, "create_network") == [(1 << 1,)]
    assert (key.flavour, key.version, key.gpu, key.compute_capability) == ("tensorrt", "10.3.0", "Fake GPU", "8.7")


def test_a_version_without_the_flag_has_no_other_networks(gpu: Any, build: Build) -> None:
    gpu.tensorrt.NetworkDefinitionCreationFlag = SimpleNamespace()
    gpu.tensorrt.__version__ = "11.4.0"
    assert build().built
    assert calls(gpu, "create_network") == [(0,)]


def test_kernel_timings_are_kept_for_the_next_build(gpu: Any, build: Build, said: list[str]) -> None:
    assert not build().record.timing_cache
    assert "every kernel is timed in a first build on this GPU, which can take minutes" in said[0]
    second = build(precision="int8")
    assert second.record.timing_cache
    assert "kernel timings of another build on this GPU are there" in said[1]
    assert calls(gpu, "create_timing_cache") == [(b"",), (b"+",)]
    assert {path.read_bytes() for path in second.path.parent.glob("timings-*")} == {b"++"}


@pytest.mark.parametrize("refusal", ["by value", "by None"])
def test_timings_that_do_not_fit_are_left_aside(gpu: Any, build: Build, refusal: str) -> None:
    build()
    if refusal == "by value":
        gpu.tensorrt.timings_fit = False
    else:
        gpu.fail = {"create_timing_cache": 2}
    assert not build(BuildOptions(force=True)).record.timing_cache
    assert calls(gpu, "create_timing_cache")[-1] == (b"",)


def test_another_gpu_or_version_is_another_plan(gpu: Any, build: Build) -> None:
    first = build()
    gpu.cuda.gpu.name = b"Another GPU"
    second = build()
    gpu.tensorrt.__version__ = "10.7.0"
    third = build()
    assert second.built and third.built
    assert len({first.path, second.path, third.path}) == 3


def test_scratch_memory_is_limited_in_bytes(gpu: Any, build: Build) -> None:
    build(BuildOptions(workspace_mib=3))
    assert calls(gpu, "set_memory_pool_limit") == [("workspace", 3 << 20)]
    build(BuildOptions(force=True))
    assert len(calls(gpu, "set_memory_pool_limit")) == 1


def test_a_build_that_gives_nothing_tells_tensorrts_reason(gpu: Any, build: Build, tmp_path: Path) -> None:
    gpu.fail = {"build_serialized_network": 1}
    with pytest.raises(EngineError, match=r"TensorRT 10\.3\.0 built no plan \(no implementation for a node\); free"):
        build()
    assert not (tmp_path / "plans").exists()


def parse_error(name: str, index: int) -> SimpleNamespace:
    return SimpleNamespace(
        desc=lambda: "it does\nnot fit", node=lambda: index, node_name=lambda: name, node_operator=lambda: "Conv"
    )


def test_the_first_parse_errors_are_told_and_the_rest_counted(gpu: Any, build: Build) -> None:
    gpu.tensorrt.parse_errors = [parse_error(name, i) for i, name in enumerate(["stem", "", "c", "d", "e"])]
    with pytest.raises(EngineError, match=r"node stem of type Conv: it does not fit; node number 1 .*; and 2 more\)"):
        build()
    gpu.tensorrt.parse_errors = [parse_error("", -1)]
    with pytest.raises(EngineError, match=r"cannot parse it \(it does not fit\)"):
        build()


def test_a_parser_that_says_no_and_nothing_else(gpu: Any, build: Build) -> None:
    gpu.fail = {"parse": 1}
    with pytest.raises(EngineError, match="it gave no reason"):
        build()


def test_a_version_without_progress_builds_without_telling_any(gpu: Any, build: Build) -> None:
    told: list[Any] = []
    build(progress=lambda *step: told.append(step))
    assert told == [("Building", 0, 2), ("Building", 1, 2), ("Building", 2, 2), ("Building", 2, 2)]
    del type(gpu.tensorrt).IProgressMonitor
    try:
        assert build(BuildOptions(force=True), progress=lambda *step: told.append(step)).built
    finally:
        type(gpu.tensorrt).IProgressMonitor = fake.IProgressMonitor
    assert len(told) == 4


def test_a_tensorrt_without_strong_typing_is_refused(gpu: Any, monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    gpu.tensorrt.__version__ = "8.6.1"
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineUnavailableError, match=r"TensorRT 8\.6\.1 is too old, it must be 10 or newer"):
        build()


def test_without_tensorrt_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineUnavailableError, match=r"TensorRT cannot be loaded .*; on a Jetson use the one of the"):
        build()
    with pytest.raises(EngineUnavailableError, match=r"TensorRT-RTX cannot be loaded .*; install it with: pip install"):
        build(SM89)


def test_without_cuda_python_the_sentence_says_what_to_install(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineUnavailableError, match="pip install 'cuda-python"):
        build()


def test_without_a_gpu_the_sentence_says_so(gpu: Any, build: Build) -> None:
    gpu.cuda.error, gpu.fail = fake.CudaError.cudaErrorNoDevice, {"cudaGetDevice": 1}
    with pytest.raises(
        EngineUnavailableError, match=r"needs an NVIDIA GPU\. .*cudaGetDevice failed .*has no NVIDIA GPU"
    ):
        build()


@pytest.mark.parametrize("layout", ["cuda.bindings.runtime", "cuda.cudart"])
def test_both_names_of_cuda_pythons_runtime_are_known(gpu: Any, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    gpu.install(monkeypatch, layout)
    assert this_machine().gpu == "Fake GPU"


def test_tensorrt_rtx_on_a_gpu_builds_for_its_compute_capability(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    """RTX is real here and the GPU is not: a plan built ahead of time is the plan of every GPU of that kind."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx-cu12-bindings is not installed")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    gpu.cuda.gpu.minor = 9
    here = build()
    assert here.built and here.record.key.gpu == "any GPU of its compute capability"
    assert not build(SM89).built
    gpu.cuda.gpu.major = 7
    with pytest.raises(EngineError, match=r"of compute capability 7\.9, only for 7\.5, 8\.0.*install TensorRT instead"):
        build()


def test_a_broken_library_is_no_defect_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr("sigedge_runtime.tensorrt.library.import_module", broken)
    with pytest.raises(EngineUnavailableError, match=r"libnvinfer\.so\.10: cannot open"):
        find_library()
