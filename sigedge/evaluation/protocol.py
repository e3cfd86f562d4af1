"""Who is compared with whom: seeded draws that can be stored, so that every system scores the same trials.

With one reference, every pair is tried: each genuine sample is the reference once, the queries are the later
genuine samples of the signer and all its skilled forgeries. With more, a signer's references are drawn 20
times (or every choice once where there are fewer choices) and the queries are its remaining genuine samples
and all its skilled forgeries. Random forgeries are, in each draw, one genuine sample of every other signer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from sigedge.data.records import Record, natural_order, record_order
from sigedge_runtime.errors import DataError

DRAWS = 20
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Draw:
    """One enrolment of one signer and the queries against it; numbers are rows of the evaluated records.

    Attributes:
        signer: identity of the signer whose signature every query claims to be.
        references: rows enrolled.
        genuine: rows of the signer's other genuine samples.
        skilled: rows of the signer's skilled forgeries.
        random: rows of other signers' genuine samples.
    """

    signer: str
    references: tuple[int, ...]
    genuine: tuple[int, ...]
    skilled: tuple[int, ...]
    random: tuple[int, ...]


@dataclass(frozen=True)
class Protocol:
    """All draws for one number of references.

    Attributes:
        references: references an enrolment has.
        seed: seed of the draws.
        items: name of every evaluated record, by row.
        draws: the enrolments.
        left_out: identity of every signer with too few genuine samples.
    """

    references: int
    seed: int
    items: tuple[str, ...]
    draws: tuple[Draw, ...]
    left_out: tuple[str, ...]

    @property
    def signers(self) -> tuple[str, ...]:
        """Identities of the enrolled signers, in natural order."""
        return tuple(sorted({draw.signer for draw in self.draws}, key=natural_order))

    def to_json(self) -> str:
        """The protocol as JSON text."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """Read what `to_json` wrote.

        Raises:
            DataError: the text is no stored protocol of this version.
        """
        try:
            return cls.from_dict(json.loads(text))
        except ValueError as error:
            raise DataError(f"This is no stored protocol ({error}); draw it again from the records.") from error

    @classmethod
    def from_dict(cls, content: Any) -> Protocol:
        """The protocol of the decoded JSON of `to_json`.

        Raises:
            DataError: it is none of this version, or is damaged.
        """
        try:
            fields = dict(content)
            if fields.pop("format_version") != FORMAT_VERSION:
                raise ValueError("another format version")
            draws = tuple(_draw_from(entry) for entry in fields.pop("draws"))
            items, left_out = _texts(fields.pop("items")), _texts(fields.pop("left_out"))
            protocol = cls(**fields, items=items, draws=draws, left_out=left_out)
            _require_consistent(protocol)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"This is no stored protocol ({error}); draw it again from the records.") from error
        return protocol

    def require_items(self, records: Sequence[Record]) -> None:
        """Raise `DataError` unless the protocol was drawn from exactly these records in this order."""
        if self.items != tuple(item_name(record) for record in records):
            raise DataError(
                "The stored protocol was drawn from other records; give the same data set, split and order."
            )


def make_protocol(records: Sequence[Record], references: int, *, seed: int = 0, draws: int = DRAWS) -> Protocol:
    """Draw the trials for one number of references; the order of the records does not change who is drawn.

    Args:
        records: evaluated records of one or more data sets.
        references: references an enrolment has, at least 1.
        seed: seed of the draws.
        draws: enrolments a signer where `references` is above 1.

    Raises:
        DataError: there is no record, or the number of references is below 1.
    """
    if references < 1 or draws < 1:
        raise DataError(f"{references} references in {draws} draws make no enrolment; ask for at least 1 of each.")
    if not records:
        raise DataError("There is no record to evaluate; check the data set and the part of the split.")
    genuine, forged = _rows_by_signer(records, True), _rows_by_signer(records, False)
    signers = sorted(genuine.keys() | forged.keys(), key=natural_order)
    enrolled = [signer for signer in signers if len(genuine.get(signer, ())) > references]
    made = []
    for signer in enrolled:
        rng = np.random.default_rng([seed, references, zlib.crc32(signer.encode())])
        others = [rows for other, rows in genuine.items() if other != signer]
        # All references first: another signer in the set must not change them.
        for chosen in list(_reference_choices(genuine[signer], references, draws, rng)):
            rest = _queries(genuine[signer], chosen)
            random = tuple(rows[rng.integers(len(rows))] for rows in others)
            made.append(Draw(signer, chosen, rest, tuple(forged.get(signer, ())), random))
    left_out = tuple(signer for signer in signers if signer not in set(enrolled))
    return Protocol(references, seed, tuple(map(item_name, records)), tuple(made), left_out)


def distinct_counts(counts: Sequence[int]) -> list[int]:
    """Numbers of references in rising order, each once.

    Raises:
        DataError: there is none.
    """
    if not counts:
        raise DataError("No number of references is asked for; name at least one, for example 1.")
    return sorted(set(counts))


def item_name(record: Record) -> str:
    """Name of a record inside a stored protocol: the same on every machine."""
    return f"{record.identity}/{record.label}/{record.path.name}"


def _rows_by_signer(records: Sequence[Record], genuine: bool) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row in sorted(range(len(records)), key=lambda row: record_order(records[row])):
        if records[row].genuine == genuine:
            rows.setdefault(records[row].identity, []).append(row)
    return rows


def _reference_choices(
    rows: list[int], references: int, draws: int, rng: np.random.Generator
) -> Iterator[tuple[int, ...]]:
    if references == 1 or comb(len(rows), references) <= draws:
        yield from combinations(rows, references)
        return
    for _ in range(draws):
        yield tuple(rows[i] for i in sorted(rng.choice(len(rows), references, replace=False)))


def _queries(rows: list[int], references: tuple[int, ...]) -> tuple[int, ...]:
    """Genuine queries: with one reference only the later samples, so that each pair is tried once."""
    if len(references) == 1:
        return tuple(rows[rows.index(references[0]) + 1 :])
    return tuple(row for row in rows if row not in references)


def _draw_from(entry: dict[str, Any]) -> Draw:
    rows = {name: tuple(entry[name]) for name in ("references", "genuine", "skilled", "random")}
    return Draw(signer=str(entry["signer"]), **rows)


def _texts(entries: Any) -> tuple[str, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError("names are missing")
    return tuple(entries)


def _require_consistent(protocol: Protocol) -> None:
    """Refuse what would fail later, or be scored wrongly: numbers that are none, and rows that no item has."""
    if type(protocol.references) is not int or type(protocol.seed) is not int or protocol.references < 1:
        raise ValueError("the number of references or the seed is none")
    for draw in protocol.draws:
        rows = (*draw.references, *draw.genuine, *draw.skilled, *draw.random)
        if len(draw.references) != protocol.references or not all(type(row) is int for row in rows):
            raise ValueError(f"a draw of {draw.signer} is damaged")
        if min(rows) < 0 or max(rows) >= len(protocol.items):
            raise ValueError(f"a draw of {draw.signer} names rows that are not there")
