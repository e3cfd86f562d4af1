"""Pairs and triplets of signatures, drawn from records: what a Siamese network and a classifier of pairs learn from.

Records come of any reader, for instance `sigedge.data.read_any` of a folder of ``signer/genuine/NN.png`` and
``signer/forged/NN.png``. Every draw is a function of the records and the seed; one signer's draws do not depend on who
else is there, but for random forgeries, which are others' signatures.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, Literal, TypeVar, get_args

import numpy as np

from sigedge.data.records import Record, natural_order, record_order
from sigedge_runtime.errors import DataError

Negatives = Literal["skilled", "random", "both"]
"""What stands against a genuine sample: forgeries of it, genuine samples of other signers, or by turns."""

PER_SIGNER = 40
_SHOWN = 3


@dataclass(frozen=True)
class Triplet:
    """A genuine sample, another of the same signer, and a signature by somebody else."""

    anchor: Record
    positive: Record
    negative: Record


@dataclass(frozen=True)
class Duplet:
    """A genuine sample and a signature in question."""

    reference: Record
    questioned: Record

    @property
    def genuine(self) -> bool:
        """Whether both are by the same hand."""
        return self.questioned.genuine and self.questioned.identity == self.reference.identity


Item = TypeVar("Item", Triplet, Duplet)


@dataclass(frozen=True)
class Prepared(Generic[Item]):
    """What was drawn.

    Attributes:
        items: pairs or triplets, signer by signer.
        left_out: why there is nothing of a signer, by identity.
    """

    items: tuple[Item, ...]
    left_out: Mapping[str, str]

    def summary(self) -> str:
        """One line for a person: how many were drawn, and the first signers left out by name."""
        line = f"{len(self.items)} drawn"
        if not self.left_out:
            return line
        named = "; ".join(f"{name} has {reason}" for name, reason in [*self.left_out.items()][:_SHOWN])
        more = len(self.left_out) - _SHOWN
        return f"{line}, left out {len(self.left_out)}: {named}" + (f"; and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class _Hand:
    """The genuine samples of one signer, and groups of what can stand against them, none of them empty."""

    name: str
    genuine: tuple[Record, ...]
    others: tuple[tuple[Record, ...], ...]


def random_images(records: Sequence[Record], count: int, *, seed: int = 0) -> list[Record]:
    """Images drawn at random, one of every signer before a second of any.

    Args:
        records: to draw from; their order changes nothing.
        count: how many; all of them where there are fewer.
        seed: of the draw.

    Raises:
        DataError: there is no record, or the count is below 1.
    """
    if not records or count < 1:
        raise DataError(f"{count} images cannot be drawn from {len(records)}; give records, and ask for at least one.")
    ordered = sorted(records, key=record_order)
    turns: Counter[str] = Counter()
    drawn = []
    for index in np.random.default_rng(seed).permutation(len(ordered)):
        record = ordered[index]
        drawn.append((turns[record.identity], record))
        turns[record.identity] += 1
    # A stable sort: within a turn the order stays random.
    return [record for _, record in sorted(drawn, key=lambda entry: entry[0])[:count]]


def make_triplets(
    records: Iterable[Record], *, per_signer: int = PER_SIGNER, negatives: Negatives = "both", seed: int = 0
) -> Prepared[Triplet]:
    """Triplets of an anchor, a positive and a negative.

    Args:
        records: of any number of signers.
        per_signer: largest number of triplets of a signer; no two have the same anchor and positive.
        negatives: see `Negatives`.
        seed: of the draw.

    Raises:
        DataError: nobody has two genuine samples and a negative of the kind asked for.
    """
    hands, left_out = _hands(records, negatives)
    items: list[Triplet] = []
    for hand in hands:
        random = _stream(seed, hand.name)
        pairs = _genuine_pairs(hand, per_signer, random)
        items += (Triplet(*pair, other) for pair, other in zip(pairs, _negatives(hand, random), strict=False))
    return Prepared(tuple(items), left_out)


def make_duplets(
    records: Iterable[Record], *, per_signer: int = PER_SIGNER, negatives: Negatives = "both", seed: int = 0
) -> Prepared[Duplet]:
    """Pairs of a genuine sample with another of the same signer, and as many with a signature by somebody else.

    Args:
        records: of any number of signers.
        per_signer: largest number of pairs of each of the two sorts for a signer.
        negatives: see `Negatives`.
        seed: of the draw.

    Raises:
        DataError: nobody has two genuine samples and a negative of the kind asked for.
    """
    hands, left_out = _hands(records, negatives)
    items: list[Duplet] = []
    for hand in hands:
        random = _stream(seed, hand.name)
        pairs = _genuine_pairs(hand, per_signer, random)
        items += (Duplet(*pair) for pair in pairs)
        against = zip(range(len(pairs)), _without_end(hand.genuine, random), _negatives(hand, random), strict=False)
        items += (Duplet(reference, other) for _, reference, other in against)
    return Prepared(tuple(items), left_out)


def _hands(records: Iterable[Record], negatives: Negatives) -> tuple[list[_Hand], dict[str, str]]:
    """Signers of whom something can be drawn, in natural order, and why not of the others."""
    if negatives not in get_args(Negatives):
        raise DataError(f"Unknown negatives {negatives!r}; use one of: {', '.join(get_args(Negatives))}.")
    ordered = sorted(records, key=record_order)
    hands, left_out = [], {}
    for name in sorted({record.identity for record in ordered}, key=natural_order):
        own = tuple(record for record in ordered if record.identity == name and record.genuine)
        forged = tuple(record for record in ordered if record.identity == name and not record.genuine)
        strangers = tuple(record for record in ordered if record.identity != name and record.genuine)
        wanted = {"skilled": (forged,), "random": (strangers,), "both": (forged, strangers)}[negatives]
        others = tuple(group for group in wanted if group)
        if len(own) >= 2 and others:
            hands.append(_Hand(name, own, others))
        else:
            lack = "no forgery" if negatives == "skilled" else "no signature by anybody else"
            left_out[name] = "fewer than 2 genuine samples" if len(own) < 2 else lack
    if not hands:
        first = next(iter(left_out.items()), ("the data set", "no record at all"))
        raise DataError(
            f"There is nobody to draw of: {first[0]} has {first[1]}, and so it is with all {len(left_out)} signers; "
            'add samples as signer/genuine/NN.png and signer/forged/NN.png, or ask for negatives "both".'
        )
    return hands, left_out


def _genuine_pairs(hand: _Hand, count: int, random: np.random.Generator) -> list[tuple[Record, Record]]:
    pairs = list(combinations(hand.genuine, 2))
    return [pairs[index] for index in random.permutation(len(pairs))[:count]]


def _negatives(hand: _Hand, random: np.random.Generator) -> Iterator[Record]:
    """Out of one group after the other, without end."""
    groups = [_without_end(group, random) for group in hand.others]
    while True:
        yield from (next(group) for group in groups)


def _without_end(records: Sequence[Record], random: np.random.Generator) -> Iterator[Record]:
    """All records in random order, then all again in another."""
    while True:
        yield from (records[index] for index in random.permutation(len(records)))


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
