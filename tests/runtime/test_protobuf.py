"""The outermost fields of protocol buffer messages, from anybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigedge_runtime._protobuf import Field, fields, length_field


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.binary(max_size=300)), max_size=8))
def test_what_is_encoded_is_read_back(entries: list[tuple[int, bytes]]) -> None:
    message = b"".join(length_field(number, value) for number, value in entries)
    found = list(fields(message))
    assert [(field.number, field.value) for field in found] == entries
    assert b"".join(message[field.start : field.end] for field in found) == message


def test_numbers_are_skipped() -> None:
    """Field 1 is 300 as varint, field 2 eight bytes, field 3 four bytes, field 4 the text hi."""
    message = b"\x08\xac\x02" + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x22\x02hi"
    assert list(fields(message)) == [
        Field(1, b"", 0, 3),
        Field(2, b"", 3, 12),
        Field(3, b"", 12, 17),
        Field(4, b"hi", 17, 21),
    ]


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # no value
        b"\x22\x05hi",  # longer than the message
        b"\x11" + bytes(7),  # half a number
        b"\x0b",  # a group, which has no length
        b"\x02\x00",  # field 0
        b"\xff" * 11,  # a number without end
        b"\x22" + b"\xff" * 9 + b"\x01",  # nearly 2 ** 64 bytes
    ],
)
def test_what_is_incomplete_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="at byte"):
        list(fields(message))


@given(st.binary(max_size=200))
def test_noise_ends_in_fields_within_bounds_or_in_an_error(noise: bytes) -> None:
    try:
        found = list(fields(noise))
    except ValueError:
        return
    assert all(0 <= field.start < field.end <= len(noise) for field in found)
