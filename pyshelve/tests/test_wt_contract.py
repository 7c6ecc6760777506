"""Every row of the contract, ``docs/cursor-semantics.md``, through `rshelve.wt`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rshelve import wt
from rshelve.wt import WT_NOTFOUND, Connection, Cursor, Session, WiredTigerError, WiredTigerRollbackError

INVALID = "Invalid argument"
UNSUPPORTED = "Operation not supported"


@pytest.fixture
def home(tmp_path: Path) -> str:
    folder = tmp_path / "home"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def connection(home: str) -> Iterator[Connection]:
    with wt.wiredtiger_open(home, "create,operation_timeout_ms=200") as connection:
        yield connection


@pytest.fixture
def session(connection: Connection) -> Session:
    session = connection.open_session()
    session.create("table:t", "key_format=S,value_format=S")
    return session


def filled(session: Session, keys: str = "bdf", config: str = "") -> Cursor:
    """A cursor on a table of these keys, each with its upper case as value."""
    with session.open_cursor("table:t") as cursor:
        for key in keys:
            cursor[key] = key.upper()
    return session.open_cursor("table:t", None, config)


def refused(text: str, call: Callable[..., Any], *arguments: Any) -> WiredTigerError:
    """The error of a call that has to fail with this text."""
    with pytest.raises(WiredTigerError) as caught:
        call(*arguments)
    assert str(caught.value) == text
    return caught.value


def at(cursor: Cursor, key: str) -> Cursor:
    cursor.set_key(key)
    assert cursor.search() == 0
    return cursor


# Position


def test_row_01_insert_leaves_nothing_set(session: Session) -> None:
    cursor = filled(session)
    cursor.set_key("c")
    cursor.set_value("C")
    cursor.insert()
    refused(INVALID, cursor.get_key)
    refused(INVALID, cursor.get_value)
    assert "requires key be set" in refused(INVALID, cursor.insert).detail
    assert (cursor.next(), cursor.get_key()) == (0, "b")


def test_row_02_update_leaves_the_cursor_on_the_record(session: Session) -> None:
    cursor = filled(session)
    cursor.set_key("b")
    cursor.set_value("1")
    assert cursor.update() == 0
    assert (cursor.get_key(), cursor.get_value()) == ("b", "1")
    assert (cursor.next(), cursor.get_key()) == (0, "d")
    cursor.set_value("2")
    assert cursor.update() == 0
    cursor.reset()
    assert cursor["d"] == "2"


def test_row_03_remove_by_key_leaves_nothing(session: Session) -> None:
    cursor = filled(session)
    cursor.set_key("b")
    assert cursor.remove() == 0
    refused(INVALID, cursor.get_key)
    assert (cursor.next(), cursor.get_key()) == (0, "d")


def test_row_03_remove_at_a_position_keeps_it(session: Session) -> None:
    cursor = at(filled(session), "d")
    assert cursor.remove() == 0
    assert cursor.get_key() == "d"
    refused(INVALID, cursor.get_value)
    assert cursor.remove() == WT_NOTFOUND
    cursor = at(filled(session), "d")
    cursor.remove()
    assert (cursor.next(), cursor.get_key()) == (0, "f")
    assert (cursor.prev(), cursor.get_key()) == (0, "b")


def test_row_04_remove_of_a_missing_key_is_notfound(session: Session) -> None:
    cursor = filled(session)
    cursor.set_key("c")
    assert cursor.remove() == WT_NOTFOUND
    assert cursor.get_key() == "c"


def test_row_05_search_miss_keeps_the_key_only(session: Session) -> None:
    cursor = at(filled(session), "d")
    cursor.set_key("e")
    assert cursor.search() == WT_NOTFOUND
    assert cursor.get_key() == "e"
    refused(INVALID, cursor.get_value)
    assert (cursor.next(), cursor.get_key()) == (0, "b")


def test_row_06_search_near_takes_the_larger_side(session: Session) -> None:
    cursor = filled(session)
    for key, expected in [("b", (0, "b")), ("c", (1, "d")), ("a", (1, "b")), ("z", (-1, "f"))]:
        cursor.set_key(key)
        assert (cursor.search_near(), cursor.get_key()) == expected
    session.create("table:empty", "key_format=S,value_format=S")
    empty = session.open_cursor("table:empty")
    empty.set_key("a")
    assert empty.search_near() == WT_NOTFOUND


def test_row_07_walks_begin_again_behind_their_ends(session: Session) -> None:
    cursor = filled(session, "bd")
    assert [cursor.next() for _ in range(4)] == [0, 0, WT_NOTFOUND, 0]
    assert cursor.get_key() == "b"
    cursor.reset()
    assert [cursor.prev() for _ in range(4)] == [0, 0, WT_NOTFOUND, 0]
    assert cursor.get_key() == "d"


def test_row_08_what_was_set_is_kept_after_a_failure(session: Session) -> None:
    cursor = filled(session, config="overwrite=false")
    cursor.set_key("c")
    cursor.set_value("1")
    assert cursor.update() == WT_NOTFOUND
    assert (cursor.get_key(), cursor.get_value()) == ("c", "1")


def test_row_08_reset_clears_bounds_and_their_ends_do_not(session: Session) -> None:
    cursor = filled(session)
    cursor.set_key("c")
    cursor.bound("bound=lower")
    assert [row[0] for row in cursor] == ["d", "f"]
    assert [row[0] for row in cursor] == ["d", "f"]
    cursor.reset()
    assert [row[0] for row in cursor] == ["b", "d", "f"]


def test_row_09_nothing_works_before_what_it_needs_is_set(session: Session) -> None:
    cursor = filled(session)
    for call in (cursor.get_key, cursor.get_value, cursor.search, cursor.search_near, cursor.insert):
        refused(INVALID, call)
        cursor.reset()
    for call in (cursor.update, cursor.remove):
        refused(INVALID, call)
    cursor.set_key("a")
    assert "requires value be set" in refused(INVALID, cursor.insert).detail


def test_row_10_bounds_hold_every_operation(session: Session) -> None:
    cursor = filled(session, "abcdef")
    cursor.set_key("b")
    cursor.bound("action=set,bound=lower,inclusive=false")
    cursor.set_key("e")
    cursor.bound("bound=upper")
    assert [row[0] for row in cursor] == ["c", "d", "e"]
    for call in (cursor.search, cursor.update, cursor.remove):
        cursor.set_key("b")
        cursor.set_value("1")
        assert call() == WT_NOTFOUND
    cursor.set_key("f")
    cursor.set_value("1")
    refused("WT_NOTFOUND: item not found", cursor.insert)
    for key, expected in [("a", (1, "c")), ("z", (-1, "e"))]:
        cursor.set_key(key)
        assert (cursor.search_near(), cursor.get_key()) == expected
    refused(INVALID, cursor.largest_key)
    cursor.bound("action=clear")
    cursor.reset()
    assert len(list(cursor)) == 6


def test_row_10_bounds_that_make_no_sense_are_refused(session: Session) -> None:
    cursor = filled(session)
    refused(INVALID, at(cursor, "b").bound, "bound=lower")
    cursor.reset()
    cursor.set_key("d")
    cursor.bound("bound=lower")
    cursor.set_key("b")
    refused(INVALID, cursor.bound, "bound=upper")
    cursor.set_key("d")
    refused(INVALID, cursor.bound, "bound=upper,inclusive=false")
    refused(INVALID, cursor.bound, "")


def test_row_10_largest_key_is_the_largest_visible_one(connection: Connection, session: Session) -> None:
    cursor = filled(session)
    assert (cursor.largest_key(), cursor.get_key()) == (0, "f")
    refused(INVALID, cursor.get_value)
    other = connection.open_session()
    other.begin_transaction()
    other.open_cursor("table:t")["z"] = "1"
    assert (cursor.largest_key(), cursor.get_key()) == (0, "f")
    other.rollback_transaction()


def test_row_11_compare_needs_two_keys_of_one_table(session: Session) -> None:
    one, other = filled(session), session.open_cursor("table:t")
    refused(INVALID, one.compare, other)
    one.set_key("a")
    other.set_key("b")
    assert (one.compare(other), other.compare(one), one.compare(one)) == (-1, 1, 0)
    assert (one.equals(other), one.equals(one)) == (0, 1)
    session.create("table:u", "key_format=S,value_format=S")
    third = session.open_cursor("table:u")
    third.set_key("a")
    refused(INVALID, one.compare, third)


def test_row_11_a_duplicate_is_where_its_source_is(session: Session) -> None:
    cursor = filled(session)
    refused(INVALID, session.open_cursor, None, cursor)
    twin = session.open_cursor(None, at(cursor, "d"))
    assert (twin.get_key(), twin.get_value(), twin.uri) == ("d", "D", "table:t")
    assert (twin.next(), cursor.get_key()) == (0, "d")
    refused(INVALID, session.open_cursor, "table:t", cursor)
    refused(INVALID, session.open_cursor, None)


def test_row_12_bulk_cursors_fill_empty_tables_in_order(session: Session) -> None:
    with session.open_cursor("table:t", None, "bulk") as bulk:
        bulk["a"] = "1"
        bulk["b"] = "2"
        assert "order" in refused(INVALID, bulk.__setitem__, "a", "3").detail
        refused(UNSUPPORTED, bulk.next)
    assert list(session.open_cursor("table:t")) == [["a", "1"], ["b", "2"]]
    refused(INVALID, session.open_cursor, "table:t", None, "bulk")


def test_row_12_bulk_rows_are_durable_when_the_cursor_is_closed(home: str) -> None:
    program = f"""
