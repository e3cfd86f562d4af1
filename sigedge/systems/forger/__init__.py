"""The forger, which draws signatures from centre lines, and the detector of generated signatures."""

from __future__ import annotations

from sigedge.systems.forger.evaluate import evaluate
from sigedge.systems.forger.examples import examples
from sigedge.systems.forger.train import train

__all__ = ["evaluate", "examples", "train"]
