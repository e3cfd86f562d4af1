"""Names of files that do not get along on every file system."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable


def alike(names: Iterable[str]) -> list[str]:
    """Names that some file systems take for one another, folded: equal but for case or the way accents are composed."""
    folded = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    return sorted(name for name, count in folded.items() if count > 1)
