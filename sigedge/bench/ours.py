"""The runtime as a contestant: a `Verifier` with a store, as a service runs it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigedge.bench.contestants import STAGES, Runner

if TYPE_CHECKING:
    from sigedge.bench.contestants import Image

USER = "bench"


def import_libraries(**_: object) -> None:
    """What a device imports."""
    import sigedge_runtime  # noqa: F401


def open_runner(bundle: str | None, engine: str, precision: str, threads: int, encoded: bool = False) -> OursRunner:
    """Open a verifier on one artefact; with `encoded` the queries are PNG files in memory."""
    return OursRunner(bundle, engine, precision, threads, encoded)


class OursRunner(Runner):
    """Templates lie in an SQLite file, which every verification reads."""

    def __init__(self, bundle: str | None, engine: str, precision: str, threads: int, encoded: bool) -> None:
        from sigedge_runtime import Verifier

        self._encoded = encoded
        self._resources = ExitStack()
        folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="sigedge-bench-store-"))
        self.verifier = self._resources.enter_context(
            Verifier.open(
                bundle,
                engine=engine,
                precision=precision,
                store=Path(folder) / "templates.db",
                threads=threads,
                selftest=False,
            )
        )

    def embed(self, image: Image) -> None:
        """See `Runner`."""
        self.verifier.embed(image)

    def enroll(self, references: Sequence[Image]) -> None:
        """See `Runner`."""
        self.verifier.enroll(USER, list(references), replace=True)

    def prepare(self, queries: Sequence[Image]) -> Sequence[Any]:
        """The images themselves, or the bytes of their PNG files."""
        if not self._encoded:
            return queries
        import cv2

        return [cv2.imencode(".png", query)[1].tobytes() for query in queries]

    def verify(self, image: Any) -> Mapping[str, float]:
        """See `Runner`; the stages are those that the verdict tells."""
        timings = self.verifier.verify(USER, image).timings
        return {stage: getattr(timings, stage) for stage in STAGES}

    def verify_all(self, queries: Sequence[Any], threads: int) -> str:
        """By `Verifier.verify_many`, with as many workers."""
        import cv2

        cv2.setNumThreads(1)  # as many signatures at a time as there are processors leave none to OpenCV
        for found in self.verifier.verify_many([(USER, query) for query in queries], workers=threads):
            if isinstance(found, Exception):
                raise found
        return "Verifier.verify_many"

    def selftest(self) -> dict[str, Any]:
        """The bundle's golden vectors, replayed."""
        return self.verifier.selftest().to_dict()

    def close(self) -> None:
        """See `Runner`."""
        self._resources.close()
