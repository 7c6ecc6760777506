"""Sessions: transactions, and the cursors that work in them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from rshelve._rshelve import SessionCore, wt_strerror
from rshelve.wt._cursor import Cursor
from rshelve.wt._errors import closed, failure
from rshelve.wt._handle import Handle

if TYPE_CHECKING:
    from rshelve.wt._connection import Connection

__all__ = ["Session"]


class Session(Handle):
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
    _parent = "connection"
    #: The connection that the session belongs to.
    connection: Connection

    def __init__(
        self, handle: SessionCore | Session | None = None, connection: Connection | None = None
    ) -> None:
        self._adopt(handle, connection)

    @contextmanager
    def transaction(self, config: str | None = None) -> Iterator[None]:
        """Run a block as a transaction: committed at its end, rolled back if it raises.

        Not WiredTiger's.

        Examples
        --------
        >>> import os; os.mkdir("bank")
        >>> from rshelve.wt import wiredtiger_open
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
