"""Small sound files of every supported kind, drawn by seed: what mutations start from."""

from __future__ import annotations

import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.fuzzing.formats import (
    LONG,
    SHORT,
    animated_png,
    animated_webp,
    bmp,
    png,
    png_chunk,
    tiff,
    with_orientation,
)
from sigedge_runtime.errors import DataError

FORMATS = ("png", "jpeg", "bmp", "tiff", "webp")
HEIGHT, WIDTH = 40, 64

_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_GREY_PALETTE = b"".join(bytes([level, level, level, 0]) for level in range(256))


def image_files(seed: int = 0) -> dict[str, tuple[bytes, ...]]:
    """Files by format, each a sound image of 64x40 pixels.

    Raises:
        DataError: this OpenCV writes none of a format.
    """
    grey = drawing(seed)
    colour = np.stack([grey, grey[::-1], 255 - grey], axis=2)
    return {
        "png": _png(grey, colour),
        "jpeg": _jpeg(grey, colour),
        "bmp": _bmp(grey, colour),
        "tiff": _tiff(grey, colour),
        "webp": _webp(colour),
    }


def drawing(seed: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Strokes of ink on paper that is not quite even: uint8 [H, W]."""
    draw = np.random.default_rng(seed)
    image = draw.integers(225, 245, (height, width), np.uint8)
    corners = draw.integers(0, (width, height), (12, 2)).astype(np.int32)
    cv2.polylines(image, [corners[:, None]], False, (40,), 2)
    return image


def encode(image: NDArray[Any], suffix: str, *options: int) -> bytes:
    """A file as OpenCV writes it.

    Raises:
        DataError: this OpenCV does not write the format.
    """
    done, data = cv2.imencode(suffix, image, list(options))
    if not done:
        raise DataError(f"This OpenCV writes no {suffix} files; install opencv-python-headless.")
    return data.tobytes()


def _rows(image: NDArray[Any]) -> bytes:
    """Rows as PNG has them, each behind the filter type 0."""
    return b"".join(b"\0" + row.tobytes() for row in image)


def _png(grey: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[bytes, ...]:
    transparent = np.dstack([colour, grey])
    passes = b"".join(_rows(grey[top::down, left::right]) for top, left, down, right in _ADAM7)
    palette = png_chunk(b"PLTE", bytes(range(240))) + png_chunk(b"tRNS", bytes(range(80)))
    notes = png_chunk(b"gAMA", b"\0\0\xb1\x8f") + png_chunk(b"tEXt", b"Title\0signature") + png_chunk(b"bKGD", bytes(2))
    return (
        encode(grey, ".png"),
        encode(colour, ".png"),
        encode(transparent, ".png"),
        encode(colour.astype(np.uint16) * 257, ".png"),
        png(WIDTH, HEIGHT, 8, 0, _rows(grey), extra=notes),
        png(WIDTH, HEIGHT, 8, 0, passes, interlace=1),
        png(WIDTH, HEIGHT, 8, 3, _rows(grey % 80), extra=palette),
        png(WIDTH, HEIGHT, 1, 0, _rows(np.packbits(grey > 128, axis=1))),
        animated_png(WIDTH, HEIGHT, _rows(grey)),
    )


def _jpeg(grey: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[bytes, ...]:
    baseline = encode(colour, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 80)
    return (
        encode(grey, ".jpg"),
        baseline,
        encode(colour, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encode(grey, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        encode(colour, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
        *(with_orientation(baseline, orientation) for orientation in (1, 3, 6, 8)),
    )


def _bmp(grey: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[bytes, ...]:
    upside_down = grey[::-1]
    runs8 = b"".join(b"".join(b"\1" + bytes([pixel]) for pixel in row) + b"\0\0" for row in upside_down) + b"\0\1"
    runs4 = b"".join((b"\x10" + bytes([int(row[0]) >> 4 << 4])) * 4 + b"\0\0" for row in upside_down) + b"\0\1"
    bits = np.packbits(upside_down > 128, axis=1).tobytes()
    return (
        encode(grey, ".bmp"),
        encode(colour, ".bmp"),
        encode(np.dstack([colour, grey]), ".bmp"),
        bmp(WIDTH, HEIGHT, 8, runs8, compression=1, palette=_GREY_PALETTE),
        bmp(WIDTH, HEIGHT, 4, runs4, compression=2, palette=_GREY_PALETTE[::16][:64].ljust(64, b"\0")),
        bmp(WIDTH, HEIGHT, 1, bits, palette=bytes(4) + b"\xff\xff\xff\0"),
        bmp(WIDTH, HEIGHT, 16, grey.astype("<u2").tobytes()),
        bmp(WIDTH, -HEIGHT, 24, colour.tobytes()),
        bmp(WIDTH, HEIGHT, 24, colour.tobytes(), core=True),
    )


def _tiff(grey: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[bytes, ...]:
    written = [
        encode(image, ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, method)
        for image in (grey, colour)
        for method in (1, 5, 8, 32773)
    ]
    done, pages = cv2.imencodemulti(".tiff", [grey, grey[::-1].copy()])
    deep = grey.astype(np.uint16) * 257
    extra = [pages.tobytes()] if done else []
    return (*written, *extra, encode(deep, ".tiff"), encode(grey.astype(np.float32), ".tiff"), *_hand_made_tiff(grey))


def _hand_made_tiff(grey: NDArray[np.uint8]) -> tuple[bytes, ...]:
    """Big-endian strips, tiles and single bits."""
    common = [(256, SHORT, [WIDTH]), (257, SHORT, [HEIGHT]), (262, SHORT, [1]), (277, SHORT, [1])]
    plain, deflated = (259, SHORT, [1]), (259, SHORT, [8])
    strips = [*common, plain, (258, SHORT, [8]), (278, SHORT, [8])]
    offsets = [(273, LONG, [8 * WIDTH * i for i in range(5)]), (279, LONG, [8 * WIDTH] * 5)]
    padded = np.pad(grey, ((0, 48 - HEIGHT), (0, 0)))
    blocks = padded.reshape(3, 16, 4, 16).swapaxes(1, 2).reshape(12, 256)
    tiles = [zlib.compress(block.tobytes()) for block in blocks]
    starts = [sum(map(len, tiles[:i])) for i in range(12)]
    tiled = [(322, SHORT, [16]), (323, SHORT, [16]), (324, LONG, starts), (325, LONG, [*map(len, tiles)])]
    bits = np.packbits(grey > 128, axis=1).tobytes()
    single = [(258, SHORT, [1]), (278, SHORT, [HEIGHT]), (273, LONG, [0]), (279, LONG, [len(bits)])]
    return (
        tiff([*strips, *offsets], grey.tobytes(), order=">"),
        tiff([*common, deflated, (258, SHORT, [8]), *tiled], b"".join(tiles)),
        tiff([*common, plain, *single], bits),
    )


def _webp(colour: NDArray[np.uint8]) -> tuple[bytes, ...]:
    lossy = encode(colour, ".webp", cv2.IMWRITE_WEBP_QUALITY, 60)
    transparent = np.dstack([colour, colour[..., 0]])
    return (
        lossy,
        encode(colour, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        encode(transparent, ".webp", cv2.IMWRITE_WEBP_QUALITY, 60),
        encode(transparent, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        animated_webp(WIDTH, HEIGHT, lossy),
    )
