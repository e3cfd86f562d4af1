"""Where a coverage-guided fuzzer starts from: sound and damaged files, made by seed."""

from __future__ import annotations

from pathlib import Path

from sigedge.fuzzing.cases import CASES
from sigedge.fuzzing.mutations import DICTIONARY, checksum
from sigedge.fuzzing.samples import image_files
from sigedge_runtime.errors import DataError

FILES_A_KIND = 40


def write_corpus(target: str, folder: Path, seed: int = 0) -> int:
    """Write the first cases of every kind that a target is given, and sound images; return how many files there are.

    Raises:
        DataError: no cases are made for the target.
    """
    kinds = [make for name, make in CASES.values() if name == target]
    if not kinds:
        raise DataError(
            f"There is no target {target!r}; use one of: {', '.join(sorted({n for n, _ in CASES.values()}))}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = [make(seed, number) for make in kinds for number in range(FILES_A_KIND)]
    if target == "image":
        files += [data for group in image_files(seed).values() for data in group]
    for data in files:
        (folder / checksum(data)).write_bytes(data)
    return len(list(folder.iterdir()))


def write_dictionary(path: Path) -> None:
    """Write the words that decoders branch on, as libFuzzer reads them."""
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in DICTIONARY)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
