"""The engine as a `dbm`: bytes in, bytes out, no objects.

>>> import rshelve.dbm
>>> with rshelve.dbm.open("spam", "c") as db:
...     db[b"knights"] = b"ni"
...     db.keys()
[b'knights']
"""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from dbm import whichdb as _standard_whichdb
from types import TracebackType
from typing import Any, TypeAlias

from rshelve import _serial
from rshelve._errors import error
from rshelve._options import check_flag
from rshelve._rshelve import DatabaseCore, Store, is_database

__all__ = ["Database", "error", "open", "whichdb"]

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Data: TypeAlias = str | bytes

_ABSENT = object()


class _Values(ValuesView[bytes]):
    """The values, in the order of their keys; a batch is read at a time."""

    _mapping: Database

    def __iter__(self) -> Iterator[bytes]:
        return self._mapping._open_store().scan("values")

    def __reversed__(self) -> Iterator[bytes]:
        return self._mapping._open_store().scan("values", reverse=True)


class _Items(ItemsView[bytes, bytes]):
    """The pairs, in the order of their keys; a batch is read at a time."""

    _mapping: Database

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping._open_store().scan("items")

    def __reversed__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping._open_store().scan("items", reverse=True)


class Database(DatabaseCore, MutableMapping[Any, Any]):
    """An open database: a mapping from bytes to bytes, in the order of its keys.

    Keys and values may be given as str, which becomes UTF-8.
    """

    # The hot methods are native; what those do not see to themselves comes to the `_slow_` ones.

    def __init__(self, store: Store) -> None:
        self.store = store

    def _open_store(self) -> Store:
        if self.store.closed:
            raise error("DBM object has already been closed")
        return self.store

    def _slow_getitem(self, key: Data) -> bytes:
        value = self._open_store().get(_data(key, "keys"))
        if value is None:
            raise KeyError(key)
        return value

    def _slow_get(self, key: Data, default: Any = None) -> Any:
        value = self._open_store().get(_data(key, "keys"))
        return default if value is None else value

    def _slow_setitem(self, key: Data, value: Data) -> None:
        self._open_store().set(_data(key, "keys"), _data(value, "values"))

    def setdefault(self, key: Data, default: Any = b"") -> Any:
        """Return the value at `key`; where there is none, store `default` first."""
        stored, value = _data(key, "keys"), _data(default, "values")
        store = self._open_store()
        while not store.set_new(stored, value):
            found = store.get(stored)
            if found is not None:
                return found
        return value

    def _slow_delitem(self, key: Data) -> None:
        if not self._open_store().delete(_data(key, "keys")):
            raise KeyError(key)

    def pop(self, key: Data, default: Any = _ABSENT) -> Any:
        """Remove `key` and return its value, or `default`."""
        value = self._open_store().take(_data(key, "keys"))
        if value is not None:
            return value
        if default is _ABSENT:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[bytes, bytes]:
        """Remove the first pair and return it."""
        pair = self._open_store().pop_first()
        if pair is None:
            raise KeyError("popitem(): the database is empty")
        return pair

    def _slow_contains(self, key: object) -> bool:
        return self._open_store().contains(_data(key, "keys"))

    def __len__(self) -> int:
        return len(self._open_store())

    def __iter__(self) -> Iterator[bytes]:
        return self._open_store().scan("keys")

    def __reversed__(self) -> Iterator[bytes]:
        return self._open_store().scan("keys", reverse=True)

    def keys(self) -> list[bytes]:  # type: ignore[override]
        """A list of all keys, in order."""
        return list(iter(self))

    def values(self) -> ValuesView[bytes]:
        """A view of the values, in the order of their keys."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, bytes]:
        """A view of the pairs, in the order of their keys."""
        return _Items(self)

    def clear(self) -> None:
        """Remove everything."""
        self._open_store().clear()

    def sync(self) -> None:
        """Make everything stored so far durable."""
        self._open_store().sync()

    def reorganize(self) -> None:
        """Give the space of what was removed or replaced back: the file gets as small as what is in it.

        Reading and writing go on beside it. Interrupted by ``Ctrl-C``, or by anything else, it loses
        nothing; what it did until then stays done.
        """
        self._open_store().compact()

    def close(self) -> None:
        """Close; again is fine."""
        self.store.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rshelve.dbm.Database {self.store!r}>"


def open(file: Path, flag: str = "r", mode: int = 0o666) -> Database:
    """Open a database of bytes.

    Parameters
    ----------
    file
        The file's name; nothing is added to it.
    flag
        ``'r'`` to read, ``'w'`` to read and write, ``'c'`` to create it if it is missing, ``'n'``
        to begin with an empty one.
    mode
        The permission bits of a new file, before the umask.

    Returns
    -------
    Database
        The open database.

    Raises
    ------
    error
        If the file is missing under ``'r'`` or ``'w'``, in use by another process, or no database.
    """
    check_flag(flag)
    return Database(Store.open(os.fsdecode(file), flag, file_mode=mode, metadata=_serial.RAW.to_text()))


def whichdb(filename: Path) -> str | None:
    """Guess which module opens a file.

    Parameters
    ----------
    filename
        The name that would be given to `open`.

    Returns
    -------
    str or None
        This module's name for a file of this engine; else what the standard `dbm.whichdb` says:
        None if there is nothing, ``''`` if it is nothing known.
    """
    path = os.fsdecode(filename)
    return __name__ if is_database(path) else _standard_whichdb(path)


def _data(data: object, role: str) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode("utf-8")
    if isinstance(data, (bytearray, memoryview)) and role == "values":
        return bytes(data)
    raise TypeError(f"{role} of a database are bytes or str, not {type(data).__name__}")
