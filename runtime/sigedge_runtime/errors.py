"""Every error sigedge raises on purpose.

    SigedgeError
    ├── ImageError                 an image cannot be read, or is outside the limits
    ├── QualityError               an image was read, but shows no usable signature
    ├── BundleError                a bundle cannot be opened
    │   └── BundleIntegrityError   a file of a bundle is missing, extra or altered
    ├── SigningError               a signing key cannot be used
    ├── EngineError                an inference engine failed
    │   └── EngineUnavailableError no installed engine can run the artefact
    ├── SelftestError              a bundle does not reproduce its golden vectors
    ├── StoreError                 the template store failed
    │   ├── UnknownUserError
    │   ├── StoreLockedError
    │   ├── StoreKeyError          the key of an encrypted store is missing, wrong or unusable
    │   ├── ErasurePendingError    a user is removed, but the log still holds the bytes
    │   └── TemplateMismatchError  templates of another model or precision
    ├── DataError                  a data set, index or split is unusable
    ├── RecipeError                a training recipe or configuration is invalid
    ├── CheckpointError            weights cannot be loaded, or do not fit
    └── ExportError                a step of the chain failed
        └── ParityError            an artefact does not decide as the reference does

The text of each is one sentence that names the thing and says what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigedge_runtime.quality import Quality


class SigedgeError(Exception):
    """Base of all errors raised on purpose; the command line turns it into exit code 2."""


class ImageError(SigedgeError):
    """An image cannot be read, is of no supported format, or is outside the size limits."""


class QualityError(SigedgeError):
    """An image was read but shows no usable signature; `quality` says why."""

    def __init__(self, message: str, quality: Quality) -> None:
        super().__init__(message)
        self.quality = quality

    def __reduce__(self) -> tuple[type[QualityError], tuple[str, Quality]]:
        """What makes it again in another process."""
        return type(self), (str(self), self.quality)


class BundleError(SigedgeError):
    """A bundle cannot be opened: not a bundle, or its manifest is invalid."""


class BundleIntegrityError(BundleError):
    """A file of a bundle is missing, unexpected, or differs from its recorded SHA-256."""


class SigningError(SigedgeError):
    """A signing key cannot be read, written or used."""


class EngineError(SigedgeError):
    """An inference engine could not load or run an artefact."""


class EngineUnavailableError(EngineError):
    """No installed engine can run the artefact that was asked for."""


class SelftestError(SigedgeError):
    """A bundle does not reproduce its golden vectors here; it must not serve."""


class StoreError(SigedgeError):
    """The template store cannot be read or written."""


class UnknownUserError(StoreError):
    """No templates are enrolled for this user."""


class StoreLockedError(StoreError):
    """Another process holds the template store's lock."""


class StoreKeyError(StoreError):
    """The key of an encrypted template store is missing, wrong or cannot be used."""


class ErasurePendingError(StoreError):
    """What was removed is gone from the store, but its write-ahead log cannot be emptied yet."""


class TemplateMismatchError(StoreError):
    """Enrolled templates were made by another model, precision or preprocessing."""


class DataError(SigedgeError):
    """A data set, an index file or a split cannot be used."""


class RecipeError(SigedgeError):
    """A training recipe or another configuration value is invalid."""


class CheckpointError(SigedgeError):
    """A checkpoint cannot be loaded, or does not fit the architecture it names."""


class ExportError(SigedgeError):
    """A step of the export chain failed."""


class ParityError(ExportError):
    """An exported artefact does not decide as the reference model does."""
