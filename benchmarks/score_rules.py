"""What each step of a score is worth, on signers that a network has never met: benchmarks/results/score-rules.json.

Usage: python benchmarks/score_rules.py CHECKPOINTS

CHECKPOINTS is the folder of `make train`. edgesig-clean is measured on the training and validation signers of Hindi and
CEDAR, edgesig-without-cedar on those of CEDAR, both on SSBI. No test signer takes part. One network each, the same
embeddings for every rule.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sigedge.cli.inputs import default_data
from sigedge.data import (
    CanvasCache,
    CanvasSet,
    Record,
    cut_signatures,
    load_splits,
    read_folders,
    read_index,
    training_records,
)
from sigedge.evaluation.bootstrap import skilled_change
from sigedge.evaluation.metrics import equal_error_rate
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.results import provenance, write_result
from sigedge.evaluation.trials import GENUINE, SKILLED, TrialScores, score_trials, score_trials_by_rule
from sigedge.training.train import embed
from sigedge_models import load_checkpoint
from sigedge_runtime.bundle import hash_file
from sigedge_runtime.decision import Decision, ScoreRule
from sigedge_runtime.matching import LocalMatching

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "score-rules.json"
CACHE = ROOT / ".cache"
# Networks, and the data sets of which they have never met a signer.
STRANGERS = {
    "edgesig-clean": ("bhsig260-hindi", "cedar-half", "ssbi"),
    "edgesig-without-cedar": ("cedar-half", "ssbi"),
}
REFERENCES = (1, 2, 3, 5, 10)
OWN_ALONE = ScoreRule("mean", 0.5)
"""Half of what the references themselves show, however few they are."""
SEED = 0


def main(checkpoints: Path) -> None:
    """Measure every network on every data set."""
    data = default_data()
    rows = []
    for name, datasets in STRANGERS.items():
        checkpoint = checkpoints / name / f"{name}.safetensors"
        model, info = load_checkpoint(checkpoint)
        network = {"network": name, "checkpoint_sha256": hash_file(checkpoint)}
        decision = Decision.from_dict(info.decision)
        for dataset in datasets:
            canvases = canvases_of(dataset, data)
            embeddings = embed(model, canvases.canvases)
            for count in REFERENCES:
                found = measured(canvases.records, embeddings, decision, count)
                if found is not None:
                    rows.append({**network, "dataset": dataset, "references": count, **found})
            print(f"{name} on {dataset}: done", flush=True)
    write_result(RESULT, {"rows": rows, "meta": provenance(seed=SEED)})


def canvases_of(dataset: str, data: Path) -> CanvasSet:
    """Canvases of a data set's training and validation signers; of all signers of SSBI, which trains nothing."""
    if dataset == "ssbi":
        records = list(read_folders(cut_signatures(data / "ssbi" / "signatures", CACHE / "ssbi")))
    else:
        parts = training_records(read_index(data / "index.csv"), [dataset], load_splits(data / "splits.json"))
        records = [*parts.train, *parts.validation]
    return CanvasCache(CACHE / "canvases").canvases(records).unique().usable()


def measured(
    records: Sequence[Record], embeddings: NDArray[np.float32], decision: Decision, count: int
) -> dict[str, Any] | None:
    """Skilled EER by each rule, and what the last one changes; None where no signer has so many references."""
    protocol = make_protocol(records, count, seed=SEED)
    if not protocol.draws:
        return None
    matching = cast(LocalMatching, decision.matching)
    undemanding = replace(matching, demand_unit=None)
    vectors = np.ascontiguousarray(matching.vectors(embeddings)).reshape(len(embeddings), -1)
    similarity = score_trials(protocol, vectors, ScoreRule("mean"), undemanding)
    rules = [ScoreRule("mean"), OWN_ALONE, decision.rule]
    demanded, own, expected = score_trials_by_rule(protocol, embeddings, rules, matching)
    return {
        "signers": len(expected.names),
        "eer_similarity": skilled_error(similarity),
        "eer_demands": skilled_error(demanded),
        "eer_own_consistency": skilled_error(own),
        "eer_expected_consistency": skilled_error(expected),
        "change": skilled_change(expected, own, seed=SEED),
    }


def skilled_error(trials: TrialScores) -> float:
    """EER, 0 to 1."""
    return equal_error_rate(trials.of(GENUINE), trials.of(SKILLED))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
