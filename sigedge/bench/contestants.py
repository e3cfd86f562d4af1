"""Who is measured: what a contestant says of itself, and what its process has to offer.

A contestant names a *maker*, a Python file or module with two functions, so that whoever is measured is a small file:

    import_libraries(**arguments) -> None   imports what a device would import
    open_runner(**arguments) -> Runner      loads the model

Nothing heavy is imported here: `worker` imports this before its clock runs.
"""

from __future__ import annotations

import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

OURS, PEER, FLOOR = "ours", "peer", "floor"
STAGES = ("decode", "preprocess", "infer", "match")


@dataclass(frozen=True)
class Contestant:
    """One who is measured.

    Attributes:
        name: unique in a run.
        kind: `OURS`, `PEER` or `FLOOR`.
        maker: module name, or path of a Python file.
        arguments: of the maker's functions, plain JSON values.
        threads: threads that its inference may use; it is pinned to as many processors.
        facts: what the result file says of it: artefact, engine, precision, weights and the like.
    """

    name: str
    kind: str
    maker: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


class Runner(ABC):
    """Verifies one signature at a time; lives in a process of its own."""

    @abstractmethod
    def embed(self, image: Image) -> None:
        """Embed one image uint8 [H, W]: the first run of a process."""

    @abstractmethod
    def enroll(self, references: Sequence[Image]) -> None:
        """Keep what a verification compares with."""

    @abstractmethod
    def verify(self, image: Any) -> Mapping[str, float]:
        """From an image in memory to a verdict; milliseconds by stage, those of `STAGES` that it has."""

    def prepare(self, queries: Sequence[Image]) -> Sequence[Any]:
        """The queries as `verify` takes them; what has to be done once is done here, outside every measurement."""
        return queries

    def verify_all(self, queries: Sequence[Any], threads: int) -> str:
        """Verify many queries by the fastest way there is; the name of that way."""
        for query in queries:
            self.verify(query)
        return f"one after the other, {threads} threads of the engine"

    def selftest(self) -> dict[str, Any] | None:
        """Parity beside speed: the outcome of a self-test; None where there is none."""
        return None

    def close(self) -> None:
        """Free what was opened."""
        return None


class Stopwatch:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of a stage."""
        from time import perf_counter

        start = perf_counter()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + (perf_counter() - start) * 1e3


def load_maker(maker: str) -> ModuleType:
    """Import a maker by the name of its module or the path of its file.

    Raises:
        ImportError: there is none.
    """
    if not maker.endswith(".py"):
        return importlib.import_module(maker)
    spec = importlib.util.spec_from_file_location(f"maker_{Path(maker).stem}", maker)
    if spec is None or spec.loader is None:
        raise ImportError(f"{maker} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def peers_of(folder: Path) -> list[Contestant]:
    """The contestants that the files of a folder offer: each file but those that begin with ``_`` has `contestants()`.

    Raises:
        DataError: there is no such folder, or a file in it offers none.
    """
    from sigedge_runtime.errors import DataError

    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    if not files:
        raise DataError(f"{folder} holds no peer to measure; name a folder such as benchmarks/peers, or leave it out.")
    found: list[Contestant] = []
    for file in files:
        module = load_maker(str(file.resolve()))
        if not hasattr(module, "contestants"):
            raise DataError(f"{file} offers no contestants(); see benchmarks/peers/README.md for what a peer is.")
        found += cast("list[Contestant]", module.contestants())
    return found
