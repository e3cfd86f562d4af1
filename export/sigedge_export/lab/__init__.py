"""The parity lab: which layer of an artefact broke, which layers do not stand quantisation, what has collapsed."""

from __future__ import annotations

from sigedge_export.lab.bisect import BisectHop, BisectReport, FirstFault, bisect
from sigedge_export.lab.collapse import Collapse, measure_collapse
from sigedge_export.lab.compare import Comparison, Fault, compare
from sigedge_export.lab.noise import LayerNoise, sqnr
from sigedge_export.lab.sensitivity import LayerLoss, MixedLoss, SensitivityReport, measure_sensitivity

__all__ = [
    "BisectHop",
    "BisectReport",
    "Collapse",
    "Comparison",
    "Fault",
    "FirstFault",
    "LayerLoss",
    "LayerNoise",
    "MixedLoss",
    "SensitivityReport",
    "bisect",
    "compare",
    "measure_collapse",
    "measure_sensitivity",
    "sqnr",
]