import os
from rshelve import wt
session = wt.wiredtiger_open({home!r}, "create").open_session()
session.create("table:t", "key_format=i,value_format=S")
bulk = session.open_cursor("table:t", None, "bulk")
for number in range(1000):
    bulk[number] = "x" * 50
bulk.close()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with wt.wiredtiger_open(home) as connection:
        assert len(list(connection.open_session().open_cursor("table:t"))) == 1000


def test_row_12_random_cursors_only_go_on(session: Session) -> None:
    filled(session)
    cursor = session.open_cursor("table:t", None, "next_random")
    assert cursor.next() == 0
    assert cursor.get_key() in "bdf"
    refused(UNSUPPORTED, cursor.prev)
    cursor.set_key("b")
    refused(UNSUPPORTED, cursor.search)


def test_row_13_what_is_handed_out_is_a_copy(session: Session) -> None:
    cursor = at(filled(session), "b")
    key, value = cursor.get_key(), cursor.get_value()
    cursor.set_value("changed")
    cursor.update()
    cursor.next()
    assert (key, value) == ("b", "B")


# Existence


def test_row_14_overwrite_is_the_default(session: Session) -> None:
    cursor = filled(session)
    cursor["b"] = "1"
    cursor.set_key("c")
    cursor.set_value("2")
    assert cursor.update() == 0
    cursor.reset()
    assert [cursor["b"], cursor["c"]] == ["1", "2"]
    strict = session.open_cursor("table:t", None, "overwrite=false")
    refused("WT_DUPLICATE_KEY: attempt to insert an existing key", strict.__setitem__, "b", "3")
    strict.set_key("x")
    strict.set_value("3")
    assert strict.update() == WT_NOTFOUND


