"""Which architectures there are: every folder of this package that holds a model.py."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, cast

from torch import nn

from sigedge_runtime.errors import CheckpointError

_ROOT = Path(__file__).parent


def names() -> list[str]:
    """Names of all architectures, sorted."""
    return sorted(path.parent.name for path in _ROOT.glob("*/model.py"))


def folder(name: str) -> Path:
    """Folder of an architecture, with its recipe.yaml, parity.json and CARD.md.

    Raises:
        CheckpointError: there is no such architecture.
    """
    if name not in names():
        raise CheckpointError(f"There is no architecture named '{name}'; choose one of: {', '.join(names())}.")
    return _ROOT / name


def create(name: str, **config: Any) -> nn.Module:
    """A freshly initialised model.

    Args:
        name: an architecture out of `names()`.
        config: arguments of its `Model` class.

    Raises:
        CheckpointError: there is no such architecture, or the configuration does not fit it.
    """
    module = importlib.import_module(f"sigedge_models.{folder(name).name}")
    try:
        return cast(nn.Module, module.Model(**config))
    except TypeError as error:
        raise CheckpointError(f"The configuration {config} does not fit '{name}': {error}.") from error
