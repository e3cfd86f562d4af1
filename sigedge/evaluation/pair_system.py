"""A verifier of pairs as its literature uses it: a rule for two signatures, a vote of references, pages askew.

Everything is measured on the deployed file of a bundle. Rules are fitted to training signers, their thresholds to
validation signers, and test signers are looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.data import CanvasCache, Record, load_splits, read_grey, read_index, split_records
from sigedge.data.cache import DEFAULT_FOLDER
from sigedge.data.pairs import Negatives, make_duplets
from sigedge.data.splits import Part
from sigedge.data.upright import harmonise_upright, turned
from sigedge.evaluation.bundle import acquire
from sigedge.evaluation.embeddings import embed_canvases
from sigedge.evaluation.evaluate import evaluate_embeddings
from sigedge.evaluation.pairs import Accepted, DifferenceRule, PairClassifier, PairRule
from sigedge.evaluation.protocol import make_protocol
from sigedge.evaluation.results import provenance
from sigedge.evaluation.trials import Embeddings
from sigedge.evaluation.voting import decide_trials, decision_figures
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.preprocessing import harmonise

TRAINED_ON = ("cedar-half", "bhsig260-hindi")
TESTED_ON: Mapping[str, tuple[int, ...]] = {
    "cedar-half": (1, 5, 10),
    "bhsig260-hindi": (1, 5, 10),
    "sigcomp2009-nfi": (1, 3),
}
"""Numbers of references by data set."""

_LEARNED: tuple[Part, Part] = ("train", "validation")

_MODEL_FACTS = ("name", "version", "checkpoint_sha256")
_ARTIFACT_FACTS = ("name", "format", "precision", "sha256", "size")

TURNED = "cedar-half"
LARGEST_SLANT = 20.0
"""Degrees by which pages are turned at most, either way, to see what that costs."""

Progress = Callable[[str], None]
Known = tuple[Sequence[Record], Embeddings]


@dataclass(frozen=True)
class Deployed:
    """The deployed file of a bundle, at work on data sets.

    Attributes:
        bundle: open.
        artifact: the one that runs.
        engine: runs it.
        cache: of canvases of the bundle's preprocessing.
    """

    bundle: Bundle
    artifact: Artifact
    engine: Engine
    cache: CanvasCache

    def known(self, data: Path, dataset: str, part: Part, fold: int) -> Known:
        """The usable records of one part of a data set, and their embeddings float32 [N, D].

        Raises:
            DataError: the data set or its split is missing, or no image is usable.
        """
        records = read_index(data / "index.csv", dataset)
        chosen = split_records(records, dataset, part, load_splits(data / "splits.json"), fold=fold)
        canvases = acquire(chosen, self.cache).canvases
        return canvases.records, embed_canvases(self.engine, canvases.canvases)

    def facts(self) -> dict[str, Any]:
        """What was measured, for the provenance of a result."""
        return {
            "model": {name: getattr(self.bundle.manifest.model, name) for name in _MODEL_FACTS},
            "artifact": {name: getattr(self.artifact, name) for name in _ARTIFACT_FACTS},
            "engine": {"name": self.engine.name, "version": self.engine.version(), "threads": 1},
        }


@contextmanager
def deployed(bundle_path: Path | None, cache: Path = DEFAULT_FOLDER) -> Iterator[Deployed]:
    """Open the file of a bundle that a device would choose, on one thread.

    Args:
        bundle_path: folder or zip file; None for the bundle that ships with the package.
        cache: folder of the canvas cache.

    Raises:
        BundleError: the bundle does not exist or is damaged.
        EngineError: no installed engine runs the artefact.
    """
    with Bundle.open(bundle_path) as bundle:
        artifact = bundle.artifact()
        with closing(open_engine("auto", artifact, bundle.path(artifact.file), 1)) as engine:
            yield Deployed(bundle, artifact, engine, CanvasCache(cache, bundle.manifest.preprocess))


def evaluate_pair_system(
    bundle_path: Path | None,
    data: Path,
    *,
    cache: Path = DEFAULT_FOLDER,
    fold: int = 0,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Fit the rules for pairs, decide test signatures by them, and turn pages.

    Args:
        bundle_path: folder or zip file of a verifier; None for the bundle that ships with the package.
        data: folder with index.csv and splits.json that hold the data sets of `TESTED_ON`.
        cache: folder of the canvas cache.
        fold: test fold of data sets that are split by folds.
        seed: of the draws, the bootstrap and the turned pages.
        progress: told each part before it runs.

    Returns:
        ``networks``, the row for the table of systems; ``decisions`` by data set, rule and number of references, as far
        as anybody has so many, each as `decision_figures`; ``rules``, the fitted values; ``askew``, see
        `askew_figures`; ``meta``.

    Raises:
        BundleError: the bundle does not exist or is damaged.
        EngineError: no installed engine runs the artefact.
        DataError: a data set or its split is missing.
    """
    with deployed(bundle_path, cache) as verifier:
        progress("embed training and validation signers")
        train, validation = (
            _joined([verifier.known(data, name, part, fold) for name in TRAINED_ON]) for part in _LEARNED
        )
        progress("embed test signers")
        tested = {name: verifier.known(data, name, "test", fold) for name in TESTED_ON}
        progress("turn pages")
        askew = askew_figures(tested[TURNED][0], verifier, seed=seed)
        manifest, facts = verifier.bundle.manifest, verifier.facts()
    progress("decide")
    rules = fit_rules(train, validation, seed=seed)
    return {
        "networks": [_table_row(manifest, tested["cedar-half"], seed)],
        "decisions": {
            dataset: {name: _decided(tested[dataset], rule, counts, seed) for name, rule in rules.items()}
            for dataset, counts in TESTED_ON.items()
        },
        "rules": {name: rule.to_dict() for name, rule in rules.items()},
        "askew": askew,
        "meta": provenance(seed=seed, fold=fold, **facts),
    }


