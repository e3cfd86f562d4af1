"""Measuring a verifier so that the figure can be believed: protocol, metrics, intervals and leak gates."""

from __future__ import annotations

from sigedge.evaluation.bootstrap import PairedDifference, paired_eer_difference
from sigedge.evaluation.bundle import Evaluation, evaluate_bundle
from sigedge.evaluation.evaluate import evaluate_embeddings
from sigedge.evaluation.leaks import measure_leaks
from sigedge.evaluation.protocol import Protocol, make_protocol
from sigedge.evaluation.results import read_result, write_result
from sigedge.evaluation.trials import TrialScores, reference_swap_auc, score_trials

__all__ = [
    "Evaluation",
    "PairedDifference",
    "Protocol",
    "TrialScores",
    "evaluate_bundle",
    "evaluate_embeddings",
    "make_protocol",
    "measure_leaks",
    "paired_eer_difference",
    "read_result",
    "reference_swap_auc",
    "score_trials",
    "write_result",
]
