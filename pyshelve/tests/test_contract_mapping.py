"""The contract's rows about the mapping: keys, values, errors, iteration, updates."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Iterator, KeysView

import pytest
import rshelve


@pytest.fixture(params=["plain", "writeback", "latin-1"])
def shelf(request: pytest.FixtureRequest, path: str) -> Iterator[rshelve.DbfilenameShelf]:
    """A shelf whose hot methods are native, and two whose are Python."""
    options = {"plain": {}, "writeback": {"writeback": True}, "latin-1": {"keyencoding": "latin-1"}}[request.param]
    with rshelve.open(path, **options) as shelf:
        yield shelf


def test_protocol_99_is_a_value_error_at_the_first_set(path: str) -> None:
    with rshelve.open(path, protocol=99) as shelf:
        with pytest.raises(ValueError):
            shelf["a"] = 1
        assert len(shelf) == 0


def test_missing_key_is_a_key_error_with_the_callers_key(shelf) -> None:
    key = "spam"
    for miss in (lambda: shelf[key], lambda: shelf.__delitem__(key), lambda: shelf.pop(key)):
        with pytest.raises(KeyError) as caught:
            miss()
        assert caught.value.args == ("spam",)
    assert shelf.pop(key, 5) == 5
    assert shelf.get(key) is None and shelf.get(key, 5) == 5


@pytest.mark.parametrize("key", [1, 1.0, b"spam", None, ("a",), ["a"]], ids=repr)
def test_key_of_another_type_is_both_errors_and_names_the_option(key: object, shelf) -> None:
    for use in (
        lambda: shelf[key], lambda: shelf.get(key), lambda: shelf.__setitem__(key, 1), lambda: shelf.__delitem__(key),
        lambda: key in shelf, lambda: shelf.pop(key), lambda: shelf.setdefault(key, 1), lambda: shelf.update({0: 1}),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="key=") as caught:
            use()
        assert isinstance(caught.value, AttributeError)
    assert len(shelf) == 0 and not shelf.cache


def test_bytes_shelf_takes_bytes_only(path: str) -> None:
    with rshelve.open(path, key="bytes") as shelf:
        shelf[b"\xff\x00"] = 1
        assert shelf[b"\xff\x00"] == 1 and list(shelf) == [b"\xff\x00"]
        with pytest.raises(rshelve.KeyTypeError, match="key='str'"):
            shelf["a"]


def test_lone_surrogate_key_is_a_unicode_encode_error(shelf) -> None:
    for use in (lambda: shelf["\ud800"], lambda: shelf.__setitem__("\ud800", 1), lambda: "\ud800" in shelf):
        with pytest.raises(UnicodeEncodeError):
            use()


def test_empty_and_nul_keys_are_allowed(shelf) -> None:
    shelf[""] = 0
    shelf["a\0b"] = 1
    shelf["\0"] = 2
    assert dict(shelf) == {"": 0, "\0": 2, "a\0b": 1}


def test_str_subclass_is_a_key(shelf) -> None:
    class Text(str):
        pass

    shelf[Text("a")] = 1
    assert shelf["a"] == 1 and shelf[Text("a")] == 1 and [type(key) for key in shelf] == [str]


def test_unpicklable_value_stores_nothing(shelf) -> None:
    shelf["a"] = 1
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        shelf["a"] = lambda: None
    assert shelf["a"] == 1 and len(shelf) == 1
    shelf.sync()


def test_get_is_one_lookup(path: str) -> None:
    class Counting(dict):
        lookups = 0

        def __getitem__(self, key):
            Counting.lookups += 1
            return super().__getitem__(key)

        def __contains__(self, key):
            Counting.lookups += 1
            return super().__contains__(key)

    shelf = rshelve.Shelf(Counting())
    shelf["a"] = 1
    assert shelf.get("a") == 1 and Counting.lookups == 1


def test_get_does_not_take_a_deserializers_key_error_for_a_miss(path: str) -> None:
    def loads(data: bytes) -> object:
        raise KeyError("inside")

    with rshelve.open(path, serializer=pickle.dumps, deserializer=loads) as shelf:
        shelf["a"] = 1
        with pytest.raises(KeyError, match="inside"):
            shelf.get("a", 5)
        with pytest.raises(KeyError, match="inside"):
            shelf.pop("a", 5)
        with pytest.raises(KeyError, match="inside"):
            shelf.popitem()
        assert len(shelf) == 1, "what cannot be read stays"


def test_iteration_is_in_key_order(shelf) -> None:
    for key in ("b", "é", "a", "B", "aa", ""):
        shelf[key] = key
    assert list(shelf) == ["", "B", "a", "aa", "b", "é"] == list(shelf.keys()) == list(shelf.values())
    assert list(reversed(shelf)) == list(shelf)[::-1]


def test_iteration_while_deleting_ends_empty(shelf) -> None:
    shelf.update({f"{i:05}": i for i in range(3000)})
    met = 0
    for key in shelf:
        del shelf[key]
        met += 1
    assert (met, len(shelf), list(shelf)) == (3000, 0, [])


@pytest.mark.parametrize("count", [1, 3, 5000])
def test_iteration_while_inserting_behind_the_end_ends(count: int, shelf) -> None:
    shelf.update({f"{i:05}": i for i in range(count)})
    numbers = itertools.count(count)
    met = [key for key in shelf if not shelf.__setitem__(f"{next(numbers):05}", 0)]
    assert met[:count] == [f"{i:05}" for i in range(count)]
    assert len(met) == count


def test_iteration_while_inserting_right_behind_ends(shelf) -> None:
    shelf.update({f"{i:05}": i for i in range(3000)})
    met = [key for key in shelf if not shelf.__setitem__(key + "\0", 0)]
    assert {f"{i:05}" for i in range(3000)} <= set(met) and met == sorted(met)


def test_iteration_backwards_while_inserting_before_the_start_ends(shelf) -> None:
    shelf.update({f"{i:05}": i for i in range(5000, 10_000)})
    numbers = itertools.count(4999, -1)
    met = [key for key in reversed(shelf) if not shelf.__setitem__(f"{next(numbers):05}", 0)]
    assert met == [f"{i:05}" for i in range(9999, 4999, -1)]


def test_iteration_that_can_never_catch_up_gives_up(path: str) -> None:
    with rshelve.open(path, durability="checkpoint") as shelf:
        shelf.update({"a": 0, **{f"m{i:02}": 0 for i in range(20)}, "z": 0})
        numbers = itertools.count()

        def run() -> None:
            for _ in shelf:
                shelf.update({f"n{next(numbers):08}": 0 for _ in range(5)})

        with pytest.raises(RuntimeError, match="faster than it moves on"):
            run()


def test_iteration_meets_what_is_written_ahead(shelf) -> None:
    shelf.update({f"{i:05}": i for i in range(3000)})
    walk = iter(shelf)
    assert next(walk) == "00000"
    shelf["02500x"] = 0
    del shelf["02501"]
    rest = list(walk)
    assert "02500x" in rest and "02501" not in rest and len(rest) == 2999


def test_iteration_is_lazy(path: str) -> None:
    """Rows are decoded as the walk comes to them, and few are read ahead."""
    loads = []

    def deserializer(data: bytes) -> object:
        loads.append(data)
        return pickle.loads(data)

    with rshelve.open(path, serializer=pickle.dumps, deserializer=deserializer) as shelf:
        shelf.update({f"{i:05}": i for i in range(3000)})
        walk = iter(shelf.items())
        assert loads == []
        assert [next(walk), next(walk)] == [("00000", 0), ("00001", 1)]
        assert len(loads) == 2


def test_views_are_the_standard_ones_and_reversible(shelf) -> None:
    shelf.update(a=1, b=2)
    keys, values, items = shelf.keys(), shelf.values(), shelf.items()
    assert isinstance(keys, KeysView) and keys & {"a", "x"} == {"a"}
    shelf["c"] = 3
    assert list(reversed(keys)) == ["c", "b", "a"] and list(reversed(values)) == [3, 2, 1]
    assert list(reversed(items)) == [("c", 3), ("b", 2), ("a", 1)]
    assert "c" in keys and 3 in values and 4 not in values and ("c", 3) in items and len(items) == 3
    assert list(keys) == list(keys), "a view can be walked again"


def test_equality_is_that_of_mappings(shelf) -> None:
    shelf.update(a=1, b=[2])
    assert shelf == {"b": [2], "a": 1} and shelf != {"a": 1} and bool(shelf)
    shelf.clear()
    assert shelf == {} and not shelf


def test_range_selects_by_bounds_and_prefix(shelf) -> None:
    shelf.update({key: key.upper() for key in ("a", "ab", "abc", "abd", "b", "é")})
    assert list(shelf.range()) == ["a", "ab", "abc", "abd", "b", "é"]
    assert list(shelf.range("ab", "b")) == ["ab", "abc", "abd"]
    assert list(shelf.range("abc")) == ["abc", "abd", "b", "é"]
    assert list(shelf.range(stop="ab")) == ["a"]
    assert list(shelf.range(prefix="ab", reverse=True)) == ["abd", "abc", "ab"]
    assert list(shelf.range("abc", prefix="ab").values()) == ["ABC", "ABD"]
    assert list(shelf.range(stop="abd", prefix="ab").items()) == [("ab", "AB"), ("abc", "ABC")]
    assert list(shelf.range(prefix="é")) == ["é"] and list(shelf.range("x", "b")) == []
    view = shelf.range(prefix="ab")
    assert list(view.keys()) == list(view) == ["ab", "abc", "abd"] == list(reversed(view))[::-1]
    assert list(reversed(view.values())) == ["ABD", "ABC", "AB"]


def test_range_by_prefix_of_0xff_has_no_end(path: str) -> None:
    with rshelve.open(path, key="bytes") as shelf:
        for key in (b"\xfe", b"\xff", b"\xff\xff", b"a\xff", b"a\xffz", b"b"):
            shelf[key] = 0
        assert list(shelf.range(prefix=b"\xff")) == [b"\xff", b"\xff\xff"]
        assert list(shelf.range(prefix=b"a\xff")) == [b"a\xff", b"a\xffz"]


def test_update_takes_what_the_standard_one_takes(shelf) -> None:
    class Keyed:
        def keys(self):
            return ["k"]

        def __getitem__(self, key):
            return key * 2

    shelf.update({"a": 1})
    shelf.update([("b", 2)], c=3)
    shelf.update(Keyed())
    shelf.update()
    assert dict(shelf) == {"a": 1, "b": 2, "c": 3, "k": "kk"}
    with pytest.raises(ValueError):
        shelf.update([(1, 2, 3)])


def test_update_is_all_or_nothing(shelf) -> None:
    shelf["a"] = 0
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        shelf.update([("a", 1), ("b", 2), ("c", lambda: None)])

    def failing():
        yield "a", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shelf.update(failing())
    assert dict(shelf) == {"a": 0}


def test_update_beyond_an_eighth_of_the_cache_is_a_run_of_batches(path: str) -> None:
    value = bytes(10_000)

    def many(shelf: rshelve.Shelf) -> Iterator[tuple[str, bytes]]:
        for i in range(100):
            yield f"{i:03}", value
        assert len(shelf) > 0, "the first batches are stored before the iterable ends"
        raise ZeroDivisionError

    with rshelve.open(path, cache_size="4MiB") as shelf:
        with pytest.raises(ZeroDivisionError):
            shelf.update(many(shelf))
        assert 0 < len(shelf) < 100
        assert list(shelf) == [f"{i:03}" for i in range(len(shelf))]


def test_update_runs_user_code_outside_of_locks(shelf) -> None:
    class Nosy:
        def __reduce__(self):
            shelf["seen"] = len(shelf)
            return (int, ())

    def pairs():
        for i in range(3):
            shelf[f"side{i}"] = list(shelf)
            yield f"{i}", Nosy()

    shelf.update(pairs())
    assert len(shelf) == 7 and shelf["side2"] == ["seen", "side0", "side1"]


def test_setdefault_pop_and_popitem(shelf) -> None:
    assert shelf.setdefault("a", [1]) == [1] and shelf.setdefault("a", [2]) == [1]
    assert shelf.setdefault("n") is None and "n" in shelf
    shelf["b"] = 2
    assert shelf.popitem() == ("a", [1])
    assert shelf.pop("b") == 2 and shelf.pop("n") is None
    with pytest.raises(KeyError):
        shelf.popitem()


def test_large_and_empty_values(shelf) -> None:
    for size in (0, 1, 1 << 14, 1 << 17, 3 << 20):
        shelf["k"] = b"\xa5" * size
        assert shelf["k"] == b"\xa5" * size


def test_user_code_may_use_the_shelf_while_it_is_pickled(shelf) -> None:
    class Nested:
        def __reduce__(self):
            shelf["inner"] = 1
            return (int, (shelf["inner"],))

    shelf["outer"] = Nested()
    assert shelf.get("inner") == 1 and "outer" in shelf


def test_shelf_over_a_plain_dict() -> None:
    mapping: dict[bytes, bytes] = {}
    with rshelve.Shelf(mapping) as shelf:
        shelf.update(b=1, a=2)
        assert list(shelf) == ["b", "a"] and list(reversed(shelf)) == ["a", "b"] and list(shelf.values()) == [1, 2]
        for key in shelf:
            del shelf[key]
        assert mapping == {}
        with pytest.raises(KeyError) as caught:
            shelf["zz"]
        assert caught.value.args == ("zz",)
        with pytest.raises(rshelve.KeyTypeError):
            shelf[1]


def test_bsd_shelf_passes_positions_on() -> None:
    class Positioned(dict):
        def first(self):
            return b"a", self[b"a"]

        last = previous = first

        def set_location(self, key):
            return b"a", self[b"a"]

        def __next__(self):
            return b"a", self[b"a"]

    shelf = rshelve.BsdDbShelf(Positioned())
    shelf["a"] = [1]
    for step in (shelf.first, shelf.last, shelf.next, shelf.previous, lambda: shelf.set_location("a")):
        assert step() == ("a", [1])


def test_hot_methods_keep_no_references(path: str) -> None:
    with rshelve.open(path) as shelf:
        key, value = "key" * 10, ["value"]
        before = sys.getrefcount(key), sys.getrefcount(value)
        for _ in range(100):
            shelf[key] = value
            shelf[key]
            key in shelf
            shelf.get(key, value)
            shelf.get("none", value)
            del shelf[key]
            with pytest.raises(KeyError):
                shelf[key]
        assert (sys.getrefcount(key), sys.getrefcount(value)) == before
