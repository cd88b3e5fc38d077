"""A copy of deploy/, and of the lock that it installs from, that a test may break."""

import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("local", "var"))
    shutil.copy(REPOSITORY / "uv.lock", tmp_path)
    return tmp_path
