"""Reading images of unknown origin: sizes are read from the header before a single pixel is decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._headers import Header, read_header
from sigedge_runtime.errors import ImageError

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | NDArray[np.uint8]"

MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 * 2**20
MIN_SIDE = 8


def describe(source: ImageSource) -> str:
    """How error messages call an image: its path, or what it is when it has none."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, np.ndarray):
        return f"<array {'x'.join(map(str, source.shape))}>"
    return os.fspath(source)


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, BMP, TIFF or WebP image as 8 bits a channel.

    Transparent pixels are laid on white, 16-bit channels are scaled to 8 bits, palettes are resolved and the
    orientation that a camera notes in a JPEG is applied. All of it is integer arithmetic, equal on every device.

    Args:
        source: a path, the bytes of a file, or a decoded uint8 array [H, W], [H, W, 1], [H, W, 3] (BGR) or
            [H, W, 4] (BGRA).
        max_pixels: larger images are refused before they are decoded.

    Returns:
        uint8 [H, W] (grey) or [H, W, 3] (BGR).

    Raises:
        ImageError: the file is missing, unreadable, truncated, of another format or outside the size limits.
    """
    name = describe(source)
    if isinstance(source, np.ndarray):
        if source.ndim not in (2, 3):
            raise ImageError(f"{name} is not an image; give an array [H, W], [H, W, 3] or [H, W, 4].")
        _check_not_too_large(source.shape[1], source.shape[0], name, max_pixels)
        _check_not_too_small(source.shape[1], source.shape[0], name)
        return _to_grey_or_bgr(source, name)
    data = source if isinstance(source, bytes) else _read_file(source, name)
    header = read_header(data)
    if header is None:
        raise ImageError(f"{name} is not a PNG, JPEG, BMP, TIFF or WebP image; save it as PNG or JPEG.")
    _check_not_too_large(header.width, header.height, name, max_pixels)
    if not header.complete:
        raise ImageError(f"{name} is truncated or damaged; copy or scan it again.")
    _check_not_too_small(header.width, header.height, name)
    return _to_grey_or_bgr(_decode(data, header, name), name)


def _read_file(source: str | os.PathLike[str], name: str) -> bytes:
    """Read a regular file of a sane size."""
    path = Path(source)
    try:
        if not path.exists():
            raise ImageError(f"{name} does not exist; check the path.")
        if not path.is_file():
            raise ImageError(f"{name} is not a file; give the path of one image.")
        size = path.stat().st_size
        if size == 0:
            raise ImageError(f"{name} is empty; copy or scan it again.")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB; crop it to the signature.")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(f"{name!r} cannot be read ({error}); check its permissions.") from None


def _check_not_too_large(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise ImageError(f"{name} is {width}x{height}, more than {limit}; crop it to the signature.")


def _check_not_too_small(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name} is {width}x{height}, smaller than {MIN_SIDE} pixels; scan at 150 dpi or more.")


def _decode(data: bytes, header: Header, name: str) -> NDArray[np.generic]:
    # IMREAD_UNCHANGED keeps transparency but ignores the orientation, which matters for photos: JPEG has no alpha.
    flags = cv2.IMREAD_ANYCOLOR if header.format == "jpeg" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{name} cannot be decoded; open it in an image editor and save it as PNG.")
    return image


def _to_grey_or_bgr(image: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or channels not in (1, 3, 4):
        raise ImageError(f"{name} has {channels} channels of {image.dtype}; save it as 8-bit grey or colour.")
    pixels = image.astype(np.uint8, copy=False)
    if channels == 1:
        return pixels.reshape(pixels.shape[:2])
    return pixels if channels == 3 else _on_white(pixels)


def _on_white(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay BGRA on white paper, rounding to nearest; one channel at a time keeps memory low."""
    alpha = image[..., 3].astype(np.uint16)
    paper = 255 * (255 - alpha) + 127
    opaque = [((image[..., i] * alpha + paper) // 255).astype(np.uint8) for i in range(3)]
    return np.stack(opaque, axis=2)
