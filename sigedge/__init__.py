"""sigedge: off-line handwritten signature verification, from PyTorch to the edge.

This package holds what a workstation needs: data, synthesis, training, evaluation and the command line.
A device needs `sigedge_runtime` alone. Importing `sigedge` imports nothing heavy.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
