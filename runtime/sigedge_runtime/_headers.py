"""Image headers: format, size and whether the file is complete, without decoding any pixel.

Decoders allocate what a header claims and fill in what a truncated file lacks; both are settled here first. A header
that two readers could understand in two ways counts as incomplete, so that a decoder never sees another size than the
one that was checked.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

MAX_PIECES = 100_000
"""Chunks, segments or directory entries of one file; a file of nothing but empty ones would be walked for minutes."""
MAX_SCANS = 50
"""Scans of a progressive JPEG, each of which passes over the whole image; encoders write about ten."""

# Everything a PNG's pixels depend on. OpenCV 4.11 and 4.12 crash on damaged animations, whose chunks are left out here.
_PNG_ESSENTIAL = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_SCAN = re.compile(rb"\xff\xda")
_TIFF_TYPES = (3, 4)  # SHORT, LONG
_TIFF_BITS = 258
# Width of image and tile, height of image and tile, bits of each sample, samples.
_TIFF_TAGS = (256, 322, 257, 323, _TIFF_BITS, 277)


@dataclass(frozen=True)
class Header:
    """What a file claims to be.

    Attributes:
        format: ``png``, ``jpeg``, ``bmp``, ``tiff`` or ``webp``; ``truncated`` when not even the size is known.
        width: pixels.
        height: pixels.
        complete: False when its end is missing, a check sum is wrong or a field is not what the format allows.
        pixel_bytes: bytes of a decoded pixel, 4 at least.
    """

    format: str
    width: int
    height: int
    complete: bool
    pixel_bytes: int = 4


def read_header(data: bytes) -> Header | None:
    """Parse the header of a PNG, JPEG, BMP, TIFF or WebP file; None for anything else."""
    for magic, parse in _PARSERS.items():
        if data.startswith(magic):
            try:
                return parse(data)
            except (struct.error, IndexError):
                return Header("truncated", 0, 0, complete=False)
    return None


def essential_png(data: bytes) -> bytes:
    """A complete PNG without the chunks that its pixels do not depend on: animation, profiles, text and time."""
    kept = [data[start:end] for kind, start, end in _png_chunks(data) if kind in _PNG_ESSENTIAL]
    return b"".join([PNG_MAGIC, *kept])


def _png(data: bytes) -> Header:
    length, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    first = length == 13 and kind == b"IHDR" and colour in _PNG_SAMPLES and depth in (1, 2, 4, 8, 16)
    pixel_bytes = max(1, depth // 8) * _PNG_SAMPLES.get(colour, 4)
    return Header("png", width, height, first and _png_complete(data), max(4, pixel_bytes))


def _png_complete(data: bytes) -> bool:
    """Walk the chunks to IEND, checking every CRC (PNG specification, section 5.3).

    There is one header and there are pixels: without them OpenCV 4.11 goes on behind the end, in memory of its own.
    """
    last, headers, pixels = b"", 0, False
    for kind, start, end in _png_chunks(data):
        if end > len(data) or zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        last = kind
        headers += kind == b"IHDR"
        pixels |= kind == b"IDAT"
    return last == b"IEND" and headers == 1 and pixels


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of every chunk up to IEND; the last may end beyond the file."""
    position = len(PNG_MAGIC)
    for _ in range(MAX_PIECES):
        if position + 12 > len(data):
            return
        (length,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 12 + length
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end


def _jpeg(data: bytes) -> Header:
    """Find the frame header SOFn (ITU-T T.81, section B.2.2); the image must end with an EOI marker."""
    for marker, start in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, start + 3)
            complete = data.rfind(b"\xff\xd9") > start and _count_scans(data, start) <= MAX_SCANS
            return Header("jpeg", width, height, complete)
    return Header("truncated", 0, 0, complete=False)


def _count_scans(data: bytes, start: int) -> int:
    """Scans that begin after a position, counted to one more than are allowed."""
    count = 0
    for _ in _JPEG_SCAN.finditer(data, start):
        count += 1
        if count > MAX_SCANS:
            break
    return count


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, offset of the segment's length field) up to the compressed data.

    Markers that stand alone have no length and no business here: a decoder would pass over one and read as a header
    what a reader who takes them for segments never sees.
    """
    position = 2
    for _ in range(MAX_PIECES):
        if data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA:
            return
        yield marker, position + 2
        (length,) = struct.unpack_from(">H", data, position + 2)
        if length < 2:
            return
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
    """Read the first image file directory (TIFF 6.0, section 2); a tile larger than the image counts as its size.

    Of a tag that comes twice the larger value counts, whichever a decoder takes; a size of another type than the
    format allows is refused, since decoders differ in what they make of it.
    """
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    found = dict.fromkeys(_TIFF_TAGS, 0)
    plain = True
    for i in range(count):
        tag, kind, values, field = struct.unpack_from(f"{order}HHI4s", data, directory + 2 + 12 * i)
        if tag in found:
            plain &= kind in _TIFF_TYPES[: 1 if tag == _TIFF_BITS else 2] and (values == 1 or tag == _TIFF_BITS)
            found[tag] = max(found[tag], _tiff_value(data, order, kind, values, field))
    width, tile_width, height, tile_height, bits, samples = found.values()
    width, height = max(width, tile_width), max(height, tile_height)
    pixel_bytes = max(1, samples) * ((bits + 7) // 8)
    return Header("tiff", width, height, plain and width * height > 0, max(4, pixel_bytes))


def _tiff_value(data: bytes, order: str, kind: int, count: int, field: bytes) -> int:
    """Largest value of an entry; values stand elsewhere when there are more of them than fit into the entry."""
    if kind != _TIFF_TYPES[0]:
        return int(struct.unpack(f"{order}I", field)[0])
    if count <= 2:
        return int(max(struct.unpack_from(f"{order}{max(1, count)}H", field)))
    (offset,) = struct.unpack(f"{order}I", field)
    return int(max(struct.unpack_from(f"{order}{min(count, 64)}H", data, offset)))


def _webp(data: bytes) -> Header | None:
    """Read the first chunk of a WebP file (RFC 9649, sections 2.5 to 2.7); other RIFF files are no images."""
    size, form, kind = struct.unpack_from("<I4s4s", data, 4)
    if form != b"WEBP":
        return None
    known = kind in (b"VP8X", b"VP8L", b"VP8 ")
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Header("webp", width, height, complete=known and len(data) >= size + 8)


_PARSERS: dict[bytes, Callable[[bytes], Header | None]] = {
    PNG_MAGIC: _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"RIFF": _webp,
}
