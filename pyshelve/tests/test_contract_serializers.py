"""The contract's rows about serializers."""

from __future__ import annotations

import json
import os
import pathlib
import pickle

import pytest
import rshelve


def dumps(obj: object, protocol: int) -> str:
    return json.dumps([protocol, obj])


def loads(data: bytes) -> object:
    assert type(data) is bytes
    return json.loads(data)[1]


@pytest.fixture(params=["file", "writeback", "dict"])
def make(request: pytest.FixtureRequest, path: str):
    """Something that makes a shelf with a serializer."""

    def make(**options):
        if request.param == "dict":
            return rshelve.Shelf({}, **options)
        return rshelve.open(path, writeback=request.param == "writeback", **options)

    return make


def test_serializer_gets_object_and_protocol(make) -> None:
    with make(serializer=dumps, deserializer=loads, protocol=3) as shelf:
        shelf["a"] = {"b": [1, "é"]}
        shelf.sync()
        assert shelf.dict[b"a"] == dumps({"b": [1, "é"]}, 3).encode()
        assert shelf["a"] == {"b": [1, "é"]} and dict(shelf) == {"a": {"b": [1, "é"]}}
        assert shelf.setdefault("c", 1) == 1 and shelf.pop("c") == 1
        shelf.update(d=2)
        assert shelf.get("d") == 2


@pytest.mark.parametrize("one", [{"serializer": dumps}, {"deserializer": loads}], ids=["serializer", "deserializer"])
def test_serializers_come_in_pairs(one: dict, make) -> None:
    with pytest.raises(rshelve.ShelveError, match="serializer and deserializer must be defined together"):
        make(**one)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_serializer_may_return_any_bytes(kind: type, make) -> None:
    with make(serializer=lambda obj, protocol: kind(pickle.dumps(obj)), deserializer=lambda data: (type(data), pickle.loads(data))) as shelf:
        shelf["a"] = [1]
        shelf.cache.clear()
        assert shelf["a"] == (bytes, [1])


@pytest.mark.parametrize("result", [None, 5, [1]], ids=repr)
def test_serializer_that_returns_no_bytes_raises_at_set(result: object, make) -> None:
    with make(serializer=lambda obj, protocol: result, deserializer=loads) as shelf:
        with pytest.raises(TypeError, match="serializer"):
            shelf["a"] = 1
        assert "a" not in shelf and not shelf.cache


def test_serializer_name_is_recorded(path: str) -> None:
    with rshelve.open(path, serializer=pickle.dumps, deserializer=pickle.loads) as shelf:
        shelf["a"] = 1
    with rshelve.open(path) as shelf:
        assert shelf["a"] == 1
    with pytest.raises(rshelve.error, match="serializer 'pickle'.*serializer 'custom'"):
        rshelve.open(path, serializer=dumps, deserializer=loads)
    with rshelve.open(path + "2", serializer=dumps, deserializer=loads) as shelf:
        shelf["a"] = 1
    with pytest.raises(rshelve.error, match="serializer 'custom'.*serializer 'pickle'"):
        rshelve.open(path + "2")


class Bomb:
    """Something whose pickle makes a folder when it is read."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_values_of_another_serializer_never_reach_pickle(path: str, tmp_path: pathlib.Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "pickle was run"))
    with rshelve.open(path, serializer=lambda obj, protocol: bomb, deserializer=bytes) as shelf:
        shelf["a"] = 1
        assert shelf["a"] == bomb
        with pytest.raises(rshelve.error, match="serializer 'custom'.*serializer 'pickle'"):
            rshelve.open(path)
    with rshelve.dbm.open(path + "2", "c") as db:
        db["a"] = bomb
    for file in (path, path + "2"):
        for flag in "rwc":
            for key in ("str", "bytes"):
                with pytest.raises(rshelve.error, match="serializer|key"):
                    rshelve.open(file, flag, key=key)
        rshelve.verify(file)
        rshelve.salvage(file, file + "-new")
        with pytest.raises(rshelve.error, match="serializer|key"):
            rshelve.open(file + "-new")
    assert not (tmp_path / "pickle was run").exists()
    # It would have been noticed.
    with rshelve.open(path + "3", serializer=lambda obj, protocol: bomb, deserializer=pickle.loads) as shelf:
        shelf["a"] = 1
        shelf["a"]
    assert (tmp_path / "pickle was run").exists()


def test_errors_of_serializers_reach_the_caller(make) -> None:
    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    with make(serializer=lambda obj, protocol: fail() if obj is None else b"x", deserializer=fail) as shelf:
        with pytest.raises(ZeroDivisionError):
            shelf["a"] = None
        shelf["a"] = 1
        shelf.cache.clear()
        with pytest.raises(ZeroDivisionError):
            shelf["a"]
        with pytest.raises(ZeroDivisionError):
            list(shelf.values())
