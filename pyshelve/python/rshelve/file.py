"""`DbfilenameShelf`: a shelf on the engine, and `open`.

The hot methods are native (`_rshelve.ShelfCore`, the first base): in the plain state, an open
shelf without writeback whose keys are bytes or UTF-8, they serve themselves. `_rebind` says
whether that state holds; whenever one of the attributes that decide it changes, it is called.
"""

from __future__ import annotations

import atexit
import codecs
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, Literal, TypeVar

from rshelve import _serial
from rshelve._check import Progress, VerifyReport, verify_report
from rshelve._errors import error
from rshelve._options import Compression, Durability, Key, Size, check_flag, check_key, parse_size, pickle_allowed
from rshelve._rshelve import ShelfCore, Store
from rshelve._serial import Deserializer, Record, Serializer
from rshelve.dbm import Database, Path
from rshelve.shelf import ClosedDict, Shelf, _wrong_key
from rshelve.views import RangeView, behind_prefix

V = TypeVar("V")

_ABSENT: Any = object()
_ROW_OVERHEAD_BYTES = 64
_open_shelves: dict[int, weakref.ref[DbfilenameShelf[Any]]] = {}


class DbfilenameShelf(ShelfCore, Shelf[V], Generic[V]):
    """A shelf in a file. `open` makes one, and says what the parameters mean."""

    _ready = False

    def __init__(
        self,
        filename: Path,
        flag: str = "c",
        protocol: int | None = None,
        writeback: bool = False,
        *,
        serializer: Serializer | None = None,
        deserializer: Deserializer | None = None,
        mode: int = 0o666,
        keyencoding: str = "utf-8",
        key: Key = "str",
        table: str = "main",
        cache_size: Size = "128MiB",
        durability: Durability = "process",
        compression: Compression | None = None,
        timeout: float = 5.0,
        allow_pickle: bool = True,
    ) -> None:
        check_flag(flag)
        check_key(key)
        cache_bytes = parse_size(cache_size)
        pair = _serial.choose(serializer, deserializer)
        wanted = Record.of(key, _serial.name_of(*pair), keyencoding)
        if wanted.serializer == "pickle" and not pickle_allowed(allow_pickle):
            raise error("pickles are not allowed here, and this shelf would be read with pickle; give a serializer and a deserializer")
        self._path = os.path.abspath(os.fsdecode(filename))
        store = Store.open(
            self._path,
            flag,
            table=table,
            cache_bytes=cache_bytes,
            durability=durability,
            compression=compression,
            timeout=timeout,
            file_mode=mode,
            metadata=wanted.to_text(),
        )
        try:
            Record.from_text(store.metadata).check(wanted, table)
        except BaseException:
            store.close()
            raise
        self._store = store
        self._key = key
        self._batch_bytes = cache_bytes // 8
        self._arguments = {
            "protocol": protocol,
            "writeback": writeback,
            "serializer": serializer,
            "deserializer": deserializer,
            "mode": mode,
            "keyencoding": keyencoding,
            "key": key,
            "table": table,
            "cache_size": cache_size,
            "durability": durability,
            "compression": compression,
            "timeout": timeout,
            "allow_pickle": allow_pickle,
        }
        # A shelf that was opened anew must not be emptied by whoever unpickles it.
        self._flag = "w" if flag == "n" else flag
        Shelf.__init__(
            self, Database(store), protocol, writeback, keyencoding, serializer=serializer, deserializer=deserializer
        )
        self._ready = True
        self._rebind()
        _open_shelves[id(self)] = weakref.ref(self, _forgetting(id(self)))

    # The state that decides who serves the hot methods.

    @property
    def dict(self) -> MutableMapping[bytes, bytes]:
        """The mapping of bytes under the shelf."""
        return self._dict

    @dict.setter
    def dict(self, mapping: MutableMapping[bytes, bytes]) -> None:
        self._dict = mapping
        self._rebind()

    @property
    def writeback(self) -> bool:
        """Whether objects are cached, and written when the shelf is synced or closed."""
        return self._writeback

    @writeback.setter
    def writeback(self, writeback: bool) -> None:
        self._writeback = writeback
        self._rebind()

    @property
    def keyencoding(self) -> str:
        """How keys become bytes."""
        return self._keyencoding

    @keyencoding.setter
    def keyencoding(self, keyencoding: str) -> None:
        self._keyencoding = keyencoding
        self._rebind()

    def _is_plain(self) -> bool:
        if not self._ready or self._writeback or self.cache:
            return False
        utf8 = self._key == "bytes" or codecs.lookup(self._keyencoding).name == "utf-8"
        return utf8 and isinstance(self._dict, Database) and self._dict.store is self._store

    def _rebind(self) -> None:
        if self._is_plain():
            self._bind(self._store, self._key == "bytes", self.serializer, self.deserializer)
        else:
            self._bind(None)

    # What the native methods call when the state is another.

    _slow_getitem = Shelf.__getitem__
    _slow_get = Shelf.get
    _slow_setitem = Shelf.__setitem__
    _slow_delitem = Shelf.__delitem__
    _slow_contains = Shelf.__contains__
    _slow_len = Shelf.__len__

    def _encode(self, key: Any) -> bytes:
        if self._key == "bytes":
            if not isinstance(key, bytes):
                raise _wrong_key(key, "bytes")
            return key
        return super()._encode(key)

    def _decode(self, stored: bytes) -> Any:
        return stored if self._key == "bytes" else stored.decode(self._keyencoding)

    def _walk(
        self, what: str, *, reverse: bool = False, start: bytes | None = None, stop: bytes | None = None
    ) -> Iterator[Any]:
        if not self._is_plain():
            return super()._walk(what, reverse=reverse, start=start, stop=stop)
        key_form: Literal["str"] | None = "str" if self._key == "str" else None
        return self._store.scan(
            what, start=start, stop=stop, reverse=reverse, key_form=key_form, loads=self.deserializer
        )

    # What the engine does better than one call after the other.

    def range(
        self, start: Any = None, stop: Any = None, *, prefix: Any = None, reverse: bool = False
    ) -> RangeView[V]:
        """Return a view of the keys from `start` to before `stop`.

        Parameters
        ----------
        start, stop
            The first key, and the first that is not wanted; None is the end of the shelf.
        prefix
            Only keys that begin so.
        reverse
            From the last to the first.

        Returns
        -------
        RangeView
            Iterable (keys), with `keys`, `values` and `items`. It is lazy: rows are read, a batch
            at a time, as the iteration comes to them.

        Examples
        --------
        >>> import rshelve
        >>> with rshelve.open("birds") as shelf:
        ...     shelf.update({"parrot/blue": 1, "parrot/red": 2, "swallow": 3})
        ...     list(shelf.range(prefix="parrot/").items())
        ...     list(shelf.range("parrot/c", reverse=True))
        [('parrot/blue', 1), ('parrot/red', 2)]
        ['swallow', 'parrot/red']
        """
        first = None if start is None else self._encode(start)
        last = None if stop is None else self._encode(stop)
        if prefix is not None:
            begin = self._encode(prefix)
            behind = behind_prefix(begin)
            first = begin if first is None else max(first, begin)
            if behind is not None:
                last = behind if last is None else min(last, behind)
        return RangeView(self, first, last, reverse)

    def update(self, other: Any = (), /, **kwds: V) -> None:
        """Store many pairs: all or nothing while they fit an eighth of the cache.

        More than that is stored in batches, each of them all or nothing.

        Parameters
        ----------
        other
            A mapping, or an iterable of pairs.
        **kwds
            More pairs.

        Examples
        --------
        >>> import rshelve
        >>> with rshelve.open("cheese") as shelf:
        ...     shelf.update({"brie": 0, "gouda": 0}, cheddar=0)
        ...     len(shelf)
        3
        """
        if not isinstance(self._dict, Database):
            super().update(other, **kwds)
            return
        rows: list[tuple[bytes, bytes]] = []
        objects: list[tuple[Any, V]] = []
        batch_bytes = 0
        for key, value in _pairs(other, kwds):
            row = (self._encode(key), self._dump(value))
            rows.append(row)
            if self.writeback:
                objects.append((key, value))
            batch_bytes += len(row[0]) + len(row[1]) + _ROW_OVERHEAD_BYTES
            if batch_bytes >= self._batch_bytes:
                self._apply(rows, objects)
                rows, objects, batch_bytes = [], [], 0
        if rows:
            self._apply(rows, objects)

    def _apply(self, rows: list[tuple[bytes, bytes]], objects: list[tuple[Any, V]]) -> None:
        self._store.apply(rows)
        for (key, value), (_, stored) in zip(objects, rows):
            self._clean[key] = stored
            self.cache[key] = value

    def pop(self, key: Any, default: Any = _ABSENT) -> Any:
        """Remove `key` and return its value, in one step.

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

        Raises
        ------
        KeyError
            If there is no value and no default.
        """
        encoded = self._encode(key)
        stored = self._open_store().take(encoded)
        cached = self.cache.get(key, _ABSENT)
        self._forget(key)
        if stored is None:
            if default is _ABSENT:
                raise KeyError(key)
            return default
        return self._load_or_put_back(encoded, stored) if cached is _ABSENT else cached

    def popitem(self) -> tuple[Any, V]:
        """Remove the first pair, in key order, and return it.

        Raises
        ------
        KeyError
            If the shelf is empty.
        """
        pair = self._open_store().pop_first()
        if pair is None:
            raise KeyError("popitem(): the shelf is empty")
        key = self._decode(pair[0])
        cached = self.cache.get(key, _ABSENT)
        self._forget(key)
        return key, self._load_or_put_back(*pair) if cached is _ABSENT else cached

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value at `key`; where there is none, store `default` first, in one step."""
        while True:
            found = self.get(key, _ABSENT)
            if found is not _ABSENT:
                return found
            stored = self._dump(default)
            if self._open_store().set_new(self._encode(key), stored):
                return self._remember(key, default, stored)

    def _load_or_put_back(self, encoded: bytes, stored: bytes) -> V:
        """An object that cannot be read stays in the shelf, as it would after a plain read."""
        try:
            return self._load(stored)
        except BaseException:
            self._store.set_new(encoded, stored)
            raise

    def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Look at everything that the file holds, all of its tables.

        A shelf that may write is synced first and takes a checkpoint, so that all that was stored is
        looked at; other threads go on meanwhile.

        Parameters
        ----------
        progress
            Called now and then; see `rshelve.verify`.

        Returns
        -------
        VerifyReport
            True when nothing is wrong.

        Raises
        ------
        ValueError
            If the shelf is closed.
        Exception
            What syncing raises.
        """
        store = self._open_store()
        if not store.read_only:
            self.sync()
        return verify_report(store.verify(progress))

    def _open_store(self) -> Store:
        if not isinstance(self._dict, Database):
            len(self._dict)  # raises what a closed shelf raises
        return self._store

    # The end.

    def close(self) -> None:
        """Sync and close; again is fine. In the child of a fork it only lets go.

        Raises
        ------
        Exception
            See `sync`. The shelf is closed all the same.
        """
        if self._ready and self._store.forked:
            self.cache = {}
            self._dict = ClosedDict()
            self._rebind()
            self._store.close()
            return
        super().close()
        _open_shelves.pop(id(self), None)

    def __del__(self) -> None:
        if not self._ready or self._store.closed:
            return
        if not (self._store.forked or sys.is_finalizing()):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self.close()

    def __repr__(self) -> str:
        if not self._ready:
            return f"<{type(self).__name__} that was not opened>"
        state = " closed" if self._store.closed else ""
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._path!r}{state}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if self._store.closed:
            raise TypeError("a closed shelf cannot be pickled")
        return _reopen, (type(self), self._path, self._flag, self._arguments)


