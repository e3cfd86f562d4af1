"""Fixtures and settings shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("NO_COLOR", "1")
# Fixtures of a wider scope than `user_cache` find no place to keep anything, and so measure nothing.
os.environ["SIGEDGE_CACHE"] = os.devnull

# The same examples every run, and no deadline: a busy machine must not fail a test.
settings.register_profile(
    "sigedge",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("sigedge")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the marker into the JUnit report, so that CI can tell which skips are not allowed."""
    for item in items:
        if item.get_closest_marker("research_data"):
            item.user_properties.append(("research_data", "true"))


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own: what one measured or passed must not spare another the work."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SIGEDGE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def research_data() -> Path:
    """The folder of the research data sets; the test is skipped with a reason where it is absent."""
    folder = Path(os.environ.get("SIGEDGE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "index.csv").is_file():
        pytest.skip(f"research data not found: {folder} holds no index.csv; set SIGEDGE_DATA to its folder")
    return folder
