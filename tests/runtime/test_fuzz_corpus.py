"""What coverage-guided fuzzing starts from, and how its harness speaks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sigedge.fuzzing.cases import CASES
from sigedge.fuzzing.corpus import write_corpus, write_dictionary
from sigedge.fuzzing.mutations import DICTIONARY
from sigedge.fuzzing.targets import TARGETS
from sigedge_runtime._headers import read_header
from sigedge_runtime.errors import DataError


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_corpus_is_the_same_each_time_and_every_target_takes_it(target: str, tmp_path: Path) -> None:
    assert write_corpus(target, tmp_path / "a") == write_corpus(target, tmp_path / "b") >= 20
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert {TARGETS[target](data).split(" ")[0] for data in list(files.values())[:5]} <= {"read", "written", "refused"}


def test_every_target_has_cases() -> None:
    assert {target for target, _ in CASES.values()} == set(TARGETS)
    with pytest.raises(DataError, match=r"no target 'sounds'; use one of: bundle"):
        write_corpus("sounds", Path("nowhere"))


def test_images_of_every_format_are_in_the_corpus(tmp_path: Path) -> None:
    write_corpus("image", tmp_path)
    headers = [read_header(path.read_bytes()) for path in tmp_path.iterdir()]
    assert {header.format for header in headers if header and header.complete} == {"png", "jpeg", "bmp", "tiff", "webp"}


def test_the_dictionary_is_as_libfuzzer_reads_it(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "words.dict")
    lines = (tmp_path / "words.dict").read_text().splitlines()
    assert len(lines) == len(DICTIONARY)
    assert all(re.fullmatch(r'"(\\x[0-9a-f]{2})+"', line) for line in lines)
    assert bytes.fromhex(lines[0][1:-1].replace("\\x", "")) == DICTIONARY[0]


def test_the_harness_says_what_to_install(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "atheris.py").write_text("raise ModuleNotFoundError('atheris')\n")
    code = f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path(sys.argv[1], run_name='__main__')"
    script = str(repository / "benchmarks" / "fuzz" / "harness.py")
    done = subprocess.run([sys.executable, "-c", code, script, "image"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().startswith('Error: atheris is not installed; pip install "sigedge[fuzz]"')
