"""The Python side of `rshelve.wt`: classes, values, errors, and programs that run unchanged."""

from __future__ import annotations

import errno
import gc
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rshelve import wt
from rshelve._rshelve import wt_statistics
from rshelve.wt import Connection, Cursor, Session, WiredTigerError, WiredTigerRollbackError, packing

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def home(tmp_path: Path) -> str:
    folder = tmp_path / "home"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def session(home: str) -> Iterator[Session]:
    with wt.wiredtiger_open(home, "create") as connection:
        session = connection.open_session()
        session.create("table:t", "key_format=S,value_format=S")
        yield session


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Programs


def test_wtdict_runs_unchanged(tmp_path: Path) -> None:
    home = str(tmp_path / "stock")
    module = load(EXAMPLES / "wtdict.py")
    stock = module.WTDict(home)
    stock["spam"] = {"tins": 12}
    stock["eggs"] = [1, None, "é"]
    assert (stock["spam"], stock["eggs"], list(stock)) == ({"tins": 12}, [1, None, "é"], ["eggs", "spam"])
    del stock["spam"]
    assert "spam" not in stock
    with pytest.raises(KeyError):
        stock["spam"]
    with pytest.raises(KeyError):
        del stock["spam"]
    stock.close()
    again = module.WTDict(home)
    assert again["eggs"] == [1, None, "é"]
    again.close()


def test_wtdict_runs_as_a_program(tmp_path: Path) -> None:
    program = [sys.executable, str(EXAMPLES / "wtdict.py"), str(tmp_path / "stock")]
    run = subprocess.run(program, capture_output=True, text=True, check=True)
    assert run.stdout == "eggs {'boxes': 3}\nspam {'tins': 12, 'price': 1.5}\n"
    assert run.stderr == ""


def test_u_keys_take_ten_random_bytes(session: Session) -> None:
    session.create("table:bytes", "key_format=u,value_format=u")
    cursor = session.open_cursor("table:bytes")
    keys = sorted({os.urandom(10) for _ in range(200)})
    for key in reversed(keys):
        session.begin_transaction()
        cursor[key] = key[::-1]
        session.commit_transaction()
    assert [row for row in cursor] == [[key, key[::-1]] for key in keys]


# Classes


def test_session_is_reconfigured(session: Session) -> None:
    session.create("table:t", "key_format=S,value_format=S")
    assert session.reconfigure("isolation=read-committed") == 0
    cursor = session.open_cursor("table:t")
    session.begin_transaction()
    with pytest.raises(WiredTigerError):
        cursor["k"] = "v"
    session.rollback_transaction()
    with pytest.raises(WiredTigerError):
        session.reconfigure("isolation=none")


def test_handles_are_python_objects(session: Session) -> None:
    cursor = session.open_cursor("table:t")
    for handle in (session.connection, session, cursor):
        handle.note = "mine"  # type: ignore[attr-defined]
        assert handle.__dict__["note"] == "mine"
    assert cursor.session is session
    assert (cursor.uri, cursor.key_format, cursor.value_format) == ("table:t", "S", "S")


def test_subclasses_may_delegate_without_init(session: Session) -> None:
    class Logged(Cursor):
        def __init__(self, inner: Cursor) -> None:
            self.__dict__["inner"] = inner
            self.__dict__["searches"] = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["inner"], name)

        def search(self) -> int:
            self.__dict__["searches"] += 1
            return super().search()

    class Wrapped(Session):
        def __init__(self, inner: Session) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["inner"], name)

        def open_cursor(self, *args: Any) -> Cursor:
            return Logged(super().open_cursor(*args))

    wrapped = Wrapped(session)
    cursor = wrapped.open_cursor("table:t")
    cursor["a"] = "1"
    assert (cursor["a"], cursor.searches) == ("1", 1)  # type: ignore[attr-defined]
    assert list(cursor) == []
    assert list(cursor) == [["a", "1"]]
    assert cursor.uri == "table:t"
    plain = session.open_cursor("table:t")
    plain.set_key("a")
    cursor.set_key("a")
    assert (plain.compare(cursor), cursor.equals(plain)) == (0, 1)
    assert session.open_cursor(None, cursor).get_value() == "1"
    assert wrapped.connection is session.connection


