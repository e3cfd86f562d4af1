"""`auto`: measured once, kept under everything it depends on, and explained."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_runtime import EngineUnavailableError, Verifier, engines
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.choice import choose_for
from sigedge_runtime.engines import EngineChoice, Measurement, auto, choose, engine_class
from sigedge_runtime.errors import EngineError
from sigedge_runtime.manifest import Artifact

Times = Callable[[dict[tuple[str, int], float]], list[tuple[str, int]]]


@pytest.fixture
def artifact(bundle: Bundle) -> Artifact:
    return bundle.artifact("tiny-int8-tflite")


@pytest.fixture
def pick(bundle: Bundle, artifact: Artifact) -> Callable[..., EngineChoice]:
    def choose_one(name: str = "auto", threads: int | None = 1, **options: Any) -> EngineChoice:
        return choose(name, artifact, bundle.path(artifact.file), threads, **options)

    return choose_one


@pytest.fixture(autouse=True)
def two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT and, also where tflite-runtime is not installed, LiteRT under its name; four cores."""
    stand_in = sys.modules.get("ai_edge_litert.interpreter") or __import__(
        "ai_edge_litert.interpreter", fromlist=["Interpreter"]
    )
    monkeypatch.setitem(sys.modules, "tflite_runtime", type(sys)("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)
    monkeypatch.setattr(auto, "usable_cores", lambda: 4)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """Set what a measurement by engine and threads gives; the list of what was measured, which grows."""
    asked = list[tuple[str, int]]()

    def give(table: dict[tuple[str, int], float]) -> list[tuple[str, int]]:
        def fake(engine: engines.Engine) -> float:
            asked.append((engine.name, engine.threads))
            return table[engine.name, engine.threads]

        monkeypatch.setattr(auto, "time_engine", fake)
        return asked

    return give


def test_the_fastest_engine_is_taken_and_the_choice_says_why(pick: Callable[..., EngineChoice], times: Times) -> None:
    times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    choice = pick()
    assert (choice.engine, choice.threads, choice.milliseconds) == ("tflite_runtime", 1, 1.0)
    assert (choice.artifact, choice.precision) == ("tiny-int8-tflite", "int8")
    assert choice.why.startswith("the fastest here on 20")
    assert "(litert on 1 thread 2.00 ms, tflite_runtime on 1 thread 1.00 ms)" in choice.why
    assert [(one.engine, one.milliseconds) for one in choice.measured] == [("litert", 2.0), ("tflite_runtime", 1.0)]
    assert json.loads(json.dumps(choice.to_dict()))["measured"][0]["engine"] == "litert"


def test_about_as_fast_is_not_faster(pick: Callable[..., EngineChoice], times: Times) -> None:
    times({("litert", 1): 1.0, ("tflite_runtime", 1): 0.97})
    assert pick().engine == "litert"


def test_a_measurement_is_made_once(pick: Callable[..., EngineChoice], times: Times, user_cache: Path) -> None:
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    first = pick()
    assert pick() == first and len(asked) == 2
    assert len(list((user_cache / "engines").iterdir())) == 1
    times({("litert", 1): 1.0, ("tflite_runtime", 1): 2.0})
    assert pick(anew=True).engine == "litert" and len(asked) == 4
    assert pick().engine == "litert" and len(asked) == 4


def test_only_the_chosen_library_is_imported_when_a_measurement_is_kept(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    pick()

    def must_not(cls: type[engines.Engine]) -> None:
        raise AssertionError(f"{cls.name} was imported")

    monkeypatch.setattr(engine_class("litert"), "library", classmethod(must_not))
    assert pick().engine == "tflite_runtime"


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(auto, "cpu_name", lambda: "another processor"),
        lambda patch: patch.setattr(auto, "gpu_names", lambda: ("a GPU",)),
        lambda patch: patch.setattr(auto, "usable_cores", lambda: 64),
        lambda patch: patch.setattr(engine_class("litert"), "stamp", classmethod(lambda cls: "updated")),
    ],
    ids=["processor", "GPU", "cores", "engine"],
)
def test_any_change_is_measured_anew(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    pick()
    change(monkeypatch)
    pick()
    assert len(asked) == 4


def test_another_artefact_is_measured_for_itself(bundle: Bundle, times: Times) -> None:
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    for name in ("tiny-int8-tflite", "tiny-float32-tflite"):
        artifact = bundle.artifact(name)
        assert choose("auto", artifact, bundle.path(artifact.file)).artifact == name
    assert len(asked) == 4


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"date": 1, "measured": []}', b'{"measured": [{"a": 1}]}'])
def test_a_damaged_measurement_is_made_anew(
    pick: Callable[..., EngineChoice], times: Times, user_cache: Path, content: bytes
) -> None:
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    pick()
    (file,) = (user_cache / "engines").iterdir()
    file.write_bytes(content)
    assert pick().engine == "tflite_runtime" and len(asked) == 4


def test_a_kept_engine_that_is_gone_is_not_taken(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    pick()
    kind = engine_class("tflite_runtime")
    monkeypatch.setattr(kind, "installed", classmethod(lambda cls: True))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    choice = pick()
    assert choice.engine == "litert" and "the only one that ran here" in choice.why


def test_a_single_engine_is_taken_without_measuring(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch, user_cache: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    asked = times({})
    assert pick().why == "the only one installed that runs this file"
    assert asked == [] and not (user_cache / "engines").exists()


def test_an_engine_that_was_asked_for_is_taken_without_measuring(
    pick: Callable[..., EngineChoice], times: Times
) -> None:
    asked = times({})
    choice = pick("tflite_runtime", 3)
    assert (choice.engine, choice.threads, choice.why) == ("tflite_runtime", 3, "the one that was asked for")
    assert choice.milliseconds is None and choice.measured == () and asked == []


def test_without_a_cache_folder_nothing_is_measured_and_the_order_decides(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGEDGE_CACHE", str(tmp_path / "file"))
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    choice = pick()
    assert choice.engine == "litert" and asked == [] and "cannot be written to (set SIGEDGE_CACHE)" in choice.why
    assert pick(anew=True).engine == "tflite_runtime", "who asks for a measurement gets one"


def test_threads_are_measured_on_the_best_engine_alone(pick: Callable[..., EngineChoice], times: Times) -> None:
    asked = times(
        {("litert", 1): 2.0, ("tflite_runtime", 1): 1.0, ("tflite_runtime", 2): 0.6, ("tflite_runtime", 4): 0.58}
    )
    choice = pick(threads=None)
    assert (choice.engine, choice.threads, choice.milliseconds) == ("tflite_runtime", 2, 0.6), "4 gain too little"
    assert asked == [("litert", 1), ("tflite_runtime", 1), ("tflite_runtime", 2), ("tflite_runtime", 4)]
    assert pick(threads=None) == choice and len(asked) == 4


def test_threads_of_an_engine_that_was_asked_for(pick: Callable[..., EngineChoice], times: Times) -> None:
    times({("litert", 1): 2.0, ("litert", 2): 1.9, ("litert", 4): 1.0})
    assert (pick("litert", None).threads, pick("litert", None).engine) == (4, "litert")


def test_a_fixed_number_of_threads_is_what_is_measured(pick: Callable[..., EngineChoice], times: Times) -> None:
    asked = times({("litert", 2): 2.0, ("tflite_runtime", 2): 1.0})
    assert pick(threads=2).threads == 2 and asked == [("litert", 2), ("tflite_runtime", 2)]


@given(st.integers(-1, 200))
def test_thread_counts_go_from_one_to_all_cores(cores: int) -> None:
    counts = auto.thread_counts(cores)
    assert counts[0] == 1 and counts[-1] == max(1, cores) and counts == sorted(set(counts))
    assert len(counts) <= 9


def test_an_engine_that_fails_is_left_out(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    times({("tflite_runtime", 1): 1.0})

    def broken(self: engines.Engine, library: Any) -> Any:
        raise RuntimeError("unknown operator")

    monkeypatch.setattr(engine_class("litert"), "_load_impl", broken)
    choice = pick()
    assert choice.engine == "tflite_runtime" and choice.why.startswith("the only one that ran here on 20")


def test_a_file_that_no_engine_runs_is_the_files_fault(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"broken\.tflite: the engine litert cannot load it"):
        choose("auto", artifact, tmp_path / "broken.tflite")


def test_the_next_artefact_is_taken_where_the_best_has_no_engine(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, engine_class(name).module, None)
    artifact, choice = choose_for(bundle, "auto", None)
    assert (artifact.name, choice.engine) == ("tiny-float32-onnx", "onnxruntime")
    with pytest.raises(EngineUnavailableError, match="litert cannot be loaded"):
        choose_for(bundle, "litert", None, None)


def test_auto_never_takes_an_engine_that_computes_otherwise(
    pick: Callable[..., EngineChoice], times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0, ("litert-gpu", 1): 0.1})
    monkeypatch.setattr(engine_class("litert-gpu"), "library", engine_class("litert").library)
    assert pick().engine == "tflite_runtime" and ("litert-gpu", 1) not in asked


def test_a_verifier_says_what_it_runs_on(master_bundle: Path, times: Times) -> None:
    times({("litert", 1): 2.0, ("tflite_runtime", 1): 1.0})
    with Verifier.open(master_bundle) as verifier:
        assert verifier.engine_choice is not None and verifier.engine.name == "tflite_runtime"
        assert verifier.engine_choice.milliseconds == 1.0
    with Verifier.open(master_bundle, engine="litert", threads=2) as verifier:
        assert verifier.engine_choice is not None and verifier.engine_choice.why == "the one that was asked for"
        assert verifier.engine.threads == 2


def test_a_real_measurement_takes_a_real_time(bundle: Bundle, artifact: Artifact) -> None:
    choice = choose("litert", artifact, bundle.path(artifact.file), None, anew=True)
    assert [one.threads for one in choice.measured] == [1, 2, 4]
    assert all(isinstance(one, Measurement) and one.milliseconds > 0 for one in choice.measured)
    assert choice.measured[0].version[0].isdigit()
