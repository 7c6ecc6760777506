"""The contract's rows about the life of a handle: with, close, del, copy, pickle, exit."""

from __future__ import annotations

import copy
import gc
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
import weakref

import pytest
import rshelve

CLOSED = "^invalid operation on closed shelf$"


def test_with_closes_and_does_not_roll_back(path: str) -> None:
    with pytest.raises(ZeroDivisionError), rshelve.open(path) as shelf:
        shelf["a"] = 1
        raise ZeroDivisionError
    with pytest.raises(ValueError, match=CLOSED):
        shelf["a"]
    with rshelve.open(path) as shelf:
        assert shelf["a"] == 1


@pytest.mark.parametrize("writeback", [False, True])
def test_use_after_close_is_a_value_error(writeback: bool, path: str) -> None:
    shelf = rshelve.open(path, writeback=writeback)
    shelf.update({f"{i}": i for i in range(100)})
    keys, items, part = iter(shelf), iter(shelf.items()), iter(shelf.range("0").values())
    next(keys), next(items), next(part)
    shelf.close()
    for use in (
        lambda: shelf["0"], lambda: shelf.get("0"), lambda: shelf.__setitem__("0", 1), lambda: shelf.__delitem__("0"),
        lambda: len(shelf), lambda: iter(shelf), lambda: "0" in shelf, lambda: bool(shelf), lambda: shelf == {},
        lambda: shelf.pop("0"), lambda: shelf.popitem(), lambda: shelf.setdefault("0"), lambda: shelf.clear(),
        lambda: shelf.update(a=1), lambda: next(keys), lambda: next(items), lambda: next(part),
        lambda: list(shelf.keys()), lambda: list(shelf.values()), lambda: list(shelf.items()), lambda: reversed(shelf),
        lambda: list(shelf.range()),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=CLOSED):
            use()


def test_some_things_succeed_after_close(path: str) -> None:
    shelf = rshelve.open(path)
    shelf.close()
    shelf.sync()
    shelf.close()
    shelf.keys()
    assert "closed" in repr(shelf)
    assert repr(shelf.dict) == "<Closed Dictionary>"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not say which files are open")
def test_closed_shelf_that_is_kept_holds_no_file_and_no_memory(path: str) -> None:
    def held() -> list[str]:
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        files = [os.readlink(link) for link in links if os.path.lexists(link)]
        with open("/proc/self/maps") as maps:
            return [file for file in [*files, *maps] if path in file]

    def mapped_bytes() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize:"))

    before = mapped_bytes()
    shelf = rshelve.open(path, cache_size=256 << 20)
    shelf.update({f"{i}": "x" * 500 for i in range(1000)})
    items = iter(shelf.items())
    next(items)
    assert held()
    # The cache's pages lie in one reservation, where the system has huge pages to give.
    reserved = mapped_bytes() - before
    shelf.close()
    assert held() == []
    if reserved > 256 << 20:
        assert mapped_bytes() - before < reserved - (256 << 20)
    del items


def test_close_syncs_first(path: str) -> None:
    calls = []

    class Mapping(dict):
        def sync(self):
            calls.append("sync")

        def close(self):
            calls.append("close")

    shelf = rshelve.Shelf(Mapping())
    shelf.close()
    shelf.close()
    assert calls == ["sync", "close"]


def test_del_closes_persists_and_warns(path: str) -> None:
    shelf = rshelve.open(path)
    shelf["a"] = 1
    with pytest.warns(ResourceWarning, match="unclosed.*spam"):
        del shelf
        gc.collect()
    with rshelve.open(path, "n"):
        pass


def test_del_writes_back(path: str) -> None:
    shelf = rshelve.open(path, writeback=True)
    shelf["a"] = []
    shelf["a"].append(1)
    with pytest.warns(ResourceWarning):
        del shelf
        gc.collect()
    with rshelve.open(path) as shelf:
        assert shelf["a"] == [1]


def test_del_is_silent_after_close_and_after_a_failed_init(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rshelve.open(path).close()
        for arguments in ({"flag": "x"}, {"serializer": str}, {"cache_size": "?"}, {"key": "int"}):
            with pytest.raises(Exception):
                rshelve.open(path, **arguments)
        with pytest.raises(OSError):
            rshelve.open(path + "/no/folder")
        rshelve.DbfilenameShelf.__new__(rshelve.DbfilenameShelf)
        gc.collect()


def test_shelf_in_a_cycle_is_collected(path: str) -> None:
    class Codec:
        def dumps(self, obj: object, protocol: int) -> bytes:
            return pickle.dumps(obj)

        def loads(self, data: bytes) -> object:
            return pickle.loads(data)

    codec = Codec()
    shelf = rshelve.open(path, serializer=codec.dumps, deserializer=codec.loads)
    codec.shelf = shelf
    walk = iter(shelf.values())
    codec.walk = walk
    shelf.close()
    gone = weakref.ref(codec)
    del codec, shelf, walk
    gc.collect()
    assert gone() is None


def test_copy_is_refused(path: str) -> None:
    with rshelve.open(path) as shelf:
        for make in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="copied"):
                make(shelf)
            with pytest.raises(TypeError, match="copied"):
                make(rshelve.Shelf({}))
        shelf["a"] = 1


