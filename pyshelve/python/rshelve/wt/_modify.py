"""Changes of parts of a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rshelve._rshelve import wt_calc_modify, wt_strerror
from rshelve.wt._codes import WT_NOTFOUND
from rshelve.wt._errors import WiredTigerError

if TYPE_CHECKING:
    from rshelve.wt._session import Session

__all__ = ["Modify", "wiredtiger_calc_modify", "wiredtiger_calc_modify_string"]


class Modify:
    """One change: `data` takes the place of `size` bytes from `offset` on.

    Parameters
    ----------
    data : str or bytes
        What comes there.
    offset : int
        Where, in bytes from the value's beginning. Behind the value's end, the space between is
        filled: with spaces in text (``S``), with NUL in bytes (``u``).
    size : int
        How many bytes go.

    Examples
    --------
    >>> Modify("bc", 1, 2)
    Modify('bc', 1, 2)
    """

    def __init__(self, data: str | bytes = "", offset: int = 0, size: int = 0) -> None:
        self.data = data
        self.offset = offset
        self.size = size

    def __repr__(self) -> str:
        return f"Modify({self.data!r}, {self.offset}, {self.size})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Modify):
            return NotImplemented
        return (self.data, self.offset, self.size) == (other.data, other.offset, other.size)

    __hash__ = None  # type: ignore[assignment]


def changes_of(modifies: Iterable[Modify]) -> list[tuple[bytes, int, int]]:
    """The changes as the extension takes them."""
    return [(_bytes(change.data), change.offset, change.size) for change in modifies]


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def wiredtiger_calc_modify(
    session: Session | None, oldv: str | bytes, newv: str | bytes, maxdiff: int, nmod: int
) -> list[Modify]:
    """Find the changes that make one value of another.

    Parameters
    ----------
    session : Session or None
        Not used.
    oldv, newv : bytes or str
        The values.
    maxdiff : int
        The most bytes of data in all changes together.
    nmod : int
        The most changes.

    Returns
    -------
    list of Modify
        For `Cursor.modify`.

    Raises
    ------
    WiredTigerError
        WT_NOTFOUND: it takes more than that.

    Examples
    --------
    >>> wiredtiger_calc_modify(None, b"the parrot is dead", b"the parrot is resting", 100, 10)
    [Modify(b'resting', 14, 4)]
    """
    found = wt_calc_modify(_bytes(oldv), _bytes(newv), maxdiff, nmod)
    if found is None:
        raise WiredTigerError(wt_strerror(WT_NOTFOUND), WT_NOTFOUND, "the values differ too much")
    return [Modify(data, offset, size) for data, offset, size in found]


def wiredtiger_calc_modify_string(
    session: Session | None, oldv: str, newv: str, maxdiff: int, nmod: int
) -> list[Modify]:
    """Find the changes that make one text of another. See `wiredtiger_calc_modify`."""
    found = wiredtiger_calc_modify(session, oldv, newv, maxdiff, nmod)
    try:
        return [Modify(_bytes(change.data).decode(), change.offset, change.size) for change in found]
    except UnicodeDecodeError:
        # A change begins or ends inside a character: all of the text, then, if it may be so long.
        if len(newv.encode()) > maxdiff:
            detail = "the values differ too much"
            raise WiredTigerError(wt_strerror(WT_NOTFOUND), WT_NOTFOUND, detail) from None
        return [Modify(newv, 0, len(oldv.encode()))]
