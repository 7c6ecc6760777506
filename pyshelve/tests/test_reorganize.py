"""The file shrinks when it is told to, beside readers and writers, and an interrupt loses nothing."""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest
import rshelve


def test_reorganize_makes_the_file_as_small_as_what_is_in_it(path: str) -> None:
    draw = random.Random(1)
    rows = {draw.randbytes(12).hex(): draw.randbytes(150) for _ in range(20_000)}
    raw_bytes = sum(len(key) + len(value) for key, value in rows.items())
    with rshelve.open(path) as shelf:
        for key, value in rows.items():
            shelf[key] = value
        for key in list(rows)[::2]:
            del shelf[key]
            raw_bytes -= len(key) + len(rows.pop(key))
        shelf.reorganize()
        # Pickling adds some 18 bytes to each value.
        assert os.stat(path).st_size < raw_bytes * 1.2
        assert dict(shelf.items()) == rows
    assert os.stat(path).st_size < raw_bytes * 1.2
    with rshelve.open(path, "r") as shelf:
        assert dict(shelf.items()) == rows


def test_reorganize_syncs_the_writeback_cache_first(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
        shelf.reorganize()
        assert not shelf.cache
    with rshelve.open(path, "r") as shelf:
        assert shelf["a"] == [1, 2]


def test_reorganize_of_a_shelf_that_only_reads_is_refused(path: str) -> None:
    rshelve.open(path).close()
    with rshelve.open(path, "r") as shelf, pytest.raises(rshelve.error):
        shelf.reorganize()


def test_reorganize_of_a_closed_shelf_is_a_value_error(path: str) -> None:
    shelf = rshelve.open(path)
    shelf.close()
    with pytest.raises(ValueError):
        shelf.reorganize()


def test_reorganize_leaves_a_mapping_without_such_a_method_alone() -> None:
    shelf = rshelve.Shelf({})
    shelf["a"] = 1
    shelf.reorganize()
    assert shelf["a"] == 1


def test_reorganize_runs_beside_readers_and_writers(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf.update((f"{number:05}", number) for number in range(20_000))
        for number in range(0, 20_000, 3):
            del shelf[f"{number:05}"]
        done = threading.Event()
        failures: list[BaseException] = []

        def work(remainder: int) -> None:
            try:
                while not done.is_set():
                    for number in range(remainder, 20_000, 300):
                        assert shelf[f"{number:05}"] % 20_000 == number
                        shelf[f"{number:05}"] += 20_000
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(remainder,)) for remainder in (1, 2)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            shelf.reorganize()
        done.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(shelf) == 20_000 - len(range(0, 20_000, 3))


def test_reorganize_stops_at_a_signal_that_raises(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf.update((f"{number:05}", b"egg" * 50) for number in range(20_000))
        before = dict(shelf.items())

        def interrupt(_number: int, _frame: object) -> None:
            raise InterruptedError("enough")

        old = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(InterruptedError):
                while True:
                    shelf.reorganize()
        finally:
            signal.signal(signal.SIGALRM, old)
        assert dict(shelf.items()) == before
