"""Views of a shelf: keys, values, items, and ranges of them.

All are lazy: making one does nothing, iterating one reads a batch of rows at a time.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from rshelve.file import DbfilenameShelf
    from rshelve.shelf import Shelf

V = TypeVar("V")
T = TypeVar("T")


class ShelfKeysView(KeysView[Any]):
    """The keys of a shelf."""

    _mapping: Shelf[Any]

    def __iter__(self) -> Iterator[Any]:
        return self._mapping._walk("keys")

    def __reversed__(self) -> Iterator[Any]:
        return self._mapping._walk("keys", reverse=True)


class ShelfValuesView(ValuesView[V]):
    """The values of a shelf, in the order of their keys."""

    _mapping: Shelf[V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._walk("values")

    def __reversed__(self) -> Iterator[V]:
        return self._mapping._walk("values", reverse=True)

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class ShelfItemsView(ItemsView[Any, V]):
    """The pairs of a shelf, in the order of their keys."""

    _mapping: Shelf[V]

    def __iter__(self) -> Iterator[tuple[Any, V]]:
        return self._mapping._walk("items")

    def __reversed__(self) -> Iterator[tuple[Any, V]]:
        return self._mapping._walk("items", reverse=True)


class RangeView(Generic[V]):
    """A range of a shelf's keys; what `range` of a shelf returns.

    It is iterable (keys), any number of times, and has `keys`, `values` and `items`.
    """

    def __init__(self, shelf: DbfilenameShelf[V], start: bytes | None, stop: bytes | None, reverse: bool) -> None:
        self._shelf = shelf
        self._start = start
        self._stop = stop
        self._reverse = reverse

    def _part(self, what: str, turned: bool = False) -> _RangePart[Any]:
        reverse = self._reverse != turned
        return _RangePart(self._shelf, what, self._start, self._stop, reverse)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._part("keys"))

    def __reversed__(self) -> Iterator[Any]:
        return iter(self._part("keys", turned=True))

    def keys(self) -> _RangePart[Any]:
        """The keys in the range."""
        return self._part("keys")

    def values(self) -> _RangePart[V]:
        """The values in the range, in the order of their keys."""
        return self._part("values")

    def items(self) -> _RangePart[tuple[Any, V]]:
        """The pairs in the range."""
        return self._part("items")

    def __repr__(self) -> str:
        return f"<RangeView {self._start!r} to {self._stop!r}{' reversed' if self._reverse else ''}>"


class _RangePart(Generic[T]):
    """The keys, values or items of a range."""

    def __init__(
        self, shelf: DbfilenameShelf[Any], what: str, start: bytes | None, stop: bytes | None, reverse: bool
    ) -> None:
        self._shelf = shelf
        self._what = what
        self._start = start
        self._stop = stop
        self._reverse = reverse

    def __iter__(self) -> Iterator[T]:
        return self._shelf._walk(self._what, reverse=self._reverse, start=self._start, stop=self._stop)

    def __reversed__(self) -> Iterator[T]:
        return self._shelf._walk(self._what, reverse=not self._reverse, start=self._start, stop=self._stop)


def behind_prefix(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with `prefix`; None if there can be none.

    >>> behind_prefix(b"ab"), behind_prefix(b"a\\xff"), behind_prefix(b"\\xff")
    (b'ac', b'b', None)
    """
    short = prefix.rstrip(b"\xff")
    return short[:-1] + bytes([short[-1] + 1]) if short else None