def test_row_15_a_duplicate_can_be_read_in_a_transaction(session: Session) -> None:
    cursor = filled(session, config="overwrite=false")
    session.begin_transaction()
    with pytest.raises(WiredTigerError, match="WT_DUPLICATE_KEY"):
        cursor["b"] = "1"
    assert (cursor.get_key(), cursor.get_value()) == ("b", "B")
    session.rollback_transaction()


def test_row_16_reserve_and_modify_need_a_transaction(session: Session) -> None:
    cursor = filled(session)
    for call in (cursor.reserve, lambda: cursor.modify([wt.Modify("x", 0, 1)])):
        cursor.set_key("b")
        refused(INVALID, call)
    session.begin_transaction()
    cursor.set_key("b")
    assert cursor.reserve() == 0
    assert (cursor.get_key(), cursor.get_value()) == ("b", "B")
    session.commit_transaction()


def test_row_16_modify_applies_its_changes_in_order(session: Session) -> None:
    cursor = filled(session)
    session.create("table:u", "key_format=S,value_format=u")
    binary = session.open_cursor("table:u")
    binary["b"] = b"B"
    session.begin_transaction()
    cursor.set_key("b")
    assert cursor.modify([wt.Modify("xyz", 3, 1), wt.Modify("Q", 0, 0)]) == 0
    assert cursor.get_value() == "QB  xyz"
    binary.set_key("b")
    assert binary.modify([wt.Modify(b"xyz", 3, 1)]) == 0
    assert binary.get_value() == b"B\0\0xyz"
    cursor.set_key("none")
    assert cursor.modify([wt.Modify("x", 0, 0)]) == WT_NOTFOUND
    session.commit_transaction()
    refused(INVALID, cursor.modify, [])


