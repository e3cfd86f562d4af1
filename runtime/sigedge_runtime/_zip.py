"""Unpacking a zip file that nobody vouches for."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn

from sigedge_runtime._names import alike
from sigedge_runtime.errors import BundleError
from sigedge_runtime.manifest import is_safe_path

MAX_BYTES = 512 * 2**20
MAX_RATIO = 200
MAX_ENTRIES = 10_000
BLOCK = 1 << 16

# bzip2 and LZMA streams are expanded without bound by Python's zip reader, whatever size an entry declares.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def extract_zip(path: Path, target: Path) -> None:
    """Unpack a zip file into an empty folder.

    Refuses names that leave the folder or are equal but for their case, links, encryption, compression other than
    deflate, and archives that unpack to more than `MAX_BYTES` or to more than `MAX_RATIO` times their size. Sizes are
    the declared ones; unpacking goes block by block and stops where a stream holds more than its entry declares.

    Raises:
        BundleError: the file is no zip file, is damaged or is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_sizes(path, entries)
            _check_names(path, entries)
            for entry in entries:
                _check_kind(path, entry)
                _extract(archive, entry, target / entry.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, IndexError, NotImplementedError, ValueError) as error:
        # Python's zip reader looks at the last letter of a name that may be empty.
        raise BundleError(f"{path} is not a bundle: no intact zip file ({error}); copy it again.") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be unpacked ({error}); check its permissions and the free space.") from None


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, location: Path) -> None:
    location.parent.mkdir(parents=True, exist_ok=True)
    # Block by block: a read of a whole entry would expand its stream first and cut it to the declared size afterwards.
    with archive.open(entry) as source, location.open("xb") as sink:
        shutil.copyfileobj(source, sink, BLOCK)


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_BYTES:
        _refuse(path, f"it unpacks to {len(entries)} files of {unpacked / 2**20:.0f} MB in total")
    if unpacked > MAX_RATIO * max(1, path.stat().st_size):
        _refuse(path, f"it unpacks to more than {MAX_RATIO} times its size")


def _check_names(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    # orig_filename: ZipInfo turns backslashes into slashes and cuts at a zero byte.
    for entry in entries:
        if not is_safe_path(entry.orig_filename):
            _refuse(path, f"the name {entry.orig_filename!r} leaves its folder")
    if doubled := alike(entry.filename for entry in entries):
        _refuse(path, f"it holds {doubled[0]!r} twice")


def _check_kind(path: Path, entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        _refuse(path, f"{entry.filename!r} is a link or a device")
    if entry.flag_bits & 0x1:
        _refuse(path, f"{entry.filename!r} is encrypted")
    if entry.compress_type not in _METHODS:
        _refuse(path, f"{entry.filename!r} is compressed by method {entry.compress_type}, neither stored nor deflated")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise BundleError(f"{path} is refused: {reason}; get the bundle from where it was exported.")
