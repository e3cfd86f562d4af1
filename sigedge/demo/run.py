"""The demo's steps: export with the parity gate, enrol, ask three questions, measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2

from sigedge.bench.machine import describe_machine
from sigedge.bench.measure import BenchOptions, measure_bundle
from sigedge.demo.result import ArtifactRow, Case, DemoResult, Image, Picture
from sigedge.export_inputs import calibration_canvases, golden_images, synthetic_parity_set
from sigedge.synthesis import Synthesiser
from sigedge_export import Export, export_bundle, load_reference
from sigedge_runtime import Bundle, Manifest, PreprocessSpec, Verifier, harmonise

Progress = Callable[[str], None]

# Signers nobody trained on, calibrated on or tuned with: the seed is the demo's own.
SEED = 900_004
SIGNER, STRANGER = 0, 1
USER = "synthetic signer"
REFERENCES = 5
REPEATS = 30


def run_demo(checkpoint: Path, out: Path, *, progress: Progress = lambda _: None) -> DemoResult:
    """Run the whole way once.

    Args:
        checkpoint: trained weights.
        out: folder for the bundle, its zip and logs, and the images and templates of the demo.
        progress: told each step before it runs.

    Raises:
        SigedgeError: a step failed; ParityError when an artefact does not decide as the checkpoint.
    """
    seconds: dict[str, float] = {}
    reference = load_reference(checkpoint)
    spec = PreprocessSpec.from_dict(reference.info.preprocess)
    with _timed(seconds, "export and parity"):
        made = export_bundle(
            checkpoint,
            out / "bundle",
            golden=golden_images(spec=spec),
            parity=synthetic_parity_set(spec=spec),
            reference=reference,
            calibration=calibration_canvases(spec=spec),
            progress=progress,
        )
    progress("enrol and verify")
    with _timed(seconds, "enrol and verify"):
        references, cases = ask(made.bundle, out)
    progress("measure")
    with _timed(seconds, "measure"):
        bench = measure_bundle(made.bundle, BenchOptions(repeats=REPEATS, cold_starts=1, batch=REPEATS))
    with Bundle.open(made.bundle) as bundle:
        manifest = bundle.manifest
    return DemoResult(
        model=f"{manifest.model.name} {manifest.model.version}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=describe_machine(),
        references=references,
        cases=cases,
        rows=tuple(_rows(made, manifest, bench)),
        parity={key: value for key, value in made.report.to_dict().items() if key not in ("rows", "unmeasured")},
        seconds=seconds,
    )


def ask(bundle: Path | None, out: Path) -> tuple[tuple[Picture, ...], tuple[Case, ...]]:
    """Enrol one signer, then verify a genuine sample, a skilled forgery and another signer's signature.

    Args:
        bundle: what decides; None is the bundle shipped with the runtime.
        out: folder for the images and the template store.

    Returns:
        The enrolled references, and the queries with their verdicts.

    Raises:
        SigedgeError: the bundle cannot be used, or a signature is unusable.
    """
    population = Synthesiser(SEED)
    signer = population.signer(SIGNER)
    genuine = [signer.genuine(index).image for index in range(REFERENCES + 1)]
    queries = (
        ("Genuine sample", True, genuine[-1]),
        ("Skilled forgery", False, signer.skilled_forgery(0).image),
        ("Random forgery", False, population.signer(STRANGER).genuine(0).image),
    )
    store = out / "templates.db"
    store.unlink(missing_ok=True)
    paths = [_write(out / "images" / f"reference-{i}.png", image) for i, image in enumerate(genuine[:-1], start=1)]
    cases = []
    with Verifier.open(bundle, store=store) as verifier:
        spec = verifier.bundle.manifest.harmonisation
        verifier.enroll(USER, paths)
        for title, expected, image in queries:
            path = _write(out / "images" / f"{title.lower().replace(' ', '-')}.png", image)
            cases.append(Case(title, expected, _picture(image, spec), verifier.verify(USER, path)))
    return tuple(_picture(image, spec) for image in genuine[:-1]), tuple(cases)


def _picture(image: Image, spec: PreprocessSpec) -> Picture:
    return Picture(image, harmonise(image, spec).canvas)


def _write(path: Path, image: Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def _rows(made: Export, manifest: Manifest, bench: dict[str, Any]) -> Iterator[ArtifactRow]:
    """Parity joined with the median time, in the order of the parity report."""
    memory = [run for run in bench["runs"] if run["source"] == "memory"]
    medians = {(run["artifact"], run["engine"]): run["stages_ms"]["total"]["p50"] for run in memory}
    sizes = {artifact.name: artifact.size for artifact in manifest.artifacts}
    for row in made.report.rows:
        median = medians.get((row.artifact, row.engine.split()[0]))
        yield ArtifactRow(row.artifact, row.format, row.precision, row.engine, sizes[row.artifact], median, asdict(row))


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
