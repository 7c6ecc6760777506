"""`Shelf`: objects in any mapping of bytes to bytes.

What a shelf does, with and without ``writeback``, is here; `rshelve.file` puts it on the engine.
"""

from __future__ import annotations

import builtins
import pickle
import shelve
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from rshelve import _serial
from rshelve._errors import CLOSED_TEXT, KeyTypeError
from rshelve._serial import Deserializer, Serializer
from rshelve.dbm import Database
from rshelve.views import ShelfItemsView, ShelfKeysView, ShelfValuesView

V = TypeVar("V")


class ClosedDict(MutableMapping[Any, Any]):
    """What a closed shelf has in place of its mapping: every access raises ValueError."""

    def _closed(self, *_: object) -> NoReturn:
        raise ValueError(CLOSED_TEXT)

    __iter__ = __len__ = __getitem__ = __setitem__ = __delitem__ = __contains__ = keys = _closed

    def __repr__(self) -> str:
        return "<Closed Dictionary>"


class Shelf(shelve.Shelf[V]):
    """A mapping from strings to objects, kept in a mapping from bytes to bytes.

    Parameters
    ----------
    dict
        The mapping to keep the objects in; its `sync` and `close` are called if it has them.
    protocol
        The pickle protocol; None is `pickle.DEFAULT_PROTOCOL`.
    writeback
        Keep every object that was read or written in memory, and write those that were changed
        in place when the shelf is synced or closed.
    keyencoding
        How keys become bytes.
    serializer, deserializer
        What to use instead of pickle: ``serializer(obj, protocol)`` returns bytes or a str,
        ``deserializer(data)`` gets bytes.

    Examples
    --------
    >>> from rshelve import Shelf
    >>> with Shelf({}) as shelf:
    ...     shelf["spam"] = [1, 2]
    ...     shelf["spam"]
    [1, 2]
    """

    writeback: bool
    cache: builtins.dict[Any, V]

    def __init__(
        self,
        dict: MutableMapping[bytes, bytes],
        protocol: int | None = None,
        writeback: bool = False,
        keyencoding: str = "utf-8",
        *,
        serializer: Serializer | None = None,
        deserializer: Deserializer | None = None,
    ) -> None:
        self.serializer, self.deserializer = _serial.choose(serializer, deserializer)
        self._protocol = pickle.DEFAULT_PROTOCOL if protocol is None else protocol
        self.cache = {}
        self._clean: builtins.dict[Any, bytes] = {}
        self.keyencoding = keyencoding
        self.dict = dict
        # Last: `__del__` takes it as the sign that there is something to close.
        self.writeback = writeback

    # Keys and values as bytes.

    _as_bytes = staticmethod(_serial.as_bytes)

    def _encode(self, key: Any) -> bytes:
        if not isinstance(key, str):
            raise _wrong_key(key, "str")
        return key.encode(self.keyencoding)

    def _decode(self, stored: bytes) -> Any:
        return stored.decode(self.keyencoding)

    def _dump(self, value: V) -> bytes:
        return _serial.as_bytes(self.serializer(value, self._protocol))

    def _load(self, stored: bytes) -> V:
        value: V = self.deserializer(stored if type(stored) is bytes else bytes(stored))
        return value

    def _cached(self, key: Any) -> V:
        # A close that failed leaves what it could not write for `cache` to show, not for reads.
        if isinstance(self.dict, ClosedDict):
            raise ValueError(CLOSED_TEXT)
        return self.cache[key]

    def _remember(self, key: Any, value: V, stored: bytes) -> V:
        """Under writeback, keep `value` with the bytes that it came from; the first one stays."""
        if not self.writeback:
            return value
        self._clean.setdefault(key, stored)
        return self.cache.setdefault(key, value)

    # The mapping.

    def __getitem__(self, key: Any) -> V:
        encoded = self._encode(key)
        if key in self.cache:
            return self._cached(key)
        try:
            stored = self.dict[encoded]
        except KeyError:
            raise KeyError(key) from None
        return self._remember(key, self._load(stored), stored)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value at `key`, or `default`; one lookup.

        Parameters
        ----------
        key
            The key.
        default
            What to return where there is no value.

        Returns
        -------
        object
            The value or the default.
        """
        encoded = self._encode(key)
        if key in self.cache:
            return self._cached(key)
        try:
            stored = self.dict[encoded]
        except KeyError:
            return default
        return self._remember(key, self._load(stored), stored)

    def __setitem__(self, key: Any, value: V) -> None:
        encoded = self._encode(key)
        stored = self._dump(value)
        self.dict[encoded] = stored
        if self.writeback:
            self._clean[key] = stored
            self.cache[key] = value

    def __delitem__(self, key: Any) -> None:
        encoded = self._encode(key)
        try:
            del self.dict[encoded]
        except KeyError:
            raise KeyError(key) from None
        finally:
            self._forget(key)

    def _forget(self, key: Any) -> None:
        self.cache.pop(key, None)
        self._clean.pop(key, None)

    def __contains__(self, key: Any) -> bool:
        return self._encode(key) in self.dict

    def __len__(self) -> int:
        return len(self.dict)

    def clear(self) -> None:
        """Remove everything, from the mapping and from the cache."""
        self.cache.clear()
        self._clean.clear()
        self.dict.clear()

    # Walks.

    def __iter__(self) -> Iterator[Any]:
        return self._walk("keys")

    def __reversed__(self) -> Iterator[Any]:
        return self._walk("keys", reverse=True)

    def keys(self) -> ShelfKeysView:
        """A view of the keys."""
        return ShelfKeysView(self)

    def values(self) -> ShelfValuesView[V]:
        """A view of the values."""
        return ShelfValuesView(self)

    def items(self) -> ShelfItemsView[V]:
        """A view of the pairs."""
        return ShelfItemsView(self)

    def _stored_keys(self, reverse: bool, start: bytes | None, stop: bytes | None) -> Iterator[bytes]:
        source = self.dict
        if isinstance(source, Database):
            return source.store.scan("keys", start=start, stop=stop, reverse=reverse)
        keys = list(source.keys())
        return reversed(keys) if reverse else iter(keys)

    def _walk(
        self, what: str, *, reverse: bool = False, start: bytes | None = None, stop: bytes | None = None
    ) -> Iterator[Any]:
        """Iterate over keys, values or items; the first error comes now, not at the first step."""
        return self._walk_on(what, self._stored_keys(reverse, start, stop))

    def _walk_on(self, what: str, stored_keys: Iterator[bytes]) -> Iterator[Any]:
        absent = object()
        for stored in stored_keys:
            if isinstance(self.dict, ClosedDict):
                raise ValueError(CLOSED_TEXT)
            key = self._decode(stored)
            if what == "keys":
                yield key
                continue
            value = self.get(key, absent)
            if value is not absent:
                yield value if what == "values" else (key, value)

    # Writeback, and the end.

    def _has_changed(self, key: Any, stored: bytes) -> bool:
        clean = self._clean.get(key)
        if clean is None or clean == stored:
            return clean is None
        # A pickle may come out differently the second time; what an untouched copy gives counts.
        return self._dump(self._load(clean)) != stored

    def _write_back(self) -> None:
        """Write the cached entries that changed; those that cannot be written stay."""
        failure: BaseException | None = None
        for key, value in list(self.cache.items()):
            try:
                stored = self._dump(value)
                if self._has_changed(key, stored):
                    self.dict[self._encode(key)] = stored
            except Exception as why:
                failure = failure or why
            else:
                self._forget(key)
        if failure is not None:
            raise failure

    def sync(self) -> None:
        """Write the cached entries that changed, empty the cache, and make all of it durable.

        Raises
        ------
        Exception
            The first that a serializer or the mapping raised. What could not be written stays in
            the cache, and the next `sync` or `close` tries again.
        """
        try:
            if self.writeback and self.cache:
                self._write_back()
        finally:
            sync = getattr(self.dict, "sync", None)
            if sync is not None:
                sync()

    def reorganize(self) -> None:
        """Sync, and let the mapping give the space of removed entries back, if it has a method for that.

        A shelf on a file shrinks to what is in it; others may go on reading and writing beside it.

        Raises
        ------
        ValueError
            When it is closed.
        Exception
            See `sync`.

        Examples
        --------
        >>> import os, rshelve
        >>> with rshelve.open("larder") as shelf:
        ...     shelf.update((str(number), "egg" * 100) for number in range(5000))
        ...     shelf.clear()
        ...     shelf.reorganize()
        ...     os.stat("larder").st_size < 65536
        True
        """
        if isinstance(self.dict, ClosedDict):
            raise ValueError(CLOSED_TEXT)
        self.sync()
        reorganize = getattr(self.dict, "reorganize", None)
        if reorganize is not None:
            reorganize()

    def close(self) -> None:
        """Sync and close; again is fine.

        Raises
        ------
        Exception
            See `sync`. The shelf is closed all the same.
        """
        if isinstance(self.dict, ClosedDict):
            return
        try:
            self.sync()
        finally:
            try:
                close = getattr(self.dict, "close", None)
                if close is not None:
                    close()
            finally:
                self.dict = ClosedDict()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "writeback"):
            self.close()

    def __copy__(self) -> NoReturn:
        raise TypeError("a shelf cannot be copied: the copy's end would close the original; open it twice instead")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self.__copy__()


class BsdDbShelf(Shelf[V]):
    """A shelf in a mapping that has a position, as the old bsddb modules opened them.

    The mapping has `set_location`, `first`, `last`, `next` and `previous`, each returning a pair.
    """

    def _pair(self, pair: tuple[bytes, bytes]) -> tuple[Any, V]:
        return self._decode(pair[0]), self._load(pair[1])

    def set_location(self, key: Any) -> tuple[Any, V]:
        """Go to `key`, or to the one behind where it would be, and return the pair."""
        return self._pair(self._positioned.set_location(key))

    def next(self) -> tuple[Any, V]:
        """Go to the next key and return the pair."""
        return self._pair(next(self._positioned))

    def previous(self) -> tuple[Any, V]:
        """Go to the previous key and return the pair."""
        return self._pair(self._positioned.previous())

    def first(self) -> tuple[Any, V]:
        """Go to the first key and return the pair."""
        return self._pair(self._positioned.first())

    def last(self) -> tuple[Any, V]:
        """Go to the last key and return the pair."""
        return self._pair(self._positioned.last())

    @property
    def _positioned(self) -> Any:
        return self.dict


def _wrong_key(key: object, wanted: str) -> KeyTypeError:
    kind = type(key).__name__
    if kind in ("str", "bytes"):
        hint = f"a shelf opened with key={kind!r} takes them"
    elif kind in ("int", "float", "tuple"):
        hint = f"key={kind!r} would take them, and is not supported yet"
    else:
        hint = "key='str' and key='bytes' are what a shelf can be opened with"
    return KeyTypeError(f"keys of this shelf are {wanted}, not {kind}; {hint}")
