"""Two runs that should agree: the noise of each layer, and the first layer where an error enters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigedge_export.lab.alignment import Match, align, turn, view
from sigedge_export.lab.diagnosis import Diagnosis, diagnose
from sigedge_export.lab.expectation import Expectation
from sigedge_export.lab.noise import EXACT, LayerNoise, sqnr
from sigedge_export.lab.operators import MOVED, RESIZED, is_transparent, kinds
from sigedge_export.lab.trace import Trace

Tensor = NDArray[np.float32]


RECOVERED_DB = 40.0
"""No operator averages so much noise away."""


@dataclass(frozen=True)
class Fault:
    """The first layer where an error enters.

    Attributes:
        layer: which, with its noise.
        expected_db: least ratio of a sound layer in its place.
        kind: ``layout``, ``normalisation``, ``dead_range``, ``lost_norm``, ``resize``, ``not_finite`` or ``unknown``.
        sentence: where it enters, what it looks like.
    """

    layer: LayerNoise
    expected_db: float
    kind: str
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Every layer of a candidate against its reference.

    Attributes:
        noise: of the layers that correspond, in the candidate's order of execution.
        only_reference: layers of the reference without a counterpart, but for those that only move values.
        only_candidate: layers of the candidate without one.
        fault: where an error enters; None when every layer is as expected.
    """

    noise: tuple[LayerNoise, ...]
    only_reference: tuple[str, ...]
    only_candidate: tuple[str, ...]
    fault: Fault | None


def compare(reference: Trace, candidate: Trace, expectation: Expectation) -> Comparison:
    """Align two traces of the same canvases, measure each layer and look for the first fault."""
    pair = _Pair(reference, candidate, expectation)
    first = next((match for match in pair.matches if pair.is_bad(match)), None)
    return Comparison(
        noise=tuple(pair.noise[match] for match in pair.matches),
        only_reference=_left_over(reference, {match.reference for match in pair.matches}),
        only_candidate=_left_over(candidate, {match.candidate for match in pair.matches}),
        fault=None if first is None else _Inquest(pair, first).fault(),
    )


def _left_over(trace: Trace, taken: set[int]) -> tuple[str, ...]:
    return tuple(
        f"{layer.name} ({layer.operator})"
        for place, layer in enumerate(trace.layers)
        if place not in taken and MOVED not in kinds(layer.operator)
    )


class _Pair:
    """Two aligned traces, and how much noise each pair of layers has."""

    def __init__(self, reference: Trace, candidate: Trace, expectation: Expectation) -> None:
        self.reference, self.candidate, self._expectation = reference, candidate, expectation
        aligned = align(reference, candidate)
        self.noise = {match: self._measure(match) for match in aligned}
        self._by_place: Mapping[int, Match] = {match.candidate: match for match in aligned}
        self.matches = [match for match in aligned if not self._is_misaligned(match)]
        self._by_place = {match.candidate: match for match in self.matches}

    def tensors(self, match: Match) -> tuple[Tensor, Tensor] | None:
        """Both tensors of a match in one shape; None when they have none in common."""
        expected = view(self.reference.layers[match.reference], self.reference)
        found = turn(view(self.candidate.layers[match.candidate], self.candidate), expected)
        return None if found is None else (expected, found)

    def least(self, match: Match) -> float:
        """Least ratio in dB that is no fault."""
        before = [self.noise[self._by_place[place]].sqnr_db for place in self.ancestors(match.candidate)]
        return self._expectation.least(before)

    def is_bad(self, match: Match) -> bool:
        return self.noise[match].sqnr_db < self.least(match)

    def ancestors(self, place: int) -> set[int]:
        """The nearest layers before one of the candidate that have a counterpart."""
        before = self.candidate.layers[place].inputs
        return {found for given in before for found in ({given} if given in self._by_place else self.ancestors(given))}

    def _measure(self, match: Match) -> LayerNoise:
        layer = self.candidate.layers[match.candidate]
        counterpart = self.reference.layers[match.reference].name
        both = self.tensors(match)
        if both is None or not np.isfinite(both[1]).all():
            largest = float(np.abs(self.reference.layers[match.reference].values).max())
            return LayerNoise(match.candidate, layer.name, layer.operator, -EXACT, largest, counterpart)
        difference = float(np.abs(both[0] - both[1]).max())
        return LayerNoise(match.candidate, layer.name, layer.operator, sqnr(*both), difference, counterpart)

    def _is_misaligned(self, match: Match) -> bool:
        """Whether a bad layer only seemed to correspond: noise that was there would not be gone at the embedding."""
        end = self.noise[self._by_place[self.candidate.output]].sqnr_db
        return self.is_bad(match) and end > max(self._expectation.floor_db, self.noise[match].sqnr_db + RECOVERED_DB)


