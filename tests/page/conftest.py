"""A fixture of the page's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def runs(tiny_runs: Path, tmp_path: Path) -> Path:
    """A copy of the tiny runs, to be changed."""
    return Path(shutil.copytree(tiny_runs, tmp_path / "runs"))
