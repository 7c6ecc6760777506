"""What the parts of the differential driver share: the processes, what is drawn, what is known."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

NOTFOUND = -31803


class Side:
    """One implementation, in its process."""

    def __init__(self, python: str, module: str, home: str) -> None:
        worker = str(Path(__file__).with_name("wt_worker.py"))
        self.said = Path(home + ".said")
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [python, worker, module, home],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                bufsize=1,
            )

    def send(self, operation: list[Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(operation) + "\n")
        self.process.stdin.flush()

    def receive(self) -> list[Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        answer: list[Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


class Formats:
    """Keys and values of one pair of formats."""

    KINDS = [("u", "u"), ("S", "S"), ("q", "S"), ("iS", "q"), ("Su", "iS"), ("S", "u"), ("u", "S")]

    def __init__(self, draw: random.Random) -> None:
        self.key_format, self.value_format = draw.choice(self.KINDS)
        self.draw = draw

    def config(self) -> str:
        return f"key_format={self.key_format},value_format={self.value_format}"

    def key(self) -> Any:
        number = self.draw.randrange(14)
        text = "abcdefghijklmn"[number] * (1 + number % 3)
        if number == 9 and self.key_format != "u":
            # Row 27: a column may be empty there, but not a key.
            text = ""
        return {
            "u": {"hex": text.encode().hex()},
            "S": text,
            "q": (number - 7) * 40,
            "iS": {"row": [number // 3, text]},
            "Su": {"row": [text[1:], {"hex": text.encode().hex()}]},
        }[self.key_format]

    def value(self) -> Any:
        number = self.draw.randrange(1000)
        text = f"v{number}" * self.draw.choice([0, 1, 1, 1, 1, 1, 5])
        return {
            "u": {"hex": text.encode().hex()},
            "S": text,
            "q": number - 500,
            "iS": {"row": [number, text]},
        }[self.value_format]

    def change(self) -> list[Any]:
        text = "xyz"[: self.draw.randrange(4)]
        data: Any = {"hex": text.encode().hex()} if self.value_format == "u" else text
        return [data, self.draw.randrange(12), self.draw.randrange(5)]


class SessionModel:
    """What the driver has to know of a session to avoid what may not be done."""

    def __init__(self, number: int, cursors: list[int]) -> None:
        self.number = number
        self.cursors = cursors
        self.in_transaction = False
        #: Keys that the open transaction wrote, as JSON; None is any key.
        self.wrote: set[str | None] = set()
        #: The open transaction is read-committed or read-uncommitted.
        self.is_weak = False
        #: So is what the session does outside of one.
        self.is_weak_alone = False
        #: Another session wrote since the transaction began, or had written and was open then.
        self.others_wrote = False

    def refuses_writes(self) -> bool:
        return self.is_weak if self.in_transaction else self.is_weak_alone
