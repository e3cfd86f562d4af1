"""Which architectures there are: every folder of this package that holds a model.py, and those of other packages."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from torch import nn

from sigedge_runtime.errors import CheckpointError

GROUP = "sigedge.models"
"""Entry points by which an installed distribution adds an architecture: its name, and a package like those here."""

_ROOT = Path(__file__).parent


def names() -> list[str]:
    """Names of all architectures, sorted."""
    return sorted(_packages())


def folder(name: str) -> Path:
    """Folder of an architecture, with its recipe.yaml, parity.json and CARD.md.

    Raises:
        CheckpointError: there is no such architecture.
    """
    spec = find_spec(_package(name))
    if spec is None or spec.origin is None:
        raise CheckpointError(f"The package of the architecture '{name}' cannot be found; install it again.")
    return Path(spec.origin).parent


def create(name: str, **config: Any) -> nn.Module:
    """A freshly initialised model.

    Args:
        name: an architecture out of `names()`.
        config: arguments of its `Model` class.

    Raises:
        CheckpointError: there is no such architecture, or the configuration does not fit it.
    """
    module = importlib.import_module(_package(name))
    try:
        return cast(nn.Module, module.Model(**config))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"The configuration {config} does not fit '{name}': {error}.") from error


def _packages() -> dict[str, str]:
    """The package of each architecture; one of this package cannot be replaced from outside."""
    own = {path.parent.name: f"sigedge_models.{path.parent.name}" for path in _ROOT.glob("*/model.py")}
    return {entry.name: entry.module for entry in entry_points(group=GROUP)} | own


def _package(name: str) -> str:
    packages = _packages()
    if name not in packages:
        raise CheckpointError(f"There is no architecture named '{name}'; choose one of: {', '.join(sorted(packages))}.")
    return packages[name]
