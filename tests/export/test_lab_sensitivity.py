"""The sweep: which layers lose most when quantised, and which list of them is enough."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigedge_export import Export, ParitySet
from sigedge_export.inputs import make_pairs
from sigedge_export.lab import LayerLoss, MixedLoss, measure_sensitivity
from sigedge_export.lab.sensitivity import _counts, _proposal, _Trial
from sigedge_export.statistics import ScoreChange, pair_scores, score_change
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import ScoreRule, UsualConsistency
from sigedge_runtime.errors import ExportError
from sigedge_runtime.matching import COSINE, LocalMatching, Matching


def loss(p99: float) -> ScoreChange:
    return ScoreChange(2 * p99, p99, 0, 0.0)


def layer(index: int, p99: float) -> LayerLoss:
    return LayerLoss(index, f"layer{index}", "CONV_2D", (f"pad{index}", f"layer{index}"), loss(p99))


LAYERS = [layer(2, 0.5), layer(0, 0.3), layer(1, 0.1)]
MIXED = [MixedLoss(0, loss(0.6)), MixedLoss(1, loss(0.2)), MixedLoss(2, loss(0.05))]


@pytest.mark.parametrize(
    ("tolerance", "proposed"),
    [
        (0.7, ()),
        (0.2, ("pad2", "layer2")),
        (0.1, ("pad0", "layer0", "pad2", "layer2")),
        (0.01, None),
    ],
)
def test_the_shortest_list_within_the_tolerance_in_the_order_of_execution(
    tolerance: float, proposed: tuple[str, ...] | None
) -> None:
    assert _proposal(LAYERS, MIXED, tolerance) == proposed


@given(st.integers(1, 500))
def test_lists_grow_from_none_and_never_hold_every_layer(layers: int) -> None:
    counts = _counts(layers)
    assert counts[0] == 0 and counts[-1] < layers
    assert counts[: min(layers, 8)] == list(range(min(layers, 8)))
    assert all(following <= before * 5 // 4 or following == before + 1 for before, following in pairwise(counts))


@pytest.mark.parametrize("rule", [ScoreRule("mean"), ScoreRule("mean", 1.0, UsualConsistency(0.3, 2.0))])
@pytest.mark.parametrize("matching", [COSINE, LocalMatching(2, 2, 1, 0)])
def test_losses_are_of_the_scores_that_devices_compute(matching: Matching, rule: ScoreRule) -> None:
    samples = ParitySet(np.zeros((4, 2, 2), np.uint8), ("a", "a", "b", "b"), np.ones(4, bool), "nowhere")
    pairs = make_pairs(samples)
    exact, *candidates = np.random.default_rng(0).normal(size=(3, 4, 8)).astype(np.float32)
    found = _Trial(pairs, 0.2, matching, rule).losses(exact, np.stack(candidates))
    expected = [pair_scores(rows, pairs, matching, rule) for rows in (exact, *candidates)]
    assert found == [score_change(expected[0], scores, 0.2) for scores in expected[1:]]
    assert all(one.max_score_difference > 0.01 for one in found)


@pytest.mark.slow
def test_every_layer_is_measured_and_the_proposal_holds(
    exported: Export, calibration: NDArray[np.uint8], parity_set: ParitySet
) -> None:
    with Bundle.open(exported.bundle) as bundle:
        report = measure_sensitivity(bundle, "small-int8-tflite", calibration, parity_set, 0.01)
    assert report.artifact == "small-float32-tflite"
    assert sorted(entry.index for entry in report.layers) == list(range(len(report.layers))) and len(report.layers) >= 5
    losses = [entry.loss.p99_score_difference for entry in report.layers]
    assert losses == sorted(losses, reverse=True) and losses[-1] > 0
    assert [entry.kept for entry in report.mixed] == _counts(len(report.layers))
    assert report.mixed[-1].loss.p99_score_difference < report.mixed[0].loss.p99_score_difference
    within = [entry for entry in report.mixed if entry.loss.p99_score_difference <= report.tolerance]
    assert (report.float_layers is None) == (not within)
    if within:
        kept = {name for entry in report.layers[: within[0].kept] for name in entry.tensors}
        assert set(report.float_layers or ()) == kept


def test_what_is_no_tflite_file_is_refused(exported: Export, parity_set: ParitySet, tmp_path: Path) -> None:
    with (
        Bundle.open(exported.bundle) as bundle,
        pytest.raises(ExportError, match="small-int8-onnx cannot be quantised one by one; name a TFLite artefact"),
    ):
        measure_sensitivity(bundle, "small-int8-onnx", parity_set.canvases, parity_set, 0.01)
