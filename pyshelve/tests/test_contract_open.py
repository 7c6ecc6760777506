"""The contract's rows about opening: signatures, flags, files, options."""

from __future__ import annotations

import dbm
import inspect
import os
import pathlib
import pickle
import shelve
import stat

import pytest
import rshelve

MISSING = "db file doesn't exist; use 'c' or 'n' flag to create a new db"


def test_open_has_the_standard_arguments_first() -> None:
    parameters = list(inspect.signature(rshelve.open).parameters.values())
    assert [p.name for p in parameters[:4]] == ["filename", "flag", "protocol", "writeback"]
    assert [p.default for p in parameters[1:4]] == ["c", None, False]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[4:])
    ours = {p.name: p.default for p in parameters[4:]}
    assert ours == {
        "serializer": None, "deserializer": None, "mode": 0o666, "keyencoding": "utf-8",
        "key": "str", "table": "main", "cache_size": "128MiB", "durability": "process",
        "compression": None, "timeout": 5.0, "allow_pickle": True,
    }  # fmt: skip
    same = inspect.signature(rshelve.DbfilenameShelf.__init__).parameters
    assert list(same)[1:] == list(inspect.signature(rshelve.open).parameters)


def test_shelf_has_the_standard_arguments() -> None:
    parameters = list(inspect.signature(rshelve.Shelf.__init__).parameters)[1:]
    assert parameters == ["dict", "protocol", "writeback", "keyencoding", "serializer", "deserializer"]


def test_shelf_is_a_standard_shelf(path: str) -> None:
    with rshelve.open(path) as shelf:
        assert isinstance(shelf, shelve.Shelf)
    assert issubclass(rshelve.BsdDbShelf, rshelve.Shelf)
    assert isinstance(rshelve.Shelf({}), shelve.Shelf)


def test_shelf_has_the_attributes_that_people_touch(path: str) -> None:
    with rshelve.open(path, protocol=2) as shelf:
        assert shelf.dict.keys() == []
        assert (shelf.writeback, shelf.cache) == (False, {})
        assert (shelf.keyencoding, shelf._protocol) == ("utf-8", 2)
        shelf["a"] = 1
        assert shelf.dict[b"a"] == pickle.dumps(1, 2)


def test_shelf_follows_a_replaced_mapping(path: str) -> None:
    with rshelve.open(path) as shelf:
        engine = shelf.dict
        shelf.dict = {}
        shelf["a"] = 1
        assert shelf.dict and "a" in shelf and list(shelf) == ["a"]
        assert len(engine) == 0
        shelf.dict = engine
        assert "a" not in shelf


@pytest.mark.parametrize("make", [str, os.fsencode, pathlib.Path], ids=["str", "bytes", "path"])
def test_open_takes_any_kind_of_file_name(make, path: str) -> None:
    with rshelve.open(make(path)) as shelf:
        shelf["a"] = 1
    with rshelve.open(path) as shelf:
        assert shelf["a"] == 1


