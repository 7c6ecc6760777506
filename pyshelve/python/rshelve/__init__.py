"""A `shelve` that does not rewrite, does not leak and does not lose data.

`import rshelve as shelve` is all that a program has to change. A shelf is a persistent mapping
from strings to picklable objects; here it sits in one file, in key order, larger than memory, and
may be used from any thread.

>>> import rshelve
>>> with rshelve.open("spam") as shelf:
...     shelf["knights"] = ["Lancelot", "Galahad"]
...     shelf["swallow"] = {"laden": False}
...     list(shelf)
['knights', 'swallow']
>>> with rshelve.open("spam", "r") as shelf:
...     shelf["knights"]
['Lancelot', 'Galahad']
"""

from rshelve import dbm
from rshelve._check import SalvagedTable, SalvageReport, TableCheck, VerifyReport, salvage, verify
from rshelve._errors import KeyTypeError, ShelveError, error
from rshelve.file import DbfilenameShelf, open
from rshelve.shelf import BsdDbShelf, Shelf
from rshelve.views import RangeView

__all__ = [
    "BsdDbShelf",
    "DbfilenameShelf",
    "KeyTypeError",
    "RangeView",
    "SalvageReport",
    "SalvagedTable",
    "Shelf",
    "ShelveError",
    "TableCheck",
    "VerifyReport",
    "dbm",
    "error",
    "open",
    "salvage",
    "verify",
]
