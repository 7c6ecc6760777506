"""`rshelve.dbm`: its native methods, and what they hand on to Python."""

from __future__ import annotations

import dbm
from pathlib import Path
from typing import Any

import pytest
import rshelve.dbm


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "spam")


def test_keys_and_values_are_bytes_or_text(path: str) -> None:
    with rshelve.dbm.open(path, "c") as db:
        db[b"a"], db["b"], db["\N{SNOWMAN}"], db[b""] = b"1", "2", bytearray(b"3"), memoryview(b"4")
        assert [db["a"], db[b"b"], db["\N{SNOWMAN}".encode()], db[""]] == [b"1", b"2", b"3", b"4"]
        assert (db.get("a"), db.get(b"none"), db.get("none", 5)) == (b"1", None, 5)
        assert "a" in db and b"b" in db and "none" not in db
        del db["a"], db[b"b"]
        assert len(db) == 2
        with pytest.raises(KeyError) as caught:
            db["none"]
        assert caught.value.args == ("none",)
        with pytest.raises(KeyError):
            del db[b"none"]


@pytest.mark.parametrize("key", [1, None, bytearray(b"a"), ("a",)])
def test_other_types_are_refused(path: str, key: Any) -> None:
    with rshelve.dbm.open(path, "c") as db:
        db["a"] = b"1"
        for refused in (
            lambda: db[key], lambda: db.get(key), lambda: key in db,
            lambda: db.__setitem__(key, b"2"), lambda: db.__delitem__(key),
        ):
            with pytest.raises(TypeError, match="keys of a database are bytes or str"):
                refused()
        with pytest.raises(TypeError, match="values of a database are bytes or str"):
            db["a"] = 1
        assert list(db.items()) == [(b"a", b"1")]


def test_closed_and_read_only_databases_say_so(path: str) -> None:
    with rshelve.dbm.open(path, "c") as db:
        db["a"] = "1"
    for refused in (
        lambda: db["a"], lambda: db.get("a"), lambda: "a" in db,
        lambda: db.__setitem__("a", "2"), lambda: db.__delitem__("a"), lambda: list(db.items()),
    ):
        with pytest.raises(dbm.error, match="already been closed"):
            refused()
    with rshelve.dbm.open(path, "r") as db:
        assert db["a"] == b"1"
        with pytest.raises(dbm.error, match="reading only"):
            db["a"] = "2"
        with pytest.raises(dbm.error, match="reading only"):
            del db["a"]


def test_views_are_in_the_order_of_keys(path: str) -> None:
    with rshelve.dbm.open(path, "c") as db:
        for number in range(3000):
            db[f"{number:05}"] = str(number)
        keys = [f"{number:05}".encode() for number in range(3000)]
        values = [str(number).encode() for number in range(3000)]
        assert db.keys() == keys
        assert list(db.values()) == values
        assert list(db.items()) == list(zip(keys, values, strict=True))
        assert list(reversed(db.items())) == list(zip(keys, values, strict=True))[::-1]
        assert list(reversed(db.values())) == values[::-1]
        assert len(db.items()) == 3000
        assert (b"00007", b"7") in db.items() and (b"00007", b"8") not in db.items()
        assert b"2999" in db.values()


def test_subclasses_may_override(path: str) -> None:
    class Loud(rshelve.dbm.Database):
        def __getitem__(self, key: Any) -> Any:
            return super().__getitem__(key).upper()

    store = rshelve.dbm.open(path, "c").store
    with Loud(store) as db:
        db["a"] = "spam"
        assert db["a"] == b"SPAM"
        assert db.get("a") == b"spam"
