"""sigedge on a device: preprocessing, bundles, engines, templates and verdicts; needs numpy, OpenCV and one engine.

from sigedge_runtime import Verifier

with Verifier.open(store="templates.db") as verifier:
    verifier.enroll("ada", ["ada-1.png", "ada-2.png", "ada-3.png"])
    print(verifier.verify("ada", "questioned.png"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import Engine, EngineChoice
from sigedge_runtime.errors import (
    BundleError,
    BundleIntegrityError,
    EngineError,
    EngineUnavailableError,
    ErasurePendingError,
    ImageError,
    QualityError,
    SelftestError,
    SigedgeError,
    SigningError,
    StoreError,
    StoreKeyError,
    StoreLockedError,
    TemplateMismatchError,
    UnknownUserError,
)
from sigedge_runtime.images import ImageSource, read_image
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.preprocessing import Harmonised, PreprocessSpec, harmonise
from sigedge_runtime.quality import Quality, QualityIssue
from sigedge_runtime.results import Candidate, Embedding, Enrolment, Identification, Timings, Verdict
from sigedge_runtime.store import Gallery, StoredUser, TemplateStore
from sigedge_runtime.verifier import Verifier

if TYPE_CHECKING:
    from sigedge_runtime.guidance import Guidance
    from sigedge_runtime.network import Classification, Network
    from sigedge_runtime.selftest import SelftestReport

__all__ = [
    "Artifact",
    "Bundle",
    "BundleError",
    "BundleIntegrityError",
    "Candidate",
    "Classification",
    "Embedding",
    "Engine",
    "EngineChoice",
    "EngineError",
    "EngineUnavailableError",
    "Enrolment",
    "ErasurePendingError",
    "Gallery",
    "Guidance",
    "Harmonised",
    "Identification",
    "ImageError",
    "ImageSource",
    "Manifest",
    "Network",
    "PreprocessSpec",
    "Quality",
    "QualityError",
    "QualityIssue",
    "SelftestError",
    "SelftestReport",
    "SigedgeError",
    "SigningError",
    "StoreError",
    "StoreKeyError",
    "StoreLockedError",
    "StoredUser",
    "TemplateMismatchError",
    "TemplateStore",
    "Timings",
    "UnknownUserError",
    "Verdict",
    "Verifier",
    "harmonise",
    "read_image",
]

# What a verdict does not need is imported when it is first asked for: a device that verifies starts sooner without.
_LATER = {
    "Classification": "network",
    "Guidance": "guidance",
    "Network": "network",
    "SelftestReport": "selftest",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
