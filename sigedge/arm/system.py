"""A small Arm system in a folder: Debian's Python, the aarch64 wheels that devices install, and the emulator.

Everything is made beside its place and renamed when it is whole, under a lock, so that what is there is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sigedge.arm.commands import Word, run_tool
from sigedge.arm.debian import Apt, unpack
from sigedge.arm.errors import ArmUnavailableError
from sigedge.arm.processors import PROCESSORS, Processor, count_of
from sigedge_runtime.atomic import atomic_path, write_atomically
from sigedge_runtime.errors import DataError

EMULATOR = "qemu-aarch64-static"
WHEELS = ("numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
_RECIPE = 1
"""Raise it when `_build` changes, so that systems of the older recipe are made again."""


@dataclass(frozen=True)
class ArmSystem:
    """What runs Arm programs here.

    Attributes:
        emulator: the program that runs one Arm process.
        root: folder of the Arm system.
    """

    emulator: Path
    root: Path

    def command(self, processor: Processor) -> list[Word]:
        """The words that start its Python on an emulated core, to be followed by Python's arguments."""
        python = self.root / "debian" / "usr" / "bin" / f"python{_python()}"
        # With -S no package of this machine's own Python is found.
        view = self.root / "processors" / processor.name
        return [self.emulator, "-cpu", processor.name, "-L", view, python, "-s", "-S", "-B"]

    @property
    def packages(self) -> Path:
        """Folder of the aarch64 wheels."""
        return self.root / "site"

    def emulator_version(self) -> str:
        """Version of the emulator as it gives it."""
        return run_tool([self.emulator, "--version"], "install qemu-user-static again").splitlines()[0]


def prepare_arm(cache: Path, constraints: Path) -> ArmSystem:
    """The Arm system, made when it is missing or when the constraints changed; takes half a minute then.

    Args:
        cache: folder that keeps it, about 400 MB.
        constraints: pip's file of pinned versions; the Arm wheels get the same.

    Raises:
        ArmUnavailableError: this is no x86-64 Linux, a tool is missing, or a package cannot be fetched.
        DataError: the constraints cannot be read.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ArmUnavailableError(
            f"x86-64 is compared with emulated Arm on x86-64 Linux only, not on {sys.platform} {platform.machine()}; "
            "run it there."
        )
    name = _fingerprint(constraints)
    cache = cache.resolve()
    with _locked(cache), _scratch(cache) as scratch:
        apt = Apt(scratch / "apt")
        emulator = _emulator(cache, scratch, apt)
        root = cache / "systems" / name
        if not root.is_dir():
            _build(scratch / "system", apt, constraints)
            root.parent.mkdir(exist_ok=True)
            os.replace(scratch / "system", root)
            _remove_others(root)
        _describe_processors(root)
    return ArmSystem(emulator, root)


def _python() -> str:
    """The Arm system gets the Python version that runs here."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _fingerprint(constraints: Path) -> str:
    """What the Arm system is made of, as the name of its folder: 16 hexadecimal digits."""
    try:
        lines = constraints.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{constraints} cannot be read ({error}); name pip's file of constraints.") from None
    pins = sorted(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return hashlib.sha256(repr((_RECIPE, _python(), WHEELS, PLATFORMS, pins)).encode()).hexdigest()[:16]


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One set-up at a time; the lock goes with the process that holds it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise ArmUnavailableError(f"The cache {cache} cannot be used ({error}); name another folder.") from error


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """An empty folder beside the results; what an interrupted set-up left in it is removed."""
    folder = cache / "unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _emulator(cache: Path, scratch: Path, apt: Apt) -> Path:
    """The machine's own emulator where it knows the cores, else Debian's, fetched once."""
    installed, kept = shutil.which(EMULATOR), cache / EMULATOR
    for known in ([Path(installed)] if installed else []) + [kept]:
        if known.is_file() and _knows_processors(known):
            return known
    unpack(apt.download("qemu-user-static:amd64"), scratch / "emulator")
    with atomic_path(kept) as partial:
        shutil.copy2(scratch / "emulator" / "usr" / "bin" / EMULATOR, partial)
    return kept


def _knows_processors(emulator: Path) -> bool:
    """Whether it lists the cores; having listed them, older emulators exit with 1."""
    try:
        listed = subprocess.run([emulator, "-cpu", "help"], capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        return False
    return all(processor.name in listed for processor in PROCESSORS)


def _build(folder: Path, apt: Apt, constraints: Path) -> None:
    python = _python()
    packages = (f"python{python}-minimal", f"libpython{python}-stdlib", "libstdc++6", "libgomp1")
    unpack(apt.download(*packages), folder / "debian")
    pip: list[Word] = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    pip += ["--target", folder / "site", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    pip += [f"--platform={name}" for name in PLATFORMS]
    run_tool([*pip, "-c", constraints, *WHEELS], "check the network and the package index that pip uses")


def _describe_processors(root: Path) -> None:
    """A view of the system for each core: the same files, another /proc/cpuinfo."""
    try:
        count = count_of(Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii"))
    except OSError:
        count = os.cpu_count() or 1
    for processor in PROCESSORS:
        view = root / "processors" / processor.name
        view.mkdir(parents=True, exist_ok=True)
        # Since Debian 13 the loader lies in usr/lib alone.
        places = {"usr": "usr", "lib": "lib" if (root / "debian" / "lib").is_dir() else "usr/lib"}
        for name, place in places.items():
            if not (view / name).is_symlink():
                (view / name).symlink_to(Path("..", "..", "debian", place))
        write_atomically(view / "proc" / "cpuinfo", processor.cpuinfo(count).encode(), durable=False)


def _remove_others(root: Path) -> None:
    for other in root.parent.iterdir():
        if other != root:
            shutil.rmtree(other, ignore_errors=True)
