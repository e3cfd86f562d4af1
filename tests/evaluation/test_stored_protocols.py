"""Protocols in files: written once, followed ever after, and refused when they are damaged or of other records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge.data import Record
from sigedge.evaluation.protocol import Protocol, make_protocol
from sigedge.evaluation.stored_protocols import (
    default_path,
    protocol_digest,
    read_protocols,
    stored_protocols,
    write_protocols,
)
from sigedge_runtime.errors import DataError

Known = Callable[..., tuple[list[Record], object]]


@pytest.fixture
def records(known: Known) -> list[Record]:
    return known(signers=3, genuine=6, forged=3)[0]


def test_the_first_run_writes_what_the_second_follows(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "new" / "protocol.json"
    first = stored_protocols(path, records, (3, 1, 3), seed=5)
    assert list(first) == [1, 3] and first[3] == make_protocol(records, 3, seed=5)
    content = path.read_bytes()
    assert stored_protocols(path, records, (1, 3), seed=6) == first, "the seed of the file counts"
    assert stored_protocols(path, records, (3,)) == {3: first[3]}
    assert path.read_bytes() == content and isinstance(json.loads(content), list)


def test_other_records_or_counts_are_refused(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "protocol.json"
    stored_protocols(path, records, (1,))
    with pytest.raises(DataError, match=r"protocol\.json: .*drawn from other records"):
        stored_protocols(path, records[::-1], (1,))
    with pytest.raises(DataError, match=r"holds trials with 1 references, and 1, 5 are asked for; change --refs"):
        stored_protocols(path, records, (1, 5))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[1]", b"\xff\xfe", b"[{}]"])
def test_what_holds_no_protocol(content: bytes, records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "protocol.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"protocol\.json holds no stored protocol .*delete it"):
        stored_protocols(path, records, (1,))


@given(data=st.data())
def test_damage_is_an_error_of_ours_or_none_at_all(
    data: st.DataObject, records: list[Record], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands where a value stood: it is refused, or the protocol can be followed."""
    content = json.loads(make_protocol(records, 2, seed=1).to_json())
    spot = data.draw(st.sampled_from(["references", "seed", "items", "draws", "left_out", "signer", "rows", "row"]))
    value = data.draw(st.none() | st.booleans() | st.integers(-50, 50) | st.text(max_size=3) | st.lists(st.integers()))
    if spot in content:
        content[spot] = value
    elif spot == "row":
        content["draws"][0]["genuine"][0] = value
    else:
        content["draws"][0]["signer" if spot == "signer" else "references"] = value
    try:
        protocol = Protocol.from_json(json.dumps(content))
    except DataError:
        return
    rows = [row for draw in protocol.draws for row in (*draw.references, *draw.genuine, *draw.skilled, *draw.random)]
    assert all(protocol.items[row] for row in rows) and all(row >= 0 for row in rows)
    assert all(len(draw.references) == protocol.references for draw in protocol.draws)


def test_rows_that_are_not_there_are_refused(records: list[Record]) -> None:
    content = json.loads(make_protocol(records, 2).to_json())
    content["draws"][0]["skilled"][0] = len(records)
    with pytest.raises(DataError, match="rows that are not there"):
        Protocol.from_json(json.dumps(content))
    content["draws"][0]["skilled"][0] = True
    with pytest.raises(DataError, match="is damaged"):
        Protocol.from_json(json.dumps(content))


def test_the_place_in_the_cache_follows_from_the_draw(records: list[Record], tmp_path: Path) -> None:
    path = default_path(tmp_path, records, (1, 5), 0)
    assert path == default_path(tmp_path, records, (5, 1, 1), 0) and path.parent.parent == tmp_path
    others = [
        default_path(tmp_path, records[1:], (1, 5), 0),
        default_path(tmp_path, records, (1,), 0),
        default_path(tmp_path, records, (1, 5), 1),
    ]
    assert len({path, *others}) == 4


def test_the_digest_tells_trials_apart(records: list[Record]) -> None:
    one, other = ({2: make_protocol(records, 2, seed=seed)} for seed in (0, 1))
    assert protocol_digest(one) == protocol_digest({2: make_protocol(records, 2, seed=0)}) != protocol_digest(other)


def test_files_that_cannot_be_used(records: list[Record], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write_protocols(tmp_path / "file" / "protocol.json", [make_protocol(records, 1)])
    with pytest.raises(DataError, match="cannot be read"):
        read_protocols(tmp_path)
    with pytest.raises(DataError, match="name at least one"):
        stored_protocols(tmp_path / "new.json", records, ())
    assert not (tmp_path / "new.json").exists()
