"""What `open` takes besides the standard library's arguments, read and checked."""

from __future__ import annotations

import os
import re
from typing import Literal, TypeAlias

Key: TypeAlias = Literal["str", "bytes"]
Durability: TypeAlias = Literal["sync", "process", "checkpoint"]
Compression: TypeAlias = Literal["snappy"]
Size: TypeAlias = int | str

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_LATER_KEYS = ("int", "float", "tuple")


def parse_size(size: Size, option: str = "cache_size") -> int:
    """Read a size in bytes.

    Parameters
    ----------
    size
        A number of bytes, or a text such as ``"64MiB"`` or ``"1.5 GB"``.
    option
        The option's name, for the error.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        If it is no size.

    Examples
    --------
    >>> parse_size("64MiB"), parse_size(4096), parse_size("1.5 kB")
    (67108864, 4096, 1500)
    """
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{option} must be a number of bytes or a text such as '64MiB', not {size!r}")
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def check_flag(flag: str) -> None:
    """Raise ValueError unless `flag` is one of the four."""
    if flag not in ("r", "w", "c", "n"):
        raise ValueError(f"flag must be one of 'r', 'w', 'c', or 'n', not {flag!r}")


def check_key(key: str) -> None:
    """Raise ValueError unless `key` names a kind of keys."""
    if key in _LATER_KEYS:
        raise ValueError(f"key={key!r} is not supported yet; this version has key='str' and key='bytes'")
    if key not in ("str", "bytes"):
        raise ValueError(f"key must be 'str' or 'bytes', not {key!r}")


def pickle_allowed(allow_pickle: bool) -> bool:
    """Whether pickles may be read: the argument says so and the environment does not forbid it."""
    return bool(allow_pickle) and os.environ.get("RSHELVE_ALLOW_PICKLE") != "0"