class _Inquest:
    """What is wrong with one pair of layers, all of whose predecessors are sound."""

    def __init__(self, pair: _Pair, match: Match) -> None:
        self._pair, self._match = pair, match
        self._noise = pair.noise[match]

    def fault(self) -> Fault:
        least = self._pair.least(self._match)
        found = self._diagnosis()
        name = f"{short(self._noise.layer)} ({self._noise.operator})"
        if (counterpart := short(self._noise.counterpart)) not in name:
            name += f", {counterpart} in the reference"
        sentence = f"The error enters at {name}: {self._noise.sqnr_db:.0f} dB where {least:.0f} dB or more is expected"
        return Fault(self._noise, least, found.kind, f"{sentence}; {found.clause}.")

    def _diagnosis(self) -> Diagnosis:
        suspects: tuple[Callable[[], Diagnosis | None], ...] = (self._of_inputs, self._of_resize, self._of_output)
        found = [diagnosis for suspect in suspects if (diagnosis := suspect()) is not None]
        return next((diagnosis for diagnosis in found if diagnosis.kind != "unknown"), found[0])

    def _of_inputs(self) -> Diagnosis | None:
        """What a step in front of the layer did that the reference does not do, or left undone."""
        for expected, name, found in self._inputs():
            if expected.shape == found.shape and sqnr(expected, found) < self._pair.least(self._match):
                diagnosis = diagnose(expected, found, self._image_shape())
                clause = f"its input {name} is not the reference's: {diagnosis.clause}"
                return Diagnosis(diagnosis.kind, clause)
        return None

    def _inputs(self) -> Iterator[tuple[Tensor, str, Tensor]]:
        reference, candidate = self._pair.reference, self._pair.candidate
        before = zip(
            reference.layers[self._match.reference].inputs,
            candidate.layers[self._match.candidate].inputs,
            strict=False,  # one of the two may take a constant where the other takes a tensor
        )
        for one, other in before:
            source = candidate.layers[_source(candidate, other)]
            expected = view(reference.layers[_source(reference, one)], reference)
            found = turn(view(source, candidate), expected)
            if found is not None:
                yield expected, f"{short(source.name)} ({source.operator})", found

    def _image_shape(self) -> tuple[int, ...] | None:
        """Sides of the image that a flat input was made of, in the order of the reference's memory."""
        trace = self._pair.reference
        place = self._match.reference
        while trace.layers[place].inputs:
            place = trace.layers[place].inputs[0]
            if (shape := trace.layers[place].values.shape[2:])[1:]:
                return shape
        return None

    def _of_resize(self) -> Diagnosis | None:
        own = RESIZED in kinds(self._noise.operator)
        added, lost = (
            self._between(self._pair.candidate, self._match.candidate),
            self._between(self._pair.reference, self._match.reference),
        )
        if own:
            return Diagnosis("resize", "a resize whose input is sound: another size or interpolation")
        if len(added) != len(lost):
            which = f"{', '.join(added)} stands" if added else f"{', '.join(lost)} does not stand"
            return Diagnosis("resize", f"{which} in front of it, unlike in the reference: another size of its input")
        return None

    def _between(self, trace: Trace, place: int) -> list[str]:
        """Resizes without a counterpart that a layer is computed from."""
        taken = {match.candidate if trace is self._pair.candidate else match.reference for match in self._pair.matches}
        waiting, found = [*trace.layers[place].inputs], []
        while waiting:
            before = waiting.pop()
            if before in taken:
                continue
            layer = trace.layers[before]
            found += [f"{short(layer.name)} ({layer.operator})"] if RESIZED in kinds(layer.operator) else []
            waiting += layer.inputs
        return found

    def _of_output(self) -> Diagnosis:
        both = self._pair.tensors(self._match)
        if both is None:
            return Diagnosis("unknown", "it has another shape than the reference")
        return diagnose(*both)


def _source(trace: Trace, place: int) -> int:
    """The layer itself, or the one whose values a mere copy or a padding of it passes on."""
    while is_transparent(trace.layers[place].operator) and trace.layers[place].inputs:
        place = trace.layers[place].inputs[0]
    return place


def short(name: str) -> str:
    """A layer's name for people: TensorFlow strings the names of all fused operators together."""
    return name.partition(";")[0]
