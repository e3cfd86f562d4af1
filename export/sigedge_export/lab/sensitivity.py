"""Which layers do not stand quantisation? Each is quantised alone, and its cost is measured in decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_export.inputs import Pairs, ParitySet, make_pairs
from sigedge_export.process import run_step, step_folder
from sigedge_export.statistics import ScoreChange, pair_scores, score_change
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import ScoreRule
from sigedge_runtime.errors import ExportError
from sigedge_runtime.matching import Matching

Progress = Callable[[str], None]
Canvases = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class LayerLoss:
    """A layer that alone is quantised.

    Attributes:
        index: place in the order of execution.
        layer: name of its output tensor in the float32 TFLite file.
        operator: as TFLite calls it.
        tensors: names of all its output tensors, with the paddings and reshapes in front of it.
        loss: what quantising it costs, against the float32 network.
    """

    index: int
    layer: str
    operator: str
    tensors: tuple[str, ...]
    loss: ScoreChange


@dataclass(frozen=True)
class MixedLoss:
    """The most sensitive `kept` layers left in float, all others quantised."""

    kept: int
    loss: ScoreChange


@dataclass(frozen=True)
class SensitivityReport:
    """Sensitivity of every layer to int8, and the mixed-precision list that follows.

    Attributes:
        artifact: the float32 TFLite artefact that was quantised.
        source: where the canvases came from.
        pairs: number of pairs.
        threshold: a score at or above it is accepted.
        tolerance: 99th percentile of the score differences that is allowed.
        layers: the most sensitive first.
        mixed: loss with ever more layers in float, none first.
        float_layers: output tensors to keep in float so that the loss is within the tolerance, for ``export.json``;
            None when even the last of `mixed` is beyond it.
    """

    artifact: str
    source: str
    pairs: int
    threshold: float
    tolerance: float
    layers: tuple[LayerLoss, ...]
    mixed: tuple[MixedLoss, ...]
    float_layers: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_sensitivity(
    bundle: Bundle,
    artifact: str,
    calibration: Canvases,
    samples: ParitySet,
    tolerance: float,
    *,
    progress: Progress = lambda _: None,
) -> SensitivityReport:
    """Quantise the bundle's float32 TFLite file layer by layer, then all but its most sensitive layers.

    Args:
        bundle: opened; its default threshold decides.
        artifact: name of a TFLite artefact.
        calibration: canvases uint8 [N, H, W], which set the activation ranges.
        samples: labelled canvases; their pairs are those of `make_pairs`.
        tolerance: 99th percentile of the score differences that a mixed-precision file may have.
        progress: told what is being measured.

    Raises:
        BundleError: there is no such artefact.
        ExportError: it is no TFLite file, the bundle holds no float32 TFLite file, or a step failed.
    """
    decision = bundle.manifest.verification
    threshold = decision.operating_point(decision.default_operating_point, 1).threshold
    trial = _Trial(make_pairs(samples), threshold, decision.similarity, decision.rule)
    name, path = _float_file(bundle, artifact)
    with step_folder("sensitivity") as folder:
        sweep = _Sweep(folder, path, calibration, samples.canvases)
        progress("each layer alone in int8")
        layers = sorted(sweep.alone(trial), key=lambda layer: layer.loss.p99_score_difference, reverse=True)
        progress("the most sensitive layers in float")
        mixed = sweep.mixed(trial, layers)
    return SensitivityReport(
        artifact=name,
        source=samples.source,
        pairs=len(trial.pairs),
        threshold=threshold,
        tolerance=tolerance,
        layers=tuple(layers),
        mixed=mixed,
        float_layers=_proposal(layers, mixed, tolerance),
    )


def _float_file(bundle: Bundle, artifact: str) -> tuple[str, Path]:
    chosen = bundle.artifact(artifact)
    held = [entry for entry in bundle.manifest.artifacts if (entry.format, entry.precision) == ("tflite", "float32")]
    if chosen.format != "tflite" or not held:
        raise ExportError(
            f"The layers of {artifact} cannot be quantised one by one; name a TFLite artefact of a bundle that holds "
            "the float32 TFLite file too."
        )
    return held[0].name, bundle.path(held[0].file)


@dataclass(frozen=True, eq=False)
class _Trial:
    """Turns embeddings into losses."""

    pairs: Pairs
    threshold: float
    matching: Matching
    rule: ScoreRule

    def losses(self, reference: Embeddings, candidates: Embeddings) -> list[ScoreChange]:
        """Of each of the candidates [V, N, D]."""
        compared = self.matching, self.rule
        expected, *changed = (pair_scores(rows, self.pairs, *compared) for rows in (reference, *candidates))
        return [score_change(expected, found, self.threshold) for found in changed]


class _Sweep:
    """The step that quantises and embeds, with its files."""

    def __init__(self, folder: Path, tflite_file: Path, calibration: Canvases, canvases: Canvases) -> None:
        self._folder = folder
        self._result, self._keep = folder / "sweep.npz", folder / "keep.json"
        given = folder / "calibration.npy", folder / "canvases.npy"
        for file, values in zip(given, (calibration, canvases), strict=True):
            np.save(file, values)
        self._arguments: list[str | Path] = ["--tflite", tflite_file.resolve(), "--calibration", given[0]]
        self._arguments += ["--canvases", given[1], "--sweep", self._result]

    def alone(self, trial: _Trial) -> list[LayerLoss]:
        run_step("sweep_layers", self._arguments, self._folder)
        with np.load(self._result) as found:
            layers = json.loads(str(found["layers"]))
            losses = trial.losses(found["float32"], found["variants"])
        return [
            LayerLoss(place, layer["tensors"][-1], layer["operator"], tuple(layer["tensors"]), loss)
            for place, (layer, loss) in enumerate(zip(layers, losses, strict=True))
        ]

    def mixed(self, trial: _Trial, layers: Sequence[LayerLoss]) -> tuple[MixedLoss, ...]:
        counts = _counts(len(layers))
        plans = [[layer.index for layer in layers[:count]] for count in counts]
        self._keep.write_text(json.dumps(plans), encoding="utf-8")
        run_step("sweep_layers", [*self._arguments, "--keep", self._keep], self._folder)
        with np.load(self._result) as found:
            losses = trial.losses(found["float32"], found["variants"])
        return tuple(MixedLoss(count, loss) for count, loss in zip(counts, losses, strict=True))


def _counts(layers: int) -> list[int]:
    """How many layers to keep in float: each number up to 8, then a quarter more each time, never all."""
    counts = [0]
    while (following := max(counts[-1] + 1, counts[-1] * 5 // 4)) < layers:
        counts.append(following)
    return counts


def _proposal(layers: Sequence[LayerLoss], mixed: Sequence[MixedLoss], tolerance: float) -> tuple[str, ...] | None:
    enough = next((entry.kept for entry in mixed if entry.loss.p99_score_difference <= tolerance), None)
    if enough is None:
        return None
    kept = sorted(layers[:enough], key=lambda layer: layer.index)
    return tuple(name for layer in kept for name in layer.tensors)
