"""How an image is kept between the network that drew it and the one that judges it."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Storage = Literal["float", "grey", "two-level"]
STORAGES: tuple[Storage, ...] = get_args(Storage)
"""As the generator returned it; in 256 grey levels; as the two-level canvas every verifier here reads."""

CUT = 128.0


def stored(images: NDArray[np.generic], storage: Storage) -> NDArray[np.float32]:
    """Images as they are after having been stored.

    Args:
        images: [N, H, W] of 0 to 255, whole numbers or not.
        storage: one of `STORAGES`.

    Returns:
        float32 [N, H, W] of 0 to 255.
    """
    values = images.astype(np.float32)
    if storage == "float":
        return values
    if storage == "grey":
        return np.rint(values)
    return np.where(values >= CUT, np.float32(255), np.float32(0))


def has_fractions(images: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which images [N, H, W] hold a value that is no whole number: bool [N]."""
    values = images.astype(np.float32)
    return np.asarray((values != np.rint(values)).any((1, 2)))


def has_other_levels(images: NDArray[np.generic], known: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which images [N, H, W] hold a value that no image of `known` holds: bool [N]."""
    return np.asarray(~np.isin(images.astype(np.float32), np.unique(known)).all((1, 2)))
