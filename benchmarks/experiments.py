"""Train the rows of experiments.yaml and measure them on development signers: benchmarks/results/experiments.json.

Usage: python benchmarks/experiments.py CHECKPOINTS [GROUP...]

CHECKPOINTS is the folder of `make train`, with NAME/NAME.safetensors of each checkpoint that rows start from. A row
that is trained already (out/experiments) is not trained again, and groups that are not named keep their figures.
Development signers are the validation signers of the real training sets and all of SSBI, which no verifier is trained
or tested on. No test signer takes part.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from sigedge.cli.inputs import default_data
from sigedge.data import (
    CanvasCache,
    CanvasSet,
    cut_signatures,
    load_splits,
    read_folders,
    read_index,
    training_records,
)
from sigedge.evaluation.bootstrap import skilled_change
from sigedge.evaluation.evaluate import figures
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.results import provenance, read_result, write_result
from sigedge.evaluation.trials import TrialScores, reference_swap_auc, score_trials
from sigedge.training.data import SYNTHETIC
from sigedge.training.quantisation import QuantisedDeployment
from sigedge.training.recipe import Recipe, load_recipe
from sigedge.training.train import embed, train
from sigedge_models import folder, load_checkpoint
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.bundle import hash_file
from sigedge_runtime.decision import Decision
from sigedge_runtime.preprocessing import PreprocessSpec

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "out" / "experiments"
RESULT = ROOT / "benchmarks" / "results" / "experiments.json"
CACHE = ROOT / ".cache"
ARCHITECTURE = "edgesig"
MEASURED_BY = "recipe.yaml"
"""The recipe whose validation signers, of all real training sets, measure every row, SSBI beside them."""
REFERENCES = (1, 5)
CALIBRATED = 200
"""Canvases that set the ranges of int8."""
SEED = 0


def main(checkpoints: Path, wanted: list[str]) -> None:
    """Train what is missing, measure, and write after every row."""
    groups = yaml.safe_load((ROOT / "benchmarks" / "experiments.yaml").read_text(encoding="utf-8"))["groups"]
    canvases = development_signers(default_data())
    for group in groups:
        if wanted and group["name"] not in wanted:
            continue
        rows: list[dict[str, Any]] = []
        base: dict[int, TrialScores] = {}
        for row in group["rows"]:
            checkpoint = trained(group, row, checkpoints)
            embeddings, decision = embedded(checkpoint, canvases, int8=group.get("int8", False))
            scored = score(canvases, embeddings, decision)
            base = base or scored
            swap = {"reference_swap_auc": told_by_strangers(canvases, embeddings, decision)}
            rows.append(described(row, checkpoint, scored, base) | swap)
            store(group, rows, signers=len(scored[1].names))
            print(f"{group['name']}: {row['name']}: " + ", ".join(shown(rows[-1], k) for k in REFERENCES), flush=True)


def development_signers(data: Path) -> CanvasSet:
    """Canvases that rows are measured on."""
    recipe = load_recipe(folder(ARCHITECTURE) / MEASURED_BY)
    names = [name for name in recipe.data.signers_per_batch if name != SYNTHETIC]
    parts = training_records(read_index(data / "index.csv"), names, load_splits(data / "splits.json"))
    sheets = read_folders(cut_signatures(data / "ssbi" / "signatures", CACHE / "ssbi"))
    return CanvasCache(CACHE / "canvases").canvases([*parts.validation, *sheets]).unique().usable()


def store(group: dict[str, Any], rows: list[dict[str, Any]], *, signers: int) -> None:
    """Write the rows of a group into the result as it is now: another group may be running beside this one."""
    result = read_result(RESULT) if RESULT.exists() else {"groups": {}}
    made = {"title": group["title"], "steps": group["steps"], "preprocessing": PreprocessSpec.version, "rows": rows}
    result["groups"][group["name"]] = made
    result["meta"] = provenance(seed=SEED, model={"name": ARCHITECTURE}, signers=signers)
    write_result(RESULT, result)


def trained(group: dict[str, Any], row: dict[str, Any], checkpoints: Path) -> Path:
    """The row's checkpoint, trained when it is missing; an interrupted training goes on."""
    out = RUNS / str(group["name"]).replace(" ", "-") / str(row["name"]).replace(" ", "-")
    recipe = load_recipe(folder(ARCHITECTURE) / group["recipe"])
    done = out / f"{recipe.name}.safetensors"
    if not done.exists():
        changed = yaml.safe_dump(with_changes(recipe, row["changes"]))
        write_atomically(out / "recipe.yaml", changed.encode())
        initial = checkpoints / group["initial"] / f"{group['initial']}.safetensors" if group["initial"] else None
        train(
            ARCHITECTURE,
            default_data(),
            out,
            recipe=out / "recipe.yaml",
            initial=initial,
            cache=CACHE,
            steps=group["steps"],
        )
    return done


def with_changes(recipe: Recipe, changes: dict[str, Any]) -> dict[str, Any]:
    """Entries of a recipe with those at dotted paths replaced."""
    values = copy.deepcopy(recipe.model_dump())
    for path, value in changes.items():
        *above, last = path.split(".")
        section = values
        for name in above:
            section = section[name]
        section[last] = value
    return values


def embedded(checkpoint: Path, canvases: CanvasSet, *, int8: bool) -> tuple[NDArray[np.float32], Decision]:
    """Embeddings float32 [N, D] of the development signers, and the decision that the checkpoint's run fitted."""
    model, info = load_checkpoint(checkpoint)
    if int8:
        model = QuantisedDeployment(model, decay=0.0)
        model.start_ranges(torch.from_numpy(canvases.canvases[:CALIBRATED, None].astype(np.float32)))
    return embed(model, canvases.canvases), Decision.from_dict(info.decision)


def score(canvases: CanvasSet, embeddings: NDArray[np.float32], decision: Decision) -> dict[int, TrialScores]:
    """Scores of the development signers by number of references."""
    found = {}
    for count in REFERENCES:
        protocol = make_protocol(canvases.records, count, seed=SEED)
        found[count] = score_trials(protocol, embeddings, decision.rule, decision.similarity)
    return found


def told_by_strangers(
    canvases: CanvasSet, embeddings: NDArray[np.float32], decision: Decision
) -> dict[str, float | None]:
    """Reference swap AUC by data set."""
    found = {}
    for dataset in sorted({record.dataset for record in canvases.records}):
        rows = [row for row, record in enumerate(canvases.records) if record.dataset == dataset]
        protocol = make_protocol([canvases.records[row] for row in rows], REFERENCES[-1], seed=SEED)
        found[dataset] = reference_swap_auc(protocol, embeddings[rows], decision.fusion, decision.similarity)
    return found


def described(
    row: dict[str, Any], checkpoint: Path, scored: dict[int, TrialScores], base: dict[int, TrialScores]
) -> dict[str, Any]:
    """A row of the result: figures by number of references, and the difference from the group's first row."""
    found: dict[str, Any] = {}
    for count, trials in scored.items():
        kept = {name: value for name, value in figures(trials, references=count).items() if name.startswith("eer_")}
        change = skilled_change(trials, base[count], seed=SEED)
        found[str(count)] = {**kept, "change": change}
    return {
        "name": row["name"],
        "changes": row["changes"],
        "checkpoint_sha256": hash_file(checkpoint),
        "by_count": found,
    }


def shown(row: dict[str, Any], count: int) -> str:
    """The skilled EER and its change, for the log."""
    found = row["by_count"][str(count)]
    return f"{100 * found['eer_skilled']:.1f} % ({100 * found['change']['estimate']:+.1f}) with {count}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
