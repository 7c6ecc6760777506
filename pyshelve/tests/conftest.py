"""What every test file shares: a place for a shelf."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The name of a shelf that does not exist yet, in a folder of its own."""
    return str(tmp_path / "spam")