# Transactions


def test_row_17_a_transaction_sees_its_snapshot(connection: Connection, session: Session) -> None:
    cursor = filled(session)
    other = connection.open_session()
    other.begin_transaction()
    cursor["b"] = "new"
    assert other.open_cursor("table:t")["b"] == "B"
    other.rollback_transaction()


@pytest.mark.parametrize("isolation", ["read-committed", "read-uncommitted"])
def test_row_17_weaker_transactions_only_read(session: Session, isolation: str) -> None:
    cursor = filled(session)
    session.begin_transaction(f"isolation={isolation}")
    assert cursor["b"] == "B"
    refused(UNSUPPORTED, cursor.__setitem__, "b", "1")
    refused(UNSUPPORTED, session.truncate, "table:t", None, None)
    session.rollback_transaction()


def test_row_18_the_first_writer_wins(connection: Connection, session: Session) -> None:
    filled(session)
    other = connection.open_session()
    theirs = other.open_cursor("table:t", None, "overwrite=false")
    session.begin_transaction()
    session.open_cursor("table:t")["b"] = "1"
    other.begin_transaction()
    assert theirs["b"] == "B"
    theirs.set_key("b")
    with pytest.raises(WiredTigerRollbackError, match="WT_ROLLBACK: conflict between concurrent operations"):
        theirs.remove()
    assert other.get_rollback_reason()
    session.commit_transaction()
    other.rollback_transaction()


@pytest.mark.parametrize("operation", ["insert", "update", "remove"])
def test_row_18_so_does_a_commit_that_is_not_seen(
    connection: Connection, session: Session, operation: str
) -> None:
    cursor = filled(session)
    other = connection.open_session()
    theirs = other.open_cursor("table:t", None, "overwrite=false")
    other.begin_transaction()
    key = "c" if operation == "insert" else "b"
    cursor[key] = "1"
    theirs.set_key(key)
    theirs.set_value("2")
    with pytest.raises(WiredTigerRollbackError):
        getattr(theirs, operation)()
    other.rollback_transaction()


def test_row_19_a_failed_transaction_cannot_be_committed(session: Session) -> None:
    cursor = filled(session)
    session.begin_transaction()
    cursor["b"] = "1"
    refused(INVALID, cursor.search)
    assert cursor["b"] == "1"
    refused(INVALID, session.commit_transaction)
    refused(INVALID, session.rollback_transaction)
    assert cursor["b"] == "B"


def test_row_19_one_that_wrote_nothing_can(session: Session) -> None:
    cursor = filled(session)
    session.begin_transaction()
    refused(INVALID, cursor.search)
    assert session.commit_transaction() == 0
    session.begin_transaction()
    cursor["b"] = "1"
    cursor.set_key("none")
    assert cursor.search() == WT_NOTFOUND
    assert session.commit_transaction() == 0


