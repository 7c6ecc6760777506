"""Connections, sessions and cursors, thin over the extension.

Each object keeps the extension's handle in ``_core``, and reaches it only through that attribute:
a subclass that does not call ``__init__`` and hands unknown attributes on to another object works
as that object does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from rshelve._rshelve import ConnectionCore, CursorCore, SessionCore, wt_strerror
from rshelve.wt._errors import closed, failure
from rshelve.wt._modify import Modify, changes_of

__all__ = ["Connection", "Cursor", "IterableCursor", "Session", "wiredtiger_open"]

_C = TypeVar("_C", bound="Connection")
_S = TypeVar("_S", bound="Session")
_K = TypeVar("_K", bound="Cursor")


def wiredtiger_open(home: str | os.PathLike[str] | None, config: str | None = None) -> Connection:
    """Open the database in a folder.

    Parameters
    ----------
    home : str or path-like or None
        The folder, which must exist; None is the current one. One file in it is the database.
    config : str, optional
        See ``docs/configuration.md``; ``"create"`` makes the database if there is none.

    Returns
    -------
    Connection
        To be closed.

    Raises
    ------
    WiredTigerError
        ENOENT: there is no such folder, or no database in it and no ``create``. EBUSY: it is open
        already, here or in another process. EINVAL: the configuration makes no sense.

    Examples
    --------
    >>> import os; os.mkdir("home")
    >>> connection = wiredtiger_open("home", "create,cache_size=500M")
    >>> session = connection.open_session()
    >>> session.create("table:access", "key_format=S,value_format=S")
    0
    >>> cursor = session.open_cursor("table:access")
    >>> cursor["key1"] = "value1"
    >>> for key, value in cursor:
    ...     print(key, value)
    key1 value1
    >>> connection.close()
    0
    """
    return Connection(ConnectionCore.open(os.fspath(home or "."), config or ""))


class Connection:
    """An open database; `wiredtiger_open` makes one.

    A context manager: it is closed at the end, if it is not before.

    Parameters
    ----------
    handle : Connection, optional
        To be another object for the same database. Without one the object is of no use.
    """

    _core: ConnectionCore

    def __init__(self, handle: ConnectionCore | Connection | None = None) -> None:
        if handle is not None:
            self._core = handle._core if isinstance(handle, Connection) else handle

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"

    def __enter__(self: _C) -> _C:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._core.closed:
            self.close()

    def open_session(self, config: str | None = None) -> Session:
        """Open a session, for one thread at a time."""
        return Session(self._core.open_session(config or ""), self)

    def get_home(self) -> str:
        """The folder, as it was given."""
        return self._core.home

    def is_new(self) -> int:
        """1 if the database was made when it was opened, else 0."""
        return int(self._core.is_new)

    def reconfigure(self, config: str | None = None) -> int:
        """Change options while the database is open."""
        self._core.reconfigure(config or "")
        return 0

    def close(self, config: str | None = None) -> int:
        """Close the sessions and their cursors, then the database."""
        self._core.close(config or "")
        return 0

    def _refuse(self, method: str, what: str) -> NoReturn:
        if self._core.closed:
            raise closed("the connection")
        raise failure(errno.ENOTSUP, what, f"WT_CONNECTION.{method}", "")

    def compile_configuration(self, method: str, config: str) -> str:
        """Not built: strings are read where they are used."""
        self._refuse("compile_configuration", "compiled configurations are not built")

    def configure_method(self, method: str, uri: str, config: str, type: str, check: str) -> int:
        """Not built."""
        self._refuse("configure_method", "options cannot be added")

    def debug_info(self, config: str | None = None) -> int:
        """Not built."""
        self._refuse("debug_info", "there is no output for debugging")

    def get_storage_source(self, name: str) -> Any:
        """Not built."""
        self._refuse("get_storage_source", "there is no tiered storage")

    def load_extension(self, path: str, config: str | None = None) -> int:
        """Not built."""
        self._refuse("load_extension", "there are no extensions")

    def query_timestamp(self, config: str | None = None) -> str:
        """Not built yet."""
        self._refuse("query_timestamp", "timestamps are not built yet")

    def rollback_to_stable(self, config: str | None = None) -> int:
        """Not built yet."""
        self._refuse("rollback_to_stable", "timestamps are not built yet")

    def set_file_system(self, file_system: Any, config: str | None = None) -> int:
        """Not built."""
        self._refuse("set_file_system", "the file system is the system's")

    def set_timestamp(self, config: str | None = None) -> int:
        """Not built yet."""
        self._refuse("set_timestamp", "timestamps are not built yet")


class Session:
    """Runs one transaction at a time; `Connection.open_session` makes one.

    A context manager: it is closed at the end, if it is not before, and a transaction that is open
    then is rolled back.

    Parameters
    ----------
    handle : Session, optional
        To be another object for the same session. Without one the object is of no use.
    connection : Connection, optional
        What it belongs to.
    """

    _core: SessionCore
    #: The connection that the session belongs to.
    connection: Connection

    def __init__(
        self, handle: SessionCore | Session | None = None, connection: Connection | None = None
    ) -> None:
        if isinstance(handle, Session):
            self._core, connection = handle._core, connection or handle.connection
        elif handle is not None:
            self._core = handle
        if connection is not None:
            self.connection = connection

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._core.closed:
            self.close()

    @contextmanager
    def transaction(self, config: str | None = None) -> Iterator[None]:
        """Run a block as a transaction: committed at its end, rolled back if it raises.

        Not WiredTiger's.

        Examples
        --------
        >>> import os; os.mkdir("bank")
        >>> with wiredtiger_open("bank", "create") as connection:
        ...     session = connection.open_session()
        ...     _ = session.create("table:accounts", "key_format=S,value_format=q")
        ...     accounts = session.open_cursor("table:accounts")
        ...     with session.transaction():
        ...         accounts["ann"] = 100
        ...         accounts["bob"] = 0
        ...     list(accounts)
        [['ann', 100], ['bob', 0]]
        """
        self.begin_transaction(config)
        try:
            yield
        except BaseException:
            self.rollback_transaction()
            raise
        self.commit_transaction()

    def open_cursor(
        self, uri: str | None, to_dup: Cursor | None = None, config: str | None = None
    ) -> Cursor:
        """Open a cursor.

        Parameters
        ----------
        uri : str or None
            ``"table:NAME"``, ``"metadata:"`` or ``"statistics:"``; None to duplicate a cursor.
        to_dup : Cursor, optional
            A cursor with a key: the new one is on the same record.
        config : str, optional
            See ``docs/configuration.md``.
        """
        original = None if to_dup is None else to_dup._core
        return Cursor(self._core.open_cursor(uri, original, config or ""), self)

    def create(self, name: str, config: str | None = None) -> int:
        """Create a table, ``"table:NAME"``, unless it exists with the same formats."""
        self._core.create(name, config or "")
        return 0

    def drop(self, name: str, config: str | None = None) -> int:
        """Drop a table. EBUSY while a cursor on it is open."""
        self._core.drop(name, config or "")
        return 0

    def truncate(
        self,
        name: str | None,
        start: Cursor | None = None,
        stop: Cursor | None = None,
        config: str | None = None,
    ) -> int:
        """Remove all rows of a table, or those from the key of `start` to that of `stop`."""
        first = None if start is None else start._core
        last = None if stop is None else stop._core
        self._core.truncate(name, first, last, config or "")
        return 0

    def begin_transaction(self, config: str | None = None) -> int:
        """Begin a transaction."""
        self._core.begin_transaction(config or "")
        return 0

    def commit_transaction(self, config: str | None = None) -> int:
        """Commit the transaction. Cursors keep their places."""
        self._core.commit_transaction(config or "")
        return 0

    def rollback_transaction(self, config: str | None = None) -> int:
        """Roll the transaction back, and reset the session's cursors."""
        self._core.rollback_transaction(config or "")
        return 0

    def checkpoint(self, config: str | None = None) -> int:
        """Write a consistent image of every table, durably."""
        self._core.checkpoint(config or "")
        return 0

    def log_flush(self, config: str | None = None) -> int:
        """Make everything that is committed durable."""
        self._core.log_flush(config or "")
        return 0

    def reset(self) -> int:
        """Reset the session's cursors."""
        self._core.reset()
        return 0

    def reset_snapshot(self) -> int:
        """See, from here on, what is committed now."""
        self._core.reset_snapshot()
        return 0

    def reconfigure(self, config: str | None = None) -> int:
        """Change the session's options."""
        self._core.reconfigure(config or "")
        return 0

    def verify(self, name: str | None, config: str | None = None) -> int:
        """Take a checkpoint and check all that it reaches: WT_TRY_SALVAGE if anything is damaged."""
        self._core.verify(name, config or "")
        return 0

    def get_rollback_reason(self) -> str | None:
        """Why the last operation was rolled back, if one was since the transaction began."""
        return self._core.rollback_reason()

    def strerror(self, error: int) -> str:
        """What the number of an error says."""
        return wt_strerror(error)

    def close(self, config: str | None = None) -> int:
        """Close the session's cursors, roll its transaction back, and end it."""
        self._core.close()
        return 0

    def _refuse(self, method: str, what: str) -> NoReturn:
        if self._core.closed:
            raise closed("the session")
        raise failure(errno.ENOTSUP, what, f"WT_SESSION.{method}", "")

    def alter(self, name: str, config: str | None = None) -> int:
        """Not built: a table's options are fixed when it is created."""
        self._refuse("alter", "a table's options are fixed when it is created")

    def bind_configuration(self, compiled: str, *values: Any) -> int:
        """Not built."""
        self._refuse("bind_configuration", "compiled configurations are not built")

    def breakpoint(self) -> int:
        """Do nothing."""
        return 0

    def compact(self, name: str | None, config: str | None = None) -> int:
        """Move what is at the file's end into free space, and shorten the file; it is that of all tables."""
        self._core.compact(name, config or "")
        return 0

    def join(self, join_cursor: Cursor, ref_cursor: Cursor, config: str | None = None) -> int:
        """Not built."""
        self._refuse("join", "join cursors are not built")

    def log_printf(self, message: str) -> int:
        """Not built."""
        self._refuse("log_printf", "the log holds commits only")

    def prepare_transaction(self, config: str | None = None) -> int:
        """Not built yet."""
        self._refuse("prepare_transaction", "prepared transactions are not built yet")

    def query_timestamp(self, config: str | None = None) -> str:
        """Not built yet."""
        self._refuse("query_timestamp", "timestamps are not built yet")

    def rename(self, uri: str, newuri: str, config: str | None = None) -> int:
        """Not built."""
        self._refuse("rename", "a table keeps its name")

    def salvage(self, name: str, config: str | None = None) -> int:
        """Not built."""
        self._refuse("salvage", "there is no salvage; restore a copy of the file")

    def timestamp_transaction(self, config: str | None = None) -> int:
        """Not built yet."""
        self._refuse("timestamp_transaction", "timestamps are not built yet")

    def timestamp_transaction_uint(self, which: int, ts: int) -> int:
        """Not built yet."""
        self._refuse("timestamp_transaction_uint", "timestamps are not built yet")

    def transaction_pinned_range(self) -> int:
        """Not built."""
        self._refuse("transaction_pinned_range", "the ids of transactions are not shown")


