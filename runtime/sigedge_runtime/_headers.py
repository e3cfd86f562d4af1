"""Image headers: format, size and whether the file is complete, without decoding any pixel.

Decoders allocate what a header claims and fill in what a truncated file lacks; both are settled here first.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """What a file claims to be; `complete` is False when its end is missing or a check sum is wrong."""

    format: str
    width: int
    height: int
    complete: bool


def read_header(data: bytes) -> Header | None:
    """Parse the header of a PNG, JPEG, BMP, TIFF or WebP file; None for anything else."""
    for magic, parse in _PARSERS.items():
        if data.startswith(magic):
            try:
                return parse(data)
            except (struct.error, IndexError):
                return Header("truncated", 0, 0, complete=False)
    return None


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    return Header("png", width, height, _png_complete(data))


def _png_complete(data: bytes) -> bool:
    """Walk the chunks to IEND, checking every CRC (PNG specification, section 5.3)."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            return False
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end
    return False


def _jpeg(data: bytes) -> Header:
    """Find the frame header SOFn (ITU-T T.81, section B.2.2); the image must end with an EOI marker."""
    for marker, start in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, start + 3)
            return Header("jpeg", width, height, complete=data.rfind(b"\xff\xd9") > start)
    return Header("truncated", 0, 0, complete=False)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, offset of the segment's length field) up to the compressed data."""
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xDA:
            return
        yield marker, position + 2
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + length


def _bmp(data: bytes) -> Header:
    offset, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    row = (abs(width) * depth + 31) // 32 * 4
    # Run-length compression (1, 2) tells no size beforehand.
    complete = compression in (1, 2) or len(data) >= offset + row * abs(height)
    return Header("bmp", abs(width), abs(height), complete)


def _tiff(data: bytes) -> Header:
    """Read the first image file directory (TIFF 6.0, section 2); a tile larger than the image counts as its size."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    sizes: dict[int, int] = {}
    for i in range(count):
        tag, kind, _, value = struct.unpack_from(f"{order}HHI4s", data, directory + 2 + 12 * i)
        sizes[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", value)[0]
    width = max(sizes.get(256, 0), sizes.get(322, 0))
    height = max(sizes.get(257, 0), sizes.get(323, 0))
    return Header("tiff", width, height, complete=width * height > 0)


def _webp(data: bytes) -> Header | None:
    """Read the first chunk of a WebP file (RFC 9649, sections 2.5 to 2.7); other RIFF files are no images."""
    size, form, kind = struct.unpack_from("<I4s4s", data, 4)
    if form != b"WEBP":
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Header("webp", width, height, complete=len(data) >= size + 8)


_PARSERS: dict[bytes, Callable[[bytes], Header | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"RIFF": _webp,
}
