"""Is a smaller artefact worth it? One rule, on the change of the equal error rate and on the speed, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from sigedge_export.statistics import Interval

# A loss of one point of equal error rate is what nobody gives for speed; evidence must be able to exclude it.
MATERIAL_LOSS = 0.01
# Times, and sizes, within 5 % of each other count as alike.
ALIKE = 0.05

YES, SIZE_ONLY, NO, UNDECIDED = "yes", "only for its size", "no", "undecided"


@dataclass(frozen=True)
class Evidence:
    """What the rule looks at: an artefact beside the float32 artefact of the same format, on the same engine.

    Attributes:
        eer_difference: equal error rate minus the reference model's, 0 to 1.
        tolerance: how much of a proven rise the model tolerates, 0 to 1.
        speedup: float32's median time over this artefact's; None when it was not measured.
        shrinkage: float32's size over this artefact's.
        faults: figures beyond the model's tolerances, in words.
    """

    eer_difference: Interval
    tolerance: float
    speedup: Interval | None
    shrinkage: float
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """An answer to "is it worth it?".

    Attributes:
        answer: `YES`, `SIZE_ONLY`, `NO` or `UNDECIDED`.
        reason: in a few words; empty for `YES`.
        sentence: the answer with its figures.
    """

    answer: str
    reason: str
    sentence: str

    @property
    def short(self) -> str:
        """Answer and reason, e.g. ``no: slower``."""
        return f"{self.answer}: {self.reason}" if self.reason else self.answer


def judge(evidence: Evidence) -> Verdict:
    """Answer by the first of these that holds.

    1. no: the equal error rate rises, proven and by more than the model tolerates
    2. no: a figure is beyond the model's tolerances
    3. undecided: the speed was not measured
    4. no: slower, the whole interval below 1
    5. undecided: the interval of the equal error rate reaches a loss of one point
    6. undecided: the interval of the speed holds both faster and slower
    7. only for its size: as fast within 5 %, and smaller; no: as fast and as large
    8. yes
    """
    answer, reason = _decide(evidence)
    lead = f"{answer.capitalize()}, {reason}" if reason else answer.capitalize()
    return Verdict(answer, reason, f"{lead}: {_figures(evidence)}.")


def _decide(evidence: Evidence) -> tuple[str, str]:
    change, speed = evidence.eer_difference, evidence.speedup
    if change.low > 0 and change.estimate > evidence.tolerance:
        return NO, "EER rises"
    if evidence.faults:
        return NO, "beyond tolerance"
    if speed is None:
        return UNDECIDED, "speed not measured"
    alike = speed.low >= 1 - ALIKE and speed.high <= 1 + ALIKE
    if speed.high < 1 and not alike:
        return NO, "slower"
    # Written so that NaN is undecided.
    if not change.high <= MATERIAL_LOSS:
        return UNDECIDED, "EER interval too wide"
    if alike:
        return (SIZE_ONLY, "") if evidence.shrinkage > 1 + ALIKE else (NO, "neither faster nor smaller")
    return (YES, "") if speed.low > 1 else (UNDECIDED, "speed interval too wide")


def _figures(evidence: Evidence) -> str:
    change = evidence.eer_difference
    low, high = 100 * change.low, 100 * change.high
    rates = f"EER {100 * change.estimate:+.2f} points [{low:+.2f}, {high:+.2f}], {_zero(change)}"
    gains = [part for part in (_speed(evidence.speedup), _size(evidence.shrinkage), rates) if part]
    return "; ".join([*evidence.faults, ", ".join(gains)])


def _speed(speed: Interval | None) -> str:
    if speed is None:
        return ""
    if speed.estimate < 1:
        return f"{1 / speed.estimate:.2f}x slower [{1 / speed.high:.2f}, {1 / speed.low:.2f}]"
    return f"{speed.estimate:.2f}x faster [{speed.low:.2f}, {speed.high:.2f}]"


def _size(shrinkage: float) -> str:
    return f"{shrinkage:.1f}x smaller" if shrinkage >= 1 else f"{1 / shrinkage:.1f}x larger"


def _zero(change: Interval) -> str:
    if change.low <= 0 <= change.high:
        return "interval includes 0"
    return "a proven rise" if change.low > 0 else "a proven fall"