def test_row_20_commit_keeps_positions_and_rollback_does_not(session: Session) -> None:
    cursor = filled(session)
    session.begin_transaction()
    at(cursor, "d")
    session.commit_transaction()
    assert (cursor.get_key(), cursor.next(), cursor.get_key()) == ("d", 0, "f")
    session.begin_transaction()
    at(cursor, "d")
    session.rollback_transaction()
    refused(INVALID, cursor.get_key)
    assert (cursor.next(), cursor.get_key()) == (0, "b")


def test_row_20_transactions_are_begun_and_ended_once(session: Session) -> None:
    refused(INVALID, session.commit_transaction)
    refused(INVALID, session.rollback_transaction)
    session.begin_transaction()
    refused(INVALID, session.begin_transaction)
    refused(INVALID, session.checkpoint)
    session.rollback_transaction()


def test_row_20_create_is_not_undone_and_drop_needs_closed_cursors(session: Session) -> None:
    session.begin_transaction()
    session.create("table:u", "key_format=S,value_format=S")
    session.rollback_transaction()
    cursor = session.open_cursor("table:u")
    refused(os.strerror(errno.EBUSY), session.drop, "table:u")
    cursor.close()
    assert session.drop("table:u") == 0
    refused(os.strerror(errno.ENOENT), session.drop, "table:u")
    assert session.drop("table:u", "force") == 0


def test_row_21_an_autocommit_write_waits_for_a_transaction(connection: Connection, session: Session) -> None:
    cursor = filled(session)
    other = connection.open_session()
    other.begin_transaction()
    other.open_cursor("table:t")["b"] = "theirs"
    with pytest.raises(WiredTigerRollbackError):
        cursor["b"] = "mine"
    began = threading.Event()

    def write() -> None:
        began.set()
        cursor["b"] = "mine"

    writer = threading.Thread(target=write)
    writer.start()
    began.wait()
    other.commit_transaction()
    writer.join()
    assert cursor["b"] == "mine"


def test_row_22_autocommit_reads_keep_one_snapshot(connection: Connection, session: Session) -> None:
    cursor = filled(session)
    other = connection.open_session().open_cursor("table:t")
    assert (cursor.next(), cursor.get_key()) == (0, "b")
    other["c"] = "1"
    assert (cursor.next(), cursor.get_key()) == (0, "d")
    cursor.reset()
    assert [row[0] for row in cursor] == ["b", "c", "d", "f"]
    assert (cursor.next(), cursor.get_key()) == (0, "b")
    session.open_cursor("table:t")["bb"] = "mine"
    assert (cursor.next(), cursor.get_key()) == (0, "bb")


def test_row_23_an_old_snapshot_survives_many_writes(connection: Connection, session: Session) -> None:
    cursor = filled(session)
    reader = connection.open_session()
    reader.begin_transaction()
    seen = reader.open_cursor("table:t")
    for number in range(2000):
        cursor["b"] = f"{number}" * 10
    assert seen["b"] == "B"
    reader.commit_transaction()


def test_row_24_truncate_removes_a_range(session: Session) -> None:
    cursor, other = filled(session, "abcdefgh"), session.open_cursor("table:t")
    cursor.set_key("bb")
    other.set_key("d")
    assert session.truncate(None, cursor, other, None) == 0
    refused(INVALID, cursor.get_key)
    assert [row[0] for row in cursor] == ["a", "b", "e", "f", "g", "h"]
    cursor.set_key("f")
    assert session.truncate(None, cursor, None, None) == 0
    assert [row[0] for row in cursor] == ["a", "b", "e"]
    other.set_key("a")
    assert session.truncate(None, None, other, None) == 0
    assert [row[0] for row in cursor] == ["b", "e"]
    cursor.set_key("e")
    other.set_key("b")
    refused(INVALID, session.truncate, None, cursor, other, None)
    refused(INVALID, session.truncate, "table:t", cursor, None, None)
    refused(INVALID, session.truncate, None, None, None, None)
    cursor.set_key("b")
    assert session.truncate(None, cursor, cursor, None) == 0
    assert session.truncate("table:t", None, None, None) == 0
    assert list(cursor) == []