def test_subclasses_may_call_init(session: Session) -> None:
    class Mine(Session):
        def __init__(self, inner: Session) -> None:
            super().__init__(inner)
            self.label = "mine"

    mine = Mine(session)
    mine.open_cursor("table:t")["a"] = "1"
    assert session.open_cursor("table:t")["a"] == "1"
    assert (mine.label, mine.connection) == ("mine", session.connection)


def test_closed_handles_raise_and_parents_close_children(home: str) -> None:
    connection = wt.wiredtiger_open(home, "create")
    session = connection.open_session()
    session.create("table:t", "key_format=S,value_format=S")
    first, second = session.open_cursor("table:t"), session.open_cursor("table:t")
    assert first.close() == 0
    for call in (first.close, first.next, first.get_key, first.search, lambda: first.uri, lambda: first["a"]):
        with pytest.raises(WiredTigerError, match="the cursor is closed"):
            call()
    with pytest.raises(WiredTigerError):
        second.compare(first)
    session.close()
    for call in (second.next, session.close, session.begin_transaction):
        with pytest.raises(RuntimeError, match="the session is closed"):
            call()
    session = connection.open_session()
    cursor = session.open_cursor("table:t")
    session.begin_transaction()
    cursor["a"] = "1"
    connection.close()
    for call in (cursor.next, session.commit_transaction, connection.open_session, connection.close):
        with pytest.raises(TypeError, match="is closed"):
            call()
    with wt.wiredtiger_open(home) as connection:
        assert list(connection.open_session().open_cursor("table:t")) == []


def test_dropped_cursors_are_closed(session: Session) -> None:
    cursor = session.open_cursor("table:t")
    cursor["a"] = "1"
    cursor.next()
    del cursor
    gc.collect()
    assert session.drop("table:t") == 0


def test_context_managers_close(home: str) -> None:
    with wt.wiredtiger_open(home, "create") as connection, connection.open_session() as session:
        session.create("table:t", "key_format=i,value_format=S")
        with session.open_cursor("table:t") as cursor:
            with session.transaction():
                cursor[1] = "one"
            with pytest.raises(ZeroDivisionError), session.transaction():
                cursor[2] = "two"
                raise ZeroDivisionError
            assert list(cursor) == [[1, "one"]]
    for handle in (connection, session, cursor):
        with pytest.raises(WiredTigerError):
            handle.close()


