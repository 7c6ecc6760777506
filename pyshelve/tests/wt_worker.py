"""Runs cursor operations for `wt_driver`, on one implementation of WiredTiger's interface.

Started as ``python wt_worker.py MODULE HOME``, where MODULE is ``rshelve.wt`` or ``wiredtiger``. Each
line of standard input is an operation, `[name, argument...]` in JSON; each line of standard output
is how it ended: `["is", result]`, or `["raises", exception, text, messages]`. Sessions and cursors have the
numbers that the driver gives them.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from typing import Any


class Said(io.StringIO):
    """What was said since it was last emptied; standard error has all of it, for who ends."""

    def write(self, text: str) -> int:
        assert sys.__stderr__ is not None
        sys.__stderr__.write(text)
        sys.__stderr__.flush()
        return super().write(text)


class Worker:
    """One connection, its sessions and cursors by number."""

    def __init__(self, module: str, home: str) -> None:
        self.api: Any = importlib.import_module(module)
        self.connection = self.api.wiredtiger_open(home, "create,log=(enabled),statistics=(all),checkpoint=(wait=0,log_size=0)")
        self.sessions: dict[int, Any] = {}
        self.cursors: dict[int, Any] = {}

    def run(self, name: str, *arguments: Any) -> Any:
        """Run an operation: of the worker, of a session ("s.NAME") or of a cursor ("c.NAME")."""
        if name.startswith("s."):
            return getattr(self.sessions[arguments[0]], name[2:])(*arguments[1:])
        if name.startswith("c."):
            return getattr(self.cursors[arguments[0]], name[2:])(*(_plain(a) for a in arguments[1:]))
        return getattr(self, name)(*arguments)

    def open_session(self, session: int, config: str) -> None:
        self.sessions[session] = self.connection.open_session(config)

    def close_session(self, session: int) -> Any:
        return self.sessions.pop(session).close()

    def open_cursor(self, cursor: int, session: int, uri: str, config: str) -> None:
        self.cursors[cursor] = self.sessions[session].open_cursor(uri, None, config)

    def duplicate(self, cursor: int, session: int, original: int, config: str) -> None:
        self.cursors[cursor] = self.sessions[session].open_cursor(None, self.cursors[original], config)

    def close_cursor(self, cursor: int) -> Any:
        return self.cursors.pop(cursor).close()

    def compare(self, one: int, other: int) -> Any:
        return self.cursors[one].compare(self.cursors[other])

    def equals(self, one: int, other: int) -> Any:
        return self.cursors[one].equals(self.cursors[other])

    def modify(self, cursor: int, changes: list[Any]) -> Any:
        changes = [self.api.Modify(_plain(data), offset, size) for data, offset, size in changes]
        return self.cursors[cursor].modify(changes)

    def truncate(self, session: int, uri: str | None, start: int | None, stop: int | None) -> Any:
        first = None if start is None else self.cursors[start]
        last = None if stop is None else self.cursors[stop]
        return self.sessions[session].truncate(uri, first, last, None)

    def get_item(self, cursor: int, key: Any) -> Any:
        return self.cursors[cursor][_plain(key)]

    def set_item(self, cursor: int, key: Any, value: Any) -> None:
        self.cursors[cursor][_plain(key)] = _plain(value)

    def del_item(self, cursor: int, key: Any) -> None:
        del self.cursors[cursor][_plain(key)]

    def rows(self, cursor: int) -> Any:
        """All rows from the cursor's place on."""
        return list(self.cursors[cursor])

    def close(self) -> Any:
        return self.connection.close()


def _plain(value: Any) -> Any:
    """Bytes come as {"hex": ...}, several columns as {"row": [...]}."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else tuple(map(_plain, value["row"]))
    return value


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return value


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr = said = Said()
    worker = Worker(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        try:
            answer = ["is", _json(worker.run(*json.loads(line)))]
        except Exception as error:
            text = str(error) if isinstance(error, worker.api.WiredTigerError) else ""
            answer = ["raises", type(error).__name__, text, said.getvalue()[-300:]]
        said.seek(0)
        said.truncate()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
