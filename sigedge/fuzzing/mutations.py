"""Damaging files: bits, bytes, lengths and whole pieces of a format, all by seed."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from sigedge.fuzzing.formats import PNG_MAGIC, png_chunk

_EXTREMES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
# Names and markers that decoders branch on.
DICTIONARY = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"eXIf", b"bKGD"),
    *(
        b"\xff\xc0",
        b"\xff\xc1",
        b"\xff\xc2",
        b"\xff\xc4",
        b"\xff\xc8",
        b"\xff\xc9",
        b"\xff\xcc",
        b"\xff\xd8",
        b"\xff\xd9",
    ),
    *(b"\xff\xda", b"\xff\xdb", b"\xff\xdd", b"\xff\xe1\0\x08Exif", b"\xff\xee\0\x0eAdobe"),
    *(b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP"),
    *(struct.pack("<HHII", tag, 4, 1, 0xFFFFFFFF) for tag in (256, 257, 258, 273, 277, 278, 279, 322, 323)),
    *(struct.pack("<HHII", 259, 3, 1, method) for method in (2, 3, 4, 5, 6, 7, 8, 34676, 34677, 50000)),
)

Mutation = Callable[[bytes, np.random.Generator], bytes]


def mutate(data: bytes, draw: np.random.Generator) -> bytes:
    """A file with one to four damages; the sums of a PNG are mostly mended, so that decoders see the damage."""
    for _ in range(int(draw.integers(1, 5))):
        data = _MUTATIONS[int(draw.integers(len(_MUTATIONS)))](data, draw) or data
    return mend_png(data) if data.startswith(PNG_MAGIC) and draw.random() < 0.8 else data


def mend_png(data: bytes) -> bytes:
    """A PNG whose check sums are right again, and that ends with its end chunk."""
    done = [PNG_MAGIC]
    for start, end in _png_chunks(data):
        done.append(png_chunk(data[start + 4 : start + 8], data[start + 8 : end - 4]))
    if not done[-1].endswith(png_chunk(b"IEND", b"")):
        done.append(png_chunk(b"IEND", b""))
    return b"".join(done)


def pieces(data: bytes) -> list[int]:
    """Where the parts of a file begin: chunks, segments or directory entries; its ends alone where it has none."""
    if data.startswith(PNG_MAGIC):
        starts = [start for start, _ in _png_chunks(data)]
    elif data.startswith(b"\xff\xd8"):
        starts = [match.start() for match in _JPEG_MARKER.finditer(data)]
    elif data.startswith(b"RIFF"):
        starts = list(_riff_chunks(data))
    elif data[:4] in (b"II*\0", b"MM\0*") and len(data) >= 8:
        (directory,) = struct.unpack("<I" if data[:2] == b"II" else ">I", data[4:8])
        starts = [directory + 2 + 12 * i for i in range(20)]
    else:
        starts = []
    return [0, *(start for start in starts if 0 < start < len(data)), len(data)]


def _png_chunks(data: bytes) -> Iterator[tuple[int, int]]:
    position = len(PNG_MAGIC)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = min(position + 12 + length, len(data))
        yield position, end
        position = end


def _riff_chunks(data: bytes) -> Iterator[int]:
    position = 12
    while position + 8 <= len(data):
        yield position
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8 + length + length % 2


def _at(data: bytes, draw: np.random.Generator) -> int:
    """A position, half of the time among the first bytes, where headers are."""
    return int(draw.integers(min(len(data), 96) if draw.random() < 0.5 else len(data)))


def _flip_bits(data: bytes, draw: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    for _ in range(int(draw.integers(1, 9))):
        spoilt[_at(data, draw)] ^= 1 << int(draw.integers(8))
    return bytes(spoilt)


def _random_bytes(data: bytes, draw: np.random.Generator) -> bytes:
    start = _at(data, draw)
    new = draw.bytes(int(draw.integers(1, 33)))
    return data[:start] + bytes(new) + data[start + len(new) :]


def _extreme(data: bytes, draw: np.random.Generator) -> bytes:
    """A number of 1, 2 or 4 bytes, of either order, as small or as large as it gets."""
    size, start = int(draw.choice([1, 2, 4])), _at(data, draw)
    value = _EXTREMES[int(draw.integers(len(_EXTREMES)))] % (1 << 8 * size)
    number = value.to_bytes(size, "little" if draw.random() < 0.5 else "big")
    return data[:start] + number + data[start + size :]


def _cut_short(data: bytes, draw: np.random.Generator) -> bytes:
    return data[: int(draw.integers(1, len(data) + 1))]


def _cut_out(data: bytes, draw: np.random.Generator) -> bytes:
    start, size = _at(data, draw), int(draw.integers(1, 65))
    return data[:start] + data[start + size :]


def _repeat(data: bytes, draw: np.random.Generator) -> bytes:
    start, size = _at(data, draw), int(draw.integers(1, 65))
    return data[: start + size] + data[start : start + size] * int(draw.integers(1, 5)) + data[start + size :]


def _word(data: bytes, draw: np.random.Generator) -> bytes:
    start, word = _at(data, draw), DICTIONARY[int(draw.integers(len(DICTIONARY)))]
    return data[:start] + word + data[start + (len(word) if draw.random() < 0.7 else 0) :]


def _swap_bytes(data: bytes, draw: np.random.Generator) -> bytes:
    """Four bytes the other way round: lengths of the wrong order."""
    start = _at(data, draw)
    return data[:start] + data[start : start + 4][::-1] + data[start + 4 :]


def _rearrange(data: bytes, draw: np.random.Generator) -> bytes:
    """A piece of the format doubled, dropped, or changed for another."""
    starts = pieces(data)
    parts = [data[a:b] for a, b in pairwise(starts)]
    one, other = (int(draw.integers(len(parts))) for _ in range(2))
    kind = int(draw.integers(3))
    if kind == 0:
        parts[one:one] = [parts[other]] * int(draw.integers(1, 4))
    elif kind == 1 and len(parts) > 2:
        del parts[max(1, one)]
    else:
        parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_bits,
    _random_bytes,
    _extreme,
    _extreme,
    _cut_short,
    _cut_out,
    _repeat,
    _word,
    _swap_bytes,
    _rearrange,
    _rearrange,
)


def checksum(data: bytes) -> str:
    """Eight hexadecimal digits that name a file in a report."""
    return f"{zlib.crc32(data):08x}"
