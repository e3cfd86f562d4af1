"""Error rates of a detector of generated signatures, with intervals over signers.

The terms are those of ISO/IEC 30107-3 without a claim of conformance: APCER is the share of one species' generated
images that pass as bona fide, BPCER the share of bona fide images called generated. Generated images that reach a
system as files are no presentations to a sensor in the standard's sense.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge.evaluation.bootstrap import bootstrap_interval, percentile_interval, resample_weights
from sigedge.evaluation.metrics import auc, equal_error_rate
from sigedge.systems.forger.specimens import Specimens

Floats = NDArray[np.float64]


def detection_figures(scores: Floats, specimens: Specimens, threshold: float) -> dict[str, Any]:
    """All figures of a detector on some specimens.

    Args:
        scores: float64 [N], higher looks more generated.
        specimens: the N images, of which some are bona fide and some generated.
        threshold: above it an image is called generated; fixed beforehand on other signers.

    Returns:
        ``auc`` and ``eer`` over all species together, ``bpcer``, and in ``apcer`` a rate by species: 0 to 1 each, with
        its interval as ``NAME_ci95`` beside it; and the numbers of images.

    Raises:
        DataError: one of the two kinds is missing.
    """
    generated, owners = specimens.generated, numbered(specimens.signers)
    called = scores > threshold
    species = sorted({name for name, drawn in zip(specimens.species, generated, strict=True) if drawn})
    rows = {name: np.asarray(specimens.species) == name for name in species}
    count = int(owners.max()) + 1
    eer = equal_error_rate(scores[generated], scores[~generated])
    figures = {
        "bona_fide": int((~generated).sum()),
        "generated": {name: int(chosen.sum()) for name, chosen in rows.items()},
        **_figure("auc", auc(scores[generated], scores[~generated]), auc_interval(scores, generated, owners)),
        **_figure("eer", eer, bootstrap_interval(scores, generated, owners, count)),
        **mean_figure("bpcer", called[~generated], owners[~generated]),
        "apcer": {},
    }
    for name, chosen in rows.items():
        figures["apcer"] |= mean_figure(name, ~called[chosen], owners[chosen])
    return figures


def _figure(name: str, value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    return {name: value, f"{name}_ci95": None if interval is None else list(interval)}


def mean_figure(name: str, values: NDArray[Any], owners: NDArray[np.int64]) -> dict[str, Any]:
    """The mean of values [N] as `name`, and as ``NAME_ci95`` its interval by resampling their owners int64 [N]."""
    people, place = np.unique(owners, return_inverse=True)
    sums, counts = np.bincount(place, values.astype(np.float64)), np.bincount(place)
    weights = resample_weights(len(people))
    interval = percentile_interval((weights @ sums) / (weights @ counts)) if len(people) > 1 else None
    return _figure(name, float(values.mean()), interval)


def auc_interval(scores: Floats, generated: NDArray[np.bool_], owners: NDArray[np.int64]) -> tuple[float, float] | None:
    """95 % interval of the area under the curve, by resampling owners; None with fewer than two of them.

    Args:
        scores: float64 [N], higher looks more generated.
        generated: bool [N].
        owners: int64 [N], whose signature each image shows.
    """
    count = int(owners.max()) + 1
    if count < 2:
        return None
    _, place = np.unique(scores, return_inverse=True)
    weights = resample_weights(count)
    real, drawn = (_mass(weights, owners, place, kind) for kind in (~generated, generated))
    # A tie counts half: of the real ones with the same score, half are beaten.
    beaten = np.cumsum(real, axis=1) - real / 2
    with np.errstate(invalid="ignore"):
        areas = (drawn * beaten).sum(1) / (drawn.sum(1) * real.sum(1))
    return percentile_interval(areas)


def numbered(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Numbers int64 [N] from 0 for names, equal for equal ones."""
    return np.asarray(np.unique(np.asarray(names), return_inverse=True)[1], dtype=np.int64)


def _mass(weights: Floats, owners: NDArray[np.int64], place: NDArray[np.int64], kind: NDArray[np.bool_]) -> Floats:
    """Weight of each resample at every distinct score: float64 [B, T]."""
    counts = np.zeros((weights.shape[1], int(place.max()) + 1))
    np.add.at(counts, (owners[kind], place[kind]), 1.0)
    return np.asarray(weights @ counts, dtype=np.float64)
