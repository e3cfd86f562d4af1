"""Localisation of signatures on a page: no network, a scorer of stroke groups, trained and judged here.

What finds signatures on a device is `sigedge_runtime.localisation`; from the command line everything is
``python -m sigedge.systems.localisation``.
"""

from __future__ import annotations

from sigedge.systems.localisation.experiment import evaluate, false_alarms, figures, train
from sigedge.systems.localisation.precision import Found, average_precision, match, overlaps, precision_interval

__all__ = [
    "Found",
    "average_precision",
    "evaluate",
    "false_alarms",
    "figures",
    "match",
    "overlaps",
    "precision_interval",
    "train",
]
