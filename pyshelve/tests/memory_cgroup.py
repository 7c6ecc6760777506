"""A memory cgroup of a given size, where this system lets one be made and keeps to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

_HOG = "import sys; sys.stdin.read(1); held = bytearray(b'x' * (96 << 20)); print(len(held))"
_CONTROL_BYTES = 48 << 20


class Unavailable(Exception):
    """No memory cgroup can be made here; the text says why."""


def _base() -> tuple[Path, str]:
    """The folder under which to make one, and the name of its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/"), "memory.limit_in_bytes"
        if not controllers and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup") / path.lstrip("/"), "memory.max"
    raise Unavailable("there is no memory controller")


@contextlib.contextmanager
def _group(limit_bytes: int) -> Iterator[Path]:
    base, limit = _base()
    folder = base / f"rshelve-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
    except OSError as why:
        raise Unavailable(f"cannot make one under {base}: {why.strerror}") from None
    try:
        try:
            (folder / limit).write_text(str(limit_bytes))
        except OSError as why:
            raise Unavailable(f"cannot limit one: {why.strerror}") from None
        with contextlib.suppress(OSError):
            (folder / "memory.swap.max").write_text("0")
        yield folder
    finally:
        folder.rmdir()


def run_limited(command: list[str], limit_bytes: int, *, input: str = "") -> subprocess.CompletedProcess[str]:
    """Run `command` in a memory cgroup; it gets a byte on standard input once it is inside."""
    with _group(limit_bytes) as folder:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, **pipes) as child:
            try:
                (folder / "cgroup.procs").write_text(str(child.pid))
            except OSError as why:
                child.kill()
                child.communicate()
                raise Unavailable(f"cannot move a process into one: {why.strerror}") from None
            out, err = child.communicate("x" + input)
        return subprocess.CompletedProcess(command, child.returncode, out, err)


def check_enforced() -> None:
    """Raise Unavailable unless a process that takes twice its group's memory dies of it."""
    if not os.path.exists("/proc/self/cgroup"):
        raise Unavailable("this system has no cgroups")
    if run_limited([sys.executable, "-c", _HOG], _CONTROL_BYTES).returncode == 0:
        raise Unavailable("a process may take more than its group's limit here")
