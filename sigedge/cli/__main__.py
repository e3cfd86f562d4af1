"""`python -m sigedge.cli` is `sigedge`."""

from __future__ import annotations

from sigedge.cli import main

main()
