"""Runs a worker and watches it from outside, ten times a second."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rshelve.demo import stores

SAMPLE_SECONDS = 0.1


@dataclass
class Sample:
    """One look at a worker."""

    seconds: float
    memory_bytes: int
    file_bytes: int


@dataclass
class Run:
    """What one store did with one job."""

    job: str
    store: str
    records: int = 0
    complete: bool = True
    rates: dict[str, float] = field(default_factory=dict)
    file_bytes: int = 0
    durability: str = ""
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""

    @property
    def memory_growth_bytes(self) -> int:
        """How far the resident memory rose above what it was before the open."""
        return max((sample.memory_bytes for sample in self.samples), default=0)


def resident_bytes(pid: int) -> int:
    """What a process has in memory; 0 when it has gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return 0
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout
    return int(shown) * 1024 if shown.strip() else 0


def measure(
    job: str, store: str, folder: Path, arguments: list[str], progress: Callable[[str, int, int], None]
) -> Run:
    """Run `job` on `store` in a process of its own."""
    folder.mkdir(parents=True)
    run = Run(job, store)
    command = [sys.executable, "-m", "rshelve.demo.worker", job, store, str(folder / "spam"), *arguments]
    errors = folder.with_suffix(".errors")
    with open(errors, "w+") as err, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True) as worker:
        assert worker.stdout is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_pass_on, args=(worker.stdout, lines), daemon=True).start()
        _watch(run, worker.pid, folder, lines, progress)
        if worker.wait() != 0:
            err.seek(0)
            run.failure = (err.read().strip().splitlines() or [f"exit {worker.returncode}"])[-1]
    errors.unlink()
    run.file_bytes = stores.size_bytes(str(folder))
    return run


def _pass_on(lines: IO[str], to: queue.SimpleQueue[str | None]) -> None:
    for line in lines:
        to.put(line)
    to.put(None)


def _watch(
    run: Run,
    pid: int,
    folder: Path,
    lines: queue.SimpleQueue[str | None],
    progress: Callable[[str, int, int], None],
) -> None:
    """Take samples and read what the worker tells, until it ends."""
    began = base = 0.0
    phase, total = "start", 0
    due = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            due = time.monotonic() + SAMPLE_SECONDS
            if began and (memory := resident_bytes(pid)):
                seconds = time.monotonic() - began
                run.samples.append(Sample(seconds, max(0, int(memory - base)), stores.size_bytes(str(folder))))
            continue
        if line is None:
            return
        told: dict[str, Any] = json.loads(line)
        match told["event"]:
            case "baseline":
                began, base = told["at"], told["memory_bytes"]
                run.samples.append(Sample(0.0, 0, 0))
            case "phase":
                phase, total = told["name"], told["total"]
                progress(phase, 0, total)
            case "progress":
                progress(phase, told["done"], total)
            case "rate":
                run.rates[told["name"]] = told["count"] / max(told["seconds"], 1e-9)
                run.complete = run.complete and told["count"] == total
            case "stored":
                run.records = told["records"]
            case "closed":
                run.durability = told["durability"]
