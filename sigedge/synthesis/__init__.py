"""Kinematic signature synthesis: signers, their genuine samples and skilled forgeries, on any paper."""

from __future__ import annotations

from sigedge.synthesis.dataset import cached_dataset, write_dataset
from sigedge.synthesis.scan import ScanConditions
from sigedge.synthesis.signer import Sample, Synthesiser, SyntheticSigner
from sigedge.synthesis.style import SignerStyle

__all__ = [
    "Sample",
    "ScanConditions",
    "SignerStyle",
    "Synthesiser",
    "SyntheticSigner",
    "cached_dataset",
    "write_dataset",
]
