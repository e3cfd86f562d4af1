"""One measurement in a process of its own: `python -m sigedge.bench.worker JOB.json` prints one JSON object.

A fresh process is what cold start means, and what keeps the peak memory of one artefact apart from another's.
Nothing is imported before the clock runs but the standard library.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigedge_runtime import Verifier

STAGES = ("decode", "preprocess", "infer", "match", "total")
USER = "bench"


def main(job_file: str) -> None:
    """Run the job and print its result."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    start = time.perf_counter()
    from sigedge_runtime import Verifier

    imported = time.perf_counter()
    # A store inside the job's own folder: matching reads templates from SQLite, as in service.
    with tempfile.TemporaryDirectory(dir=Path(job_file).parent) as folder:
        verifier = Verifier.open(
            job["bundle"],
            engine=job["engine"],
            precision=job["precision"],
            store=Path(folder) / "templates.db",
            threads=job["threads"],
            selftest=False,
        )
        with verifier:
            loaded = time.perf_counter()
            verifier.embed(job["images"][0])
            first = time.perf_counter()
            result: dict[str, Any] = {
                "import": (imported - start) * 1e3,
                "load": (loaded - imported) * 1e3,
                "first_run": (first - loaded) * 1e3,
            }
            if job["repeats"]:
                result |= _measure(verifier, job)
    print(json.dumps(result))


def _measure(verifier: Verifier, job: dict[str, Any]) -> dict[str, Any]:
    """Stage times over the images in turn, after the warm-up; then the peak memory and the self-test."""
    from sigedge.bench.machine import peak_rss_mb

    images, references = job["images"], job["references"]
    verifier.enroll(USER, images[:references])
    queries = images[references:]
    stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for index in range(job["warm_up"] + job["repeats"]):
        timings = verifier.verify(USER, queries[index % len(queries)]).timings
        if index >= job["warm_up"]:
            for stage in STAGES:
                stages[stage].append(getattr(timings, stage))
    peak = peak_rss_mb()
    return {"stages": stages, "peak_rss_mb": peak, "selftest": verifier.selftest().to_dict()}


if __name__ == "__main__":
    main(sys.argv[1])
