"""The outermost fields of a protocol buffer message, read with bounds checks and without a schema.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


@dataclass(frozen=True)
class Field:
    """One field: its number, the bytes of its value (empty for numbers) and where it lies in the message."""

    number: int
    value: bytes
    start: int
    end: int


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in order; nested messages are not entered.

    Raises:
        ValueError: the bytes are no complete message.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        value_start, position = _skip(message, position, kind)
        if number == 0 or position > len(message):
            raise ValueError(f"no complete field at byte {start}")
        yield Field(number, message[value_start:position] if kind == _LENGTH else b"", start, position)


def length_field(number: int, value: bytes) -> bytes:
    """Encode a field that holds text, bytes or a message."""
    return _to_varint(number << 3 | _LENGTH) + _to_varint(len(value)) + value


def _skip(message: bytes, position: int, kind: int) -> tuple[int, int]:
    """Where the value that begins at `position` has its content, and where it ends."""
    if kind == _VARINT:
        return position, _varint(message, position)[1]
    if kind == _LENGTH:
        size, position = _varint(message, position)
        return position, position + size
    if kind in (_FIXED64, _FIXED32):
        return position, position + (8 if kind == _FIXED64 else 4)
    raise ValueError(f"unknown wire type {kind} at byte {position}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(message):
            break
        byte = message[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"no complete number at byte {position}")


def _to_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