def fit_rules(train: Known, validation: Known, *, seed: int = 0) -> dict[str, DifferenceRule | PairClassifier]:
    """The two rules for pairs, by name.

    ``"difference"`` is a threshold on the difference score, ``"logistic regression"`` a classifier of the features of
    pairs, fitted to pairs of training signers. The threshold of both is where they err alike on genuine and skilled
    pairs of validation signers, as the operating point ``balanced`` of a bundle is.

    Args:
        train: N records of training signers, and their embeddings float32 [N, D].
        validation: the same of validation signers.
        seed: of the pairs drawn.

    Raises:
        DataError: no pair of one sort can be drawn.
    """
    held_out = _pairs(validation, "skilled", seed)
    classifier = PairClassifier.fit(*_pairs(train, "both", seed)).balanced_on(*held_out)
    return {"difference": DifferenceRule.fit(*held_out), "logistic regression": classifier}


def askew_figures(records: Sequence[Record], verifier: Deployed, *, seed: int = 0) -> dict[str, Any]:
    """What it costs when pages lie askew, and what laying signatures level saves.

    Every image is turned by its own angle, drawn without a look at its label, at most `LARGEST_SLANT` degrees either
    way; references and queries alike.

    Args:
        records: of test signers, all readable.
        verifier: with its preprocessing and fusion.
        seed: of the angles and the trials.

    Returns:
        For ``straight`` and ``askew`` pages, preprocessed as ``plain`` and ``upright``: the skilled EER, 0 to 1, with 1
        and 5 references, each with ``_ci95``; and ``largest_slant``, degrees.
    """
    slants = np.random.default_rng(seed).uniform(-LARGEST_SLANT, LARGEST_SLANT, len(records))
    manifest = verifier.bundle.manifest
    preparations = {"plain": harmonise, "upright": harmonise_upright}
    figures: dict[str, Any] = {"largest_slant": LARGEST_SLANT}
    for pages, angles in (("straight", np.zeros(len(records))), ("askew", slants)):
        for name, prepare in preparations.items():
            canvases = (
                prepare(turned(read_grey(record), angle) if angle else read_grey(record), manifest.preprocess).canvas
                for record, angle in zip(records, angles, strict=True)
            )
            embeddings = np.stack([verifier.engine.infer(canvas) for canvas in canvases])
            figures[f"{pages}_{name}"] = _error_rates(records, embeddings, manifest.verification, (1, 5), seed)
    return figures


def _table_row(manifest: Manifest, tested: Known, seed: int) -> dict[str, Any]:
    """The entry of the table of systems: a pair of signatures is what the reference systems judge."""
    model = manifest.model
    rates = _error_rates(*tested, manifest.verification, (1,), seed)
    return {
        "network": model.name,
        "task": "verification",
        "metric": "EER against skilled forgeries, 1 reference, CEDAR test signers",
        "reference_metric": "none given",
        "value": rates["eer_skilled_1"],
        "ci95": rates["eer_skilled_1_ci95"],
        "parameters": model.parameters,
        "checkpoint_sha256": model.checkpoint_sha256,
    }


def _error_rates(
    records: Sequence[Record], embeddings: Embeddings, decision: Decision, counts: tuple[int, ...], seed: int
) -> dict[str, Any]:
    found = evaluate_embeddings(records, embeddings, reference_counts=counts, decision=decision, seed=seed)
    return {
        f"eer_skilled_{count}{end}": figures[f"eer_skilled{end}"]
        for count, figures in found["references"].items()
        for end in ("", "_ci95")
    }


def _decided(tested: Known, rule: PairRule, counts: tuple[int, ...], seed: int) -> dict[str, Any]:
    records, embeddings = tested
    protocols = {count: make_protocol(records, count, seed=seed) for count in counts}
    return {
        str(count): decision_figures(decide_trials(protocol, embeddings, rule), seed=seed)
        for count, protocol in protocols.items()
        if protocol.draws
    }


def _pairs(known: Known, negatives: Negatives, seed: int) -> tuple[Embeddings, Embeddings, Accepted]:
    records, embeddings = known
    row = {record: number for number, record in enumerate(records)}
    drawn = make_duplets(records, negatives=negatives, seed=seed).items
    first, second = ([row[getattr(pair, side)] for pair in drawn] for side in ("reference", "questioned"))
    return embeddings[first], embeddings[second], np.array([pair.genuine for pair in drawn])


def _joined(parts: Sequence[Known]) -> Known:
    return [record for records, _ in parts for record in records], np.concatenate([rows for _, rows in parts])
