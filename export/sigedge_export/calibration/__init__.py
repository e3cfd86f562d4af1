"""Calibration: the canvases that int8 ranges are measured on, the lint of such a set, and the choice of the ranges.

Sources: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018; M. Nagel et al., "A White Paper on Neural Network Quantization", arXiv 2106.08295, section 3.1.
"""

from __future__ import annotations

from sigedge_export.calibration.calibration_set import (
    CalibrationSet,
    Origin,
    Population,
    canvas_hash,
    load_calibration,
    save_calibration,
)
from sigedge_export.calibration.compare import Comparison, MethodRow, compare_ranges
from sigedge_export.calibration.lint import Evaluation, Finding, lint, refuse_errors
from sigedge_export.calibration.ranges import DEFAULT_METHOD, METHODS

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "CalibrationSet",
    "Comparison",
    "Evaluation",
    "Finding",
    "MethodRow",
    "Origin",
    "Population",
    "canvas_hash",
    "compare_ranges",
    "lint",
    "load_calibration",
    "refuse_errors",
    "save_calibration",
]
