"""Why nothing could be compared."""

from __future__ import annotations

from sigedge_runtime.errors import SigedgeError


class ArmUnavailableError(SigedgeError):
    """Arm cannot be emulated here: another kind of machine, a missing tool, no network. Nothing was proven wrong."""
