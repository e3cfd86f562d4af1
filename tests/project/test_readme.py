"""The README's examples run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from sigedge.evaluation.tables import update
from sigedge.synthesis import Synthesiser

EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


@pytest.fixture(scope="module")
def examples(readme: str) -> dict[str, str]:
    return dict(EXAMPLE.findall(readme))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the examples name."""
    signer = Synthesiser(900_004).signer(0)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"ada-{index + 1}.png"), signer.genuine(index).image)
    cv2.imwrite(str(tmp_path / "query.png"), signer.genuine(3).image)
    return tmp_path


@pytest.mark.parametrize("name", ["python", "device"])
def test_an_example_has_five_lines_and_accepts_a_genuine_signature(
    examples: dict[str, str], name: str, folder: Path
) -> None:
    code = examples[name]
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True")


def test_the_device_example_uses_the_runtime_alone(examples: dict[str, str]) -> None:
    assert set(re.findall(r"^(?:from|import) (\w+)", examples["device"], re.MULTILINE)) == {"sigedge_runtime"}


def test_every_link_into_the_repository_leads_somewhere(repository: Path) -> None:
    broken = []
    for page in [*repository.glob("*.md"), *(repository / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_the_commands_page_names_every_command(repository: Path) -> None:
    from sigedge.cli import app

    page = (repository / "docs" / "getting-started" / "commands.md").read_text()
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert all(f"sigedge {name}" in page for name in names)


def test_pages_name_only_make_targets_that_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    for page in [*repository.glob("*.md"), *(repository / "docs").rglob("*.md")]:
        named = re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", page.read_text(), re.MULTILINE)
        assert {first or second for first, second in named} <= targets


def test_every_generated_table_is_up_to_date(repository: Path) -> None:
    stale = update(repository, check=True)
    assert not stale, f"{[page.name for page in stale]}: run make docs-tables"
