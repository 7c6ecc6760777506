"""The exceptions, and what is said about them on standard error.

The extension calls `failure`, `closed` and `forked` to make exceptions; nobody else does.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time

from rshelve._rshelve import wt_strerror
from rshelve.wt._codes import WT_DUPLICATE_KEY, WT_ERROR, WT_NOTFOUND, WT_ROLLBACK

__all__ = ["WiredTigerError", "WiredTigerRollbackError"]


class WiredTigerError(Exception):
    """An operation that did not happen.

    Its text is that of its code, as `wiredtiger_strerror` gives it.

    Attributes
    ----------
    code : int
        The number: one of the module's ``WT_`` constants, or of `errno`'s.
    detail : str
        What exactly was wrong, in words.
    """

    code: int
    detail: str

    def __init__(self, message: str = "", code: int = WT_ERROR, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class WiredTigerRollbackError(WiredTigerError):
    """The transaction cannot go on: roll it back, and run it again."""


class _ClosedError(WiredTigerError, RuntimeError, TypeError):
    """A closed handle was used. WiredTiger's binding raises RuntimeError or TypeError; this is both."""


#: What WiredTiger says nothing about, except when a database is opened.
_QUIET = {WT_NOTFOUND, WT_DUPLICATE_KEY, WT_ROLLBACK, errno.ENOENT, errno.EEXIST, errno.EBUSY}


def failure(code: int, detail: str, method: str, prefix: str) -> WiredTigerError:
    """Make the exception of a code, after a message on standard error."""
    text = wt_strerror(code)
    if code not in _QUIET or method == "wiredtiger_open":
        _report(f"{prefix}, {method}" if prefix else method, f"{detail}: {text}")
    kind = WiredTigerRollbackError if code == WT_ROLLBACK else WiredTigerError
    return kind(text, code, detail)


def closed(what: str) -> WiredTigerError:
    """Make the exception for a handle that is closed, or whose parent is."""
    return _ClosedError(f"{what} is closed", errno.EINVAL, f"{what} is closed")


def forked() -> WiredTigerError:
    """Make the exception for a handle of the parent of this process."""
    text = "this handle was opened before the fork, by the parent of this process; open the database again here"
    return _ClosedError(text, errno.EINVAL, text)


def _report(method: str, text: str) -> None:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    thread = f"{os.getpid()}:{threading.get_ident():#x}"
    try:
        sys.stderr.write(f"[{seconds}:{nanoseconds // 1000:06}][{thread}], {method}: {text}\n")
    except (AttributeError, OSError, ValueError):
        # There is no standard error, or it is closed; the exception says the same.
        pass
