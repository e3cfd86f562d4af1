"""Debian packages of another architecture, unpacked into a folder: no root, nothing installed.

apt keeps its indexes and downloads in a folder of ours, and takes sources and keys from the machine's configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from sigedge.arm.commands import Word, require_tools, run_tool
from sigedge.arm.errors import ArmUnavailableError

_REMEDY = "check the network and that the machine's apt sources offer arm64 packages"


class Apt:
    """apt with a state of its own in `folder`, as on an arm64 machine on which nothing is installed yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def download(self, *packages: str) -> list[Path]:
        """Fetch packages and what they depend on, checked against the archive's signatures.

        Args:
            packages: names; ``NAME:amd64`` names one of this machine.

        Returns:
            The downloaded files.

        Raises:
            ArmUnavailableError: there is no apt, no network or no such package.
        """
        target = self._folder / "archives" / packages[0].replace(":", "-")
        (target / "partial").mkdir(parents=True, exist_ok=True)
        options = ["-o", f"Dir::Cache::archives={target}", "-y", "--no-install-recommends", "--download-only"]
        run_tool([*self._updated, *options, "install", *packages], _REMEDY)
        found = sorted(target.glob("*.deb"))
        if not found:
            raise ArmUnavailableError(f"apt fetched nothing for {', '.join(packages)}; {_REMEDY}.")
        return found

    @cached_property
    def _updated(self) -> list[Word]:
        """The command with its options, after the indexes were fetched once."""
        require_tools("apt-get", "dpkg-deb")
        for name in ("state/lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        status = self._folder / "state" / "status"
        status.touch()
        command: list[Word] = ["apt-get", "-q"]
        for option in (
            "APT::Architecture=arm64",
            "APT::Architectures::=arm64",
            "APT::Architectures::=amd64",
            f"Dir::State={self._folder / 'state'}",
            f"Dir::State::status={status}",
            f"Dir::Cache={self._folder / 'cache'}",
            # As another user apt could not write into folders that belong to this one.
            "APT::Sandbox::User=root",
            "Debug::NoLocking=1",
        ):
            command += ["-o", option]
        run_tool([*command, "update"], _REMEDY)
        return command


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Unpack ``.deb`` files into a folder; their scripts are not run.

    Raises:
        ArmUnavailableError: one cannot be unpacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        run_tool(["dpkg-deb", "-x", package, folder], "free some disk space and try again")
