"""The folder of built plans: one file a plan, and beside it what it was built from and for.

A plan runs on nothing but what it was built for, and TensorRT notices only part of that. So a plan is loaded only when
everything in its key is as here and its bytes have the recorded SHA-256. Plans hold machine code: nobody else may be
able to write to the folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from sigedge_runtime._records import Record, dump_json, parse_json
from sigedge_runtime.atomic import write_atomically
from sigedge_runtime.errors import BundleError, EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact

FOLDER_VARIABLE = "SIGEDGE_TENSORRT_CACHE"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class PlanKey(Record):
    """All that a plan depends on.

    Attributes:
        artifact_sha256: of the ONNX file.
        precision: of the artefact.
        input_shape: with the batch, as the manifest gives it.
        output_shape: likewise.
        flavour: `library.TENSORRT` or `library.RTX`.
        version: of that library.
        gpu: name of the GPU, or `machine.ANY_GPU`.
        compute_capability: e.g. ``8.7``.
    """

    artifact_sha256: str
    precision: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    flavour: str
    version: str
    gpu: str
    compute_capability: str

    @property
    def digest(self) -> str:
        """16 hexadecimal digits for file names."""
        return _sha256(dump_json(self).encode())[:16]

    @property
    def timing_digest(self) -> str:
        """The same of what kernel timings depend on: library and GPU, whatever the model."""
        return _sha256(f"{self.flavour} {self.version} {self.gpu} {self.compute_capability}".encode())[:16]

    def differences(self, here: PlanKey) -> str:
        """What a plan of this key has otherwise than `here`, as a list for a sentence; empty when nothing."""
        pairs = ((field.name, getattr(self, field.name), getattr(here, field.name)) for field in fields(self))
        return ", ".join(f"{name} {_show(mine)} instead of {_show(its)}" for name, mine, its in pairs if mine != its)


@dataclass(frozen=True)
class PlanRecord(Record):
    """The JSON file beside a plan.

    Attributes:
        format_version: `FORMAT_VERSION`.
        artifact: name of the artefact.
        key: what it was built from and for.
        plan_sha256: of the plan.
        size: of the plan, bytes.
        built: when, ISO 8601 in UTC.
        build_seconds: how long TensorRT built.
        layers: of the network before TensorRT joined any.
        workspace_mib: limit of scratch memory while building, MiB; None for TensorRT's own.
        timing_cache: whether kernel timings of an earlier build were used.
    """

    format_version: int
    artifact: str
    key: PlanKey
    plan_sha256: str
    size: int
    built: str
    build_seconds: float
    layers: int
    workspace_mib: int | None
    timing_cache: bool


@dataclass(frozen=True)
class BuildFacts:
    """What `PlanFolder.store` keeps of a build; the fields are those of `PlanRecord`."""

    build_seconds: float
    layers: int
    workspace_mib: int | None
    timing_cache: bool


class PlanFolder:
    """Plans and kernel timings in one folder, which is made, for its owner alone, when something is stored."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use `folder`; None takes `default_folder()`."""
        self.folder = default_folder() if folder is None else folder

    def path(self, artifact: Artifact, key: PlanKey) -> Path:
        """Where the plan of this key is, or would be."""
        return self.folder / f"{artifact.name}-{key.digest}.plan"

    def load(self, artifact: Artifact, key: PlanKey) -> bytes:
        """The plan of this key.

        Raises:
            EngineUnavailableError: there is none, or only plans of other keys; the sentence names what differs.
            EngineError: it is damaged.
        """
        path = self.path(artifact, key)
        record = self._record(path.with_suffix(".json"))
        try:
            plan = path.read_bytes()
        except OSError:
            record = None
        if record is None:
            raise EngineUnavailableError(self._missing(artifact, key))
        if differences := record.key.differences(key):
            raise EngineUnavailableError(
                f"{path} was built for another machine or model ({differences}); {rebuild(key)}."
            )
        if (len(plan), _sha256(plan)) != (record.size, record.plan_sha256):
            raise EngineError(f"{path} is damaged: its SHA-256 is not the recorded one; {rebuild(key)}.")
        return plan

    def find(self, artifact: Artifact, key: PlanKey) -> PlanRecord | None:
        """The record of a plan that `load` would return; None when it would raise."""
        try:
            self.load(artifact, key)
        except EngineError:
            return None
        return self._record(self.path(artifact, key).with_suffix(".json"))

    def store(self, artifact: Artifact, key: PlanKey, plan: bytes, facts: BuildFacts) -> PlanRecord:
        """Write a plan and its record; a plan without its record counts as missing.

        Raises:
            EngineError: the folder cannot be written to.
        """
        record = PlanRecord(
            format_version=FORMAT_VERSION,
            artifact=artifact.name,
            key=key,
            plan_sha256=_sha256(plan),
            size=len(plan),
            built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            build_seconds=facts.build_seconds,
            layers=facts.layers,
            workspace_mib=facts.workspace_mib,
            timing_cache=facts.timing_cache,
        )
        path = self.path(artifact, key)
        with self._writing():
            path.with_suffix(".json").unlink(missing_ok=True)
            write_atomically(path, plan)
            write_atomically(path.with_suffix(".json"), dump_json(record).encode())
        return record

    def records(self, artifact: Artifact) -> list[PlanRecord]:
        """The readable records of all plans of artefacts of this name, newest first."""
        found = (self._record(path) for path in sorted(self.folder.glob(f"{artifact.name}-*.json")))
        return sorted(
            (record for record in found if record is not None and record.artifact == artifact.name),
            key=lambda record: record.built,
            reverse=True,
        )

    def load_timings(self, key: PlanKey) -> bytes | None:
        """Kernel timings of earlier builds with this library on this GPU; None when there are none to be read."""
        try:
            return self._timings(key).read_bytes()
        except OSError:
            return None

    def store_timings(self, key: PlanKey, timings: bytes) -> None:
        """Keep kernel timings for the next build.

        Raises:
            EngineError: the folder cannot be written to.
        """
        with self._writing():
            write_atomically(self._timings(key), timings)

    def _timings(self, key: PlanKey) -> Path:
        return self.folder / f"timings-{key.timing_digest}.cache"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise EngineError(
                f"The folder {self.folder} of TensorRT plans cannot be written to ({error.strerror}); free some space, "
                f"mend its permissions, or choose another one with --cache and {FOLDER_VARIABLE}."
            ) from error

    def _record(self, path: Path) -> PlanRecord | None:
        """The record in a file; None when it is missing, damaged or of another format version."""
        try:
            data = parse_json(path.read_text(encoding="utf-8"), str(path))
            record = PlanRecord.from_dict(data, str(path))
        except (OSError, UnicodeDecodeError, BundleError):
            return None
        return record if record.format_version == FORMAT_VERSION else None

    def _missing(self, artifact: Artifact, key: PlanKey) -> str:
        others = self.records(artifact)
        if not others:
            return f"No TensorRT plan of {artifact.name} is in {self.folder}; {rebuild(key)}."
        nearest = min((record.key.differences(key) for record in others), key=lambda text: text.count(" instead of "))
        return f"The TensorRT plan of {artifact.name} in {self.folder} does not fit ({nearest}); {rebuild(key)}."


def rebuild(key: PlanKey) -> str:
    """What to do for a plan, as the end of a sentence."""
    return f"build it here with: sigedge build-engine BUNDLE --precision {key.precision}"


def default_folder() -> Path:
    """``$SIGEDGE_TENSORRT_CACHE``, else ``sigedge/tensorrt`` in the user's cache folder (XDG Base Directory).

    Raises:
        EngineError: the variable is unset and the user has no home folder.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the specification says to ignore a relative path
        return base / "sigedge" / "tensorrt"
    try:
        return Path.home() / ".cache" / "sigedge" / "tensorrt"
    except RuntimeError:
        raise EngineError(
            f"This user has no home folder for TensorRT plans; set {FOLDER_VARIABLE} to a folder."
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text
