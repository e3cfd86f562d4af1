"""Turn a folder of artefacts into a bundle, and put it where it was asked for, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sigedge_export import vectors
from sigedge_export.inputs import GoldenImage
from sigedge_export.network_parity import NetworkTolerances
from sigedge_export.reference import Reference, model_folder
from sigedge_export.targets import Target
from sigedge_export.tolerances import Tolerances
from sigedge_runtime.bundle import MANIFEST, hash_file, hash_files, hash_tree, write_manifest, zip_bundle
from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import ExportError
from sigedge_runtime.manifest import FORMAT_VERSION, Artifact, Manifest, ModelInfo, Rejection
from sigedge_runtime.preprocessing import PreprocessSpec

if TYPE_CHECKING:
    from sigedge_models import CheckpointInfo

CARD = "CARD.md"
TOOLS = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnx2tf",
    "tensorflow",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "numpy",
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def assemble(
    folder: Path,
    made: Mapping[Target, Path],
    checkpoint: Path,
    reference: Reference,
    golden: Sequence[GoldenImage],
    tolerances: Mapping[str, Tolerances],
    names: Mapping[Target, str] | None = None,
) -> Manifest:
    """Make a bundle folder: golden vectors, artefacts, model card and manifest.

    Args:
        folder: to make.
        made: the file (folder for a SavedModel) of each target, which moves into the bundle.
        checkpoint: the file that was exported.
        reference: the same, loaded.
        golden: images of the golden vectors.
        tolerances: of the parity gate by precision; every one of the targets.
        names: of the artefacts; None calls each after its model and target.

    Raises:
        BundleError: the checkpoint's preprocessing, decision rule or another entry is invalid.
        ExportError: the golden images are unusable, the architecture has no model card, or SOURCE_DATE_EPOCH is set
            and is no time.
    """
    info = reference.info
    spec = PreprocessSpec.from_dict(info.preprocess)
    size = vectors.write_vectors(folder, golden, spec, checked_decision(info), reference.embed).shape[1]
    limits = {precision: limit.max_score_difference for precision, limit in tolerances.items()}
    return _fill(folder, made, checkpoint, reference, size, limits, names)


def assemble_network(
    folder: Path,
    made: Mapping[Target, Path],
    checkpoint: Path,
    reference: Reference,
    canvases: NDArray[np.uint8],
    tolerances: Mapping[str, NetworkTolerances],
) -> Manifest:
    """Make the bundle folder of a classifier or an image network.

    Args:
        folder: to make.
        made: the file (folder for a SavedModel) of each target, which moves into the bundle.
        checkpoint: the file that was exported.
        reference: the same, loaded.
        canvases: of the golden vectors, uint8 [N, H, W].
        tolerances: of the parity gate by precision; every one of the targets.

    Raises:
        BundleError: an entry of the checkpoint is invalid.
        ExportError: the architecture has no model card, or SOURCE_DATE_EPOCH is set and is no time.
    """
    outputs = reference.embed(canvases)
    vectors.write_network_vectors(folder, canvases, outputs)
    limits = {precision: limit.max_difference for precision, limit in tolerances.items()}
    return _fill(folder, made, checkpoint, reference, outputs.shape[1], limits)


def _fill(
    folder: Path,
    made: Mapping[Target, Path],
    checkpoint: Path,
    reference: Reference,
    size: int,
    limits: Mapping[str, float],
    names: Mapping[Target, str] | None = None,
) -> Manifest:
    """Put artefacts, card and manifest beside the golden vectors."""
    info = reference.info
    shape = (info.preprocess["canvas_height"], info.preprocess["canvas_width"])
    artifacts = []
    for target, path in made.items():
        _place(path, folder / target.file(info.name))
        name = None if names is None else names[target]
        artifacts.append(describe(folder, target, info.name, size, shape, limits[target.precision], name))
    copy_card(info.architecture, info.name, folder)
    return finish(folder, checkpoint, reference, artifacts)


def _place(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, destination)


def describe(
    folder: Path,
    target: Target,
    model: str,
    size: int,
    shape: tuple[int, int],
    tolerance: float,
    name: str | None = None,
) -> Artifact:
    """The manifest's entry for an artefact that lies in a bundle folder.

    Args:
        folder: of the bundle.
        target: kind of artefact.
        model: name of the model.
        size: values it returns.
        shape: height and width of its canvas.
        tolerance: see `Artifact.score_tolerance`.
        name: of the artefact; None calls it after model and target.
    """
    file = target.file(model)
    path = folder / file
    tensors = target.tensors(*shape, size)
    parts = [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]
    return Artifact(
        name=f"{model}-{target.key}" if name is None else name,
        file=file,
        format=target.format,
        precision=target.precision,
        sha256=hash_tree(path) if path.is_dir() else hash_file(path),
        size=sum(part.stat().st_size for part in parts),
        input=tensors[0],
        output=tensors[1],
        score_tolerance=tolerance,
    )


def copy_card(architecture: str, name: str, folder: Path) -> None:
    """Copy the card of a model into a bundle folder: CARD-NAME.md of its architecture, or else the architecture's own.

    Raises:
        ExportError: the architecture has none.
    """
    own = model_folder(architecture) / f"CARD-{name}.md"
    source = own if own.is_file() else own.with_name(CARD)
    try:
        card = source.read_bytes()
    except OSError as error:
        raise ExportError(f"The model card {source} cannot be read ({error}); write one for the model.") from None
    (folder / CARD).write_bytes(card)


def finish(folder: Path, checkpoint: Path, reference: Reference, artifacts: Sequence[Artifact]) -> Manifest:
    """Write the manifest of a bundle folder that holds everything else.

    Args:
        folder: of the bundle.
        checkpoint: the file that was exported.
        reference: the same, loaded.
        artifacts: of `describe`.

    Raises:
        BundleError: the checkpoint's decision rule or another entry is invalid.
        ExportError: SOURCE_DATE_EPOCH is set and is no time.
    """
    info = reference.info
    rejection = info.decision.get("rejection") if info.task == "classification" else None
    model = ModelInfo(
        name=info.name,
        architecture=info.architecture,
        version=info.version,
        checkpoint_sha256=hash_file(checkpoint),
        task=info.task,
        output_size=artifacts[0].output.shape[-1],
        labels=tuple(info.labels),
        rejection=None if rejection is None else Rejection.from_dict(rejection, "the checkpoint's rejection"),
        parameters=reference.parameters,
        licence=info.licence,
    )
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        created=_today(),
        model=model,
        preprocess=None if info.task == "image" else PreprocessSpec.from_dict(info.preprocess),
        artifacts=tuple(artifacts),
        decision=checked_decision(info) if info.task == "verification" else None,
        vectors=vectors.FILE,
        card=CARD,
        training={**info.training, "seed": info.seed},
        tools=_tools(),
        files=hash_files(folder),
    )
    write_manifest(folder, manifest)
    return manifest


def checked_decision(info: CheckpointInfo) -> Decision:
    """The decision rule of a verifier's checkpoint.

    Raises:
        BundleError: an entry is missing or invalid; the sentence names it.
    """
    return Decision.from_dict(info.decision, "the checkpoint's decision")


def _today() -> str:
    # Reproducible builds set this variable: https://reproducible-builds.org/specs/source-date-epoch/
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        now = datetime.now(timezone.utc) if epoch is None else datetime.fromtimestamp(int(epoch), timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise ExportError(f"SOURCE_DATE_EPOCH is {epoch!r}; set it to seconds since 1970, or unset it.") from None
    return now.date().isoformat()


def _tools() -> dict[str, str]:
    found: dict[str, str] = {}
    for tool in TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


def check_destination(out: Path) -> None:
    """Refuse to export over anything that is not a bundle.

    Raises:
        ExportError: `out` exists and is neither an empty folder nor a bundle, or ends in ``.zip``.
    """
    if out.suffix == ".zip":
        raise ExportError(f"{out} names a zip file; name a folder, and the zip of it is written beside it.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        known = "format_version" in json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise ExportError(f"{out} exists and is not a bundle; name another folder, or remove it yourself.")


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A scratch folder beside `out`, removed at the end whatever happens.

    Raises:
        ExportError: the folder of `out` cannot be written to, or the disc got full.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise ExportError(f"Nothing can be written beside {out} ({error.strerror}); name another folder.") from None
    try:
        yield folder
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ExportError(f"The disc of {out} is full ({error.strerror}); free some space and export again.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(bundle: Path, out: Path) -> Path:
    """Move a finished bundle to `out` and its zip beside it, replacing an older bundle there.

    Args:
        bundle: finished folder inside the `staging` folder of `out`.
        out: where it goes.

    Returns:
        The zip file.
    """
    archive = zip_bundle(bundle, bundle.with_suffix(".zip"))
    older = bundle.with_name("older")
    if out.exists():
        out.rename(older)
    try:
        bundle.rename(out)
    except BaseException:
        if older.exists():
            older.rename(out)
        raise
    return archive.replace(out.with_name(f"{out.name}.zip"))
