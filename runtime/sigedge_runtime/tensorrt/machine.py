"""What a plan is built for: a TensorRT and a GPU. Plans are not portable, so both are part of a plan's key."""

from __future__ import annotations

from dataclasses import dataclass

from sigedge_runtime.errors import EngineError, EngineUnavailableError
from sigedge_runtime.manifest import Artifact
from sigedge_runtime.tensorrt.cuda import find_cuda
from sigedge_runtime.tensorrt.library import RTX, Library, find_library, is_installed
from sigedge_runtime.tensorrt.plans import PlanKey

# TensorRT-RTX compiles for a compute capability and finishes on the GPU it meets; TensorRT times kernels on one GPU.
ANY_GPU = "any GPU of its compute capability"


@dataclass(frozen=True)
class Machine:
    """Where a plan runs.

    Attributes:
        library: the TensorRT that builds and runs it.
        gpu: name of the GPU, or `ANY_GPU` for TensorRT-RTX.
        compute_capability: of the GPU, e.g. ``8.7``.
    """

    library: Library
    gpu: str
    compute_capability: str

    def __str__(self) -> str:
        """The GPU, for sentences."""
        capability = f"compute capability {self.compute_capability}"
        return f"GPUs of {capability}" if self.gpu == ANY_GPU else f"{self.gpu} ({capability})"

    def key(self, artifact: Artifact) -> PlanKey:
        """The key of an artefact's plan on this machine."""
        return PlanKey(
            artifact_sha256=artifact.sha256,
            precision=artifact.precision,
            input_shape=artifact.input.shape,
            output_shape=artifact.output.shape,
            flavour=self.library.flavour,
            version=self.library.version,
            gpu=self.gpu,
            compute_capability=self.compute_capability,
        )


def this_machine() -> Machine:
    """The GPU and the TensorRT here.

    Raises:
        EngineUnavailableError: there is no GPU, no TensorRT or no cuda-python here.
    """
    if not is_installed():
        find_library()  # says what to install
    try:
        device = find_cuda().device()
    except EngineUnavailableError:
        raise
    except EngineError as error:
        raise EngineUnavailableError(f"TensorRT needs an NVIDIA GPU. {error}") from None
    library = find_library()
    gpu = ANY_GPU if library.flavour == RTX else device.name
    return Machine(library, gpu, device.compute_capability)


def ahead_of_time(target: str) -> Machine:
    """A GPU that need not be here: TensorRT-RTX builds for a compute capability.

    Args:
        target: the compute capability as ``sm89`` or ``8.9``.

    Raises:
        EngineUnavailableError: TensorRT-RTX is not installed.
        EngineError: it does not build for this compute capability.
    """
    library = find_library(RTX)
    name = "SM" + target.lower().removeprefix("sm").replace(".", "")
    known = [member for member in library.module.ComputeCapability.__members__ if member.startswith("SM")]
    if name not in known:
        raise EngineError(f"{library.title} does not build for {target!r}; choose one of {', '.join(known).lower()}.")
    return Machine(library, ANY_GPU, f"{name[2:-1]}.{name[-1]}")
