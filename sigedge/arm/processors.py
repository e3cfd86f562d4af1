"""The Arm cores that are emulated, and what Linux says of each in /proc/cpuinfo."""

from __future__ import annotations

from dataclasses import dataclass

_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"


@dataclass(frozen=True)
class Processor:
    """An Arm core as the emulator and Linux name it.

    Attributes:
        name: of the core, as `qemu -cpu` takes it.
        part: number of the core's design (MIDR, part number).
        variant: its major revision.
        features: instruction sets it has, as Linux lists them.
    """

    name: str
    part: str
    variant: str
    features: str

    def cpuinfo(self, count: int) -> str:
        """The text of /proc/cpuinfo with `count` such cores; engines choose their code by it, some crash without."""
        entry = (
            f"BogoMIPS\t: 48.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\nCPU part\t: {self.part}\nCPU revision\t: 1\n"
        )
        return "\n".join(f"processor\t: {number}\n{entry}" for number in range(count))


# The small core of cheap phones and of the Raspberry Pi 3; the large core of phones since 2018, of the Raspberry Pi 5
# and, as Cortex-A78AE, of the Jetson Orin. Only the second has dot products and half precision: other code runs.
PROCESSORS = (
    Processor("cortex-a53", "0xd03", "0x0", f"{_ARMV8} cpuid"),
    Processor("cortex-a76", "0xd0b", "0x3", f"{_ARMV8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"),
)


def count_of(possible: str) -> int:
    """How many processors a list of Linux such as ``0-3`` or ``0,2-5`` reaches to; at least 1.

    Libraries index what they read in /proc/cpuinfo by the number of the running processor, so none may be missing.
    """
    ends = [part.rpartition("-")[2] for part in possible.strip().split(",")]
    return 1 + max((int(end) for end in ends if end.isdecimal()), default=0)
