"""Rows of columns as bytes that sort as the columns do.

The letters of a format are WiredTiger's; ``docs/configuration.md`` and the Rust documentation of
``rshelve::packing`` list them.

>>> pack("iS", 5, "ab").hex()
'85616200'
>>> unpack("iS", bytes.fromhex("85616200"))
[5, 'ab']
"""

from __future__ import annotations

from typing import Any

from rshelve._rshelve import wt_pack, wt_unpack

__all__ = ["pack", "unpack"]


def pack(fmt: str, *values: Any) -> bytes:
    """Pack values.

    Parameters
    ----------
    fmt : str
        The columns, such as ``"iSu"``.
    *values
        One for each column.

    Returns
    -------
    bytes
        The packed row.

    Raises
    ------
    ValueError
        For a format that cannot be read, a value that is out of range, too many values or too few.
    TypeError
        For a value of another type than its column's.
    """
    return wt_pack(fmt, *values)


def unpack(fmt: str, s: bytes) -> list[Any]:
    """Unpack the values of a packed row.

    Parameters
    ----------
    fmt : str
        The columns.
    s : bytes
        What `pack` made.

    Returns
    -------
    list
        The values.

    Raises
    ------
    ValueError
        For a format that cannot be read, and for bytes that are no row of it.
    """
    return wt_unpack(fmt, s)
