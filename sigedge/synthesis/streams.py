"""Random streams that depend on integer keys alone, never on what was drawn before."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purpose of a random stream; the number is part of the seed, so never renumber."""

    STYLE = 1
    MASTER = 2
    GENUINE = 3
    FORGER = 4
    FORGERY = 5
    SCAN_GENUINE = 6
    SCAN_FORGERY = 7


def stream(*keys: int) -> np.random.Generator:
    """A PCG64 generator seeded by non-negative integers; equal keys give equal draws everywhere."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(keys))))


def derive_seed(*keys: int) -> int:
    """A 64-bit seed in [0, 2**64) derived from non-negative integer keys."""
    return int(np.random.SeedSequence(list(keys)).generate_state(1, np.uint64)[0])
