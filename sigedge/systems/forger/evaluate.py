"""The figures of the forger: how it draws, whom it deceives, and how well its drawings are found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sigedge.evaluation.results import provenance
from sigedge.systems.forger.deception import deception
from sigedge.systems.forger.drawing import forge, signal_to_noise
from sigedge.systems.forger.experiments import Setting, left_out_rows, processing_rows, unprocessed_detector
from sigedge.systems.forger.measures import mean_figure, numbered
from sigedge.systems.forger.pairs import augmented
from sigedge.systems.forger.specimens import (
    BONA_FIDE,
    CGAN,
    KINEMATIC,
    SYNTHETIC,
    Part,
    Specimens,
    drawn_by_cgan,
    joined,
    named,
    synthetic_pairs,
)
from sigedge.systems.forger.spectra import log_spectra, profile
from sigedge.systems.forger.subject import Subject, load_subject
from sigedge.systems.forger.train import DETECTOR, specimens_by_source
from sigedge_models.forger import GENERATORS

FORGERS = "forgers"
REAL = "real"

_PARTS: tuple[Part, ...] = ("train", "validation", "test")
_FIRST_DECEIVED = 100_000  # number of a synthetic signer, after all those of any recipe
_CGAN_DRAWINGS = 40  # of each of its signers, in each part

Sources = dict[str, Specimens]


def evaluate(models: Path, data: Path, *, cache: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """The system's figures; see `sigedge.systems.System`. The checkpoint of cgan's generator is used where it lies.

    Raises:
        CheckpointError: a checkpoint is missing or does not fit.
        DataError: a data set of the detector's recipe is not there.
    """
    subject = load_subject(models)
    progress("Drawing the signatures of test signers")
    drawing = _drawing(subject)
    progress("Asking the verifier")
    people = range(_FIRST_DECEIVED, _FIRST_DECEIVED + subject.recipe.signers.test)
    deceived = deception(subject.generators, subject.recipe.signers.seed, people)
    progress("Forging for the detector")
    parts = [specimens_by_source(subject.recipe, subject.generators, data, part) for part in _PARTS]
    drawn = [_by_cgan(subject, part) for part in _PARTS]
    progress("Judging the detector")
    detection = _detection(subject, parts, drawn)
    progress("Leaving out one generator after another")
    settings = _settings(parts, drawn)
    return {
        "system": "forger",
        "meta": provenance(seed=subject.recipe.seed, checkpoints=subject.hashes, threshold=subject.threshold),
        "networks": _headlines(subject, drawing, detection),
        "drawing": drawing,
        "deception": deceived,
        "detection": detection,
        "left_out": [row for setting in settings for row in left_out_rows(subject.recipe, setting)],
        "profiles": _profiles(joined([parts[-1][SYNTHETIC], *drawn[-1]])),
    }


def _drawing(subject: Subject) -> dict[str, Any]:
    """Peak signal-to-noise ratio on test signers, as written and as new attempts; and that of the bare centre line."""
    written = synthetic_pairs(subject.recipe, "test")
    both = augmented(written, 1, subject.recipe.seed)
    owners, count = numbered(written.signers), len(written)
    figures: dict[str, Any] = {}
    for name, network in subject.generators.items():
        ratios = signal_to_noise(forge(network, both), both.targets)
        as_written = mean_figure("psnr", ratios[:count], owners)
        figures[name] = as_written | mean_figure("psnr_new_attempts", ratios[count:], owners)
    bare = signal_to_noise(written.lines, written.targets)
    return figures | {"centre line": mean_figure("psnr", bare, owners)}


def _by_cgan(subject: Subject, part: Part) -> list[Specimens]:
    if subject.cgan is None:
        return []
    seed = subject.recipe.seed + _PARTS.index(part)
    return [drawn_by_cgan(subject.cgan, subject.cgan_signers, _CGAN_DRAWINGS, seed)]


def _detection(subject: Subject, parts: Sequence[Sources], drawn: Sequence[list[Specimens]]) -> list[dict[str, Any]]:
    """The shipped detector against the forgers and against cgan, whom it never saw; then one without processing."""
    tests = parts[-1]
    shipped: dict[str, Any] = {"detector": subject.detector, "threshold": subject.threshold}
    rows: list[dict[str, Any]] = []
    for source, specimens in tests.items():
        rows += processing_rows(**shipped, specimens=specimens, trained="shipped", source=source, attack=FORGERS)
    for other in drawn[-1]:
        for source, specimens in tests.items():
            against = joined([specimens.of(BONA_FIDE), other])
            rows += processing_rows(**shipped, specimens=against, trained="shipped", source=source, attack=CGAN)
    everything = Setting("all", *(joined(list(part.values())) for part in parts))
    plain, threshold = unprocessed_detector(subject.recipe, everything)
    for source, specimens in tests.items():
        facts = {"trained": "unprocessed", "source": source, "attack": FORGERS}
        rows += processing_rows(plain, threshold, specimens, **facts)
    return rows


def _settings(parts: Sequence[Sources], drawn: Sequence[list[Specimens]]) -> list[Setting]:
    """Synthetic scans as bona fide; and, where there are real ones, those, with the synthetic scans as a species."""
    settings = [
        Setting(SYNTHETIC, *(joined([part[SYNTHETIC], *cgan]) for part, cgan in zip(parts, drawn, strict=True)))
    ]
    if len(parts[0]) > 1:
        settings.append(Setting(REAL, *(_real(part, cgan) for part, cgan in zip(parts, drawn, strict=True))))
    return settings


def _real(part: Sources, cgan: list[Specimens]) -> Specimens:
    scans = part[SYNTHETIC].of(BONA_FIDE)
    real = [specimens for source, specimens in part.items() if source != SYNTHETIC]
    return joined([*real, named(scans.images, scans.signers, KINEMATIC), *cgan])


def _profiles(specimens: Specimens) -> dict[str, list[float]]:
    """The average spectrum of synthetic scans and of each generator, by distance from the lowest frequency."""
    return {name: profile(log_spectra(specimens.of(name).images)).tolist() for name in dict.fromkeys(specimens.species)}


def _headlines(subject: Subject, drawing: dict[str, Any], detection: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each network, for the table of all systems."""
    metric = "PSNR of ink drawn from centre line and mask, test signers (dB)"
    rows = [_headline(subject, name, metric, drawing[name], "psnr") for name in GENERATORS]
    metric = "EER on unprocessed forgeries of test signers, synthetic"
    return [*rows, _headline(subject, DETECTOR, metric, detection[0], "eer")]


def _headline(subject: Subject, name: str, metric: str, figures: dict[str, Any], key: str) -> dict[str, Any]:
    network = subject.detector if name == DETECTOR else subject.generators[name]
    return {
        "network": name,
        "task": subject.infos[name].task,
        "metric": metric,
        "reference_metric": "none given",
        "value": figures[key],
        "ci95": figures[f"{key}_ci95"],
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "checkpoint_sha256": subject.hashes[f"forger-{name}"],
    }
