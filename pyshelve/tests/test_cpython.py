"""CPython's own `test_shelve` and `test_dbm`, on every Python >= 3.11 of this machine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import rshelve
from interpreters import Interpreter, interpreters

_SUITE = Path(__file__).with_name("cpython_suite.py")


@pytest.mark.parametrize("python", interpreters(), ids=lambda python: python.name)
def test_cpython_suite_is_green(python: Interpreter, tmp_path: Path) -> None:
    if not python.has_tests:
        pytest.skip(f"Python {python.name} was packaged without its test package")
    if python.free_threaded:
        pytest.skip(f"Python {python.name} is free-threaded and cannot load an abi3 extension")
    # Only this package, and not what else is installed beside it, for another version.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "rshelve").symlink_to(Path(rshelve.__file__).parent)
    run = subprocess.run(
        [python.executable, "-W", "error::ResourceWarning", str(_SUITE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout.splitlines()[-1])
    assert counts["ran"] > 100
    assert counts["skipped"] == 0
    assert "Exception ignored" not in run.stderr
