"""Memory stays bounded, whatever the shelf's size."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import memory_cgroup
import pytest

CACHE_BYTES = 24 << 20
TIMES = 6
GROWTH_BYTES_MAX = int(CACHE_BYTES * 1.2) + (64 << 20)

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")


def _command(path: str) -> list[str]:
    seed = int(os.environ.get("RSHELVE_TEST_SEED") or random.randrange(2**32))
    print(f"RSHELVE_TEST_SEED={seed}")
    fill = str(Path(__file__).with_name("memory_fill.py"))
    return [sys.executable, fill, path, str(CACHE_BYTES), str(TIMES), str(seed)]


@needs_proc
def test_fill_and_random_reads_stay_within_the_bound(path: str) -> None:
    run = subprocess.run(_command(path), input="x", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    print(report)
    assert os.path.getsize(path) >= 5 * CACHE_BYTES
    assert report["samples"] > 10
    assert report["growth"] < GROWTH_BYTES_MAX, report


@needs_proc
def test_fill_and_random_reads_survive_a_memory_cgroup(path: str) -> None:
    try:
        memory_cgroup.check_enforced()
    except memory_cgroup.Unavailable as why:
        pytest.skip(f"no memory cgroup: {why}")
    # The interpreter's own memory comes on top of what the shelf may take.
    before = subprocess.run([sys.executable, "-c", _OWN_BYTES], capture_output=True, text=True, check=True)
    run = memory_cgroup.run_limited(_command(path), GROWTH_BYTES_MAX + int(before.stdout))
    assert run.returncode == 0, f"exit {run.returncode}: {run.stderr}"


_OWN_BYTES = """
import json, random, threading, rshelve
from pathlib import Path
numbers = list(range(%d))
print(next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines()
           if line.startswith("VmRSS:")))
""" % (TIMES * CACHE_BYTES // 1000)
