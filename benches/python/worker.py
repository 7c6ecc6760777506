"""Measures one store in a process of its own; JSON of seconds by row on standard output.

Run by `bench`: ``python worker.py STORE VALUES RECORDS SEED FOLDER``, where VALUES is ``pickle`` (dicts
in and out) or ``bytes``.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import stores

THREADS = 4
#: A row of a store that is slow ends after about this long, and counts what it has done.
SECONDS_MAX = 30.0
PIECE = 1000


def record(number: int) -> dict[str, Any]:
    """About 300 bytes as a pickle."""
    draw = random.Random(number)
    return {
        "id": number,
        "name": f"{draw.getrandbits(64):016x}",
        "mail": f"{draw.getrandbits(96):024x}@example.org",
        "balance": draw.random(),
        "tags": [f"{draw.getrandbits(32):08x}" for _ in range(6)],
        "note": f"{draw.getrandbits(360):090x}",
    }


class PickleShelf:
    """What a user of a store of bytes writes to keep objects in it."""

    def __init__(self, store: Any) -> None:
        self.store, self.delete, self.close = store, store.delete, store.close
        self.durability: str = store.durability

    def set(self, key: str, value: Any) -> None:
        self.store.set(key, pickle.dumps(value))

    def get(self, key: str) -> Any:
        return pickle.loads(self.store.get(key))

    def items(self) -> Any:
        return ((key, pickle.loads(value)) for key, value in self.store.items())


class RshelveShelf:
    """The shelf itself."""

    durability = "process"

    def __init__(self, path: str) -> None:
        import rshelve

        self.db: Any = rshelve.open(path)
        self.set, self.get, self.delete = self.db.__setitem__, self.db.__getitem__, self.db.__delitem__
        self.items, self.close = self.db.items, self.db.close


class Floor:
    """No store: a dict, for what pickling alone costs."""

    durability = "none"
    kept: dict[str, dict[str, bytes]] = {}

    def __init__(self, path: str) -> None:
        self.db = self.kept.setdefault(path, {})
        self.set, self.get = self.db.__setitem__, self.db.__getitem__
        self.delete, self.items = self.db.__delitem__, self.db.items

    def close(self) -> None:
        pass


def opener(name: str, values: str, path: str) -> Callable[[], Any]:
    """What opens the store."""
    if name == "rshelve" and values == "pickle":
        return lambda: RshelveShelf(path)
    kind = Floor if name == "dict" else stores.STORES[name]
    return lambda: PickleShelf(kind(path)) if values == "pickle" else kind(path)


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_threads(
    parts: list[list[Any]], work: Callable[[list[Any]], Any]
) -> tuple[float, list[Any]]:
    """Each part is worked on by a thread of its own, a piece at a time, until all is done or the time is
    up. The seconds, and what was done."""
    failures: list[BaseException] = []
    done: list[list[Any]] = []
    ready = threading.Barrier(len(parts) + 1)

    def run(part: list[Any]) -> None:
        ready.wait()
        late = time.perf_counter() + SECONDS_MAX
        try:
            for begin in range(0, len(part), PIECE):
                piece = part[begin : begin + PIECE]
                work(piece)
                done.append(piece)
                if time.perf_counter() > late:
                    break
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    ready.wait()
    seconds = timed(lambda: [thread.join() for thread in threads])
    if failures:
        raise failures[0]
    return seconds, [item for piece in done for item in piece]


def measure(name: str, values: str, records: int, seed: int, folder: str) -> dict[str, Any]:
    """Every row of one store."""
    draw = random.Random(seed)
    keys = [f"{draw.getrandbits(64):016x}" for _ in range(records)]
    objects: list[Any] = [record(number) for number in range(records)]
    if values == "bytes":
        objects = [pickle.dumps(value) for value in objects]
    rows: dict[str, float] = {}
    for count in [1, THREADS] if name in stores.THREADED else [1]:
        open_store = opener(name, values, os.path.join(folder, f"{name}-{count}"))
        pairs = list(zip(keys, objects, strict=True))
        of_run, durability = one_run(open_store, pairs, count, draw)
        rows.update(of_run)
    version = "" if name == "dict" else stores.version(name)
    return {"rows": rows, "version": version, "durability": durability}


def one_run(
    open_store: Callable[[], Any], pairs: list[tuple[str, Any]], count: int, draw: random.Random
) -> tuple[dict[str, float], str]:
    """Fill, reopen, read and empty the store with so many threads; seconds by row, and what it promises."""
    rows: dict[str, float] = {}
    suffix = "" if count == 1 else f", {count} threads"

    def run(row: str, pairs: list[tuple[str, Any]], work: Callable[[list[Any]], Any]) -> list[Any]:
        seconds, done = in_threads([pairs[part::count] for part in range(count)], work)
        rows[row + suffix] = seconds * len(pairs) / len(done)
        return done

    began = time.perf_counter()
    store = open_store()
    if count == 1:
        rows["open, new"] = time.perf_counter() - began
    # The seconds of a row are those of all pairs.
    scale = len(pairs)
    pairs = run("set", pairs, lambda part: [store.set(key, value) for key, value in part])
    scale /= len(pairs)
    seconds = timed(store.close)
    if count == 1:
        rows["close"] = seconds
        began = time.perf_counter()
    store = open_store()
    if count == 1:
        rows["open"] = time.perf_counter() - began
    draw.shuffle(pairs)
    run("get", pairs, lambda part: [store.get(key) for key, _ in part])
    sampled = pairs[:: max(1, len(pairs) // 1000)]
    wrong = [key for key, value in sampled if store.get(key) != value]
    found: list[int] = []
    walks: list[list[Any]] = [[None] for _ in range(count)]
    rows["items" + suffix], _ = in_threads(walks, lambda part: found.append(sum(1 for _ in store.items())))
    draw.shuffle(pairs)
    gone = run("del", pairs, lambda part: [store.delete(key) for key, _ in part])
    left = sum(1 for _ in store.items()) - (len(pairs) - len(gone))
    store.close()
    if wrong or left or set(found) != {len(pairs)}:
        raise AssertionError(f"{len(wrong)} wrong, {left} left, {found} of {len(pairs)} walked")
    for row in rows:
        if row.split(",")[0] in ("get", "items", "del"):
            rows[row] *= scale
    return rows, store.durability


def main() -> None:
    name, values, records, seed, folder = sys.argv[1:]
    json.dump(measure(name, values, int(records), int(seed), folder), sys.stdout)


if __name__ == "__main__":
    main()
