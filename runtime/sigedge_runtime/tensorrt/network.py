"""From an ONNX file to a plan: one path for TensorRT 10.3 (JetPack 6) to 11 and for TensorRT-RTX.

The network is strongly typed: precisions stand in the ONNX file (half-precision casts, quantize/dequantize pairs), and
TensorRT chooses none. That is the one way of building that all these versions share (NVIDIA, "Migrating from TensorRT
10.x to 11.x": weak typing, calibrators and precision flags are gone).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigedge_runtime.errors import EngineError
from sigedge_runtime.manifest import Artifact, Tensor
from sigedge_runtime.tensorrt.library import RTX, Library, dtype_name, one_line, shape_of

Progress = Callable[[str, int, int], None]
"""Told a phase of the build, its finished steps and its number of steps."""


@dataclass(frozen=True)
class Built:
    """A finished build.

    Attributes:
        plan: the serialised engine.
        seconds: how long TensorRT built.
        timings: kernel timings for the next build; None where the library keeps none.
        timings_used: whether those that were given were of use.
    """

    plan: bytes
    seconds: float
    timings: bytes | None
    timings_used: bool


class Network:
    """An ONNX file as TensorRT understood it, ready to build."""

    def __init__(self, library: Library, artifact: Artifact, path: Path) -> None:
        """Parse the file and hold it against the manifest.

        Raises:
            EngineError: TensorRT cannot parse it, the sentence names the node; or its tensors are not those declared.
        """
        self._library, self._path = library, path
        self._log = library.log()
        module = library.module
        self._builder = module.Builder(self._log)
        self._network = self._builder.create_network(_strongly_typed(module))
        # The network refers to weights that the parser owns: the parser must live as long as it does.
        self._parser = module.OnnxParser(self._network, self._log)
        if not self._parser.parse(path.read_bytes()):
            raise EngineError(f"{path}: {library.title} cannot parse it ({self._parse_errors()}); export it again.")
        network = self._network
        self._check("inputs", [network.get_input(i) for i in range(network.num_inputs)], artifact.input)
        self._check("outputs", [network.get_output(i) for i in range(network.num_outputs)], artifact.output)

    @property
    def layers(self) -> int:
        """Number of layers before TensorRT joins any."""
        return int(self._network.num_layers)

    def build(
        self,
        compute_capability: str,
        *,
        workspace_mib: int | None = None,
        timings: bytes | None = None,
        progress: Progress | None = None,
    ) -> Built:
        """Build the plan: less than a second to many minutes.

        Args:
            compute_capability: of the GPU, e.g. ``8.9``; TensorRT-RTX builds for it, TensorRT for the GPU here.
            workspace_mib: limit of scratch memory, MiB; None for the library's own.
            timings: kernel timings of an earlier build with this library on this GPU.
            progress: told the phases; what it raises ends the build and is raised here.

        Raises:
            EngineError: the library built nothing; the sentence gives its reason.
        """
        config = self._builder.create_builder_config()
        config.profiling_verbosity = self._library.module.ProfilingVerbosity.DETAILED  # the plan tells its precisions
        if workspace_mib is not None:
            config.set_memory_pool_limit(self._library.module.MemoryPoolType.WORKSPACE, workspace_mib << 20)
        if self._library.flavour == RTX:
            self._aim(config, compute_capability)
        used = self._library.flavour != RTX and _load_timings(config, timings)
        monitor = self._monitor(config, progress)
        start = time.perf_counter()
        plan = self._builder.build_serialized_network(self._network, config)
        seconds = time.perf_counter() - start
        if monitor is not None and monitor.error is not None:
            raise monitor.error
        if plan is None:
            raise EngineError(
                f"{self._path}: {self._library.title} built no plan ({self._log.reason()}); free memory of the GPU or "
                "limit what the build takes with --workspace-mib, and try again."
            )
        kept = None if self._library.flavour == RTX else bytes(config.get_timing_cache().serialize())
        return Built(bytes(plan), round(seconds, 3), kept, used)

    def _parse_errors(self) -> str:
        errors = [self._parser.get_error(index) for index in range(self._parser.num_errors)]
        if not errors:
            return str(self._log.reason())
        text = "; ".join(_describe(error) for error in errors[:3])
        return text if len(errors) <= 3 else f"{text}; and {len(errors) - 3} more"

    def _check(self, role: str, found: list[Any], declared: Tensor) -> None:
        facts = [(tensor.name, shape_of(tensor.shape), dtype_name(tensor.dtype)) for tensor in found]
        if facts != [(declared.name, declared.shape, declared.dtype)]:
            raise EngineError(
                f"{self._path}: {self._library.title} finds the {role} {facts} where the manifest says {declared}; "
                "export it again with static shapes."
            )

    def _aim(self, config: Any, compute_capability: str) -> None:
        capabilities = self._library.module.ComputeCapability.__members__
        wanted = capabilities.get("SM" + compute_capability.replace(".", ""))
        if wanted is None:
            known = ", ".join(f"{name[2:-1]}.{name[-1]}" for name in capabilities if name.startswith("SM"))
            raise EngineError(
                f"{self._library.title} does not build for GPUs of compute capability {compute_capability}, only for "
                f"{known}; install TensorRT instead."
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(wanted, 0)

    def _monitor(self, config: Any, progress: Progress | None) -> Any:
        if progress is None or not hasattr(self._library.module, "IProgressMonitor"):
            return None
        config.progress_monitor = monitor = _monitor_class(self._library.module)(progress)
        return monitor


def _strongly_typed(module: Any) -> int:
    """The creation flag, where there is still a choice."""
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _describe(error: Any) -> str:
    """One parser error with its node; the graph as a whole has index -1."""
    if error.node() < 0:
        return one_line(error.desc())
    name = error.node_name() or f"number {error.node()}"
    return f"node {name} of type {error.node_operator()}: {one_line(error.desc())}"


def _load_timings(config: Any, timings: bytes | None) -> bool:
    """Give the configuration a timing cache; whether the one at hand was of use."""
    given = None if timings is None else config.create_timing_cache(timings)
    if given is not None and config.set_timing_cache(given, False):
        return True
    # Timings of another library or GPU are refused; an empty cache collects new ones.
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return False


def _monitor_class(module: Any) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        """Passes phases on. An error must not travel through TensorRT's own code: it is kept and ends the build."""

        def __init__(self, progress: Progress) -> None:
            module.IProgressMonitor.__init__(self)
            self.error: BaseException | None = None
            self._progress = progress
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            self._tell(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            self._tell(phase, step + 1)
            return self.error is None

        def phase_finish(self, phase: str) -> None:
            self._tell(phase, self._steps[phase])

        def _tell(self, phase: str, done: int) -> None:
            if self.error is None:
                try:
                    self._progress(phase, done, self._steps[phase])
                except BaseException as error:  # Ctrl-C too
                    self.error = error

    return Monitor
