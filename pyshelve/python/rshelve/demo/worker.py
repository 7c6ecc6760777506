"""The measured process: one store, one job. It tells its parent in lines of JSON."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rshelve.demo import jobs, stores
from rshelve.demo.measure import resident_bytes

_TELL_EVERY_SECONDS = 0.1


def tell(event: str, **facts: Any) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps({"event": event, "at": time.monotonic(), **facts}) + "\n")
    sys.stdout.flush()


class Phase:
    """Times one part of a job, tells how far it is, and ends it when its time is up."""

    def __init__(self, name: str, total: int, seconds_max: float) -> None:
        self.name = name
        self.total = total
        self.seconds_max = seconds_max

    def run(
        self, items: Iterable[Any], operation: Callable[[Any], Any], check: Callable[[Any, Any], None] | None = None
    ) -> int:
        """Call `operation` with each item; returns how many there was time for.

        Only the operation is timed; making the items and checking the results is not the store's
        work.
        """
        tell("phase", name=self.name, total=self.total)
        clock = time.perf_counter
        told = clock()
        seconds = 0.0
        done = 0
        for item in items:
            began = clock()
            result = operation(item)
            ended = clock()
            seconds += ended - began
            done += 1
            if check is not None:
                check(item, result)
            if ended - told >= _TELL_EVERY_SECONDS:
                tell("progress", done=done)
                told = ended
                if seconds > self.seconds_max:
                    break
        tell("rate", name=self.name, count=done, seconds=seconds)
        return done


def _mismatch(key: object) -> None:
    raise SystemExit(f"the value at {key!r} is not the one that was stored")


def classic(name: str, path: str, count: int, seconds_max: float) -> None:
    """Random keys: store all, read all in another order, walk through all."""
    paragraphs = jobs.Paragraphs(count)
    kind = stores.KINDS[name]
    tell("baseline", memory_bytes=resident_bytes(os.getpid()))
    with kind.open(path, True) as store:

        def put(record: tuple[Any, str]) -> None:
            store[record[0]] = record[1]

        def check(key: Any, value: str) -> None:
            raw = key if kind.bytes_keys else key.encode("latin-1")
            if value != paragraphs.value(raw):
                _mismatch(key)

        records = ((stores.key_for(name, key), paragraphs.value(key)) for key in paragraphs.keys)
        stored = Phase("set", count, seconds_max).run(records, put)
        kind.commit(store)
        tell("stored", records=stored)
        order = [stores.key_for(name, key) for key in paragraphs.keys[:stored]]
        random.Random(1).shuffle(order)
        Phase("get", stored, seconds_max).run(order, store.__getitem__, check)
        del order
        walk = iter(store.items())
        Phase("scan", stored, seconds_max).run(range(stored), lambda _: next(walk), lambda _, pair: check(*pair))
    tell("closed", durability=stores.durability(name, path))


def corpus(name: str, path: str, source: Path, count: int, seconds_max: float) -> None:
    """Source files by path: store all, read all at random, read all by folder in key order."""
    kind = stores.KINDS[name]
    prints: dict[str, int] = {}
    tell("baseline", memory_bytes=resident_bytes(os.getpid()))
    with kind.open(path, False) as store:

        def put(record: tuple[str, dict[str, Any]]) -> None:
            store[record[0]] = record[1]

        def note(record: tuple[str, dict[str, Any]], _: None) -> None:
            prints[record[0]] = jobs.fingerprint(record[1])

        def check(path: str, record: dict[str, Any]) -> None:
            if jobs.fingerprint(record) != prints[path]:
                _mismatch(path)

        stored = Phase("set", count, seconds_max).run(jobs.read_corpus(source), put, note)
        kind.commit(store)
        tell("stored", records=stored)
        order = list(prints)
        random.Random(1).shuffle(order)
        Phase("get", stored, seconds_max).run(order, store.__getitem__, check)
        _read_by_prefix(name, store, prints, check, seconds_max)
    tell("closed", durability=stores.durability(name, path))


def _read_by_prefix(
    name: str, store: Any, prints: dict[str, int], check: Callable[[str, Any], None], seconds_max: float
) -> None:
    """Folder after folder, each in the order of its keys; whatever is missing or astray is an error."""
    folders = defaultdict(list)
    for path in sorted(prints):
        folders[jobs.prefix_of(path)].append(path)
    expected = [path for keys in folders.values() for path in keys]
    pairs = (pair for prefix, keys in folders.items() for pair in stores.in_order(name, store, prefix, keys))

    def look(path: str, pair: tuple[str, Any]) -> None:
        if pair[0] != path:
            raise SystemExit(f"{name} gave {pair[0]!r} where {path!r} is next in key order")
        check(*pair)

    done = Phase("scan", len(expected), seconds_max).run(expected, lambda _: next(pairs), look)
    if done == len(expected) and next(pairs, None) is not None:
        raise SystemExit(f"{name} gave more than was stored")


def main() -> None:
    """``worker JOB STORE PATH COUNT SECONDS [CORPUS]``"""
    job, name, path, count, seconds_max, *source = sys.argv[1:]
    if job == "classic":
        classic(name, path, int(count), float(seconds_max))
    else:
        corpus(name, path, Path(source[0]), int(count), float(seconds_max))


if __name__ == "__main__":
    main()
