"""The contract's rows about ``writeback=True``, and the flaws that are not copied."""

from __future__ import annotations

import pickle

import pytest
import rshelve


class Stubborn:
    """An object that can be made impossible to pickle."""

    refuses = False

    def __init__(self, items: list[int]) -> None:
        self.items = items

    def __reduce__(self):
        if Stubborn.refuses:
            raise ZeroDivisionError("refused")
        return (Stubborn, (self.items,))


@pytest.fixture(autouse=True)
def _willing():
    Stubborn.refuses = False
    yield
    Stubborn.refuses = False


def test_writeback_writes_through_at_once_and_caches(path: str) -> None:
    value = [1]
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = value
        assert shelf.dict[b"a"] == pickle.dumps([1])
        assert shelf["a"] is value and shelf.cache == {"a": value}


def test_writeback_reads_cache_until_sync(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = [1]
    with rshelve.open(path, writeback=True) as shelf:
        first = shelf["a"]
        assert shelf["a"] is first and shelf.get("a") is first and next(iter(shelf.values())) is first
        first.append(2)
        shelf.sync()
        assert shelf.cache == {} and shelf["a"] is not first and shelf["a"] == [1, 2]


def test_writeback_writes_changes_at_close(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
        assert shelf.setdefault("b", []) == []
        shelf["b"].append(3)
        shelf.update(c=[])
        shelf["c"].append(4)
    with rshelve.open(path) as shelf:
        assert dict(shelf) == {"a": [1, 2], "b": [3], "c": [4]}


def test_without_writeback_changes_in_place_are_lost(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
        assert shelf["a"] == [1]


def test_writeback_writes_only_what_changed(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf.update(a=[1], b=[2], c={"x": ("y", "y")})
    with rshelve.open(path, writeback=True) as shelf, rshelve.open(path) as other:
        for key in shelf:
            shelf[key]
        shelf["b"].append(3)
        other["a"] = ["from another handle"]
        shelf.sync()
        assert dict(other) == {"a": ["from another handle"], "b": [2, 3], "c": {"x": ("y", "y")}}


def test_read_only_writeback_closes_when_nothing_changed(path: str) -> None:
    shared = "".join(["sha", "red"])
    with rshelve.open(path) as shelf:
        shelf["a"] = {"k": [shared, shared], "f": 1.5, "s": {1, 2, 3}}
    shelf = rshelve.open(path, "r", writeback=True)
    assert shelf["a"]["f"] == 1.5
    shelf.close()


def test_read_only_writeback_raises_when_something_changed(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = []
    shelf = rshelve.open(path, "r", writeback=True)
    shelf["a"].append(1)
    with pytest.raises(OSError):
        shelf.close()
    with pytest.raises(ValueError):
        shelf["a"]
    shelf.close()


def test_writeback_delete_and_pop_forget_the_cache(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf.update(a=[1], b=[2], c=[3])
        value = shelf["b"]
        del shelf["a"]
        assert shelf.pop("b") is value and shelf.popitem() == ("c", [3])
        assert shelf.cache == {} and len(shelf) == 0
        shelf.sync()
        assert len(shelf) == 0


def test_writeback_clear_empties_both(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = [1]
        shelf.clear()
        assert shelf.cache == {} and len(shelf) == 0
    with rshelve.open(path) as shelf:
        assert len(shelf) == 0


def test_failed_sync_keeps_writeback_and_what_is_unwritten(path: str) -> None:
    shelf = rshelve.open(path, writeback=True)
    shelf["a"] = Stubborn([1])
    shelf["b"] = [1]
    shelf["a"].items.append(2)
    shelf["b"].append(2)
    Stubborn.refuses = True
    with pytest.raises(ZeroDivisionError):
        shelf.sync()
    assert shelf.writeback and list(shelf.cache) == ["a"]
    with rshelve.open(path) as other:
        assert other["b"] == [1, 2], "what could be written was"
    with pytest.raises(ZeroDivisionError):
        shelf.close()
    with pytest.raises(ValueError):
        len(shelf)
    shelf.close()
    Stubborn.refuses = False
    with rshelve.open(path) as shelf:
        assert shelf["a"].items == [1]


def test_failed_sync_can_be_mended(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = Stubborn([1])
        shelf["a"].items.append(2)
        Stubborn.refuses = True
        with pytest.raises(ZeroDivisionError):
            shelf.sync()
        Stubborn.refuses = False
        shelf.sync()
        assert shelf.cache == {}
    with rshelve.open(path) as shelf:
        assert shelf["a"].items == [1, 2]


def test_writeback_keeps_no_key_of_a_wrong_type(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        for key in (1, None, b"a"):
            with pytest.raises(TypeError):
                shelf[key] = []
        assert shelf.cache == {}


def test_writeback_keeps_no_value_that_cannot_be_pickled(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            shelf["a"] = lambda: None
        assert shelf.cache == {} and "a" not in shelf


def test_writeback_can_be_switched(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = [1]
        shelf.writeback = True
        shelf["a"].append(2)
        assert shelf["a"] == [1, 2]
        shelf.sync()
        shelf.writeback = False
        shelf["a"].append(3)
        assert shelf["a"] == [1, 2]
