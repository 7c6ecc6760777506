"""Every example runs, and the types say what the code does."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import rshelve

_MODULES = ["rshelve", *(module.name for module in pkgutil.walk_packages(rshelve.__path__, "rshelve."))]
_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [name for name in _MODULES if "__main__" not in name and ".demo" not in name])
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_examples_are_there() -> None:
    finder = doctest.DocTestFinder()
    examples = [len(test.examples) for name in _MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(examples) >= 15


def _mypy(*arguments: str) -> None:
    run = subprocess.run([sys.executable, "-m", *arguments], cwd=_ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_package_passes_mypy_strict() -> None:
    _mypy("mypy", "--strict", str(_ROOT / "pyshelve" / "python" / "rshelve"))


def test_user_code_gets_types(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import rshelve, shelve

def take(s: shelve.Shelf[int]) -> None: ...

with rshelve.open("spam", cache_size="64MiB") as s:
    take(s)
    n: int = len(s)
    for key, value in s.range(prefix="a").items():
        print(key, value)
error: type[OSError] = rshelve.error
d: rshelve.DbfilenameShelf[int] = rshelve.open("x", key="bytes")
total: int = sum(d.values()) + d["a"] + d.pop("b")
"""
    )
    _mypy("mypy", "--strict", str(program))


def test_stub_matches_the_extension() -> None:
    _mypy("mypy.stubtest", "rshelve._rshelve")
