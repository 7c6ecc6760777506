"""Any thread may use a shelf, and several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import rshelve


def _run(*works: Callable[[], None]) -> None:
    """Run each in a thread; the first error of any is raised here."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as why:
            errors.append(why)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_shelf_of_another_thread_can_be_used_and_closed(path: str) -> None:
    shelf = rshelve.open(path)

    def work() -> None:
        shelf["a"] = 1
        assert dict(shelf) == {"a": 1}
        shelf.close()

    _run(work)
    with rshelve.open(path, "r") as again:
        assert again["a"] == 1


def test_threads_write_their_own_keys(path: str) -> None:
    with rshelve.open(path, cache_size="4MiB") as shelf:

        def write(name: int) -> Callable[[], None]:
            def work() -> None:
                for i in range(1000):
                    shelf[f"{name}-{i:04}"] = [name, i]
                    assert shelf[f"{name}-{i:04}"] == [name, i]
                    if i % 3 == 0:
                        del shelf[f"{name}-{i:04}"]

            return work

        _run(*map(write, range(6)))
        expected = {f"{n}-{i:04}": [n, i] for n in range(6) for i in range(1000) if i % 3}
        assert len(shelf) == len(expected) and dict(shelf) == expected


def test_threads_share_keys_and_each_pop_wins_once(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf.update({f"{i:04}": i for i in range(2000)})
        popped: list[tuple[str, int]] = []

        def pop_any() -> None:
            while True:
                try:
                    popped.append(shelf.popitem())
                except KeyError:
                    return

        def pop_each() -> None:
            for i in range(2000):
                value = shelf.pop(f"{i:04}", None)
                if value is not None:
                    popped.append((f"{i:04}", value))

        _run(pop_any, pop_each, pop_any, pop_each)
        assert sorted(popped) == [(f"{i:04}", i) for i in range(2000)]
        assert len(shelf) == 0


def test_threads_race_setdefault_and_one_wins(path: str) -> None:
    with rshelve.open(path) as shelf:
        for round in range(50):
            seen: list[int] = []
            gate = threading.Barrier(4)

            def work(mine: int) -> Callable[[], None]:
                def run() -> None:
                    gate.wait()
                    seen.append(shelf.setdefault(f"{round}", mine))

                return run

            _run(*map(work, range(4)))
            assert len(set(seen)) == 1 and shelf[f"{round}"] == seen[0]


def test_threads_share_an_iterator(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf.update({f"{i:05}": i for i in range(5000)})
        walk = iter(shelf)
        met: list[str] = []
        _run(*[lambda: met.extend(walk)] * 4)
        assert sorted(met) == [f"{i:05}" for i in range(5000)]


def test_iteration_beside_writers_meets_what_stays(path: str) -> None:
    with rshelve.open(path, cache_size="4MiB") as shelf:
        shelf.update({f"{i:04}-stay": i for i in range(1000)})
        done = threading.Event()

        def churn() -> None:
            i = 0
            while not done.is_set():
                shelf[f"{i % 1000:04}-{i}"] = "x" * 100
                shelf.pop(f"{(i - 500) % 1000:04}-{i - 500}", None)
                i += 1

        def read() -> None:
            try:
                for _ in range(10):
                    keys = list(shelf)
                    assert keys == sorted(set(keys))
                    assert sum(key.endswith("-stay") for key in keys) == 1000
            finally:
                done.set()

        _run(churn, read)


def test_close_beside_readers_and_writers_is_a_value_error_for_them(path: str) -> None:
    shelf = rshelve.open(path)
    shelf.update({f"{i}": i for i in range(100)})
    gate = threading.Barrier(4)

    def use() -> None:
        gate.wait()
        try:
            while True:
                for i in range(100):
                    shelf[f"{i}"] = i
                    assert shelf[f"{i}"] == i
        except ValueError as why:
            assert str(why) == "invalid operation on closed shelf"

    def close() -> None:
        gate.wait()
        shelf.close()

    _run(use, use, use, close)
    with rshelve.open(path, "r") as again:
        assert dict(again) == {f"{i}": i for i in range(100)}


def test_open_and_close_race_leaves_one_engine(path: str) -> None:
    def work(name: int) -> Callable[[], None]:
        def run() -> None:
            for i in range(30):
                with rshelve.open(path) as shelf:
                    shelf[f"{name}-{i}"] = i

        return run

    _run(*map(work, range(4)))
    with rshelve.open(path, "r") as shelf:
        assert len(shelf) == 120


def test_writeback_from_threads_keeps_one_object_per_key(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = []
    with rshelve.open(path, writeback=True) as shelf:
        gate = threading.Barrier(4)

        def work() -> None:
            gate.wait()
            for _ in range(100):
                shelf["a"].append(1)

        _run(*[work] * 4)
    with rshelve.open(path) as shelf:
        assert len(shelf["a"]) == 400


def test_updates_of_the_same_keys_wait_for_each_other(path: str) -> None:
    """Batches in opposite orders, and stores between them: nobody is refused, each batch is whole."""
    names = [f"key-{number}" for number in range(2000)]
    with rshelve.open(path) as shelf:

        def update(worker: int) -> None:
            keys = names if worker % 2 else names[::-1]
            for turn in range(5):
                shelf.update((key, (worker, turn)) for key in keys)

        def store(worker: int) -> None:
            for name in names:
                shelf[f"{name}-{worker}"] = worker
                shelf[name] = (worker, 0)

        _run(*(partial(update, number) for number in range(3)), partial(store, 3))
        shelf.update((key, "last") for key in names)
        assert {shelf[name] for name in names} == {"last"}
        assert len(shelf) == 2 * len(names)
