"""The page itself: figures and plots of an evaluation into the template, and the template into a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sigedge.evaluation.bundle import Evaluation
from sigedge.evaluation.evaluate import Scores, signer_eers
from sigedge.evaluation.leaks import GATE
from sigedge.evaluation.reliability import reliability
from sigedge.evaluation.report.plots import (
    error_tradeoff,
    in_words,
    reliability_plot,
    robustness_panel,
    score_histogram,
    signer_bars,
)
from sigedge.evaluation.robustness import REFERENCES
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError

TEMPLATE = "evaluation.html.j2"
WORST = 5
NOTHING = "\N{EN DASH}"
PASSED, FAILED, ABOVE, BELOW, UNKNOWN = "passed", "failed", "above", "below", "not measured"

_GATES = (
    (
        "background_ink_auc",
        "Background and ink",
        True,
        "What the grey levels of paper and ink say on a single canvas, without any reference. Above the gate, the "
        "pictures give away by their scan what is forged, and no figure on this page means anything.",
    ),
    (
        "reference_swap_auc",
        "Reference swap",
        True,
        "Genuine and forged queries scored against somebody else's references. Above the gate, the verifier also sees "
        "how a picture was made or how fluent a hand is, and not only whose signature it is.",
    ),
    (
        "skeleton_auc",
        "Skeleton and texture",
        False,
        "What the shape of the ink says on a single canvas, without any reference. Part of it is a forger's unsteady "
        "hand, which no preprocessing should take away: it is published, and decides nothing.",
    ),
)


@dataclass(frozen=True)
class Gate:
    """A leak gate in words.

    Attributes:
        title: what a reader sees.
        value: the AUC; None where it was not measured.
        state: `PASSED` or `FAILED`; for a figure that is no gate `ABOVE` or `BELOW`; else `UNKNOWN`.
        meaning: a sentence or two.
    """

    title: str
    value: float | None
    state: str
    meaning: str


@dataclass(frozen=True)
class ScorePlots:
    """Scores and probabilities with one number of references; no reliability without both kinds of trial."""

    title: str
    histogram: Markup
    reliability: Markup | None


@dataclass(frozen=True)
class SignerPlot:
    """Error rates by signer with one number of references."""

    title: str
    signers: int
    worst: Sequence[tuple[str, float]]
    bars: Markup


@dataclass(frozen=True)
class PointRow:
    """One operating point on validation signers and here; rates 0 to 1, None where the data cannot tell."""

    references: int
    name: str
    threshold: float
    measured_with: int
    validation_far: float
    validation_frr: float
    far: float | None
    far_skilled: float | None
    far_random: float | None
    frr: float | None


def write_report(path: Path, evaluation: Evaluation) -> Path:
    """Write the report of an evaluation, whole or not at all, making its folder.

    Raises:
        DataError: the file cannot be written.
    """
    page = render_report(evaluation)
    try:
        return write_atomically(path, page.encode())
    except OSError as error:
        raise DataError(f"The report {path} cannot be written ({error.strerror}); name another file.") from error


def render_report(evaluation: Evaluation) -> str:
    """The report as HTML text, without a script, a picture of a signature or anything to fetch."""
    result, scores = evaluation.result, evaluation.scores
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("sigedge.evaluation.report"), PackageLoader("sigedge_export.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, ends=ends, decimals=decimals, in_words=in_words)
    main = main_count(result["references"])
    scored = {count: trials for count, trials in scores.trials.items() if len(trials.scores)}
    return environment.get_template(TEMPLATE).render(
        result=result,
        meta=result["meta"],
        seeds=sorted({protocol.seed for protocol in scores.protocols.values()}),
        main=main,
        first=result["references"][str(main)],
        gates=gates(result["leak_gates"]),
        gate=GATE,
        tradeoff=Markup(error_tradeoff("det", scored)) if scored else None,
        signers=signer_plot(scores, main),
        plots=[_score_plots(evaluation, count) for count in scored],
        points=list(operating_points(evaluation)),
        failure_to_acquire=failure_to_acquire(result["acquisition"]),
        robustness=result.get("robustness"),
        panels=robustness_panels(result.get("robustness")),
    )


def main_count(references: Mapping[str, Any]) -> int:
    """The number of references that the page begins with: the largest up to 5 that has trials, else the first."""
    counts = [int(count) for count, block in references.items() if block["signers"]]
    return max((count for count in counts if count <= REFERENCES), default=min(counts or map(int, references)))


def gates(found: Mapping[str, float | None]) -> list[Gate]:
    """The leak gates in words; each AUC is held against the same limit, two of the three can fail."""
    made = []
    for key, title, binding, meaning in _GATES:
        value = found[key]
        if value is None:
            state = UNKNOWN
        elif binding:
            state = PASSED if value <= GATE else FAILED
        else:
            state = BELOW if value <= GATE else ABOVE
        made.append(Gate(title, value, state, meaning))
    return made


def signer_plot(scores: Scores, count: int) -> SignerPlot | None:
    """Bars and the worst signers; None where no signer has genuine and forged queries."""
    rates = signer_eers(scores.trials[count])
    if not rates:
        return None
    worst = sorted(rates.items(), key=lambda entry: -entry[1])[:WORST]
    bars = signer_bars("signers", list(rates.values()), sum(rates.values()) / len(rates))
    return SignerPlot(in_words(count), len(rates), worst, Markup(bars))


def operating_points(evaluation: Evaluation) -> Iterator[PointRow]:
    """Every operating point with every number of references that has trials."""
    decision = evaluation.scores.decision
    for count, block in evaluation.result["references"].items():
        if decision is None or not block["signers"]:
            continue
        for name, found in block["operating_points"].items():
            point = decision.operating_point(name, int(count))
            yield PointRow(
                references=int(count),
                name=name,
                threshold=point.threshold,
                measured_with=point.references,
                validation_far=point.far,
                validation_frr=point.frr,
                far=_of_all_forgeries(found, block["trials"]),
                far_skilled=found["far_skilled"],
                far_random=found["far_random"],
                frr=found["frr"],
            )


def failure_to_acquire(acquisition: Mapping[str, int]) -> float:
    """Share, 0 to 1, of the images, duplicates left out, in which no usable signature was found."""
    lost = acquisition["unreadable"] + acquisition["unusable"]
    return lost / (acquisition["images"] - acquisition["duplicates"])


def robustness_panels(robustness: Mapping[str, Any] | None) -> list[tuple[str, Markup]]:
    """Title and plot of every distortion, all on one scale; none where it was not measured."""
    if robustness is None:
        return []
    distortions = robustness["distortions"]
    rates = [rate for entry in distortions.values() for level in entry["levels"] for rate in _rates(level)]
    top = max(0.1, math.ceil(10.5 * max(rates)) / 10)
    return [
        (entry["title"], Markup(robustness_panel(f"r{number}", entry, top)))
        for number, entry in enumerate(distortions.values())
    ]


def percent(rate: float | None) -> str:
    """A rate, 0 to 1, in percent; a dash where the data cannot tell."""
    return NOTHING if rate is None else f"{100 * rate:.1f} %"


def ends(interval: Sequence[float] | None) -> str:
    """The ends of an interval of rates in percent; nothing without an interval."""
    return "" if interval is None else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def decimals(value: float | None) -> str:
    """Three decimals; a dash where the data cannot tell."""
    return NOTHING if value is None else f"{value:.3f}"


def _score_plots(evaluation: Evaluation, count: int) -> ScorePlots:
    decision, trials = evaluation.scores.decision, evaluation.scores.trials[count]
    meta = evaluation.result["meta"]
    thresholds, bins = {}, []
    if decision is not None:
        thresholds = {name: decision.operating_point(name, count).threshold for name in decision.names}
        bins = reliability(trials, decision.calibration(count), bootstrap=meta["bootstrap"], seed=meta["seed"])
    return ScorePlots(
        in_words(count),
        Markup(score_histogram(f"h{count}", trials, thresholds)),
        Markup(reliability_plot(f"c{count}", bins)) if bins else None,
    )


def _of_all_forgeries(found: Mapping[str, float | None], trials: Mapping[str, int]) -> float | None:
    """Share of all forgeries accepted, skilled and random alike: what was measured on validation signers."""
    accepted = sum((found[f"far_{kind}"] or 0.0) * trials[kind] for kind in ("skilled", "random"))
    given = trials["skilled"] + trials["random"]
    return accepted / given if given else None


def _rates(level: Mapping[str, Any]) -> Iterator[float]:
    """Every rate of a level that a plot shows."""
    shown = (level["eer_skilled"], level["far_skilled"], level["frr"], level["not_acquired"])
    yield from (rate for rate in (*shown, *(level["eer_skilled_ci95"] or ())) if rate is not None)
