"""How much noise a layer may have, by precision.

The limits let every sound layer of the flagship pass, and of networks with attention, swish and transposed
convolutions. The drop of int8 is wide for the sake of instance normalisation, which subtracts near values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """When a layer is at fault.

    Attributes:
        floor_db: below this it is, whatever came before.
        drop_db: so much below the noisiest of its inputs it is, too.
        best_db: what a sound layer reaches; inputs with less noise count as this.
    """

    floor_db: float
    drop_db: float
    best_db: float

    def least(self, inputs: Sequence[float]) -> float:
        """Least ratio in dB of a sound layer whose inputs have these ratios."""
        return max(self.floor_db, min([self.best_db, *inputs]) - self.drop_db)


_QUANTISED = Expectation(floor_db=10, drop_db=20, best_db=36)

EXPECTATIONS = {
    "float32": Expectation(floor_db=80, drop_db=40, best_db=120),
    "float16": Expectation(floor_db=40, drop_db=25, best_db=65),
    "dynamic_range": _QUANTISED,
    "int8": _QUANTISED,
    "int16_activations": _QUANTISED,
    "mixed": _QUANTISED,
}
