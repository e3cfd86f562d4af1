"""The export chain of sigedge: PyTorch to ONNX, TensorFlow and TFLite, proven and bundled.

Importing this package loads none of those; each step of the chain runs in a child process of its own.
"""

from __future__ import annotations

from sigedge_export.audit import Audit, Run, Unmeasured, audit
from sigedge_export.chain import Hop
from sigedge_export.gate import Breach, breaches, gate
from sigedge_export.inputs import GoldenImage, ParitySet
from sigedge_export.network_export import NetworkExport, export_network
from sigedge_export.network_parity import (
    NetworkArtifactParity,
    NetworkParityReport,
    NetworkTolerances,
    gate_network,
    load_network_tolerances,
    measure_network_parity,
)
from sigedge_export.options import ExportOptions, load_options
from sigedge_export.parity import ArtifactParity, PairScores, ParityReport, measure_parity
from sigedge_export.pipeline import Export, export_bundle
from sigedge_export.reference import Reference, load_reference
from sigedge_export.statistics import Interval
from sigedge_export.targets import TARGETS, Target, choose_targets
from sigedge_export.tolerances import Tolerances, load_tolerances

__all__ = [
    "TARGETS",
    "ArtifactParity",
    "Audit",
    "Breach",
    "Export",
    "ExportOptions",
    "GoldenImage",
    "Hop",
    "Interval",
    "NetworkArtifactParity",
    "NetworkExport",
    "NetworkParityReport",
    "NetworkTolerances",
    "PairScores",
    "ParityReport",
    "ParitySet",
    "Reference",
    "Run",
    "Target",
    "Tolerances",
    "Unmeasured",
    "audit",
    "breaches",
    "choose_targets",
    "export_bundle",
    "export_network",
    "gate",
    "gate_network",
    "load_network_tolerances",
    "load_options",
    "load_reference",
    "load_tolerances",
    "measure_network_parity",
    "measure_parity",
]