def test_a_child_of_fork_is_refused(session: Session) -> None:
    cursor = session.open_cursor("table:t")
    cursor["a"] = "1"
    child = os.fork()
    if child == 0:
        try:
            cursor["a"]
        except WiredTigerError as error:
            os._exit(0 if "fork" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cursor["a"] == "1"


def test_sessions_work_in_threads(session: Session) -> None:
    connection = session.connection

    def fill(first: int) -> None:
        with connection.open_session() as own, own.open_cursor("table:t") as cursor:
            for number in range(first, first + 200):
                cursor[f"{number:04}"] = "x"

    threads = [threading.Thread(target=fill, args=(first,)) for first in range(0, 800, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(session.open_cursor("table:t"))) == 800


def test_one_cursor_may_be_shared_and_closed_under_way(session: Session) -> None:
    cursor = session.open_cursor("table:t")
    for number in range(100):
        cursor[f"{number:03}"] = "x" * 100
    failures: list[BaseException] = []

    def walk() -> None:
        try:
            while True:
                cursor.next()
        except WiredTigerError as error:
            if "closed" not in str(error):
                failures.append(error)

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    cursor.close()
    for thread in threads:
        thread.join()
    assert failures == []


# Values


@pytest.mark.parametrize(
    ("formats", "key", "value"),
    [
        ("key_format=i,value_format=S", -5, "é"),
        ("key_format=iS,value_format=SSi", (1, "a"), ["b", "c", 3]),
        ("key_format=5s,value_format=u", "ab\0\0\0", b"\0\xff"),
        ("key_format=Su,value_format=10u", ("a", b"\0b"), b"0123456789"),
        ("key_format=Q,value_format=q", 2**64 - 1, -(2**63)),
        ("key_format=B,value_format=5t", 255, 31),
    ],
)
def test_columns_come_back(session: Session, formats: str, key: Any, value: Any) -> None:
    session.create("table:x", formats)
    cursor = session.open_cursor("table:x")
    cursor[key] = value
    assert cursor[key] == value
    columns = [*(key if isinstance(key, tuple) else [key]), *(value if isinstance(value, list) else [value])]
    cursor.reset()
    assert list(cursor) == [columns]
    cursor.next()
    assert cursor.get_key() == (list(key) if isinstance(key, tuple) else key)
    assert cursor.get_keys() + cursor.get_values() == columns
    assert cursor.get_raw_key_value() == (cursor.get_key(), cursor.get_value())


def test_keys_are_set_by_columns_or_a_tuple(session: Session) -> None:
    session.create("table:x", "key_format=iS,value_format=SS")
    cursor = session.open_cursor("table:x")
    cursor.set_key(1, "a")
    assert cursor.get_key() == [1, "a"]
    cursor.set_key((2, "b"))
    cursor.set_value("c", "d")
    assert (cursor.get_key(), cursor.get_value()) == ([2, "b"], ["c", "d"])
    for wrong in [("a", "b"), (1, 2), (1, b"a")]:
        with pytest.raises(TypeError):
            cursor.set_key(*wrong)
    for wrong_count in [(1,), (1, "a", "b"), ()]:
        with pytest.raises(WiredTigerError, match="Invalid argument"):
            cursor.set_key(*wrong_count)
    assert cursor.get_key() == [2, "b"]


def test_u_takes_bytes_and_text_and_gives_bytes(session: Session) -> None:
    session.create("table:x", "key_format=u,value_format=u")
    cursor = session.open_cursor("table:x")
    cursor["é"] = bytearray(b"x")
    assert list(cursor) == [["é".encode(), b"x"]]


def test_composite_keys_sort_column_by_column(session: Session) -> None:
    session.create("table:x", "key_format=qS,value_format=S")
    cursor = session.open_cursor("table:x")
    keys = [(number, text) for number in (-9000, -65, -1, 0, 64, 8256) for text in ("", "a", "ab", "b")]
    for key in reversed(keys):
        cursor[key] = ""
    assert [tuple(row[:2]) for row in cursor] == keys


def test_packing_gives_golden_bytes() -> None:
    golden: list[tuple[str, list[Any], str]] = [
        ("q", [-(2**63)], "108000000000000000"),
        ("h", [-300], "3f14"),
        ("q", [-1], "7f"),
        ("q", [0], "80"),
        ("q", [8256], "e100"),
        ("Q", [2**64 - 1], "e8ffffffffffffdfbf"),
        ("iS", [5, "ab"], "85616200"),
        ("Su", ["ab", b"xy"], "6162007879"),
        ("uS", [b"xy", "ab"], "827879616200"),
        ("2i", [1, 2], "8182"),
    ]
    for fmt, values, packed in golden:
        assert packing.pack(fmt, *values).hex() == packed
        assert packing.unpack(fmt, bytes.fromhex(packed)) == values
    assert wt.pack("3S", "abcdef") == b"abc"
    for fmt, values in [("b", [128]), ("i", [2**63]), ("z", [1]), ("2i", [1]), ("i", [1, 2]), ("S", ["\0"])]:
        with pytest.raises(ValueError):
            packing.pack(fmt, *values)
    with pytest.raises(TypeError):
        packing.pack("i", "a")
    with pytest.raises(ValueError):
        packing.unpack("i", b"\0")


def test_calc_modify_finds_what_changed(session: Session) -> None:
    old = b"a" * 1000 + b"X" + b"b" * 1000
    new = b"a" * 1000 + b"YY" + b"b" * 500 + b"ccc" + b"b" * 500
    changes = wt.wiredtiger_calc_modify(session, old, new, 100, 10)
    assert sum(len(change.data) for change in changes) < 50
    session.create("table:u", "key_format=S,value_format=u")
    cursor = session.open_cursor("table:u")
    cursor["k"] = old
    session.begin_transaction()
    cursor.set_key("k")
    assert cursor.modify(changes) == 0
    assert cursor.get_value() == new
    session.commit_transaction()
    assert len(wt.wiredtiger_calc_modify(session, old, new, 2000, 1)) == 1
    for limits in [(1, 10), (100, 0)]:
        with pytest.raises(WiredTigerError, match="WT_NOTFOUND"):
            wt.wiredtiger_calc_modify(session, old, new, *limits)
    text = wt.wiredtiger_calc_modify_string(session, "parrot é dead", "parrot è dead", 100, 10)
    assert [type(change.data) for change in text] == [str]


# Errors, messages, the rest of the module


def test_codes_and_texts() -> None:
    assert (wt.WT_ROLLBACK, wt.WT_DUPLICATE_KEY, wt.WT_ERROR, wt.WT_NOTFOUND) == (-31800, -31801, -31802, -31803)
    assert (wt.WT_PANIC, wt.WT_RUN_RECOVERY, wt.WT_CACHE_FULL) == (-31804, -31806, -31807)
    assert (wt.WT_PREPARE_CONFLICT, wt.WT_TRY_SALVAGE) == (-31808, -31809)
    for code, text in [
        (0, "Successful return: 0"),
        (wt.WT_ROLLBACK, "WT_ROLLBACK: conflict between concurrent operations"),
        (wt.WT_DUPLICATE_KEY, "WT_DUPLICATE_KEY: attempt to insert an existing key"),
        (wt.WT_NOTFOUND, "WT_NOTFOUND: item not found"),
        (errno.EINVAL, os.strerror(errno.EINVAL)),
        (-31799, "error return: -31799"),
    ]:
        assert wt.wiredtiger_strerror(code) == text
    assert issubclass(WiredTigerRollbackError, WiredTigerError)
    assert (wt.diagnostic_build(), wt.standalone_build()) == (0, 1)
    text, *numbers = wt.wiredtiger_version()
    assert numbers == [11, 3, 1]
    assert str(text).startswith("rshelve ")


def test_messages_go_to_standard_error_with_the_prefix(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    with wt.wiredtiger_open(home, "create,error_prefix=me") as connection:
        session = connection.open_session()
        session.create("table:t", "key_format=S,value_format=S")
        cursor = session.open_cursor("table:t")
        with pytest.raises(WiredTigerError):
            cursor.search()
        message = capsys.readouterr()
        assert message.out == ""
        assert "me, table:t, WT_CURSOR.search: requires key be set: Invalid argument\n" in message.err
        cursor.set_key("a")
        cursor.search()
        with pytest.raises(WiredTigerError):
            session.open_cursor("table:none")
        assert capsys.readouterr().err == ""


def test_statistics_are_named(session: Session) -> None:
    cursor = session.open_cursor("table:t")
    cursor["a"] = "1"
    session.checkpoint()
    with session.open_cursor("statistics:") as statistics:
        assert (statistics.key_format, statistics.value_format) == ("i", "SSq")
        name, text, count = statistics[wt.stat.conn.checkpoints]
        assert (name, text) == ("checkpoints", str(count))
        assert count >= 1
    for name, number in wt_statistics():
        assert getattr(wt.stat.conn, name) == number


def test_metadata_lists_tables(session: Session) -> None:
    session.create("table:x", "key_format=iS,value_format=u,columns=(id,name,photo),app_metadata=(a=1)")
    with session.open_cursor("metadata:") as cursor:
        tables = dict(list(cursor))
        assert list(tables) == ["table:t", "table:x"]
        with pytest.raises(WiredTigerError, match="Operation not supported"):
            cursor["table:y"] = ""
    assert "key_format=iS,value_format=u" in tables["table:x"]
    session.create("table:copy", tables["table:x"])
    assert session.open_cursor("table:copy").key_format == "iS"


def test_verify_looks_at_the_file(session: Session) -> None:
    session.open_cursor("table:t")["a"] = "1"
    assert session.verify("table:t") == 0
    assert session.verify(None) == 0
    assert session.compact("table:t") == 0
    assert session.compact(None) == 0
    with pytest.raises(WiredTigerError, match=os.strerror(errno.ENOENT)):
        session.verify("table:none")


def test_the_cache_is_resized_while_open(home: str) -> None:
    with wt.wiredtiger_open(home, "create,cache_size=10M,eviction_target=60,eviction_trigger=70") as connection:
        assert connection.reconfigure("cache_size=20M") == 0
        assert connection.reconfigure("eviction_target=50,eviction_trigger=80,error_prefix=you") == 0
        for config in ("cache_size=1K", "eviction_target=80,eviction_trigger=50", "nonsense=1"):
            with pytest.raises(WiredTigerError, match="Invalid argument"):
                connection.reconfigure(config)
        assert connection.reconfigure("checkpoint=(wait=1,log_size=1MB)") == 0
        with pytest.raises(WiredTigerError, match="Operation not supported"):
            connection.reconfigure("operation_timeout_ms=1")


def test_what_is_not_built_says_so(session: Session) -> None:
    for call in (
        lambda: session.prepare_transaction(""),
        lambda: session.timestamp_transaction("commit_timestamp=1"),
        lambda: session.rename("table:t", "table:u"),
        lambda: session.connection.set_timestamp("oldest_timestamp=1"),
        lambda: session.open_cursor("backup:"),
        lambda: session.open_cursor("log:"),
        lambda: session.open_cursor("table:t", None, "dump=json"),
        lambda: session.begin_transaction("read_timestamp=1"),
    ):
        with pytest.raises(WiredTigerError, match="Operation not supported") as caught:
            call()
        assert caught.value.detail


def test_data_survives_kill(home: str) -> None:
    program = f"""
import os
from rshelve import wt
session = wt.wiredtiger_open({home!r}, "create").open_session()
session.create("table:t", "key_format=S,value_format=S")
cursor = session.open_cursor("table:t")
cursor["a"] = "1"
session.begin_transaction()
cursor["b"] = "2"
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with wt.wiredtiger_open(home) as connection:
        assert list(connection.open_session().open_cursor("table:t")) == [["a", "1"]]


def test_home_and_is_new(home: str) -> None:
    with wt.wiredtiger_open(Path(home), "create") as connection:
        assert (connection.get_home(), connection.is_new()) == (home, 1)
    with wt.wiredtiger_open(home) as connection:
        assert connection.is_new() == 0
        with pytest.raises(WiredTigerError, match="Operation not supported"):
            connection.load_extension("x")
    assert os.listdir(home) == ["rshelve"]


def test_read_only_connections_refuse_writes(home: str) -> None:
    with wt.wiredtiger_open(home, "create") as connection:
        session = connection.open_session()
        session.create("table:t", "key_format=S,value_format=S")
        session.open_cursor("table:t")["a"] = "1"
    with wt.wiredtiger_open(home, "readonly") as reader:
        cursor = reader.open_session().open_cursor("table:t")
        assert cursor["a"] == "1"
        with pytest.raises(WiredTigerError):
            cursor["a"] = "2"


def test_connection_is_not_constructed_by_itself() -> None:
    with pytest.raises(AttributeError):
        Connection().open_session()
