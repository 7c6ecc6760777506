"""`rshelve.wt` with a mistake in it, named by $RSHELVE_WT_PLANT, for the test of the differential driver."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rshelve import wt
from rshelve.wt import Modify, WiredTigerError, WiredTigerRollbackError, wiredtiger_open

__all__ = ["PLANTS", "Modify", "WiredTigerError", "WiredTigerRollbackError", "wiredtiger_open"]


def _remove() -> None:
    """There is always something to remove."""
    remove = wt.Cursor.remove
    _plant(wt.Cursor, "remove", lambda self: 0 * remove(self))


def _next() -> None:
    """One record in twenty is jumped over."""
    go, calls = wt.Cursor.next, iter(range(1 << 60))
    _plant(wt.Cursor, "next", lambda self: go(self) or (0 if next(calls) % 20 else go(self)))


def _commit() -> None:
    """A transaction is forgotten."""
    _plant(wt.Session, "commit_transaction", lambda self, config=None: self.rollback_transaction())


def _bound() -> None:
    """Every bound is inclusive."""
    bound = wt.Cursor.bound
    _plant(wt.Cursor, "bound", lambda self, config: bound(self, config.replace("=false", "=true")))


def _checkpoint() -> None:
    """A cursor of a checkpoint reads the table as it is."""
    _replace_in_config("checkpoint=", "app_metadata=")


def _random() -> None:
    """A random cursor is like any other."""
    _replace_in_config("next_random=true", "next_random=false")


def _bulk() -> None:
    """So is a bulk one."""
    _replace_in_config("bulk", "read_once")


def _isolation() -> None:
    """A session forgets its isolation."""
    _plant(wt.Session, "reconfigure", lambda self, config=None: self.reset())


def _value() -> None:
    """A value that is set loses its last letter, if it has many."""
    set_value = wt.Cursor.set_value

    def cut(self: Any, *columns: Any) -> None:
        last = columns[-1]
        many = isinstance(last, (str, bytes)) and len(last) > 12
        set_value(self, *columns[:-1], last[:-1] if many else last)

    _plant(wt.Cursor, "set_value", cut)


def _replace_in_config(word: str, other: str) -> None:
    open_cursor = wt.Session.open_cursor

    def replaced(self: Any, uri: Any, dup: Any = None, config: str | None = None) -> Any:
        config = config or ""
        if word == "checkpoint=" and word in config:
            config = ""
        return open_cursor(self, uri, dup, config.replace(word, other))

    _plant(wt.Session, "open_cursor", replaced)


def _plant(where: type, name: str, mistake: Callable[..., Any]) -> None:
    setattr(where, name, mistake)


PLANTS = {
    "remove": _remove,
    "next": _next,
    "commit": _commit,
    "bound": _bound,
    "checkpoint": _checkpoint,
    "random": _random,
    "bulk": _bulk,
    "isolation": _isolation,
    "value": _value,
}

if "RSHELVE_WT_PLANT" in os.environ:
    PLANTS[os.environ["RSHELVE_WT_PLANT"]]()
