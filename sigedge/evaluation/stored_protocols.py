"""Protocols in files, so that every model and every later evaluation scores the very same trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sigedge.data.records import Record
from sigedge.evaluation.protocol import Protocol, distinct_counts, item_name, make_protocol
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import DataError

FOLDER = "protocols"


def default_path(cache: Path, records: Sequence[Record], counts: Sequence[int], seed: int) -> Path:
    """Where the protocols of these records are kept in a cache folder when no file is named for them."""
    described = json.dumps([list(map(item_name, records)), distinct_counts(counts), seed])
    return cache / FOLDER / f"{hashlib.sha256(described.encode()).hexdigest()[:16]}.json"


def stored_protocols(
    path: Path, records: Sequence[Record], counts: Sequence[int], *, seed: int = 0
) -> dict[int, Protocol]:
    """The protocols of a file, by number of references; they are drawn and the file is written when it is not there.

    Args:
        path: JSON file; its folder is made.
        records: evaluated records, in their order.
        counts: numbers of references that are asked for, each at least 1.
        seed: seed of the draws, where they are made.

    Raises:
        DataError: the file is damaged, was drawn from other records or lacks a number of references, or it cannot be
            written; or there is no record.
    """
    wanted = distinct_counts(counts)
    if not path.exists():
        drawn = {count: make_protocol(records, count, seed=seed) for count in wanted}
        write_protocols(path, drawn.values())
        return drawn
    stored = {protocol.references: protocol for protocol in read_protocols(path)}
    if not stored.keys() >= set(wanted):
        raise DataError(
            f"{path} holds trials with {_listed(sorted(stored))} references, and {_listed(wanted)} are asked for; "
            "change --refs, or name a file that does not exist to have trials drawn."
        )
    for protocol in stored.values():
        try:
            protocol.require_items(records)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return {count: stored[count] for count in wanted}


def write_protocols(path: Path, protocols: Iterable[Protocol]) -> None:
    """Write protocols as one JSON list, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    text = "[\n" + ",\n".join(protocol.to_json() for protocol in protocols) + "\n]\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise DataError(f"The protocol {path} cannot be written ({error.strerror}); name another file.") from error


def read_protocols(path: Path) -> list[Protocol]:
    """Read what `write_protocols` wrote.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list) or not entries:
            raise ValueError("no list of protocols")
        return [Protocol.from_dict(entry) for entry in entries]
    except OSError as error:
        raise DataError(f"The protocol {path} cannot be read ({error.strerror}); check the path.") from error
    except (ValueError, DataError) as error:
        raise DataError(f"{path} holds no stored protocol ({error}); delete it to have trials drawn anew.") from error


def protocol_digest(protocols: Mapping[int, Protocol]) -> str:
    """SHA-256 (hex) of protocols: results of equal digests were measured on the same trials."""
    texts = [protocols[count].to_json() for count in sorted(protocols)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))
