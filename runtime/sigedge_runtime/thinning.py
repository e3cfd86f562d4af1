"""Skeletons, bit for bit the same everywhere: whole numbers of 8 bits, and no loop over pixels."""

from __future__ import annotations

from itertools import cycle
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def _tables() -> Image:
    """Which neighbourhoods keep their centre, 1 or 0, by half-step of Zhang and Suen (1984): uint8 [2, 256]."""
    tables = np.ones((2, 256), np.uint8)
    for code in range(256):
        bits = [(code >> bit) & 1 for bit in range(8)]
        west, east, north_west, north, north_east, south_west, south, south_east = bits
        around = (north, north_east, east, south_east, south, south_west, west, north_west)  # clockwise
        transitions = sum(around[i - 1] == 0 and around[i] == 1 for i in range(8))
        if not (2 <= sum(around) <= 6 and transitions == 1):
            continue
        tables[0, code] = (north and east and south) or (east and south and west)
        tables[1, code] = (north and east and west) or (north and south and west)
    return tables


_TABLES = _tables()


def thin(mask: Image) -> Image:
    """One-pixel-wide skeleton of a mask.

    T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984: the
    eight neighbours of every pixel become one byte, and a table says what goes.

    Args:
        mask: uint8 [H, W], 0 or 255.

    Returns:
        uint8 [H, W], 0 or 255.
    """
    _, ink = cv2.threshold(mask, 0, 1, cv2.THRESH_BINARY)
    # With a frame of paper, neighbours lie at the same distance everywhere once the rows stand in one line.
    framed, wide = cast(Image, cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[0])), mask.shape[1] + 2
    line = framed.ravel()
    centre, west, east = line[wide:-wide], line[wide - 1 : -wide - 1], line[wide + 1 : line.size - wide + 1]
    triples = np.zeros_like(line)  # of each pixel: itself and its neighbours at both sides
    north, south, codes = triples[: -2 * wide], triples[2 * wide :], np.empty_like(centre)
    remaining, unchanged = cv2.countNonZero(framed), 0
    for table in cycle(_TABLES):
        if not unchanged:
            # As bits: 2 for west and east, then 3 for the row to the north and 3 for that to the south.
            _join_bits(triples[1:-1], line[2:], line[1:-1], line[:-2])
            np.multiply(south, 8, out=codes)
            codes += north
            _join_bits(codes, codes, east, west)
        centre &= cast(Image, cv2.LUT(codes, table))[:, 0]
        left = cv2.countNonZero(framed)
        unchanged = unchanged + 1 if left == remaining else 0
        if unchanged == 2:  # both half-steps in succession took nothing
            break
        remaining = left
    return framed[1:-1, 1:-1] * np.uint8(255)


def _join_bits(into: Image, fours: Image, twos: Image, ones: Image) -> None:
    """4 * fours + 2 * twos + ones; doubling costs less than a product."""
    np.add(fours, fours, out=into)
    into += twos
    into += into
    into += ones