def open(
    filename: Path,
    flag: str = "c",
    protocol: int | None = None,
    writeback: bool = False,
    *,
    serializer: Serializer | None = None,
    deserializer: Deserializer | None = None,
    mode: int = 0o666,
    keyencoding: str = "utf-8",
    key: Key = "str",
    table: str = "main",
    cache_size: Size = "128MiB",
    durability: Durability = "process",
    compression: Compression | None = None,
    timeout: float = 5.0,
    allow_pickle: bool = True,
) -> DbfilenameShelf[Any]:
    """Open a shelf.

    Parameters
    ----------
    filename
        The file's name; nothing is added to it.
    flag
        ``'r'`` to read, ``'w'`` to read and write, ``'c'`` to create it if it is missing, ``'n'``
        to begin with an empty one.
    protocol
        The pickle protocol; None is `pickle.DEFAULT_PROTOCOL`.
    writeback
        Keep every object that was read or written in memory, and write those that were changed
        in place when the shelf is synced or closed.
    serializer, deserializer
        What to use instead of pickle: ``serializer(obj, protocol)`` returns bytes or a str,
        ``deserializer(data)`` gets bytes.
    mode
        The permission bits of a new file, before the umask.
    keyencoding
        How keys become bytes.
    key
        The type of the keys: ``'str'`` or ``'bytes'``. It is recorded in the file.
    table
        Which of the file's tables to use.
    cache_size
        How much memory the file may take, as a number of bytes or a text such as ``'64MiB'``.
    durability
        What a store promises when it returns: ``'sync'``, that it is on the disk; ``'process'``,
        that it outlives this process, and the machine from a second later; ``'checkpoint'``,
        nothing before the next sync or close.
    compression
        ``'snappy'`` compresses a new table's blocks.
    timeout
        How many seconds to wait for another process to close the file, for a conflicting write,
        or for room in the cache.
    allow_pickle
        False refuses a shelf that is read with pickle, which can run any code that whoever wrote
        the file wanted to. ``RSHELVE_ALLOW_PICKLE=0`` in the environment does so everywhere.

    Returns
    -------
    DbfilenameShelf
        The open shelf.

    Raises
    ------
    error
        If the file is missing under ``'r'`` or ``'w'``, in use by another process, no shelf, or
        one of other keys or another serializer.
    FileNotFoundError
        If the folder is missing.
    ValueError
        If an argument makes no sense.

    Examples
    --------
    >>> import rshelve
    >>> with rshelve.open("counts", key="bytes") as shelf:
    ...     shelf[b"\\x00\\x01"] = 3
    ...     len(shelf), b"\\x00\\x01" in shelf
    (1, True)

    With ``writeback``, objects that were changed in place are written when the shelf is closed:

    >>> with rshelve.open("lists", writeback=True) as shelf:
    ...     shelf["a"] = []
    ...     shelf["a"].append(1)
    >>> with rshelve.open("lists") as shelf:
    ...     shelf["a"]
    [1]
    """
    return DbfilenameShelf(
        filename,
        flag,
        protocol,
        writeback,
        serializer=serializer,
        deserializer=deserializer,
        mode=mode,
        keyencoding=keyencoding,
        key=key,
        table=table,
        cache_size=cache_size,
        durability=durability,
        compression=compression,
        timeout=timeout,
        allow_pickle=allow_pickle,
    )


def _pairs(other: Any, kwds: Mapping[str, V]) -> Iterable[tuple[Any, V]]:
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for key in other.keys():
            yield key, other[key]
    else:
        for key, value in other:
            yield key, value
    yield from kwds.items()


def _reopen(cls: Callable[..., Any], path: str, flag: str, arguments: Mapping[str, Any]) -> Any:
    """Open a pickled shelf again."""
    return cls(path, flag, **arguments)


def _forgetting(identity: int) -> Callable[[object], object]:
    return lambda _: _open_shelves.pop(identity, None)


@atexit.register
def _close_all() -> None:
    """At the interpreter's exit, close what is open while everything still works."""
    for reference in list(_open_shelves.values()):
        shelf = reference()
        if shelf is not None:
            shelf.close()
