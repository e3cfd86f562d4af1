"""Results of hops kept by the content of all they depend on, so that an unchanged hop never runs twice."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from sigedge_export.plan import Conversion
from sigedge_runtime.bundle import hash_file, hash_tree
from sigedge_runtime.errors import ExportError

PROJECT = ("sigedge_export", "sigedge_models", "sigedge_runtime")
CONTENT, SUM = "content", "sha256"


class HopCache:
    """A folder of results; safe to share between exports that run at the same time, and to remove at any moment.

    Args:
        folder: made when something is stored.
        code: folders whose Python sources belong to every step that reads the checkpoint: the network itself, which
            the steps import by a name that stands in the checkpoint.
    """

    def __init__(self, folder: Path, code: Sequence[Path] = ()) -> None:
        self._folder, self._code = folder.resolve(), tuple(code)

    def key(self, conversion: Conversion) -> str:
        """SHA-256 over the step, its code, its tools, its arguments and the content of its inputs."""
        recipe = conversion.recipe
        sources = [*project_sources(f"sigedge_export.steps.{recipe.step}")]
        if recipe.source is None:
            sources += [path for folder in self._code for path in sorted(folder.rglob("*.py"))]
        facts = {
            "step": recipe.step,
            "writes": recipe.writes,
            "arguments": conversion.arguments,
            "inputs": {option: _hash(path) for option, path in conversion.inputs.items()},
            "code": [hash_file(path) for path in sources],
            "tools": {tool: _version(tool) for tool in recipe.tools},
            "platform": [platform.python_version(), platform.machine()],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def fetch(self, key: str, destination: Path) -> bool:
        """Copy a result to `destination`; False when there is none. A damaged one is removed.

        Raises:
            ExportError: the cache cannot be read.
        """
        entry = self._entry(key)
        try:
            if (entry / SUM).read_text(encoding="ascii") == _hash(entry / CONTENT):
                _copy(entry / CONTENT, destination)
                return True
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            pass
        except OSError as error:
            raise self._unusable(error) from None
        shutil.rmtree(entry, ignore_errors=True)
        return False

    def store(self, key: str, source: Path) -> None:
        """Keep a copy of a result, all at once.

        Raises:
            ExportError: the cache cannot be written to.
        """
        entry = self._entry(key)
        scratch: Path | None = None
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".storing-", dir=entry.parent))
            _copy(source, scratch / CONTENT)
            (scratch / SUM).write_text(_hash(scratch / CONTENT), encoding="ascii")
            if not entry.exists():
                scratch.rename(entry)
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)

    def _entry(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _unusable(self, error: OSError) -> ExportError:
        return ExportError(
            f"The cache of hops in {self._folder} cannot be used ({error.strerror or error}); name another folder with "
            "--cache, or go without by --no-cache."
        )


def project_sources(module: str) -> Iterator[Path]:
    """The source file of a module, and of every module of this project that it imports, directly or not."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or (path := _source(name)) is None:
            continue
        seen.add(name)
        yield path
        waiting += _imports(path)


def _source(module: str) -> Path | None:
    """Where a module's source is; None for a name that an import takes out of a module."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted({name for name in names if name.partition(".")[0] in PROJECT}, reverse=True)


def _hash(path: Path) -> str:
    return hash_tree(path) if path.is_dir() else hash_file(path)


def _copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, destination)
    else:
        shutil.copyfile(source, destination)


def _version(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return "missing"
