"""The stores that are compared, each opened as its documentation opens it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import rshelve


@dataclass(frozen=True)
class Kind:
    """A store, by name."""

    open: Callable[[str, bool], Any]
    commit: Callable[[Any], None]
    colour: str
    bytes_keys: bool = False


def _open_rshelve(path: str, bytes_keys: bool) -> Any:
    return rshelve.open(path, key="bytes" if bytes_keys else "str")


def _open_shelve(path: str, bytes_keys: bool) -> Any:
    import shelve

    return shelve.open(path)


def _open_sqlitedict(path: str, bytes_keys: bool) -> Any:
    from sqlitedict import SqliteDict

    return SqliteDict(path)


KINDS = {
    "rshelve": Kind(_open_rshelve, lambda store: None, "#c1272d", bytes_keys=True),
    "sqlitedict": Kind(_open_sqlitedict, lambda store: store.commit(), "#0b6e99"),
    "shelve": Kind(_open_shelve, lambda store: store.sync(), "#7a7a7a"),
}


def durability(name: str, path: str) -> str:
    """What a store that returned promises, in a few words."""
    if name == "rshelve":
        return "durability='process': kill -9 loses nothing"
    if name == "sqlitedict":
        return "autocommit=False: kill -9 loses all since commit()"
    import dbm

    backend = dbm.whichdb(path) or "dbm"
    promise = {
        "dbm.sqlite3": "each store is a transaction",
        "dbm.gnu": "kill -9 may damage the file",
        "dbm.ndbm": "kill -9 may damage the file",
        "dbm.dumb": "kill -9 loses the index since sync()",
    }
    return f"{backend}: {promise.get(backend, 'not stated')}"


def key_for(name: str, key: bytes) -> Any:
    """The ten bytes as a key that the store takes: itself, or text with the same characters."""
    return key if KINDS[name].bytes_keys else key.decode("latin-1")


def in_order(name: str, store: MutableMapping[str, Any], prefix: str, keys: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """The pairs whose keys begin with `prefix`, in key order; a store without order gets the keys."""
    if isinstance(store, rshelve.DbfilenameShelf):
        return store.range(prefix=prefix).items()
    return ((key, store[key]) for key in keys if key.startswith(prefix))


def size_bytes(folder: str) -> int:
    """What the files in `folder` take on the disk."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                pass  # a sidecar that has just gone
    return total