def test_pickled_shelf_reopens_by_path_and_options(path: str) -> None:
    with rshelve.open(path, "n", protocol=2, key="bytes", cache_size="32MiB", durability="sync") as shelf:
        shelf[b"a"] = 1
        with pickle.loads(pickle.dumps(shelf)) as twin:
            assert twin[b"a"] == 1 and twin._protocol == 2
            twin[b"b"] = 2
        assert shelf[b"b"] == 2
    with pytest.raises(TypeError, match="closed"):
        pickle.dumps(shelf)


def test_pickled_shelf_reaches_a_worker_process(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 41
    with rshelve.open(path, "r") as shelf, multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_value_plus_one, (shelf,)) == 42


def _value_plus_one(shelf: rshelve.DbfilenameShelf) -> int:
    with shelf:
        return shelf["a"] + 1


def _run(program: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "always", "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_exit_closes_silently_and_persists(path: str) -> None:
    run = _run(
        """
        import sys, rshelve
        class Holder: pass
        kept = Holder(); kept.me = kept
        kept.shelf = rshelve.open(sys.argv[1], writeback=True)
        kept.shelf["a"] = []
        kept.shelf["a"].append(1)
        sys.modules["kept for ever"] = kept
        walk = iter(kept.shelf)
        """,
        path,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert os.listdir(os.path.dirname(path)) == ["spam"], "a clean close leaves the one file"
    with rshelve.open(path, "r") as shelf:
        assert shelf["a"] == [1]


def test_exit_closes_what_a_daemon_thread_holds(path: str) -> None:
    """Its frame is never taken down, so nothing would be collected."""
    run = _run(
        """
        import sys, threading, rshelve
        def hold(shelf, held):
            shelf["a"] = []
            shelf["a"].append(1)
            held.set()
            threading.Event().wait()
        held = threading.Event()
        shelf = rshelve.open(sys.argv[1], writeback=True)
        threading.Thread(target=hold, args=(shelf, held), daemon=True).start()
        held.wait()
        """,
        path,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert os.listdir(os.path.dirname(path)) == ["spam"]
    with rshelve.open(path, "r") as shelf:
        assert shelf["a"] == [1]


def test_exit_with_an_exception_persists(path: str) -> None:
    run = _run(
        """
        import sys, rshelve
        shelf = rshelve.open(sys.argv[1])
        shelf["a"] = 1
        raise SystemExit(3)
        """,
        path,
    )
    assert (run.returncode, run.stderr) == (3, "")
    with rshelve.open(path, "r") as shelf:
        assert shelf["a"] == 1


FORK = """
    import json, os, sys, warnings, rshelve
    warnings.simplefilter("ignore", DeprecationWarning)
    path = sys.argv[1]
    shelf = rshelve.open(path, writeback=True)
    plain = rshelve.open(path)
    plain["a"] = 1
    shelf["b"] = []
    shelf["b"].append(1)
    walk = iter(plain)
    next(walk)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = {}
        for name, use in {
            "get": lambda: plain["a"], "set": lambda: plain.__setitem__("a", 2), "len": lambda: len(plain),
            "next": lambda: next(walk), "iter": lambda: list(plain), "in": lambda: "a" in plain,
            "sync": plain.sync, "update": lambda: plain.update(a=3), "writeback": shelf.sync,
        }.items():
            try:
                said[name] = repr(use())
            except rshelve.error as why:
                said[name] = "refused" if "fork" in str(why) else str(why)
        plain.close()
        with rshelve.open(path + "-child") as mine:
            mine["c"] = 1
            said["own"] = mine["c"]
        del shelf, plain
        os.write(write, json.dumps(said).encode())
        sys.exit(0)
    os.close(write)
    print(os.read(read, 10_000).decode())
    assert os.waitpid(pid, 0)[1] == 0
    plain["z"] = 26
    shelf.close()
    assert plain["b"] == [1] and plain["a"] == 1, dict(plain)
    plain.close()
    """


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_use_after_fork_is_refused_and_harmless(path: str) -> None:
    run = _run(FORK, path)
    assert (run.returncode, run.stderr) == (0, "")
    said = json.loads(run.stdout)
    assert said.pop("own") == 1
    assert set(said.values()) == {"refused"}, said
    with rshelve.open(path, "r") as shelf:
        assert dict(shelf) == {"a": 1, "b": [1], "z": 26}
