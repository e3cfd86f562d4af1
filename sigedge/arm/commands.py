"""Running the tools of others, whose failures end in one sentence."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sigedge.arm.errors import ArmUnavailableError
from sigedge_runtime.errors import SigedgeError

Word = str | Path


def require_tools(*names: str) -> None:
    """Ask for programs by name.

    Raises:
        ArmUnavailableError: one is not installed.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise ArmUnavailableError(
            f"Arm cannot be emulated without {' and '.join(missing)}; run this on Debian, or install "
            f"{'it' if len(missing) == 1 else 'them'}."
        )


def run_tool(
    command: Sequence[Word],
    remedy: str,
    environment: Mapping[str, str] | None = None,
    failure: type[SigedgeError] = ArmUnavailableError,
) -> str:
    """Run a program and return what it printed.

    Args:
        command: program and arguments.
        remedy: what a person can do when it fails.
        environment: variables in place of this process's; None keeps them.
        failure: what its failing is; by default that nothing can be compared.

    Raises:
        ArmUnavailableError: it cannot be started.
        SigedgeError: it fails, as the class `failure`; the sentence holds its last complaint.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ArmUnavailableError(f"{words[0]} cannot be run ({error}); {remedy}.") from None
    if done.returncode != 0:
        raise failure(f"{Path(words[0]).name} failed ({last_complaint(done.stderr)}); {remedy}.")
    return done.stdout


def last_complaint(text: str) -> str:
    """The last line that says what went wrong, without what follows from it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("e:", "error"))]
    return (errors or lines or ["it says nothing"])[-1][:300].rstrip(".")
