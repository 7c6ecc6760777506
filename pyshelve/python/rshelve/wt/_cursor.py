"""Cursors: places in tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rshelve._rshelve import CursorCore
from rshelve.wt._handle import Handle
from rshelve.wt._modify import Modify, changes_of

if TYPE_CHECKING:
    from rshelve.wt._session import Session

__all__ = ["Cursor", "IterableCursor"]


class Cursor(Handle):
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
    _parent = "session"
    #: The session that the cursor belongs to.
    session: Session

    def __init__(
        self, handle: CursorCore | Cursor | None = None, session: Session | None = None
    ) -> None:
        self._adopt(handle, session)

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
