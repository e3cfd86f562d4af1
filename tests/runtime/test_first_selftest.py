"""The self-test at opening: once for everything it depends on, and again when any of it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sigedge_runtime import Network, SelftestError, Verifier, _first_selftest, selftest
from sigedge_runtime.engines import Engine, engine_class

Count = Callable[[], int]


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Count:
    """How often golden vectors were replayed."""
    done, replay = list[str](), selftest.replay

    def counting(bundle: object, engine: Engine) -> selftest.SelftestReport:
        done.append(engine.name)
        return replay(bundle, engine)  # type: ignore[arg-type]

    monkeypatch.setattr(selftest, "replay", counting)
    return lambda: len(done)


def open_and_close(bundle: Path, **options: object) -> None:
    Verifier.open(bundle, engine="litert", **options).close()  # type: ignore[arg-type]


def test_a_passed_self_test_is_not_repeated(master_bundle: Path, replays: Count, user_cache: Path) -> None:
    for _ in range(3):
        open_and_close(master_bundle)
    assert replays() == 1
    assert len(list((user_cache / "selftests").iterdir())) == 1


def test_it_can_be_asked_for_and_switched_off(master_bundle: Path, replays: Count) -> None:
    open_and_close(master_bundle, selftest=False)
    assert replays() == 0
    for _ in range(2):
        open_and_close(master_bundle, selftest=True)
    assert replays() == 2
    open_and_close(master_bundle)
    assert replays() == 2, "what was asked for is remembered, too"


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(cv2, "__version__", "4.99"),
        lambda patch: patch.setattr(_first_selftest, "cpu_name", lambda: "another processor"),
        lambda patch: patch.setattr(_first_selftest, "gpu_names", lambda: ("a GPU",)),
        lambda patch: patch.setattr(engine_class("litert"), "stamp", classmethod(lambda cls: "updated")),
        lambda patch: patch.setattr(_first_selftest, "_stamps", lambda folder: ["preprocessing.py 1 2"]),
    ],
    ids=["OpenCV", "processor", "GPU", "engine", "code"],
)
def test_any_change_asks_for_it_again(
    master_bundle: Path, replays: Count, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    open_and_close(master_bundle)
    change(monkeypatch)
    open_and_close(master_bundle)
    assert replays() == 2


def test_another_artefact_bundle_or_thread_count_is_tested_for_itself(
    master_bundle: Path, bundle_folder: Path, sign_off: Callable[..., None], replays: Count
) -> None:
    open_and_close(master_bundle)
    open_and_close(master_bundle, precision="float32")
    open_and_close(master_bundle, threads=2)
    (bundle_folder / "CARD.md").write_text("# Another\n")
    sign_off(bundle_folder)
    open_and_close(bundle_folder)
    assert replays() == 4
    open_and_close(bundle_folder)
    assert replays() == 4


def test_a_failure_is_never_remembered(
    master_bundle: Path, replays: Count, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = Engine.infer
    monkeypatch.setattr(Engine, "infer", lambda self, canvas: infer(self, canvas) + np.float32(3))
    for _ in range(2):
        with pytest.raises(SelftestError):
            open_and_close(master_bundle)
    assert replays() == 2 and not (user_cache / "selftests").exists()


def test_a_damaged_memory_is_no_pass(master_bundle: Path, replays: Count, user_cache: Path) -> None:
    open_and_close(master_bundle)
    (file,) = (user_cache / "selftests").iterdir()
    file.write_text('"passed"')
    open_and_close(master_bundle)
    assert replays() == 2


def test_without_a_cache_folder_it_is_replayed_every_time(
    master_bundle: Path, replays: Count, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGEDGE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        open_and_close(master_bundle)
    assert replays() == 2


def test_the_code_of_the_runtime_is_part_of_the_key() -> None:
    found = _first_selftest._stamps(Path(_first_selftest.__file__).parent)
    assert any(entry.startswith("sigedge_runtime/preprocessing.py ") for entry in found)
    assert Network.open.__kwdefaults__["selftest"] is None
