"""What the cleaner is worth: how often the verifier errs on dirty, cleaned and clean documents of test signers."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sigedge.data import CanvasCache, Record, load_splits, read_index, split_records
from sigedge.evaluation.bootstrap import skilled_change
from sigedge.evaluation.evaluate import figures
from sigedge.evaluation.protocol import Protocol, item_name, make_protocol
from sigedge.evaluation.results import provenance
from sigedge.evaluation.trials import score_trials
from sigedge.systems import Progress
from sigedge.systems.cleaner.batches import make_document
from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.metrics import ink_iou, likeness
from sigedge.systems.cleaner.noise import KINDS, NoisyDocument
from sigedge.systems.cleaner.recipe import CleanerRecipe
from sigedge.systems.cleaner.signatures import read_inks, synthetic_records
from sigedge.systems.cleaner.training import NETWORK
from sigedge.systems.cleaner.use import clean_regions
from sigedge.training.recipe import SyntheticSigners
from sigedge.training.train import embed
from sigedge_models import load_checkpoint
from sigedge_runtime.decision import Decision
from sigedge_runtime.preprocessing import harmonise

ARMS = ("scan", "clean", "dirty", "cleaned", "clean_cleaned")
"""What a query is: the scan; its ink on white in a region; on a noisy document; that cleaned; the clean one cleaned."""

DATASET = "cedar-half"
SYNTHETIC = SyntheticSigners(signers=30, genuine=8, forged=6, seed=900_041)
"""Signers on drawn documents, whom no training drew."""

REFERENCE_COUNTS = (1, 5)
HEADLINE = 5
VERIFIER = Path("models") / "weights" / "edgesig.safetensors"
SEED = 0

_KEPT = ("signers", "trials", "eer_skilled", "eer_skilled_ci95", "eer_random", "eer_random_ci95", "eer_per_signer_mean")
_CHANGES = {"gain_of_cleaning": ("dirty", "cleaned"), "damage_to_clean": ("clean_cleaned", "clean")}


@dataclass(frozen=True)
class Judge:
    """What is evaluated and what it is evaluated with.

    Attributes:
        cleaner: the network.
        recipe: by which it was trained; its noise is what it is judged on.
        verifier: float [N, 1, H, W] of canvas values to embeddings.
        decision: the verifier's rule.
        cache: folder for canvases and synthetic signers.
    """

    cleaner: nn.Module
    recipe: CleanerRecipe
    verifier: nn.Module
    decision: Decision
    cache: Path


def evaluate(models: Path, data: Path, *, cache: Path, progress: Progress) -> dict[str, Any]:
    """Figures of the cleaner on test signers, and on documents of which no piece was trained on.

    Args:
        models: folder of cleaner-generator.safetensors; the verifier is edgesig.safetensors beside it, or else
            `VERIFIER`.
        data: folder with index.csv and splits.json; without them only synthetic signers are judged.
        cache: folder for canvases and synthetic signers.
        progress: told each part before it runs.

    Returns:
        ``networks`` for the table of all systems; ``sets``: by name of the data set the figures of `judge_signers`;
        ``meta``.

    Raises:
        CheckpointError: a checkpoint is missing or damaged.
        DataError: the data sets cannot be used.
    """
    checkpoint, verifier_path = models / f"cleaner-{NETWORK}.safetensors", _verifier(models)
    cleaner, info = load_checkpoint(checkpoint)
    verifier, verifier_info = load_checkpoint(verifier_path)
    recipe = CleanerRecipe.model_validate(info.training["recipe"])
    judge = Judge(cleaner, recipe, verifier, Decision.from_dict(verifier_info.decision), cache)
    sets: dict[str, Any] = {}
    if (data / "index.csv").is_file():
        progress(f"{DATASET}: test signers on documents never trained on")
        sets[DATASET] = judge_signers(judge, _test_records(data), Documents.read(data, "test"))
    progress("synthetic: signers on drawn documents")
    sets["synthetic"] = judge_signers(judge, synthetic_records(SYNTHETIC, cache), Documents())
    meta = provenance(
        seed=SEED,
        model={"name": info.name, "version": info.version, "checkpoint_sha256": _sha256(checkpoint)},
        verifier={"name": verifier_info.name, "checkpoint_sha256": _sha256(verifier_path)},
        supervision=recipe.supervision,
        protocol="references: clean scans; queries: the arm named; thresholds for all signers alike",
    )
    meta["versions"]["torch"] = torch.__version__
    return {"networks": [_row(cleaner, checkpoint, sets)], "sets": sets, "meta": meta}


def judge_signers(judge: Judge, records: Sequence[Record], documents: Documents) -> dict[str, Any]:
    """Figures on some signers: enrolled from clean scans, queried with each of `ARMS`.

    Returns:
        ``images``, ``signers`` and ``skipped``; ``references``: by number of references and arm the figures of
        `sigedge.evaluation.evaluate.figures`, with the paired differences ``gain_of_cleaning`` (dirty less cleaned) and
        ``damage_to_clean`` (clean images cleaned less clean), rates 0 to 1 with intervals over signers;
        ``failure_to_acquire``: by arm the share of images that no verifier would accept; ``likeness``: by arm PSNR
        (decibels), SSIM and ink overlap with the clean truth; ``kinds``: ink overlap by kind of noise.

    Raises:
        DataError: no image can be read.
    """
    scans = CanvasCache(judge.cache / "canvases").canvases(records).unique().usable()
    inks = read_inks(scans.records)
    readable = set(inks.records)
    scans = scans.select([record in readable for record in scans.records])
    made = [
        make_document((ink,), documents, _rng(record), judge.recipe)
        for record, ink in zip(inks.records, inks.inks, strict=True)
    ]
    regions = _regions(judge.cleaner, made)
    harmonised = {arm: [harmonise(image) for image in images] for arm, images in regions.items()}
    canvases = {"scan": scans.canvases} | {
        arm: np.stack([result.canvas for result in results]) for arm, results in harmonised.items()
    }
    embeddings = {arm: embed(judge.verifier, canvases[arm]) for arm in ARMS}
    return {
        "images": len(inks),
        "signers": len({record.identity for record in inks.records}),
        "skipped": [f"{file.path.name}: {file.reason}" for file in (*scans.report.skipped, *inks.report.skipped)],
        "references": {str(count): _by_arm(judge, inks.records, embeddings, count) for count in REFERENCE_COUNTS},
        "failure_to_acquire": {
            arm: float(np.mean([not result.quality.usable for result in results]))
            for arm, results in harmonised.items()
        },
        "likeness": {arm: likeness(regions["clean"], regions[arm]) for arm in ("dirty", "cleaned", "clean_cleaned")},
        "kinds": dict(_by_kind(made, regions)),
    }


def with_queries_apart(protocol: Protocol) -> Protocol:
    """The same trials over twice the rows: references are rows of the first half, queries of the second."""
    count = len(protocol.items)

    def apart(rows: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(row + count for row in rows)

    draws = tuple(
        replace(draw, genuine=apart(draw.genuine), skilled=apart(draw.skilled), random=apart(draw.random))
        for draw in protocol.draws
    )
    return replace(protocol, items=(*protocol.items, *(f"query/{item}" for item in protocol.items)), draws=draws)


def _regions(cleaner: nn.Module, made: Sequence[NoisyDocument]) -> dict[str, NDArray[np.uint8]]:
    dirty, clean = np.stack([document.dirty for document in made]), np.stack([document.clean for document in made])
    cleaned, clean_cleaned = clean_regions(cleaner, dirty), clean_regions(cleaner, clean)
    return {"clean": clean, "dirty": dirty, "cleaned": cleaned, "clean_cleaned": clean_cleaned}


def _by_arm(
    judge: Judge, records: Sequence[Record], embeddings: Mapping[str, NDArray[np.float32]], count: int
) -> dict[str, Any]:
    protocol = with_queries_apart(make_protocol(records, count, seed=SEED))
    decision = judge.decision
    trials = {
        arm: score_trials(
            protocol,
            np.concatenate([embeddings["scan"], embeddings[arm]]),
            decision.rule,
            decision.similarity,
        )
        for arm in ARMS
    }
    found: dict[str, Any] = {}
    for arm, scored in trials.items():
        everything = figures(scored, references=count, seed=SEED)
        found[arm] = {name: everything[name] for name in _KEPT}
    for name, (first, second) in _CHANGES.items():
        found[name] = skilled_change(trials[first], trials[second], seed=SEED)
    return found


def _by_kind(
    made: Sequence[NoisyDocument], regions: Mapping[str, NDArray[np.uint8]]
) -> Iterator[tuple[str, dict[str, float]]]:
    for kind in KINDS:
        rows = [row for row, document in enumerate(made) if kind in document.kinds]
        if rows:
            overlaps = {
                f"ink_iou_{arm}": float(np.mean([ink_iou(regions["clean"][row], regions[arm][row]) for row in rows]))
                for arm in ("dirty", "cleaned")
            }
            yield kind, {"images": len(rows), **overlaps}


def _row(cleaner: nn.Module, checkpoint: Path, sets: Mapping[str, Any]) -> dict[str, Any]:
    """The cleaner's entry in the table of all systems."""
    name = DATASET if DATASET in sets else "synthetic"
    arms = sets[name]["references"][str(HEADLINE)]
    return {
        "network": NETWORK,
        "task": "image",
        "metric": f"EER of edgesig on cleaned documents, {name} test, {HEADLINE} references",
        "reference_metric": "none given",
        "value": arms["cleaned"]["eer_skilled"],
        "ci95": arms["cleaned"]["eer_skilled_ci95"],
        "value_dirty": arms["dirty"]["eer_skilled"],
        "value_clean": arms["clean"]["eer_skilled"],
        "parameters": sum(parameter.numel() for parameter in cleaner.parameters()),
        "checkpoint_sha256": _sha256(checkpoint),
    }


def _rng(record: Record) -> np.random.Generator:
    """A record's own randomness: another record in the set does not change its document."""
    return np.random.default_rng([SEED, zlib.crc32(item_name(record).encode())])


def _test_records(data: Path) -> list[Record]:
    return split_records(read_index(data / "index.csv"), DATASET, "test", load_splits(data / "splits.json"))


def _verifier(models: Path) -> Path:
    beside = models / VERIFIER.name
    return beside if beside.is_file() else VERIFIER


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
