"""The Pythons of this machine that the extension supports."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PROBE = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:3],
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "cpython": sys.implementation.name == "cpython",
    "home": os.path.realpath(sys.base_prefix),
    "has_tests": all(importlib.util.find_spec("test") and importlib.util.find_spec("test." + name)
                     for name in ("test_shelve", "test_dbm", "mapping_tests")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that could run the extension."""

    executable: str
    version: tuple[int, ...]
    free_threaded: bool
    has_tests: bool

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")


def _candidates() -> list[str]:
    names = ["python3", *(f"python3.{minor}{t}" for minor in range(11, 30) for t in ("", "t"))]
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted((pyenv / "versions").glob("*/bin"))
    found = [str(folder / name) for folder in folders for name in names if os.access(folder / name, os.X_OK)]
    return [sys.executable, *found]


@functools.cache
def interpreters() -> list[Interpreter]:
    """Each CPython >= 3.11 on the path or under pyenv, once, oldest first."""
    found: dict[tuple[object, ...], Interpreter] = {}
    for executable in dict.fromkeys(_candidates()):
        probe = subprocess.run([executable, "-c", _PROBE], capture_output=True, text=True)
        if probe.returncode != 0:
            continue  # a shim for a version that is not switched on
        facts = json.loads(probe.stdout)
        version = tuple(facts["version"])
        if version >= (3, 11) and facts["cpython"]:
            key = (version, facts["free_threaded"], facts["home"])
            one = Interpreter(executable, version, facts["free_threaded"], facts["has_tests"])
            found.setdefault(key, one)
    return sorted(found.values(), key=lambda one: (one.version, one.free_threaded))
