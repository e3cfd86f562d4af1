"""Which TFLite engine knows which version of which operator.

`operator_versions.json` beside this file was asked of the engines themselves, by the step `probe_operators`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

TABLE = "operator_versions.json"


@dataclass(frozen=True, order=True)
class Operator:
    """A builtin operator at a version, or a custom one, called ``custom <name>``."""

    name: str
    version: int

    def __str__(self) -> str:
        """Return e.g. ``CONV_2D version 3``."""
        return f"{self.name} version {self.version}"


@dataclass(frozen=True)
class EngineOperators:
    """The lowest and highest version of each builtin operator that one release of an engine loads.

    Attributes:
        engine: name in `sigedge_runtime.engines`.
        distribution: package.
        version: of the package.
        operators: by name.
    """

    engine: str
    distribution: str
    version: str
    operators: dict[str, tuple[int, int]]

    def __str__(self) -> str:
        """Return e.g. ``tflite-runtime 2.14.0``."""
        return f"{self.distribution} {self.version}"

    def unknown(self, needed: Iterable[Operator]) -> tuple[Operator, ...]:
        """Those of the operators that it does not load, sorted."""
        return tuple(sorted(one for one in needed if not self._knows(one)))

    def _knows(self, operator: Operator) -> bool:
        lowest, highest = self.operators.get(operator.name, (1, 0))
        return lowest <= operator.version <= highest


@cache
def known_engines() -> tuple[EngineOperators, ...]:
    """The releases that were asked."""
    table = json.loads((files("sigedge_export.audits") / TABLE).read_text(encoding="utf-8"))
    return tuple(
        EngineOperators(
            engine, row["distribution"], row["version"], {name: tuple(pair) for name, pair in row["operators"].items()}
        )
        for engine, row in sorted(table["engines"].items())
    )


def refusal(release: EngineOperators, unknown: Iterable[Operator]) -> str:
    """Why an engine does not load a file, and what to do."""
    names = ", ".join(map(str, unknown))
    return f"{release} does not know {names}; run this artefact on a newer engine."
