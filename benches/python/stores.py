"""The stores, each through its own binding, as its documentation opens it, with values as bytes.

A store is a mapping-like object with the operations that are measured and nothing else, so that what it
adds to its binding is one call. What a `set` that has returned promises is its `durability`:

- ``process``: a killed process loses nothing, a power failure may;
- ``checkpoint``, ``buffered``: a killed process loses what came since the last sync, or the last flush
  in the background;
- ``damaged``: killed in a write, the file may not be readable any more.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from typing import Any, Protocol

#: What a store may hold in memory, where it can be told.
CACHE_BYTES = 128 << 20


class Store(Protocol):
    """What is measured."""

    durability: str

    def __init__(self, path: str) -> None: ...
    def set(self, key: str, value: bytes) -> None: ...
    def get(self, key: str) -> bytes: ...
    def items(self) -> Iterable[tuple[Any, bytes]]: ...
    def delete(self, key: str) -> None: ...
    def close(self) -> None: ...


class Mapping:
    """A store whose binding is a mapping from bytes to bytes: `self.db`."""

    db: Any

    def set(self, key: str, value: bytes) -> None:
        self.db[key.encode()] = value

    def get(self, key: str) -> bytes:
        value: bytes = self.db[key.encode()]
        return value

    def items(self) -> Iterable[tuple[Any, bytes]]:
        pairs: Iterable[tuple[Any, bytes]] = self.db.items()
        return pairs

    def delete(self, key: str) -> None:
        del self.db[key.encode()]

    def close(self) -> None:
        self.db.close()


class Rshelve(Mapping):
    durability = "process"

    def __init__(self, path: str) -> None:
        import rshelve.dbm

        self.db = rshelve.dbm.open(path, "c")


class Lmdb:
    """A transaction for each operation; without sync, as the others of its durability."""

    durability = "process"

    def __init__(self, path: str) -> None:
        import lmdb

        self.env = lmdb.open(path, map_size=1 << 32, sync=False, metasync=False, max_readers=64)

    def set(self, key: str, value: bytes) -> None:
        with self.env.begin(write=True) as transaction:
            transaction.put(key.encode(), value)

    def get(self, key: str) -> bytes:
        with self.env.begin() as transaction:
            value: bytes = transaction.get(key.encode())
        return value

    def items(self) -> Iterable[tuple[Any, bytes]]:
        with self.env.begin() as transaction, transaction.cursor() as cursor:
            yield from cursor

    def delete(self, key: str) -> None:
        with self.env.begin(write=True) as transaction:
            transaction.delete(key.encode())

    def close(self) -> None:
        self.env.close()


class Lmdbm(Mapping):
    durability = "process"

    def __init__(self, path: str) -> None:
        import lmdbm

        self.db = lmdbm.Lmdb.open(path, "c", map_size=1 << 32, sync=False, metasync=False)


class Rocksdict(Mapping):
    durability = "process"

    def __init__(self, path: str) -> None:
        from rocksdict import Options, Rdict

        self.db = Rdict(path, Options(raw_mode=True))


class Plyvel:
    durability = "process"

    def __init__(self, path: str) -> None:
        import plyvel

        self.db = plyvel.DB(path, create_if_missing=True, lru_cache_size=CACHE_BYTES)

    def set(self, key: str, value: bytes) -> None:
        self.db.put(key.encode(), value)

    def get(self, key: str) -> bytes:
        value: bytes = self.db.get(key.encode())
        return value

    def items(self) -> Iterable[tuple[Any, bytes]]:
        pairs: Iterable[tuple[Any, bytes]] = self.db.iterator()
        return pairs

    def delete(self, key: str) -> None:
        self.db.delete(key.encode())

    def close(self) -> None:
        self.db.close()


class Semidbm(Mapping):
    """All keys are kept in memory, and the file grows with every write."""

    durability = "process"

    def __init__(self, path: str) -> None:
        import semidbm

        self.db = semidbm.open(path, "c")

    def items(self) -> Iterable[tuple[Any, bytes]]:
        return ((key, self.db[key]) for key in self.db.keys())  # noqa: SIM118


class Diskcache:
    """Without eviction; SQLite with a write-ahead log beneath."""

    durability = "process"

    def __init__(self, path: str) -> None:
        import diskcache

        self.db = diskcache.Cache(path, eviction_policy="none", size_limit=1 << 34)

    def set(self, key: str, value: bytes) -> None:
        self.db[key] = value

    def get(self, key: str) -> bytes:
        value: bytes = self.db[key]
        return value

    def items(self) -> Iterable[tuple[Any, bytes]]:
        return ((key, self.db[key]) for key in self.db)

    def delete(self, key: str) -> None:
        del self.db[key]

    def close(self) -> None:
        self.db.close()


class Sqlitedict(Diskcache):
    """Every write is a transaction, which its thread runs when `set` has returned."""

    durability = "buffered"

    def __init__(self, path: str) -> None:
        from sqlitedict import SqliteDict

        self.db = SqliteDict(
            path + ".sqlite", autocommit=True, journal_mode="WAL", encode=bytes, decode=bytes
        )

    def items(self) -> Iterable[tuple[Any, bytes]]:
        pairs: Iterable[tuple[Any, bytes]] = self.db.items()
        return pairs

    def close(self) -> None:
        # Waits for its thread.
        self.db.commit()
        self.db.close()


class Dbm(Mapping):
    """The mapping beneath the standard `shelve`."""

    def __init__(self, path: str) -> None:
        import dbm

        self.db = dbm.open(path, "c")
        self.kind = type(self.db).__module__
        self.durability = "damaged" if "gnu" in self.kind or "gdbm" in self.kind else "buffered"

    def items(self) -> Iterable[tuple[Any, bytes]]:
        return ((key, self.db[key]) for key in self.db.keys())  # noqa: SIM118


class Wiredtiger:
    """Sessions and cursors are for one thread: each gets its own."""

    durability = "buffered"

    def __init__(self, path: str) -> None:
        import threading

        import wiredtiger

        os.mkdir(path) if not os.path.isdir(path) else None
        config = f"create,cache_size={CACHE_BYTES},log=(enabled=true)"
        self.connection = wiredtiger.wiredtiger_open(path, config)
        session = self.connection.open_session()
        session.create("table:main", "key_format=u,value_format=u")
        session.close()
        self.local = threading.local()

    def cursor(self) -> Any:
        try:
            return self.local.cursor
        except AttributeError:
            session = self.connection.open_session()
            self.local.cursor = session.open_cursor("table:main")
            return self.local.cursor

    def set(self, key: str, value: bytes) -> None:
        self.cursor()[key.encode()] = value

    def get(self, key: str) -> bytes:
        value: bytes = self.cursor()[key.encode()]
        return value

    def items(self) -> Iterable[tuple[Any, bytes]]:
        cursor = self.cursor()
        cursor.reset()
        return ((key, value) for key, value in cursor)

    def delete(self, key: str) -> None:
        cursor = self.cursor()
        cursor.set_key(key.encode())
        if cursor.remove() != 0:
            raise KeyError(key)

    def close(self) -> None:
        self.connection.close()


STORES: dict[str, type] = {
    "rshelve": Rshelve,
    "lmdb": Lmdb,
    "lmdbm": Lmdbm,
    "rocksdict": Rocksdict,
    "plyvel": Plyvel,
    "semidbm": Semidbm,
    "diskcache": Diskcache,
    "sqlitedict": Sqlitedict,
    "shelve": Dbm,
    "wiredtiger": Wiredtiger,
}

#: Those that may be used by several threads at a time.
THREADED = {"rshelve", "lmdb", "lmdbm", "rocksdict", "plyvel", "diskcache", "sqlitedict", "wiredtiger"}


def version(name: str) -> str:
    """Of the package, and what else has to be known of it."""
    if name == "shelve":
        return "standard library"
    text = importlib.metadata.version(name)
    if name == "wiredtiger":
        import wiredtiger

        if wiredtiger.diagnostic_build():
            text += " (a build for debugging)"
    return text
