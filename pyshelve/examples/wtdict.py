"""A dictionary over WiredTiger's interface, as programs have long written it.

Nothing in it knows of this engine but the import: with ``import wiredtiger`` in its place the same
program runs on WiredTiger.

    python wtdict.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import rshelve.wt as wiredtiger


class WTDict:
    """Keys are text, values whatever JSON can say; each access is a transaction."""

    def __init__(self, home: str, config: str = "create") -> None:
        os.makedirs(home, exist_ok=True)
        self._connection = wiredtiger.wiredtiger_open(home, config)
        self._session = self._connection.open_session()
        self._session.create("table:keyvalue", "key_format=S,value_format=S")
        self._cursor = self._session.open_cursor("table:keyvalue")

    def __getitem__(self, key: str) -> Any:
        self._session.begin_transaction()
        try:
            self._cursor.set_key(key)
            if self._cursor.search() != 0:
                raise KeyError(key)
            return json.loads(self._cursor.get_value())
        finally:
            self._session.commit_transaction()

    def __setitem__(self, key: str, value: Any) -> None:
        self._session.begin_transaction()
        try:
            self._cursor.set_key(key)
            self._cursor.set_value(json.dumps(value))
            self._cursor.insert()
        except BaseException:
            self._session.rollback_transaction()
            raise
        self._session.commit_transaction()

    def __delitem__(self, key: str) -> None:
        self._session.begin_transaction()
        self._cursor.set_key(key)
        missing = self._cursor.remove() == wiredtiger.WT_NOTFOUND
        self._session.commit_transaction()
        if missing:
            raise KeyError(key)

    def __contains__(self, key: str) -> bool:
        self._cursor.set_key(key)
        found = self._cursor.search() == 0
        self._cursor.reset()
        return found

    def __iter__(self) -> Iterator[str]:
        self._cursor.reset()
        for key, _value in self._cursor:
            yield key

    def close(self) -> None:
        self._connection.close()


def main(home: str) -> None:
    stock = WTDict(home)
    stock["spam"] = {"tins": 12, "price": 1.5}
    stock["eggs"] = {"boxes": 3}
    for name in stock:
        print(name, stock[name])
    stock.close()


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["WT_HOME"])
