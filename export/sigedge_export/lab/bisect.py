"""Where on the way from PyTorch to an artefact does an error enter: which hop, which layer, what kind?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge_export.lab.compare import Fault, compare
from sigedge_export.lab.diagnosis import diagnose
from sigedge_export.lab.expectation import EXPECTATIONS
from sigedge_export.lab.noise import EXACT, LayerNoise, sqnr
from sigedge_export.lab.tracing import Stage, stages
from sigedge_export.process import step_folder
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.images import read_image
from sigedge_runtime.network_vectors import read_network_vectors
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.selftest import read_vectors

Progress = Callable[[str], None]
Canvases = NDArray[np.uint8]

CANVASES = 4
"""A fault of a graph shows on every canvas; a few make a layer's noise a fair average."""


@dataclass(frozen=True)
class BisectHop:
    """One step of the way, layer by layer.

    Attributes:
        reference: what it starts from, ``torch`` or an artefact's name; ``images`` for the preprocessing.
        candidate: what it leads to, an artefact's name; ``canvases`` for the preprocessing.
        precision: of the candidate, which decides how much noise is expected.
        layers: noise of the layers that correspond, in the order of execution.
        only_reference: layers of the reference without a counterpart, with their operators.
        only_candidate: layers of the candidate without one.
        fault: where an error enters; None when every layer is as expected.
    """

    reference: str
    candidate: str
    precision: str
    layers: tuple[LayerNoise, ...]
    only_reference: tuple[str, ...]
    only_candidate: tuple[str, ...]
    fault: Fault | None


@dataclass(frozen=True)
class FirstFault:
    """The first fault on the way.

    Attributes:
        hop: ``reference -> candidate``.
        layer: name in the candidate.
        operator: as the candidate's format calls it.
        sqnr_db: of that layer.
        expected_db: least ratio of a sound layer in its place.
        kind: what it looks like, see `sigedge_export.lab.compare.Fault`.
        sentence: all of it in words.
    """

    hop: str
    layer: str
    operator: str
    sqnr_db: float
    expected_db: float
    kind: str
    sentence: str


@dataclass(frozen=True)
class BisectReport:
    """The way from the images and the checkpoint to one artefact.

    Attributes:
        artifact: name in the bundle.
        canvases: how many were run.
        hops: in order, the preprocessing first.
        missing: stages on the way that the bundle does not hold or that cannot run here; the hop goes past them.
        first_fault: None when every hop is as expected.
    """

    artifact: str
    canvases: int
    hops: tuple[BisectHop, ...]
    missing: tuple[str, ...]
    first_fault: FirstFault | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def bisect(bundle: Bundle, artifact: str, checkpoint: Path, *, progress: Progress = lambda _: None) -> BisectReport:
    """Compare every layer, hop by hop, on some of the bundle's golden canvases.

    Args:
        bundle: opened.
        artifact: name of one of its artefacts.
        checkpoint: the trained model that it was exported from.
        progress: told each stage before it is traced.

    Raises:
        BundleError: there is no such artefact, or the golden vectors are invalid.
        ExportError: a stage cannot be run; the text names its log.
    """
    way, missing = stages(bundle, bundle.artifact(artifact), checkpoint)
    hops = []
    if bundle.manifest.model.task == "verification":
        found, recorded = _canvases(bundle)
        hops = [_preprocessing(recorded, found)]
    else:  # the golden vectors of other networks begin with canvases
        recorded = read_network_vectors(bundle)[0]
    with step_folder("bisect") as folder:
        canvases = folder / "canvases.npy"
        np.save(canvases, recorded)
        hops += _hops(way, canvases, folder, progress)
    return BisectReport(artifact, len(recorded), tuple(hops), tuple(missing), _first(hops))


def _hops(way: list[Stage], canvases: Path, folder: Path, progress: Progress) -> list[BisectHop]:
    hops: list[BisectHop] = []
    before = None
    for reference, candidate in pairwise(way):
        if before is None:
            progress(f"layers of {reference.name}")
            before = reference.trace(canvases, folder)
        progress(f"layers of {candidate.name}")
        after = candidate.trace(canvases, folder)
        found = compare(before, after, EXPECTATIONS[candidate.precision])
        names = (reference.name, candidate.name, candidate.precision)
        hops.append(BisectHop(*names, found.noise, found.only_reference, found.only_candidate, found.fault))
        before = after
    return hops


def _canvases(bundle: Bundle) -> tuple[Canvases, Canvases]:
    """Golden canvases as this installation makes them of the images, and as they were recorded."""
    cases = read_vectors(bundle).cases
    chosen = cases[:: max(1, len(cases) // CANVASES)][:CANVASES]
    folder = PurePosixPath(bundle.manifest.vectors).parent
    paths = [tuple(str(bundle.path(str(folder / name))) for name in (case.image, case.canvas)) for case in chosen]
    made = [harmonise(read_image(image), bundle.manifest.harmonisation).canvas for image, _ in paths]
    return np.stack(made), np.stack([cv2.imread(canvas, cv2.IMREAD_UNCHANGED) for _, canvas in paths]).astype(np.uint8)


def _preprocessing(recorded: Canvases, found: Canvases) -> BisectHop:
    reference, candidate = recorded.astype(np.float32), found.astype(np.float32)
    layer = LayerNoise(
        index=0,
        layer="canvas",
        operator="harmonise",
        sqnr_db=sqnr(reference, candidate),
        max_difference=float(np.abs(reference - candidate).max()),
    )
    fault = None
    if layer.sqnr_db < EXACT:
        diagnosis = diagnose(reference, candidate)
        where = f"The error enters before the network: the canvases are not those recorded ({layer.sqnr_db:.0f} dB)"
        fault = Fault(layer, EXACT, diagnosis.kind, f"{where}; {diagnosis.clause}.")
    return BisectHop("images", "canvases", "uint8", (layer,), (), (), fault)


def _first(hops: list[BisectHop]) -> FirstFault | None:
    for hop in hops:
        if (fault := hop.fault) is not None:
            layer = fault.layer
            measured = (layer.layer, layer.operator, layer.sqnr_db, fault.expected_db)
            return FirstFault(f"{hop.reference} -> {hop.candidate}", *measured, fault.kind, fault.sentence)
    return None
