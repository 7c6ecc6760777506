"""Connections: open databases."""

from __future__ import annotations

import errno
import os
from typing import Any, NoReturn

from rshelve._rshelve import ConnectionCore
from rshelve.wt._errors import closed, failure
from rshelve.wt._handle import Handle
from rshelve.wt._session import Session

__all__ = ["Connection", "wiredtiger_open"]


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


class Connection(Handle):
    """An open database; `wiredtiger_open` makes one.

    A context manager: it is closed at the end, if it is not before.

    Parameters
    ----------
    handle : Connection, optional
        To be another object for the same database. Without one the object is of no use.
    """

    _core: ConnectionCore

    def __init__(self, handle: ConnectionCore | Connection | None = None) -> None:
        self._adopt(handle)

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
