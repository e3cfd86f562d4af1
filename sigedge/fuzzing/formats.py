"""Writing image files by hand: the kinds that OpenCV reads but does not write, and those that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SHORT, LONG = 3, 4


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with its check sum (PNG specification, section 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *, extra: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG file.

    Args:
        width: in pixels, as the header says.
        height: likewise.
        depth: bits a sample.
        colour: colour type 0, 2, 3, 4 or 6.
        rows: filtered rows before compression.
        extra: chunks between header and pixels.
        interlace: 1 for Adam7.
    """
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return PNG_MAGIC + header + extra + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def animated_png(width: int, height: int, rows: bytes) -> bytes:
    """An 8-bit grey PNG of two frames, the second a quarter of the first in size."""
    frame = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)
    second = struct.pack(">IIIIIHHBB", 1, width // 2, height // 2, 0, 0, 1, 10, 0, 0)
    small = (b"\0" + bytes(width // 2)) * (height // 2)
    whole = png(
        width, height, 8, 0, rows, extra=png_chunk(b"acTL", struct.pack(">II", 2, 0)) + png_chunk(b"fcTL", frame)
    )
    more = png_chunk(b"fcTL", second) + png_chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(small))
    return whole[:-12] + more + whole[-12:]


def bmp(
    width: int,
    height: int,
    depth: int,
    pixels: bytes,
    *,
    compression: int = 0,
    palette: bytes = b"",
    core: bool = False,
) -> bytes:
    """A BMP file; `core` writes the oldest header, of 12 bytes, a negative height stores the top row first."""
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, depth)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(pixels), 0, 0, 0, 0)
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + palette + pixels


def tiff(entries: Iterable[tuple[int, int, Sequence[int]]], pixels: bytes, *, order: str = "<") -> bytes:
    """A TIFF file of one image file directory (TIFF 6.0, section 2).

    Args:
        entries: (tag, kind, values); tag 273 or 324, the offsets, is moved to where the pixels are.
        pixels: what the offsets point to.
        order: byte order, ``<`` or ``>``.
    """
    listed = sorted(entries)
    start = 8 + 2 + 12 * len(listed) + 4
    heap, directory = bytearray(), bytearray()
    for tag, kind, values in listed:
        moved = [value + 8 + 2 + 12 * len(listed) + 4 + 4096 for value in values] if tag in (273, 324) else values
        body = struct.pack(f"{order}{len(moved)}{'H' if kind == SHORT else 'I'}", *moved)
        if len(body) > 4:
            field = struct.pack(f"{order}I", start + len(heap))
            heap += body
        else:
            field = body.ljust(4, b"\0")
        directory += struct.pack(f"{order}HHI", tag, kind, len(moved)) + field
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}IH", 8, len(listed)) + bytes(directory) + bytes(4)
    return head + bytes(heap).ljust(4096, b"\0") + pixels


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a WebP file, padded to an even size."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    """A WebP file of these chunks (RFC 9649, section 2.4)."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extended_webp(width: int, height: int, flags: int, *chunks: bytes) -> bytes:
    """A WebP file with the extended header: flags 2 for animation, 8 for Exif, 16 for alpha."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides), *chunks)


def animated_webp(width: int, height: int, still: bytes) -> bytes:
    """A WebP animation whose two frames are the picture of a simple still file."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = riff_chunk(b"ANMF", bytes(6) + sides + (10).to_bytes(3, "little") + b"\0" + still[12:])
    return extended_webp(width, height, 2, riff_chunk(b"ANIM", bytes(6)), frame, frame)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG file with an Exif segment that names an orientation, 1 to 8."""
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
