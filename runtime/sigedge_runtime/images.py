"""Reading images of unknown origin: sizes are read from the header before a single pixel is decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._headers import Header, essential_png, read_header
from sigedge_runtime.errors import ImageError

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | NDArray[np.uint8]"

MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 * 2**20
MIN_SIDE = 8
MAX_BYTES_PER_PIXEL = 4
"""Times `max_pixels`: what a decoded image may take; deeper ones, of 16 bits a channel, must be smaller."""

_ROWS = 256


def describe(source: ImageSource) -> str:
    """How error messages call an image: its path, or what it is when it has none."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, np.ndarray):
        return f"<array {'x'.join(map(str, source.shape))}>"
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"<{type(source).__name__}>"


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, BMP, TIFF or WebP image as 8 bits a channel.

    Transparent pixels are laid on white, 16-bit channels are scaled to 8 bits, palettes are resolved and the
    orientation that a camera notes in a JPEG is applied. All of it is integer arithmetic, equal on every device.

    Args:
        source: a path, the bytes of a file, or a decoded uint8 array [H, W], [H, W, 1], [H, W, 3] (BGR) or
            [H, W, 4] (BGRA).
        max_pixels: larger images are refused before they are decoded, as are those that take more than
            `MAX_BYTES_PER_PIXEL` times as many bytes.

    Returns:
        uint8 [H, W] (grey) or [H, W, 3] (BGR).

    Raises:
        ImageError: the file is missing, unreadable, truncated, of another format or outside the size limits.
    """
    name = describe(source)
    try:
        if isinstance(source, np.ndarray):
            return _read_array(source, name, max_pixels)
        return _read_encoded(_bytes_of(source, name), name, max_pixels)
    except MemoryError:
        raise ImageError(f"{name} needs more memory than there is; crop it to the signature.") from None


def _read_array(source: NDArray[np.uint8], name: str, max_pixels: int) -> NDArray[np.uint8]:
    if source.ndim not in (2, 3):
        raise ImageError(f"{name} is not an image; give an array [H, W], [H, W, 3] or [H, W, 4].")
    _check_not_too_large(source.shape[1], source.shape[0], name, max_pixels)
    _check_not_too_small(source.shape[1], source.shape[0], name)
    return _to_grey_or_bgr(source, name)


def _read_encoded(data: bytes, name: str, max_pixels: int) -> NDArray[np.uint8]:
    header = read_header(data)
    if header is None:
        raise ImageError(f"{name} is not a PNG, JPEG, BMP, TIFF or WebP image; save it as PNG or JPEG.")
    _check_not_too_large(header.width, header.height, name, max_pixels, header.pixel_bytes)
    if not header.complete:
        raise ImageError(f"{name} is truncated or damaged; copy or scan it again.")
    _check_not_too_small(header.width, header.height, name)
    decoded = _decode(data, header, name)
    # Whatever the header said.
    _check_not_too_large(decoded.shape[1], decoded.shape[0], name, max_pixels)
    _check_not_too_small(decoded.shape[1], decoded.shape[0], name)
    return _to_grey_or_bgr(decoded, name)


def _bytes_of(source: str | os.PathLike[str] | bytes, name: str) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        data = _read_file(source, name)
    else:
        raise ImageError(f"{name} is no image; give a path, the bytes of a file or a uint8 array.")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB; crop it to the signature.")
    return data


def _read_file(source: str | os.PathLike[str], name: str) -> bytes:
    """Read a regular file, and of one that is too large, or grows meanwhile, no more than shows that."""
    path = Path(source)
    try:
        if not path.exists():
            raise ImageError(f"{name} does not exist; check the path.")
        if not path.is_file():
            raise ImageError(f"{name} is not a file; give the path of one image.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"{name!r} cannot be read ({error}); check its permissions.") from None
    if not data:
        raise ImageError(f"{name} is empty; copy or scan it again.")
    return data


def _check_not_too_large(width: int, height: int, name: str, max_pixels: int, pixel_bytes: int = 4) -> None:
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise ImageError(f"{name} is {width}x{height}, more than {limit}; crop it to the signature.")
    if width * height * pixel_bytes > max_pixels * MAX_BYTES_PER_PIXEL:
        limit = f"{max_pixels * MAX_BYTES_PER_PIXEL / 1e6:g} MB"
        raise ImageError(
            f"{name} is {width}x{height} with {pixel_bytes} bytes a pixel, more than {limit}; save it with 8 bits a "
            "channel or crop it to the signature."
        )


def _check_not_too_small(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name} is {width}x{height}, smaller than {MIN_SIDE} pixels; scan at 150 dpi or more.")


def _decode(data: bytes, header: Header, name: str) -> NDArray[np.generic]:
    # IMREAD_UNCHANGED keeps transparency but ignores the orientation, which matters for photos: JPEG has no alpha.
    flags = cv2.IMREAD_ANYCOLOR if header.format == "jpeg" else cv2.IMREAD_UNCHANGED
    content = essential_png(data) if header.format == "png" else data
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{name} cannot be decoded; open it in an image editor and save it as PNG.")
    return image


def _to_grey_or_bgr(image: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        raise ImageError(f"{name} has {channels} channels of {image.dtype}; save it as 8-bit grey or colour.")
    if image.dtype == np.uint8 and channels != 4:
        pixels = image.astype(np.uint8, copy=False)
        return pixels.reshape(pixels.shape[:2]) if channels == 1 else pixels
    # Some rows at a time, so that no more than the image itself and the result are ever in memory.
    result = np.empty(image.shape[:2] if channels == 1 else (*image.shape[:2], 3), np.uint8)
    for row in range(0, len(image), _ROWS):
        part = _to_eight_bits(image[row : row + _ROWS])
        result[row : row + _ROWS] = _on_white(part) if channels == 4 else part.reshape(result[row : row + _ROWS].shape)
    return result


def _to_eight_bits(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale 16 bits to 8, rounding to nearest."""
    if image.dtype == np.uint16:
        image = (image.astype(np.uint32) + 128) // 257
    return image.astype(np.uint8, copy=False)


def _on_white(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay BGRA on white paper, rounding to nearest."""
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
