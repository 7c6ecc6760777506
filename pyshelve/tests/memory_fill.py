"""Fill a shelf far beyond its cache in random key order, then read all of it; run by test_memory.

Prints how far the resident memory rose above what it was before the open, sampled all the while.
"""

import json
import random
import sys
import threading
from pathlib import Path

import rshelve

_VALUE_BYTES = 1000


def resident_bytes() -> int:
    """What the system says that this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS")


class Sampler(threading.Thread):
    """Watches the resident memory, fifty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.highest = resident_bytes()
        self.done = threading.Event()
        self.samples = 0

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.highest = max(self.highest, resident_bytes())
            self.samples += 1


def value_of(number: int) -> bytes:
    """A value that does not compress and need not be remembered."""
    return random.Random(number).randbytes(_VALUE_BYTES)


def main(path: str, cache_bytes: int, times: int, seed: int) -> None:
    """Fill with `times` the cache, read all, and report."""
    sys.stdin.read(1)
    count = times * cache_bytes // _VALUE_BYTES
    rng = random.Random(seed)
    numbers = list(range(count))
    sampler = Sampler()
    sampler.start()
    with rshelve.open(path, "n", cache_size=cache_bytes) as shelf:
        rng.shuffle(numbers)
        for number in numbers:
            shelf[f"{number * 2654435761 % 2**32:08x}"] = value_of(number)
        filled = sampler.highest
        rng.shuffle(numbers)
        for number in numbers:
            assert shelf[f"{number * 2654435761 % 2**32:08x}"] == value_of(number), number
        assert sum(1 for _ in shelf) == len(shelf) == count
    sampler.done.set()
    sampler.join()
    report = {
        "rows": count,
        "growth": sampler.highest - sampler.before,
        "growth_fill": filled - sampler.before,
        "before": sampler.before,
        "samples": sampler.samples,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
