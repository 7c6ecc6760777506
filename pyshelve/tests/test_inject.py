"""A disk that fails under a running program: an error, never the end of the interpreter.

`strace` makes one kind of system call on the shelf's files fail, from the n-th on or once. The program
sees an `OSError` that says why, goes on reading, and ends in its own time; what it had been told was
stored is there when the disk works again.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rshelve

LONG = os.environ.get("RSHELVE_TEST_LONG") == "1"

#: What fails, with which errors; `mmap` and `fallocate` are those of the log and of the file's growth.
CALLS = {
    "pread64": ["EIO"],
    "pwritev": ["EIO", "ENOSPC"],
    "fdatasync": ["EIO", "ENOSPC"],
    "fallocate": ["EIO", "ENOSPC"],
    "mmap": ["EIO", "ENOMEM"],
    "ftruncate": ["EIO"],
}

PROGRAM = """
import sys, rshelve
path, durability = sys.argv[1:]
refused = None
stored = {}
try:
    with rshelve.open(path, cache_size="1MiB", durability=durability) as shelf:
        for step in range(400):
            key, value = f"row-{step % 90:03}", (step, "x" * (step * 37 % 5000))
            try:
                shelf[key] = value
            except OSError as error:
                refused = refused or error
                if len(str(error)) < 10:
                    raise
            else:
                stored[key] = value
                print(step, flush=True)
            if step % 50 == 49:
                try:
                    shelf.sync()
                except OSError as error:
                    refused = refused or error
            try:
                if stored and shelf[key] is None:
                    raise AssertionError(key)
            except KeyError:
                if key in stored:
                    raise
            except OSError as error:
                refused = refused or error
except OSError as error:
    refused = refused or error
print("end", refused, flush=True)
"""


def _strace_works(tmp_path: Path) -> str | None:
    """Why calls cannot be made to fail here, or None."""
    if shutil.which("strace") is None:
        return "there is no strace"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, cwd=tmp_path)
    return None if done.returncode == 0 else f"strace does not work: {done.stderr!r}"


def _run(path: str, durability: str, call: str, error: str, when: str) -> tuple[int, str | None]:
    """Run the program; the last step that it was told was stored, and what it was refused."""
    files = [path, *(f"{path}-wal{number:08}" for number in range(1, 6))]
    traced = [part for file in files for part in ("-P", file)]
    inject = f"inject={call}:error={error}:when={when}"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", *traced, "-e", f"trace={call}", "-e", inject]
    command += [sys.executable, "-c", PROGRAM, path, durability]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{inject}: {done.returncode}\n{done.stderr}"
    lines = done.stdout.split("\n")
    end = [line for line in lines if line.startswith("end ")]
    assert end, f"{inject}: {done.stdout[-500:]}"
    steps = [int(line) for line in lines if line.isdigit()]
    return (steps[-1] if steps else -1, None if end[0] == "end None" else end[0])


def test_failing_calls_are_errors_and_lose_nothing(tmp_path: Path) -> None:
    if reason := _strace_works(tmp_path):
        pytest.skip(reason)
    seed = int(os.environ.get("RSHELVE_TEST_SEED") or random.randrange(2**32))
    print(f"RSHELVE_TEST_SEED={seed}")
    rng = random.Random(seed)
    runs = refusals = 0
    for call, errors in CALLS.items():
        for error in errors:
            for _ in range(12 if LONG else 1):
                runs += 1
                durability = rng.choice(["sync", "process"])
                when = f"{rng.randrange(1, 12)}{rng.choice(['', '+'])}"
                what = f"{call} {error} {when} under {durability}, seed {seed}"
                path = str(tmp_path / f"spam-{runs}")
                last, refused = _run(path, durability, call, error, when)
                refusals += refused is not None
                print(f"{what}: {refused}")
                _check(path, last, what)
    print(f"{runs} runs, {refusals} with an error")
    assert refusals > runs // 3, "the calls hardly ever fail: are they the ones that the engine makes?"


def _check(path: str, last: int, what: str) -> None:
    """On a disk that works: each row is the last that was stored, or one that was refused after it."""
    with rshelve.open(path) as shelf:
        found = {key: value for key, value in shelf.items()}
    for key, (step, text) in found.items():
        assert key == f"row-{step % 90:03}", what
        assert text == "x" * (step * 37 % 5000), what
    for step in range(max(0, last - 89), last + 1):
        stored = found.get(f"row-{step % 90:03}")
        if step == last:
            assert stored is not None and stored[0] >= step, f"{what}: {step} is missing"
