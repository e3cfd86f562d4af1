"""The canvases of a classifier: known people, their forgeries and strangers, in three parts.

A closed set is split by samples, not by people: the people of the test are those of the training. What must not be
shared is kept apart all the same: a sample is in one part, a synthetic forger forges for one part, and a stranger is a
stranger to one part only.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sigedge.data import (
    CanvasCache,
    CanvasSet,
    Record,
    load_splits,
    read_folders,
    read_index,
    signers_of,
    split_signers,
)
from sigedge.data.records import natural_order
from sigedge.synthesis import cached_dataset
from sigedge.systems.signauth.labels import NOBODY, TEST, TRAIN, has_labels, read_labelled
from sigedge.systems.signauth.prepare import SPEC
from sigedge.systems.signauth.recipe import ClassifierRecipe, KnownPeople
from sigedge_runtime.errors import DataError

SYNTHETIC, LABELLED = "synthetic", "labelled folder"

PartName = Literal["train", "validation", "test"]
Kind = Literal["known", "forged", "stranger"]
PARTS: tuple[PartName, ...] = ("train", "validation", "test")
KINDS: tuple[Kind, ...] = ("known", "forged", "stranger")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assigned:
    """An image file with its part and its kind."""

    record: Record
    part: PartName
    kind: Kind


@dataclass(frozen=True)
class Part:
    """The canvases of one part; row i of everything belongs together.

    Attributes:
        canvases: uint8 [N, 256, 256].
        targets: int64 [N], number of the class; the number of classes stands for nobody known.
        kinds: N of ``known``, ``forged``, ``stranger``.
        people: N names of whose signature it is or claims to be.
    """

    canvases: NDArray[np.uint8]
    targets: NDArray[np.int64]
    kinds: NDArray[np.str_]
    people: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, kind: Kind) -> NDArray[np.int64]:
        """Numbers of the rows of a kind, int64."""
        return np.flatnonzero(self.kinds == kind)


@dataclass(frozen=True)
class Collection:
    """All that a classifier is trained and judged on.

    Attributes:
        labels: names of the classes, in the order of the outputs.
        parts: canvases by part.
        summary: where they come from and how many there are, for the checkpoint's header.
    """

    labels: tuple[str, ...]
    parts: dict[PartName, Part]
    summary: dict[str, Any]


def collect(
    recipe: ClassifierRecipe, data: Path, cache: Path, *, classes: int | None = None, known: Sequence[str] = ()
) -> Collection:
    """The canvases that a recipe asks for.

    Args:
        recipe: who the known people are, where `data` holds no folder ``train/``.
        data: folder with ``train/`` and, for figures, ``test/``; or with index.csv and splits.json.
        cache: folder for canvases and synthetic signers.
        classes: number of people there must be; None takes the recipe's, or as many as have a label.
        known: labels of the checkpoint that the run goes on from; they keep their places.

    Raises:
        DataError: the number of people is another one, one of them has too few images, or no image can be read.
    """
    people = recipe.known if classes is None else recipe.known.model_copy(update={"classes": classes})
    labelled = has_labels(data)
    source = LABELLED if labelled else people.source
    pools = _labelled(data) if labelled else {"train": _of_source(people, data, cache)}
    wanted = recipe.strangers
    pools["strangers"] = _synthetic(wanted.seed, wanted.signers, wanted.samples, 0, cache)
    read = CanvasCache(cache / "canvases", SPEC).canvases([record for pool in pools.values() for record in pool])
    # A picture that occurs twice must not be learned from and tested on.
    chosen = read.usable().unique()
    left_out = {"unreadable": len(read.report.skipped), "unusable or repeated": len(read) - len(chosen)}
    if any(left_out.values()):
        _log.warning(
            "%s; %d are no usable signature or repeat another.", read.report.summary(), len(read) - len(chosen)
        )
    # Only what can be used is divided: a broken file must not be anybody's only sample of a part.
    usable = set(chosen.records)
    pools = {name: [record for record in pool if record in usable] for name, pool in pools.items()}
    assigned = _assign_labelled(pools) if labelled else _assign_source(pools["train"], people)
    assigned += _assign_strangers(pools["strangers"], {one.part for one in assigned if one.kind == "stranger"})
    found = sorted({one.record.signer for one in assigned if one.kind == "known"}, key=natural_order)
    labels = (*known, *(name for name in found if name not in known))
    _check_classes(labels, classes, data)
    _check_samples(assigned, found)
    return _collection(assigned, labels, chosen, {"source": source, **left_out})


def shares(count: int, *, test: bool) -> tuple[int, int, int]:
    """Samples of one person for training, validation and test: about 3 : 1 : 2, or 5 : 1 without a test.

    Validation, and test where it is wanted, have at least one each; what is left trains, and may be nothing.
    """
    validation = max(1, count // 6)
    tested = max(1, count // 3) if test else 0
    return max(0, count - validation - tested), validation, tested


def _labelled(data: Path) -> dict[str, list[Record]]:
    """Images by label: ``train/``, and ``test/`` where it is there."""
    pools = {}
    for name in (TRAIN, TEST):
        if (data / name).is_dir():
            images = read_labelled(data / name, data.name)
            for skipped in images.skipped:
                _log.warning(skipped.reason)
            pools[name] = list(images.records)
    return pools


def _of_source(people: KnownPeople, data: Path, cache: Path) -> list[Record]:
    """The samples of known people and of strangers beside them."""
    if people.source == SYNTHETIC:
        return _synthetic(people.seed, people.classes, people.genuine, people.forged, cache)
    records = read_index(data / "index.csv", people.source)
    if people.every_signer:
        return records
    parts = split_signers(records, people.source, load_splits(data / "splits.json"))
    kept = [record for record in records if record.signer in parts.train | parts.validation]
    if not kept:
        raise DataError(f"Every signer of {people.source} is a test signer; name a data set with training signers.")
    return kept


def _synthetic(seed: int, signers: int, genuine: int, forged: int, cache: Path) -> list[Record]:
    return read_folders(cached_dataset(cache, signers=signers, genuine=genuine, forged=forged, seed=seed))


def _assign_labelled(pools: dict[str, list[Record]]) -> list[Assigned]:
    """``train/`` gives training and validation, ``test/`` the test."""
    strangers = [record for record in pools[TRAIN] if record.signer == NOBODY]
    assigned = _split(pools[TRAIN], test=False)
    assigned += [Assigned(record, _in_turn(i, 2), "stranger") for i, record in enumerate(strangers)]
    return assigned + [Assigned(record, "test", _kind(record)) for record in pools.get(TEST, ())]


def _assign_source(records: Sequence[Record], people: KnownPeople) -> list[Assigned]:
    """The first people are known, the others strangers, each to one part."""
    names = signers_of(records)
    if len(names) < people.classes:
        raise DataError(f"{people.source} has {len(names)} people, not {people.classes}; ask for fewer classes.")
    others = {name: _in_turn(number) for number, name in enumerate(names[people.classes :])}
    strangers = [Assigned(r, others[r.signer], "stranger") for r in records if r.signer in others and r.genuine]
    return _split([record for record in records if record.signer not in others], test=True) + strangers


def _assign_strangers(records: Sequence[Record], present: set[PartName]) -> list[Assigned]:
    """Synthetic strangers: for training always, for the other parts where they have none of their own."""
    parts = {name: _in_turn(number) for number, name in enumerate(signers_of(records))}
    chosen = [Assigned(record, parts[record.signer], "stranger") for record in records]
    return [one for one in chosen if one.part == "train" or one.part not in present]


def _split(records: Iterable[Record], *, test: bool) -> list[Assigned]:
    """Divide each known person's samples; forgeries by number, which keeps the synthesiser's three forgers apart."""
    by_person: defaultdict[tuple[str, bool], list[Record]] = defaultdict(list)
    for record in records:
        if record.signer != NOBODY:
            by_person[record.signer, record.genuine].append(record)
    assigned = []
    for (_, genuine), own in by_person.items():
        if genuine:
            train, validation, _ = shares(len(own), test=test)
            names: list[PartName] = ["train" if i < train else "validation" for i in range(train + validation)]
            names += ["test"] * (len(own) - len(names))
            assigned += [Assigned(record, part, "known") for record, part in zip(own, names, strict=True)]
        else:
            forgers = 3 if test else 2
            assigned += [Assigned(record, _in_turn(record.sample - 1, forgers), "forged") for record in own]
    return assigned


def _in_turn(number: int, parts: int = 3) -> PartName:
    return PARTS[number % parts]


def _kind(record: Record) -> Kind:
    if record.signer == NOBODY:
        return "stranger"
    return "known" if record.genuine else "forged"


def _check_classes(labels: Sequence[str], classes: int | None, data: Path) -> None:
    if classes is not None and len(labels) != classes:
        shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise DataError(
            f"{data} and the checkpoint know {len(labels)} classes ({shown}), but --classes says {classes}; give "
            f"--classes {len(labels)}, or add or remove the folders of the difference."
        )


def _check_samples(assigned: Sequence[Assigned], labels: Sequence[str]) -> None:
    """Everybody needs a sample to learn from and another to fix the threshold with."""
    have = {(one.record.signer, one.part) for one in assigned if one.kind == "known"}
    if poor := [name for name in labels if not {(name, "train"), (name, "validation")} <= have]:
        raise DataError(
            f"{', '.join(poor[:8])}: too few images to train and to validate on ({len(poor)} of {len(labels)} "
            "classes); give at least 2 genuine images a person in train/, and no one in test/ alone, or 3 where the "
            "test is split off."
        )


def _collection(
    assigned: Sequence[Assigned], labels: tuple[str, ...], chosen: CanvasSet, summary: dict[str, Any]
) -> Collection:
    roles = {one.record: one for one in assigned}
    chosen = chosen.select([record in roles for record in chosen.records])
    kept = [roles[record] for record in chosen.records]
    numbers = {name: number for number, name in enumerate(labels)}
    targets = np.array([numbers[one.record.signer] if one.kind == "known" else len(labels) for one in kept])
    kinds, people = np.array([one.kind for one in kept]), np.array([one.record.identity for one in kept])
    place = np.array([one.part for one in kept])
    parts = {
        name: Part(chosen.canvases[place == name], targets[place == name], kinds[place == name], people[place == name])
        for name in PARTS
    }
    images = {name: {str(kind): len(part.rows(kind)) for kind in KINDS} for name, part in parts.items()}
    return Collection(labels, parts, {**summary, "images": images})