def test_open_leaves_one_file_of_the_given_name(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 1
        beside = set(os.listdir(os.path.dirname(path)))
        assert not beside & {"spam.db", "spam.dat", "spam.dir", "spam.pag"}
    assert os.listdir(os.path.dirname(path)) == ["spam"]


def test_flag_must_be_one_of_four(path: str) -> None:
    for flag in ("x", "", "rw", "cs"):
        with pytest.raises(ValueError, match="flag must be one of 'r', 'w', 'c', or 'n'"):
            rshelve.open(path, flag)
    assert not os.path.exists(path)


def test_flag_defaults_to_c_and_for_dbm_to_r(path: str) -> None:
    with pytest.raises(rshelve.error, match=MISSING):
        rshelve.dbm.open(path)
    rshelve.open(path).close()
    rshelve.open(path).close()


@pytest.mark.parametrize("flag", ["r", "w"])
def test_open_missing_says_what_the_standard_says(flag: str, path: str) -> None:
    with pytest.raises(dbm.error) as caught:
        rshelve.open(path, flag)
    assert str(caught.value) == MISSING
    assert isinstance(caught.value, rshelve.error) and isinstance(caught.value, OSError)
    with pytest.raises(rshelve.error, match=MISSING):
        rshelve.open(os.path.join(path, "no", "folder"), flag)
    assert not os.path.exists(path)


@pytest.mark.parametrize("flag", ["r", "w", "c"])
def test_open_foreign_file_says_what_it_looks_like(flag: str, path: str) -> None:
    content = b"SQLite format 3\0" + bytes(4096)
    pathlib.Path(path).write_bytes(content)
    with pytest.raises(dbm.error, match="is not a database of this kind"):
        rshelve.open(path, flag)
    assert pathlib.Path(path).read_bytes() == content


def test_open_n_replaces_a_foreign_file(path: str) -> None:
    pathlib.Path(path).write_bytes(b"x" * 10_000)
    with rshelve.open(path, "n") as shelf:
        assert len(shelf) == 0
        shelf["a"] = 1
    with rshelve.open(path, "r") as shelf:
        assert dict(shelf) == {"a": 1}


def test_open_n_empties_a_shelf(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 1
    with rshelve.open(path, "n") as shelf:
        assert dict(shelf) == {}


@pytest.mark.parametrize("flag", ["n", "c"])
def test_open_empty_file_is_a_new_database(flag: str, path: str) -> None:
    pathlib.Path(path).touch()
    with rshelve.open(path, flag) as shelf:
        assert len(shelf) == 0
        shelf["a"] = 1


@pytest.mark.parametrize("flag", ["r", "w"])
def test_open_empty_file_as_an_existing_database_is_refused(flag: str, path: str) -> None:
    pathlib.Path(path).touch()
    with pytest.raises(rshelve.error):
        rshelve.open(path, flag)
    assert os.path.getsize(path) == 0


@pytest.mark.parametrize("flag", ["c", "n"])
def test_open_in_missing_folder_is_file_not_found(flag: str, path: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        rshelve.open(os.path.join(path, "eggs"), flag)
    assert caught.value.errno is not None


def test_open_a_folder_is_an_os_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError):
        rshelve.open(tmp_path)


def test_mode_is_that_of_the_new_file(path: str) -> None:
    rshelve.open(path, mode=0o600).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_read_only_shelf_refuses_writes_with_an_os_error(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 1
    with rshelve.open(path, "r") as shelf:
        for write in (
            lambda: shelf.__setitem__("a", 2), lambda: shelf.__delitem__("a"), lambda: shelf.pop("a"), shelf.popitem,
            shelf.clear, lambda: shelf.update(a=2), lambda: shelf.setdefault("b", 1), lambda: shelf.__delitem__("zz"),
        ):  # fmt: skip
            with pytest.raises(OSError):
                write()
        assert dict(shelf) == {"a": 1}
        shelf.sync()


def test_read_only_open_creates_nothing(path: str) -> None:
    rshelve.open(path).close()
    before = os.stat(path)
    with rshelve.open(path, "r"):
        assert os.listdir(os.path.dirname(path)) == ["spam"]
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns


def test_second_handle_in_the_process_shares_the_engine(path: str, tmp_path: pathlib.Path) -> None:
    os.symlink(path, tmp_path / "link")
    with rshelve.open(path) as one, rshelve.open(tmp_path / "link") as two, rshelve.open(path, "r") as three:
        one["a"] = 1
        assert two["a"] == three["a"] == 1
        two["b"] = 2
        assert list(one) == list(three) == ["a", "b"]
        one.close()
        two["c"] = 3
        assert len(three) == 3
    with rshelve.open(path, "r") as shelf:
        assert dict(shelf) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("option", "value"), [("cache_size", "64MiB"), ("durability", "sync"), ("timeout", 1.0)], ids=lambda v: str(v)
)
def test_second_handle_with_another_option_is_refused_by_name(option: str, value: object, path: str) -> None:
    with rshelve.open(path) as shelf:
        with pytest.raises(rshelve.error, match=option):
            rshelve.open(path, **{option: value})
        shelf["a"] = 1
    rshelve.open(path, **{option: value}).close()


def test_second_handle_that_writes_cannot_join_a_reader(path: str) -> None:
    rshelve.open(path).close()
    with rshelve.open(path, "r"), pytest.raises(rshelve.error, match="flag='r'"):
        rshelve.open(path, "w")


def test_open_n_on_an_open_path_is_refused(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 1
        with pytest.raises(rshelve.error, match="flag='n'"):
            rshelve.open(path, "n")
        assert shelf["a"] == 1


def test_open_after_the_file_was_removed_is_another_database(path: str) -> None:
    with rshelve.open(path) as old:
        old["a"] = 1
    os.remove(path)
    with rshelve.open(path) as new:
        assert len(new) == 0


def test_tables_of_one_file_are_apart(path: str) -> None:
    with rshelve.open(path) as one, rshelve.open(path, table="eggs", key="bytes") as two:
        one["a"] = 1
        two[b"a"] = 2
        assert (one["a"], two[b"a"]) == (1, 2)
    with rshelve.open(path, "r", table="eggs", key="bytes") as two:
        assert dict(two) == {b"a": 2}
    with pytest.raises(rshelve.error, match="ham"):
        rshelve.open(path, "w", table="ham")


def test_compression_is_recorded_and_another_is_refused(path: str) -> None:
    with rshelve.open(path, compression="snappy") as shelf:
        shelf["a"] = "x" * 10_000
    with rshelve.open(path) as shelf:
        assert shelf["a"] == "x" * 10_000
    rshelve.open(path, table="plain").close()
    with pytest.raises(rshelve.error, match="compression"):
        rshelve.open(path, table="plain", compression="snappy")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"cache_size": "64 parsecs"}, "cache_size"),
        ({"cache_size": 1}, "cache_size"),
        ({"cache_size": -1}, "cache_size"),
        ({"durability": "maybe"}, "durability"),
        ({"compression": "lzma"}, "compression"),
        ({"timeout": -1}, "timeout"),
        ({"key": "int"}, "not supported yet"),
        ({"key": "tuple"}, "not supported yet"),
        ({"key": "fish"}, "key must be"),
    ],
    ids=lambda value: str(value),
)
def test_open_refuses_senseless_options_by_name(options: dict[str, object], what: str, path: str) -> None:
    with pytest.raises(ValueError, match=what):
        rshelve.open(path, **options)
    assert not os.path.exists(path)


