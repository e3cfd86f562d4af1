"""What a model says of its own export, in the optional file ``export.json`` beside its network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sigedge_export.reference import model_folder
from sigedge_runtime.errors import ExportError

FILE = "export.json"
MIXED = "mixed-tflite"
NO_FLOAT_LAYERS = f"the model's {FILE} names no float_layers, the layers to keep in float"


@dataclass(frozen=True)
class ExportOptions:
    """Exceptions of one architecture.

    Attributes:
        not_offered: artefacts that are not made, as ``<precision>-<format>``, and why.
        float_layers: layers that a mixed-precision file keeps in float, by the name of the output tensor that the
            float32 TFLite file gives them.
    """

    not_offered: Mapping[str, str] = field(default_factory=dict)
    float_layers: tuple[str, ...] = ()


def load_options(architecture: str, network: str | None = None) -> ExportOptions:
    """The options of an architecture; a mixed-precision file is not offered until float layers are named.

    Args:
        architecture: folder of `sigedge_models`.
        network: which one of a system of several, each with its own ``export-NETWORK.json``.

    Raises:
        CheckpointError: there is no such architecture.
        ExportError: the file is damaged or has an unknown entry.
    """
    path = model_folder(architecture) / (FILE if network is None else f"export-{network}.json")
    options = _parse(path) if path.is_file() else ExportOptions()
    if options.float_layers:
        return options
    return ExportOptions({MIXED: NO_FLOAT_LAYERS, **options.not_offered})


def _parse(path: Path) -> ExportOptions:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        options = ExportOptions(**data)
        if not all(isinstance(text, str) for text in (*options.not_offered.values(), *options.float_layers)):
            raise TypeError("reasons and layers must be texts")
        return ExportOptions(dict(options.not_offered), tuple(options.float_layers))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ExportError(
            f"{path} cannot be read ({error}); it holds not_offered, which maps '<precision>-<format>' to a reason, "
            "and float_layers, a list of names."
        ) from None