def test_row_25_checkpoint_cursors_read_only(session: Session) -> None:
    cursor = filled(session)
    session.checkpoint("name=first")
    cursor["b"] = "new"
    session.checkpoint()
    cursor["b"] = "newer"
    with session.open_cursor("table:t", None, "checkpoint=first") as old:
        assert [row[1] for row in old] == ["B", "D", "F"]
        refused(UNSUPPORTED, old.__setitem__, "b", "1")
        assert session.open_cursor("table:t", None, "checkpoint=WiredTigerCheckpoint")["b"] == "new"
        refused(os.strerror(errno.EBUSY), session.checkpoint, "drop=(first)")
    assert session.checkpoint("drop=(first)") == 0
    refused(os.strerror(errno.ENOENT), session.open_cursor, "table:t", None, "checkpoint=first")


# Schema and configuration


def test_row_26_create_again_is_fine_with_the_same_formats(session: Session) -> None:
    assert session.create("table:t", "key_format=S,value_format=S,leaf_page_max=64KB") == 0
    refused("File exists", session.create, "table:t", "key_format=S,value_format=S,exclusive")
    refused(INVALID, session.create, "table:t", "key_format=i,value_format=S")
    refused(UNSUPPORTED, session.create, "lsm:t", "")
    refused(UNSUPPORTED, session.open_cursor, "index:t:a")
    refused(os.strerror(errno.ENOENT), session.open_cursor, "table:none")
    refused(INVALID, session.create, "table:z", "key_format=z")
    refused(UNSUPPORTED, session.create, "table:z", "key_format=r")


def test_row_27_empty_keys_are_legal(session: Session) -> None:
    session.create("table:u", "key_format=u,value_format=u")
    for uri, key, value in [("table:t", "", "x"), ("table:u", b"", b"x")]:
        cursor = session.open_cursor(uri)
        cursor[key] = value
        assert cursor[key] == value
        assert list(session.open_cursor(uri))[0] == [key, value]


def test_row_28_a_nul_inside_text_is_refused(session: Session) -> None:
    cursor = filled(session)
    assert "NUL" in refused(INVALID, cursor.set_key, "a\0b").detail
    refused(INVALID, cursor.set_value, "a\0b")
    session.begin_transaction()
    cursor.set_key("b")
    refused(INVALID, cursor.modify, [wt.Modify("\0", 0, 1)])
    session.rollback_transaction()


@pytest.mark.parametrize("config", ["cache_size=1K", "cache_size=abc", "nonsense=1", "log=(nonsense)"])
def test_row_29_configuration_errors_name_the_key(
    home: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(INVALID, wt.wiredtiger_open, home, f"create,error_prefix=me,{config}")
    key = "nonsense" if "nonsense" in config else "cache_size"
    assert key in error.detail
    printed = capsys.readouterr()
    assert key in printed.err
    assert INVALID in printed.err
    assert printed.out == ""


def test_row_29_what_does_not_apply_is_accepted_or_refused(home: str) -> None:
    text = "create,cache_size=1G,statistics=(fast),statistics_log=(wait=30),error_prefix=me,log=(enabled,file_max=1M)"
    wt.wiredtiger_open(home, text).close()
    assert "in_memory" in refused(UNSUPPORTED, wt.wiredtiger_open, home, "in_memory=true").detail


def test_row_30_a_missing_home_is_enoent(home: str) -> None:
    missing = os.strerror(errno.ENOENT)
    assert "create" in refused(missing, wt.wiredtiger_open, home).detail
    assert "folder" in refused(missing, wt.wiredtiger_open, home + "/none", "create").detail
    assert os.listdir(home) == []


def test_row_31_a_second_open_is_refused(home: str, connection: Connection) -> None:
    error = refused(os.strerror(errno.EBUSY), wt.wiredtiger_open, home)
    assert error.code == errno.EBUSY
    assert "in use by" in error.detail


def test_row_31_so_is_one_of_another_process(home: str, connection: Connection) -> None:
    program = f"from rshelve import wt; wt.wiredtiger_open({home!r}, 'operation_timeout_ms=50')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert os.strerror(errno.EBUSY) in run.stderr
    assert str(os.getpid()) in run.stderr
    assert run.stdout == ""
