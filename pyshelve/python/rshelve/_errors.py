"""The exceptions of the package."""

from __future__ import annotations

import shelve
from typing import TYPE_CHECKING

from rshelve._rshelve import CLOSED_TEXT, error

__all__ = ["CLOSED_TEXT", "KeyTypeError", "ShelveError", "error"]

if TYPE_CHECKING:
    _StandardError = Exception
else:
    # Python 3.15 has one of its own; code that catches that one catches ours.
    _StandardError = getattr(shelve, "ShelveError", Exception)


class ShelveError(_StandardError):
    """A shelf was asked for something that makes no sense."""


class KeyTypeError(TypeError, AttributeError):
    """A key is not of the shelf's key type.

    The standard library raises AttributeError (it calls ``key.encode``), where TypeError is what
    one would expect; this is both.
    """
