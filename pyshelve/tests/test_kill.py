"""``kill -9`` at random moments: what was acknowledged is there, and no half transaction.

The writer reports each acknowledged store through a pipe. After the kill the shelf is opened and
compared with what the writer, which is a function of its seed, had said it did.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rshelve

KILLS = 50
BATCH = 7
_OPEN_SECONDS_MAX = 10.0

WRITER = """
import random, sys, rshelve
path, step, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
shelf = rshelve.open(path, cache_size="8MiB")
while True:
    rng = random.Random(step)
    body = "x" * rng.randrange(2000)
    if step % 3 == 0:
        shelf.update({f"batch-{n}": (step, body) for n in range(batch)})  # one transaction
    elif step % 3 == 1:
        shelf[f"row-{rng.randrange(500):04}"] = (step, body)
    else:
        shelf.pop(f"row-{rng.randrange(500):04}", None)
    if step % 97 == 0:
        shelf.sync()
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
    step += 1
"""


class Model:
    """What the shelf holds after the steps so far."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, str]] = {}
        self.next_step = 0

    def step_up_to(self, last: int) -> None:
        for step in range(self.next_step, last + 1):
            rng = random.Random(step)
            body = "x" * rng.randrange(2000)
            if step % 3 == 0:
                self.rows.update({f"batch-{n}": (step, body) for n in range(BATCH)})
            elif step % 3 == 1:
                self.rows[f"row-{rng.randrange(500):04}"] = (step, body)
            else:
                self.rows.pop(f"row-{rng.randrange(500):04}", None)
        self.next_step = last + 1


def _write_until_killed(path: str, start: int, seconds: float) -> int:
    """Run the writer from step `start`, kill it after a while; the last acknowledged step."""
    command = [sys.executable, "-c", WRITER, path, str(start), str(BATCH)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        # The clock starts at the first report, so that each run gets to write.
        acknowledged = writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read()
    whole = acknowledged[: acknowledged.rfind(b"\n") + 1].split()
    assert whole, "the writer died before it wrote"
    return int(whole[-1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_kill_loses_nothing_that_was_acknowledged(path: str) -> None:
    seed = int(os.environ.get("RSHELVE_TEST_SEED") or random.randrange(2**32))
    print(f"RSHELVE_TEST_SEED={seed}")
    rng = random.Random(seed)
    model = Model()
    for kill in range(KILLS):
        last = _write_until_killed(path, model.next_step, rng.random() ** 3 * 0.5)
        began = time.monotonic()
        with rshelve.open(path, "w" if kill % 2 else "r", cache_size="8MiB") as shelf:
            opened_in = time.monotonic() - began
            found = dict(shelf)
            rows = len(shelf)
        assert opened_in < _OPEN_SECONDS_MAX
        assert rows == len(found)
        # The step after the last acknowledged one may have been done, whole, or not at all.
        model.step_up_to(last)
        if found != model.rows:
            model.step_up_to(last + 1)
        assert found == model.rows, f"kill {kill}, seed {seed}: after step {last}"
    assert [name.name for name in Path(path).parent.iterdir()] == ["spam"], "sidecars go at a clean close"
