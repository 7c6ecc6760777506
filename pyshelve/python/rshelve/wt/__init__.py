"""WiredTiger's interface for Python, over this engine.

``import rshelve.wt as wiredtiger`` is all that a program has to change. What cursors, sessions and
transactions do is told in ``docs/cursor-semantics.md``, and what configuration strings may say in
``docs/configuration.md``.

>>> import os
>>> import rshelve.wt as wiredtiger
>>> os.mkdir("WT_HOME")
>>> connection = wiredtiger.wiredtiger_open("WT_HOME", "create")
>>> session = connection.open_session()
>>> session.create("table:knights", "key_format=i,value_format=S")
0
>>> cursor = session.open_cursor("table:knights")
>>> cursor[1] = "Lancelot"
>>> cursor[2] = "Galahad"
>>> cursor.set_key(2)
>>> cursor.search(), cursor.get_value()
(0, 'Galahad')
>>> cursor.next() == wiredtiger.WT_NOTFOUND
True
>>> connection.close()
0
"""

from __future__ import annotations

from importlib import metadata as _metadata

from rshelve._rshelve import wt_strerror as _strerror
from rshelve.wt import packing, stat
from rshelve.wt._codes import (
    WT_CACHE_FULL,
    WT_DEADLOCK,
    WT_DUPLICATE_KEY,
    WT_ERROR,
    WT_NOTFOUND,
    WT_PANIC,
    WT_PREPARE_CONFLICT,
    WT_RESTART,
    WT_ROLLBACK,
    WT_RUN_RECOVERY,
    WT_TRY_SALVAGE,
)
from rshelve.wt._connection import Connection, wiredtiger_open
from rshelve.wt._cursor import Cursor, IterableCursor
from rshelve.wt._errors import WiredTigerError, WiredTigerRollbackError
from rshelve.wt._modify import Modify, wiredtiger_calc_modify, wiredtiger_calc_modify_string
from rshelve.wt._session import Session
from rshelve.wt.packing import pack, unpack

__all__ = [
    "WIREDTIGER_VERSION_MAJOR",
    "WIREDTIGER_VERSION_MINOR",
    "WIREDTIGER_VERSION_PATCH",
    "WIREDTIGER_VERSION_STRING",
    "WT_CACHE_FULL",
    "WT_DEADLOCK",
    "WT_DUPLICATE_KEY",
    "WT_ERROR",
    "WT_NOTFOUND",
    "WT_PANIC",
    "WT_PREPARE_CONFLICT",
    "WT_RESTART",
    "WT_ROLLBACK",
    "WT_RUN_RECOVERY",
    "WT_TRY_SALVAGE",
    "Connection",
    "Cursor",
    "IterableCursor",
    "Modify",
    "Session",
    "WiredTigerError",
    "WiredTigerRollbackError",
    "diagnostic_build",
    "pack",
    "packing",
    "standalone_build",
    "stat",
    "unpack",
    "wiredtiger_calc_modify",
    "wiredtiger_calc_modify_string",
    "wiredtiger_open",
    "wiredtiger_strerror",
    "wiredtiger_version",
]

#: The version of WiredTiger whose interface this is.
WIREDTIGER_VERSION_MAJOR = 11
WIREDTIGER_VERSION_MINOR = 3
WIREDTIGER_VERSION_PATCH = 1
WIREDTIGER_VERSION_STRING = f"rshelve {_metadata.version('rshelve')}: (the interface of WiredTiger 11.3.1)"


def wiredtiger_strerror(error: int) -> str:
    """Say what the number of an error means.

    >>> wiredtiger_strerror(WT_NOTFOUND)
    'WT_NOTFOUND: item not found'
    """
    return _strerror(error)


def wiredtiger_version() -> list[str | int]:
    """The text of the version, and the version of WiredTiger whose interface this is."""
    return [
        WIREDTIGER_VERSION_STRING,
        WIREDTIGER_VERSION_MAJOR,
        WIREDTIGER_VERSION_MINOR,
        WIREDTIGER_VERSION_PATCH,
    ]


def diagnostic_build() -> int:
    """Whether this is a build for debugging: 0."""
    return 0


def standalone_build() -> int:
    """Whether this is a build for use without MongoDB: 1."""
    return 1