def test_sizes_are_numbers_or_texts(path: str) -> None:
    for size in (32 << 20, "32MiB", "32 mib", "33554432"):
        rshelve.open(path, cache_size=size).close()


def test_key_kind_is_recorded_and_refused_by_name(path: str) -> None:
    with rshelve.open(path, key="bytes") as shelf:
        shelf[b"\xff"] = 1
        with pytest.raises(rshelve.error, match="key 'bytes'"):
            rshelve.open(path)
        assert shelf[b"\xff"] == 1
    with pytest.raises(rshelve.error, match="key 'bytes'"):
        rshelve.open(path, key="str")


def test_keyencoding_is_recorded_and_refused_by_name(path: str) -> None:
    with rshelve.open(path, keyencoding="latin-1") as shelf:
        shelf["é"] = 1
        assert list(shelf.dict) == [b"\xe9"]
        assert list(shelf) == ["é"] and shelf["é"] == 1
    rshelve.open(path, keyencoding="iso8859-1").close()
    with pytest.raises(rshelve.error, match="keyencoding"):
        rshelve.open(path)


def test_pickled_shelf_is_refused_where_pickle_is_not_allowed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = 1
    with pytest.raises(rshelve.error, match="pickle"):
        rshelve.open(path, allow_pickle=False)
    monkeypatch.setenv("RSHELVE_ALLOW_PICKLE", "0")
    with pytest.raises(rshelve.error, match="pickle"):
        rshelve.open(path)
    monkeypatch.setenv("RSHELVE_ALLOW_PICKLE", "1")
    with rshelve.open(path) as shelf:
        assert shelf["a"] == 1


def test_pickled_shelf_is_refused_to_another_serializer_when_pickle_is_not_allowed(path: str) -> None:
    ours = {"serializer": lambda obj, protocol: str(obj), "deserializer": bytes, "allow_pickle": False}
    with rshelve.open(path):
        pass
    with pytest.raises(rshelve.error, match="serializer 'pickle'"):
        rshelve.open(path, **ours)
    with rshelve.open(path + "2", **ours) as shelf:
        shelf["a"] = 1
        assert shelf["a"] == b"1"


def test_dbm_sees_the_raw_bytes_of_a_shelf(path: str) -> None:
    with rshelve.open(path) as shelf:
        shelf["a"] = [1]
    with rshelve.dbm.open(path) as db:
        assert db[b"a"] == pickle.dumps([1])
    with rshelve.dbm.open(path + "2", "c") as db:
        db["k"] = "v"
    with pytest.raises(rshelve.error, match="serializer 'raw'|key 'bytes'"):
        rshelve.open(path + "2")
    with rshelve.Shelf(rshelve.dbm.open(path, "w")) as shelf:
        assert shelf["a"] == [1]


def test_whichdb_knows_our_files_and_the_others(path: str) -> None:
    assert rshelve.dbm.whichdb(path) is None
    rshelve.open(path).close()
    assert rshelve.dbm.whichdb(path) == "rshelve.dbm"
    assert dbm.whichdb(path) == ""
    with dbm.open(path + "2", "n"):
        pass
    assert rshelve.dbm.whichdb(path + "2") == dbm.whichdb(path + "2")