class Cursor:
    """A place in a table; `Session.open_cursor` makes one.

    ``cursor[key]``, ``cursor[key] = value`` and ``del cursor[key]`` work on records by their key,
    which is a tuple where it has several columns. Iteration goes on from the record after the one
    that the cursor is on, and gives lists of the key's and the value's columns. A context manager:
    it is closed at the end, if it is not before.

    Parameters
    ----------
    handle : Cursor, optional
        To be another object for the same cursor. Without one the object is of no use.
    session : Session, optional
        What it belongs to.

    Attributes
    ----------
    key_format, value_format : str
        The columns, as letters.
    """

    _core: CursorCore
    #: The session that the cursor belongs to.
    session: Session

    def __init__(
        self, handle: CursorCore | Cursor | None = None, session: Session | None = None
    ) -> None:
        if isinstance(handle, Cursor):
            self._core, session = handle._core, session or handle.session
        elif handle is not None:
            self._core = handle
        if session is not None:
            self.session = session

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"

    def __enter__(self: _K) -> _K:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._core.closed:
            self.close()

    @property
    def uri(self) -> str:
        """What it was opened on."""
        return self._core.uri

    @property
    def key_format(self) -> str:
        """The columns of its keys."""
        return self._core.key_format

    @property
    def value_format(self) -> str:
        """The columns of its values."""
        return self._core.value_format

    def __getitem__(self, key: Any) -> Any:
        self._set_key_item(key)
        if self.search() != 0:
            raise KeyError(key)
        return self.get_value()

    def __setitem__(self, key: Any, value: Any) -> None:
        self._set_key_item(key)
        self.set_value(*value if isinstance(value, (tuple, list)) else (value,))
        self.insert()

    def __delitem__(self, key: Any) -> None:
        self._set_key_item(key)
        if self.remove() != 0:
            raise KeyError(key)

    def _set_key_item(self, key: Any) -> None:
        self.set_key(*key if isinstance(key, (tuple, list)) else (key,))

    def __iter__(self) -> IterableCursor:
        return IterableCursor(self)

    def set_key(self, *args: Any) -> None:
        """Set the key: its columns, or one tuple of them."""
        self._core.set_key(*_columns(args))

    def set_value(self, *args: Any) -> None:
        """Set the value: its columns, or one tuple of them."""
        self._core.set_value(*_columns(args))

    def get_key(self) -> Any:
        """The key: its column, or a list of them."""
        return self._core.get_key()

    def get_keys(self) -> list[Any]:
        """The key, as a list of columns."""
        return self._core.get_keys()

    def get_value(self) -> Any:
        """The value: its column, or a list of them."""
        return self._core.get_value()

    def get_values(self) -> list[Any]:
        """The value, as a list of columns."""
        return self._core.get_values()

    def get_raw_key_value(self) -> tuple[Any, Any]:
        """The key and the value, as `get_key` and `get_value` give them."""
        return self.get_key(), self.get_value()

    def next(self) -> int:
        """Go to the next record, from nowhere to the first: 0, or WT_NOTFOUND at the end."""
        return self._core.next()

    def prev(self) -> int:
        """Go to the previous record, from nowhere to the last: 0, or WT_NOTFOUND at the beginning."""
        return self._core.prev()

    def search(self) -> int:
        """Go to the record of the key that is set: 0, or WT_NOTFOUND."""
        return self._core.search()

    def search_near(self) -> int:
        """Go to the smallest key that is not below the one that is set, else to the largest below it.

        Returns
        -------
        int
            -1, 0 or 1 for a smaller, the equal or a larger key; WT_NOTFOUND in an empty table.
        """
        return self._core.search_near()

    def insert(self) -> int:
        """Insert the key and the value that are set."""
        return self._core.insert()

    def update(self) -> int:
        """Give the record the value that is set: 0, or WT_NOTFOUND."""
        return self._core.update()

    def remove(self) -> int:
        """Remove the record: 0, or WT_NOTFOUND."""
        return self._core.remove()

    def reserve(self) -> int:
        """Keep other transactions from writing the record before this one ends."""
        return self._core.reserve()

    def modify(self, modifies: Iterable[Modify]) -> int:
        """Change parts of the record's value, one after the other: 0, or WT_NOTFOUND."""
        return self._core.modify(changes_of(modifies))

    def largest_key(self) -> int:
        """Set the largest key: 0, or WT_NOTFOUND in an empty table."""
        return self._core.largest_key()

    def bound(self, config: str | None = None) -> int:
        """Hold the cursor to a range: set a bound at the key that is set, or clear bounds."""
        return self._core.bound(config or "")

    def reset(self) -> int:
        """Go to no record, and clear bounds."""
        return self._core.reset()

    def compare(self, other: Cursor) -> int:
        """Compare two cursors' keys: -1, 0 or 1."""
        return self._core.compare(_core_of(other))

    def equals(self, other: Cursor) -> int:
        """Whether two cursors' keys are equal: 1 or 0."""
        return self._core.equals(_core_of(other))

    def reconfigure(self, config: str | None = None) -> int:
        """Change the cursor's options."""
        return self._core.reconfigure(config or "")

    def checkpoint_id(self) -> int:
        """The number of the checkpoint that is read; 0 for what is there now."""
        self._core.uri  # noqa: B018 - raises if it is closed
        return 0

    def close(self) -> int:
        """Close the cursor."""
        self._core.close()
        return 0


class IterableCursor:
    """Iterates over the records after a cursor's place."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def __iter__(self) -> IterableCursor:
        return self

    def __next__(self) -> list[Any]:
        if self.cursor.next() != 0:
            raise StopIteration
        return self.cursor.get_keys() + self.cursor.get_values()

    def next(self) -> list[Any]:
        """The next record's columns."""
        return self.__next__()


def _columns(args: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(args) == 1 and isinstance(args[0], tuple):
        return args[0]
    return args


def _core_of(cursor: Cursor) -> CursorCore:
    if cursor is None:
        raise TypeError("a cursor is wanted, not None")
    return cursor._core
