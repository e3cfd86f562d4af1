"""`build_engine`: the plan of an artefact, from the folder of plans when it is there, else built and stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sigedge_runtime.manifest import Artifact
from sigedge_runtime.tensorrt.library import RTX
from sigedge_runtime.tensorrt.machine import Machine, ahead_of_time, this_machine
from sigedge_runtime.tensorrt.network import Network, Progress
from sigedge_runtime.tensorrt.plans import BuildFacts, PlanFolder, PlanKey, PlanRecord


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        folder: of the plans; None takes `plans.default_folder()`.
        force: build even when a plan that fits is there.
        workspace_mib: limit of scratch memory while building, MiB; None for TensorRT's own.
        ahead_of_time: a compute capability such as ``sm89`` to build for with TensorRT-RTX, without that GPU; None
            builds for the GPU here.
    """

    folder: Path | None = None
    force: bool = False
    workspace_mib: int | None = None
    ahead_of_time: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A plan that is in the folder now: its file, its record, and whether it was built just now."""

    path: Path
    record: PlanRecord
    built: bool


def build_engine(
    artifact: Artifact,
    path: Path,
    parameters: int,
    options: BuildOptions | None = None,
    *,
    announce: Callable[[str], None] = lambda _: None,
    progress: Progress | None = None,
) -> Outcome:
    """Make sure that the plan of an ONNX artefact is in the folder of plans.

    Args:
        artifact: what the manifest says of the file.
        path: where the file is.
        parameters: of the model, for the announcement.
        options: how to build; the defaults when None.
        announce: told one sentence before a build: what is built and what is known of how long it takes.
        progress: told the phases of the build.

    Raises:
        EngineUnavailableError: no GPU, TensorRT or cuda-python is here.
        EngineError: the file cannot be parsed or built, or the folder not be written to.
    """
    options = options or BuildOptions()
    machine = this_machine() if options.ahead_of_time is None else ahead_of_time(options.ahead_of_time)
    key, plans = machine.key(artifact), PlanFolder(options.folder)
    found = None if options.force else plans.find(artifact, key)
    if found is not None:
        return Outcome(plans.path(artifact, key), found, built=False)
    network = Network(machine.library, artifact, path)
    timings = plans.load_timings(key)
    announce(_forecast(machine, artifact, parameters, network.layers, _last_build(plans, artifact, key), timings))
    built = network.build(
        machine.compute_capability, workspace_mib=options.workspace_mib, timings=timings, progress=progress
    )
    facts = BuildFacts(built.seconds, network.layers, options.workspace_mib, built.timings_used)
    record = plans.store(artifact, key, built.plan, facts)
    if built.timings is not None:
        plans.store_timings(key, built.timings)
    return Outcome(plans.path(artifact, key), record, built=True)


def _last_build(plans: PlanFolder, artifact: Artifact, key: PlanKey) -> PlanRecord | None:
    """The newest build of an artefact of this name on this GPU, whatever the versions of model and library."""
    here = (key.flavour, key.gpu, key.compute_capability)
    same = (r for r in plans.records(artifact) if (r.key.flavour, r.key.gpu, r.key.compute_capability) == here)
    return next(same, None)


def _forecast(
    machine: Machine, artifact: Artifact, parameters: int, layers: int, last: PlanRecord | None, timings: bytes | None
) -> str:
    """What is about to be built, and how long that takes as far as anything here is known of it."""
    if last is not None:
        expectation = f"the last build here, with version {last.key.version}, took {last.build_seconds:.1f} s"
    elif machine.library.flavour == RTX:
        expectation = "TensorRT-RTX times no kernels, so this should be short"
    elif timings is not None:
        expectation = (
            "kernel timings of another build on this GPU are there, so it should be shorter than a first build"
        )
    else:
        expectation = "every kernel is timed in a first build on this GPU, which can take minutes"
    return (
        f"Building {artifact.name} ({parameters:,} parameters, {layers} layers) with {machine.library.title} for "
        f"{machine}: {expectation}."
    )
