"""The profile of a verification: what holds what, and the picture of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import pytest


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "profile_script", repository / "benchmarks" / "profile_verification.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAGES = {"decode": 0.1, "preprocess": 1.0, "infer": 0.5, "match": 0.2, "total": 2.0}


def test_parts_and_their_rest_make_up_the_whole(script: ModuleType) -> None:
    tree = script.tree(STAGES, [("cv2.resize", 0.3), ("cv2.mean", 0.1), ("cv2.resize", 0.2)], 0.4)
    assert tree["ms"] == 2.0 and sum(child["ms"] for child in tree["children"]) == pytest.approx(2.0)
    preprocess = tree["children"][1]
    assert [child["name"] for child in preprocess["children"]][:2] == ["cv2.resize x 2", "cv2.mean"]
    assert preprocess["children"][-1]["ms"] == pytest.approx(0.4)
    assert tree["children"][-1] == {"name": "between the stages", "ms": pytest.approx(0.2), "children": []}


def test_a_rest_is_never_negative(script: ModuleType) -> None:
    assert script.with_rest(1.0, [script.node("part", 1.1)], "rest")[-1]["ms"] == 0


def test_the_shipped_bundle_is_profiled_and_drawn(script: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the rate of the processor is measured with it")
    out, picture = tmp_path / "profile.json", tmp_path / "profile.png"
    script.main(["--repeats", "3", "--out", str(out), "--picture", str(picture)])
    found: dict[str, Any] = json.loads(out.read_text())
    assert {child["name"] for child in found["tree"]["children"]} >= {"decode", "preprocess", "infer", "match"}
    floor = found["floor"]
    assert floor["together_ms"] >= floor["arithmetic_ms"] > 0 and floor["invoke_ms"] > 0
    assert found["functions"] and all(0 <= entry["share"] <= 1 for entry in found["functions"])
    assert cv2.imread(str(picture)) is not None
    before = picture.read_bytes()
    script.main(["--draw-only", "--out", str(out), "--picture", str(picture)])
    assert picture.read_bytes() == before, "the picture is made from the file alone"
