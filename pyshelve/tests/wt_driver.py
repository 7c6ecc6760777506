"""Drives `rshelve.wt` and a real WiredTiger with the same random operations, in lock step.

Each implementation runs in a process of its own (`wt_worker`), because a debug build of WiredTiger
ends its process where it finds a bug. The driver draws an operation, has both run it, and compares
how it ended. Where the contract (``docs/cursor-semantics.md``) says that ours differs on purpose,
`Driver.named` checks that it differs as it should; any other difference is reported with the
operations before it.

What one may not do to a WiredTiger is not drawn: an autocommit write that meets an open
transaction's (row 21: there it spins for ever), empty keys (row 27), NUL in text (row 28), a
truncation without a start (an assertion of its debug build). And
after an operation that failed, the cursor is reset, because row 8 leaves its position open.

A run is a seed and a number of operations; by itself::

    python wt_driver.py --seed 7 --operations 100000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import wt_special
from wt_common import NOTFOUND, Formats, SessionModel, Side

OPERATIONS_PER_PROGRAM = 400


def wiredtiger_python() -> str | None:
    """The interpreter that has `wiredtiger`: $RSHELVE_WIREDTIGER_PYTHON, or this one; None if neither."""
    python = os.environ.get("RSHELVE_WIREDTIGER_PYTHON", sys.executable)
    probe = [python, "-c", "import wiredtiger; wiredtiger.wiredtiger_open"]
    found = subprocess.run(probe, capture_output=True, check=False)
    return python if found.returncode == 0 else None


class Difference(Exception):
    """The two did not do the same, and the contract does not say why."""


class Aborted(Exception):
    """WiredTiger's debug build failed an assertion of its own, and there is nothing to compare with."""


class Driver:
    """Both sides, and the program that runs on them."""

    def __init__(self, python: str, folder: str, seed: int, module: str = "rshelve.wt") -> None:
        sides = []
        for name, interpreter in [(module, sys.executable), ("wiredtiger", python)]:
            home = os.path.join(folder, name)
            os.mkdir(home)
            sides.append(Side(interpreter, name, home))
        self._begin(sides, seed)

    @classmethod
    def with_sides(cls, sides: list[Any], seed: int) -> Driver:
        """One that drives these, ours first."""
        driver = cls.__new__(cls)
        driver._begin(sides, seed)
        return driver

    def _begin(self, sides: list[Any], seed: int) -> None:
        self.sides = sides
        self.draw = random.Random(seed)
        self.seed = seed
        self.operations = 0
        self.programs = 0
        self.named_counts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.log: list[str] = []

    def follow(self, before: Driver) -> None:
        """Count on from where another one ended."""
        self.operations, self.programs = before.operations, before.programs
        self.named_counts, self.kinds = before.named_counts, before.kinds

    def stop(self) -> None:
        for side in self.sides:
            side.stop()

    # One operation.

    def both(self, *operation: Any) -> tuple[list[Any], list[Any]]:
        """Run an operation on both sides; how it ended, ours first."""
        for side in self.sides:
            side.send(list(operation))
        answers = [self.receive(side, operation) for side in self.sides]
        self.operations += 1
        self.kinds[operation[0]] += 1
        self.log.append(f"{json.dumps(operation)} -> {json.dumps(answers[0])}")
        # The messages are for the log.
        ours, theirs = answers[0][:3], answers[1][:3]
        if ours != theirs:
            self.log[-1] += f" but {json.dumps(answers[1])} in WiredTiger"
        return ours, theirs

    def receive(self, side: Side, operation: tuple[Any, ...]) -> list[Any]:
        try:
            return side.receive()
        except EOFError:
            side.process.wait()
            which = "rshelve.wt" if side is self.sides[0] else "WiredTiger"
            said = side.said.read_text()
            if which == "WiredTiger" and "WiredTiger assertion failed" in said:
                raise Aborted(f"{json.dumps(operation)}: {said[-300:]}") from None
            self.log.append(f"{json.dumps(operation)} -> {which} ended ({side.process.returncode})")
            self.log.append(said[-1000:])
            self.differ(operation)

    def same(self, *operation: Any) -> list[Any]:
        """Run an operation that has to end alike."""
        ours, theirs = self.both(*operation)
        if ours != theirs:
            self.differ(operation)
        return ours

    def only(self, side: int, *operation: Any) -> list[Any]:
        """Run an operation on one side, to bring it to where the other is."""
        self.sides[side].send(list(operation))
        answer = self.receive(self.sides[side], operation)
        self.log.append(f"{json.dumps(operation)} -> {json.dumps(answer)} on side {side} only")
        return answer[:3]

    def expect(self, what: str, holds: bool) -> None:
        """A difference unless this holds of what the two have answered."""
        if not holds:
            self.differ((what,))

    def names(self, difference: str) -> None:
        """There was a difference that the contract names."""
        self.named_counts[difference] += 1

    def same_unless_gone(
        self, model: SessionModel, config: str, touched: list[str]
    ) -> tuple[list[Any], bool]:
        """A checkpoint that replaces or drops others. Row 25: theirs keeps one whose cursors are closed
        open for a while, and it cannot be dropped. Then it is not looked at again."""
        used = {name for _, name in self.past.values()}
        held = [name for name in touched if self.checkpoints.get(name) == "used" and name not in used]
        if not held:
            return self.same("s.checkpoint", model.number, config), True
        ours, theirs = self.both("s.checkpoint", model.number, config)
        if ours != theirs:
            self.expect("s.checkpoint", (ours, theirs[2:]) == (["is", 0], wt_special.BUSY[2:]))
            self.names("row 25: a checkpoint whose cursors are closed can be dropped")
            for name in touched:
                self.checkpoints[name] = "gone"
            # Ours took one, theirs did not.
            self.same("s.checkpoint", model.number)
        else:
            for name in held:
                self.checkpoints.pop(name)
        return ours, ours == theirs

    def differ(self, operation: tuple[Any, ...]) -> NoReturn:
        log = "\n".join(self.log[-400:])
        raise Difference(f"seed {self.seed}, program {self.programs}: {operation[0]} differs\n{log}")

    # A program.

    def program(self, operations: int) -> None:
        """Run random operations on a new table."""
        self.log.clear()
        self.programs += 1
        draw = self.draw
        self.formats = Formats(draw)
        self.uri = f"table:t{self.programs}"
        self.same("open_session", 0, "")
        self.same("s.create", 0, self.uri, self.formats.config())
        #: What is known of the checkpoints with names: "new", "used" (a cursor on it was opened), or
        #: "gone" (the two differ over it).
        self.checkpoints: dict[str, str] = {}
        #: Their names, in the order in which they were taken.
        self.order: list[str] = []
        #: The cursors on checkpoints: whose, and on which.
        self.past: dict[int, tuple[SessionModel, str]] = {}
        self.models = []
        self.bounded: set[int] = set()
        #: Cursors that refuse every write.
        self.readonly: set[int] = set()
        #: A record was reserved in this program.
        self.reserved = False
        for number in range(1, draw.randint(3, 5)):
            isolation = draw.choice(["", "", "", "isolation=snapshot", "isolation=read-committed",
                                     "isolation=read-uncommitted"])
            self.same("open_session", number, isolation)
            cursors = [number * 10 + index for index in range(draw.randint(1, 3))]
            for cursor in cursors:
                self.open(cursor, number)
            self.models.append(SessionModel(number, cursors))
            self.models[-1].is_weak_alone = "-" in isolation
        for _ in range(operations):
            self.step()
        self.finish()

    def open(self, cursor: int, session: int) -> None:
        config = self.draw.choice(["", "", "", "overwrite=false", "raw", "append", "read_once"])
        if self.draw.random() < 0.05:
            config = "readonly"
        self.readonly.discard(cursor)
        if config == "readonly":
            self.readonly.add(cursor)
        self.same("open_cursor", cursor, session, self.uri, config)

    def finish(self) -> None:
        for cursor in list(self.past):
            wt_special.close_past(self, cursor)
        for model in self.models:
            if model.in_transaction:
                self.same("s.rollback_transaction", model.number)
            for cursor in model.cursors:
                self.same("close_cursor", cursor)
            self.same("close_session", model.number)
        self.same("open_cursor", 0, 0, self.uri, "")
        self.same("rows", 0)
        self.same("close_cursor", 0)
        # It needs one that is not dirty.
        self.same("s.checkpoint", 0)
        self.same("s.verify", 0, self.uri, "")
        self.same("s.drop", 0, self.uri, "")
        self.same("s.checkpoint", 0, "drop=(from=all)")
        self.same("close_session", 0)

    STEPS = (
        ("place", 10),
        ("walk", 18),
        ("search", 10),
        ("search_near", 6),
        ("look", 10),
        ("insert", 8),
        ("update", 8),
        ("remove", 8),
        ("item", 6),
        ("modify", 4),
        ("reserve", 3),
        ("compare", 4),
        ("bound", 5),
        ("largest_key", 2),
        ("reset", 3),
        ("reopen", 1),
        ("duplicate", 2),
        ("transaction", 14),
        ("truncate", 2),
        ("session_call", 2),
    )
    #: Of `wt_special`.
    SPECIAL_STEPS = (
        ("bulk", 1),
        ("random", 2),
        ("metadata", 1),
        ("statistics", 1),
        ("checkpoint", 2),
        ("past", 6),
        ("schema", 3),
        ("options", 3),
        ("nul", 1),
        ("across", 1),
    )

    def step(self) -> None:
        names, weights = zip(*self.STEPS, *self.SPECIAL_STEPS, strict=True)
        name = self.draw.choices(names, weights)[0]
        model = self.draw.choice(self.models)
        cursor = self.draw.choice(model.cursors)
        if name in dict(self.SPECIAL_STEPS):
            getattr(wt_special, name)(self, model, cursor)
        else:
            run: Callable[[SessionModel, int], None] = getattr(self, name)
            run(model, cursor)

    def level(self, cursor: int) -> None:
        self.same("c.reset", cursor)
        self.bounded.discard(cursor)

    def level_all(self, model: SessionModel) -> None:
        """Row 20: the session's cursors were reset; there, those without a place were if they were opened
        after the oldest one with a place, and those of checkpoints (row 25), too."""
        for cursor in model.cursors:
            self.level(cursor)
        self.level_past(model)
        if not model.in_transaction:
            model.others_wrote = False

    def level_past(self, model: SessionModel) -> None:
        for cursor, (owner, _) in self.past.items():
            if owner is model:
                self.same("c.reset", cursor)

    def were_reset(self, model: SessionModel) -> None:
        """The same, with a look at what became of them."""
        for cursor in model.cursors:
            ours, theirs = self.both("c.get_key", cursor)
            if ours != theirs:
                # There it goes if the cursor was opened after the oldest one that is on a record.
                self.expect("c.get_key", ours[0] == "is" and theirs == wt_special.INVALID)
                self.names("row 20: a cursor without a place keeps what is set in it")
        self.level_all(model)

    def alone(self, model: SessionModel) -> None:
        """Row 21: here an autocommit write is a transaction of its own, there it works in the snapshot
        of the session's cursors, and may find it too old."""
        if model.in_transaction:
            return
        if model.others_wrote:
            self.level_all(model)
        # An assertion of its debug build, if the write finds nothing to do.
        self.level_past(model)

    def settle(self, cursor: int, answer: list[Any]) -> None:
        """Row 8: after a failure the position is open, but what was set is kept."""
        if answer[0] == "raises":
            self.same("c.reset", cursor)

    # What is drawn.

    def place(self, model: SessionModel, cursor: int) -> None:
        self.same("c.set_key", cursor, self.formats.key())
        if self.draw.random() < 0.3:
            self.same("c.set_value", cursor, self.formats.value())

    def walk(self, model: SessionModel, cursor: int) -> None:
        for _ in range(self.draw.choice([1, 1, 2, 5])):
            answer = self.same(self.draw.choice(["c.next", "c.next", "c.prev"]), cursor)
            self.settle(cursor, answer)
            if answer == ["is", 0]:
                self.same("c.get_key", cursor)
                self.same("c.get_value", cursor)

    def search(self, model: SessionModel, cursor: int) -> None:
        if not model.in_transaction or model.is_weak:
            # Whether it looks in the snapshot of the place where it was depends on pages there.
            self.level(cursor)
        if self.draw.random() < 0.8:
            self.same("c.set_key", cursor, self.formats.key())
        answer = self.same("c.search", cursor)
        if answer == ["is", 0]:
            self.look(model, cursor)
            return
        self.missed(model, cursor)

    def missed(self, model: SessionModel, cursor: int) -> None:
        """Row 5: the key is kept, the value is not."""
        self.same("c.get_key", cursor)
        if model.in_transaction:
            # Row 19: where the value is not kept, asking for it fails the transaction.
            self.same("c.reset", cursor)
            return
        ours, theirs = self.both("c.get_value", cursor)
        if theirs != ours:
            if ours[2:] != ["Invalid argument"]:
                self.differ(("c.get_value",))
            self.named_counts["row 5: after a miss there is no value"] += 1
        self.same("c.reset", cursor)

    def search_near(self, model: SessionModel, cursor: int, is_past: bool = False) -> None:
        if not is_past and (not model.in_transaction or model.is_weak):
            # As in `search`.
            self.level(cursor)
        self.same("c.set_key", cursor, self.formats.key())
        ours, theirs = self.both("c.search_near", cursor)
        if ours == theirs == ["is", NOTFOUND]:
            self.same("c.reset", cursor) if is_past else self.missed(model, cursor)
            return
        if ours == theirs:
            self.settle(cursor, ours)
            self.look(model, cursor)
            return
        if (ours, theirs) != (["is", 1], ["is", -1]):
            self.differ(("c.search_near",))
        # Row 6: ours is the smallest key above, theirs the largest below.
        self.named_counts["row 6: search_near takes the larger side"] += 1
        self.sides[0].send(["c.prev", cursor])
        below = self.sides[0].receive()
        self.sides[0].send(["c.get_key", cursor])
        self.sides[1].send(["c.get_key", cursor])
        keys = [side.receive() for side in self.sides]
        if below != ["is", 0] or keys[0] != keys[1]:
            self.log.append(f"prev -> {below}, keys {keys}")
            self.differ(("c.search_near",))
        self.same("c.reset", cursor)

    def look(self, model: SessionModel, cursor: int) -> None:
        self.same(self.draw.choice(["c.get_key", "c.get_keys"]), cursor)
        self.same(self.draw.choice(["c.get_value", "c.get_values"]), cursor)

    def may_write(self, model: SessionModel, key: Any) -> bool:
        """Row 21: an autocommit write may not meet an open transaction's."""
        if model.in_transaction:
            return True
        name = json.dumps(key)
        others = [other.wrote for other in self.models if other is not model]
        return not any(wrote & {name, None} or (key is None and wrote) for wrote in others)

    def wrote(self, model: SessionModel, key: Any) -> None:
        for other in self.models:
            other.others_wrote |= other is not model
        if model.in_transaction:
            model.wrote.add(None if key is None else json.dumps(key))

    def write(self, model: SessionModel, cursor: int, *operation: Any, with_value: bool) -> None:
        """A write of a key that is set, or at the place where the cursor is; seldom of none."""
        self.alone(model)
        if cursor in self.bounded and model.in_transaction:
            # Row 10 against 17 and 18: which is looked at first is open.
            self.level(cursor)
        key = None
        mode = self.draw.random()
        if mode < 0.75:
            key = self.formats.key()
            if not self.may_write(model, key):
                return
            self.same("c.set_key", cursor, key)
        elif mode < 0.95:
            # In a transaction only: row 21, theirs may find its snapshot too old.
            if not model.in_transaction or self.same("c.next", cursor) != ["is", 0]:
                return
        else:
            self.level(cursor)
        if with_value and (mode >= 0.75 or self.draw.random() < 0.97):
            self.same("c.set_value", cursor, self.formats.value())
        elif with_value:
            # No value at all: what is left of another record's is open.
            self.level(cursor)
            self.same("c.set_key", cursor, key)
        answer = self.written(model, operation[0], cursor, *operation[1:])
        if answer == ["rolled back"]:
            return
        self.reserved |= operation[0] == "c.reserve" and answer == ["is", 0]
        self.wrote(model, key)
        if answer == ["is", 0]:
            self.look(model, cursor)
            if "insert" in operation[0]:
                self.level(cursor)
        elif answer[0] == "raises" and answer[2].startswith("WT_DUPLICATE_KEY"):
            if model.in_transaction:
                # Row 15.
                self.look(model, cursor)
            self.same("c.reset", cursor)
            self.failed_alone(model)
        else:
            self.kept(model, cursor, key)

    def written(self, model: SessionModel, *operation: Any) -> list[Any]:
        """Run a write."""
        ours, theirs = self.both(*operation)
        if ours == theirs:
            return ours
        if model.refuses_writes() and ours[2:] == ["Operation not supported"]:
            # Row 17: a write is refused here whether or not there is anything to write.
            found = theirs == ["is", NOTFOUND] or theirs[1] == "KeyError"
            if found or "NOTFOUND" in theirs[2] or "DUPLICATE" in theirs[2]:
                self.named_counts["row 17: what would find nothing is refused as well"] += 1
                return ours
        if model.in_transaction and self.reserved and ours[1] == "WiredTigerRollbackError":
            # Row 16: a reservation conflicts as a write does, also with who began before it committed.
            self.named_counts["row 16: a reservation conflicts as a write does"] += 1
            self.same("s.rollback_transaction", model.number)
            self.ended(model)
            self.level_all(model)
            return ["rolled back"]
        self.differ(operation)

    def ended(self, model: SessionModel) -> None:
        """The session's transaction is over."""
        model.in_transaction = model.is_weak = False
        model.wrote.clear()

    def kept(self, model: SessionModel, cursor: int, key: Any) -> None:
        """Row 8: after a failure the position is open; the key that was set is kept (row 4, too)."""
        if key is not None:
            ours, theirs = self.both("c.get_key", cursor)
            columns = key.get("row", key) if isinstance(key, dict) else key
            if ours != ["is", columns]:
                self.differ(("c.get_key",))
            if theirs != ours:
                self.named_counts["row 8: a key that was set is kept"] += 1
        self.same("c.reset", cursor)
        self.failed_alone(model)

    def failed_alone(self, model: SessionModel) -> None:
        """Row 8: there, a failed autocommit write takes every cursor of the session from its place."""
        if not model.in_transaction:
            self.level_all(model)

    def insert(self, model: SessionModel, cursor: int) -> None:
        self.write(model, cursor, "c.insert", with_value=True)

    def update(self, model: SessionModel, cursor: int) -> None:
        self.write(model, cursor, "c.update", with_value=True)

    def remove(self, model: SessionModel, cursor: int) -> None:
        self.write(model, cursor, "c.remove", with_value=False)

    def reserve(self, model: SessionModel, cursor: int) -> None:
        self.write(model, cursor, "c.reserve", with_value=False)

    def modify(self, model: SessionModel, cursor: int) -> None:
        if self.formats.value_format not in "Su":
            return
        key = self.formats.key()
        changes = [self.formats.change() for _ in range(self.draw.randint(1, 3))]
        if cursor in self.bounded:
            # As in `write`.
            self.level(cursor)
        if not model.in_transaction:
            # Row 16: EINVAL here, ENOTSUP there.
            self.same("c.set_key", cursor, key)
            ours, theirs = self.both("modify", cursor, changes)
            wanted = wt_special.INVALID
            if cursor in self.readonly or model.is_weak_alone:
                wanted = wt_special.REFUSED
            if [ours, theirs] != [wanted, wt_special.REFUSED]:
                self.differ(("modify",))
            if ours != theirs:
                self.names("row 16: modify outside a transaction is EINVAL")
            self.same("c.reset", cursor)
            self.failed_alone(model)
            return
        self.same("c.set_key", cursor, key)
        answer = self.written(model, "modify", cursor, changes)
        if answer == ["rolled back"]:
            return
        self.wrote(model, key)
        if answer == ["is", 0]:
            self.look(model, cursor)
        else:
            self.kept(model, cursor, key)

    def item(self, model: SessionModel, cursor: int) -> None:
        key = self.formats.key()
        self.alone(model)
        if cursor in self.bounded and model.in_transaction:
            # As in `write`.
            self.level(cursor)
        if not model.in_transaction or model.is_weak:
            # As in `search`.
            self.level(cursor)
        match self.draw.randrange(3):
            case 0:
                answer = self.same("get_item", cursor, key)
            case 1 if self.may_write(model, key):
                answer = self.written(model, "set_item", cursor, key, self.formats.value())
                if answer != ["rolled back"]:
                    self.wrote(model, key)
            case 2 if self.may_write(model, key):
                answer = self.written(model, "del_item", cursor, key)
                if answer != ["rolled back"]:
                    self.wrote(model, key)
            case _:
                return
        if answer[0] == "raises":
            self.same("c.reset", cursor)
            self.failed_alone(model)

    def compare(self, model: SessionModel, cursor: int) -> None:
        other = self.draw.choice(model.cursors)
        self.same(self.draw.choice(["compare", "equals"]), cursor, other)

    def bound(self, model: SessionModel, cursor: int) -> None:
        if self.draw.random() < 0.3:
            which = self.draw.choice(["", ",bound=lower", ",bound=upper"])
            self.same("c.bound", cursor, f"action=clear{which}")
            if which:
                # The other bound holds on for moves there, but no more for writes.
                self.same("c.reset", cursor)
            return
        if self.draw.random() < 0.9:
            self.same("c.reset", cursor)
        self.same("c.set_key", cursor, self.formats.key())
        which = self.draw.choice(["lower", "upper"])
        inclusive = self.draw.choice(["", ",inclusive=false", ",inclusive=true"])
        answer = self.same("c.bound", cursor, f"action=set,bound={which}{inclusive}")
        self.bounded.add(cursor)
        self.settle(cursor, answer)

    def largest_key(self, model: SessionModel, cursor: int) -> None:
        ours, theirs = self.both("c.largest_key", cursor)
        if ours[0] == theirs[0] == "raises":
            if ours != theirs:
                self.differ(("c.largest_key",))
            self.same("c.reset", cursor)
            return
        ours_key, theirs_key = self.both("c.get_key", cursor)
        self.same("c.reset", cursor)
        # Row 10: ours is the largest that is visible, which is what `prev` finds.
        found = self.same("c.prev", cursor)
        largest = self.same("c.get_key", cursor)
        if [ours, ours_key] != [found, largest]:
            self.differ(("c.largest_key",))
        if [theirs, theirs_key] != [ours, ours_key]:
            self.named_counts["row 10: largest_key sees what is visible only"] += 1
        self.same("c.reset", cursor)

    def reset(self, model: SessionModel, cursor: int) -> None:
        self.same("c.reset", cursor)
        self.look(model, cursor)

    def reopen(self, model: SessionModel, cursor: int) -> None:
        self.same("close_cursor", cursor)
        self.open(cursor, model.number)

    def duplicate(self, model: SessionModel, cursor: int) -> None:
        twin = 100 + cursor
        if twin in model.cursors or cursor >= 100:
            return
        config = self.draw.choice(["", "overwrite=false"])
        if self.same("duplicate", twin, model.number, cursor, config)[0] == "is":
            self.same("c.get_key", twin)
            self.same("c.get_value", twin)
            self.same("c.next", twin)
            self.same("close_cursor", twin)

    def transaction(self, model: SessionModel, cursor: int) -> None:
        if self.draw.random() < 0.03:
            # One that makes no sense.
            name = "begin" if model.in_transaction else self.draw.choice(["commit", "rollback"])
            self.same(f"s.{name}_transaction", model.number)
            return
        if not model.in_transaction:
            isolation = self.draw.choices(
                ["", "isolation=snapshot", "isolation=read-committed", "isolation=read-uncommitted"],
                [8, 2, 1, 1],
            )[0]
            self.same("s.begin_transaction", model.number, isolation)
            model.in_transaction = True
            model.is_weak = "-" in isolation or (not isolation and model.is_weak_alone)
            model.others_wrote = any(other.wrote for other in self.models)
            return
        end = self.draw.choice(["commit", "commit", "rollback"])
        ended = self.same(f"s.{end}_transaction", model.number)
        for other in self.models:
            other.others_wrote |= other is not model and bool(model.wrote)
        self.ended(model)
        if end == "rollback" or ended[0] == "raises":
            self.were_reset(model)

    def truncate(self, model: SessionModel, cursor: int) -> None:
        if not self.may_write(model, None):
            return
        self.alone(model)
        self.level(cursor)
        if self.same("c.next", cursor) != ["is", 0]:
            # An assertion of its debug build, in a table that is empty.
            return
        self.level(cursor)
        if model.in_transaction and model.others_wrote:
            # Whether a row that the snapshot does not show is in the way is open.
            return
        if model.in_transaction and self.draw.random() < 0.5:
            # Between two records: theirs fails its commit after some empty ranges.
            self.truncate_placed(model, cursor)
            return
        match 0 if model.in_transaction else self.draw.randrange(7):
            case 0:
                answer = self.same("truncate", model.number, self.uri, None, None)
                if answer[0] == "raises" and model.in_transaction:
                    # Row 19: how much of it was done before it failed is open.
                    self.same("s.rollback_transaction", model.number)
                    self.level_all(model)
                    self.ended(model)
                    return
            case 1 | 2 as which:
                # From a key, or up to one.
                self.same("c.set_key", cursor, self.formats.key())
                ends = [cursor, None] if which == 1 else [None, cursor]
                self.same("truncate", model.number, None, *ends)
                self.same("c.reset", cursor)
            case 3:
                self.same("truncate", model.number, *self.draw.choice(
                    [(None, None, None), (self.uri, cursor, None), (self.uri, cursor, cursor)]))
            case _:
                other = self.draw.choice(model.cursors)
                if other == cursor:
                    return
                self.same("c.set_key", cursor, self.formats.key())
                self.same("c.set_key", other, self.formats.key())
                self.same("truncate", model.number, None, cursor, other)
                self.look(model, cursor)
                self.same("c.reset", cursor)
                self.same("c.reset", other)
        if not model.in_transaction:
            # What was removed may be seen for as long as a cursor of the session is on a record.
            self.level_all(model)
        self.wrote(model, None)

    def truncate_placed(self, model: SessionModel, cursor: int) -> None:
        """From the record that one cursor is on to that of another."""
        other = self.draw.choice(model.cursors)
        if other == cursor:
            return
        self.level(other)
        for _ in range(self.draw.randint(1, 3)):
            if self.same("c.next", cursor) != ["is", 0] or self.same("c.next", other) != ["is", 0]:
                return
        while self.draw.random() < 0.5:
            if self.same("c.next", other) != ["is", 0]:
                return
        self.same("truncate", model.number, None, cursor, other)
        self.same("c.reset", cursor)
        self.same("c.reset", other)
        self.wrote(model, None)

    def session_call(self, model: SessionModel, cursor: int) -> None:
        match self.draw.randrange(4):
            case 0:
                self.same("s.checkpoint", model.number)
                self.were_reset(model)
            case 1:
                self.same("s.log_flush", model.number, self.draw.choice(["sync=on", "sync=off", "sync=never"]))
            case 2:
                self.same("s.reset", model.number)
                self.were_reset(model)
            case _ if model.in_transaction:
                self.same("s.reset_snapshot", model.number)
            case _:
                # It makes reads stay in that snapshot there, for how long is open.
                self.level_all(model)
                self.same("s.reset_snapshot", model.number)
                self.level_all(model)
                self.same("s.reset", model.number)


def run(python: str, seed: int, operations: int, module: str = "rshelve.wt") -> Driver:
    """Run programs until so many operations have been done, of `module` against WiredTiger.

    Where WiredTiger's debug build fails an assertion of its own, both sides begin anew with a seed made of this
    one, and it is counted.
    """
    done, before = 0, None
    while True:
        with tempfile.TemporaryDirectory() as folder:
            driver = Driver(python, folder, seed, module)
            if before is not None:
                driver.follow(before)
            try:
                while driver.operations < operations:
                    driver.program(min(OPERATIONS_PER_PROGRAM, operations))
                return driver
            except Aborted as aborted:
                print(f"seed {seed}: WiredTiger failed an assertion of its own after"
                      f" {driver.operations - done} operations: {aborted}", file=sys.stderr)
                driver.named_counts["WiredTiger failed an assertion of its own"] += 1
                done, before, seed = driver.operations, driver, seed + 1_000_000
            finally:
                driver.stop()
                shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--operations", type=int, default=100_000)
    arguments = parser.parse_args()
    python = wiredtiger_python()
    if python is None:
        print("wiredtiger is not installed (set RSHELVE_WIREDTIGER_PYTHON)", file=sys.stderr)
        return 2
    print(f"seed {arguments.seed}")
    try:
        driver = run(python, arguments.seed, arguments.operations)
    except Difference as difference:
        print(difference)
        return 1
    print(f"{driver.operations} operations in {driver.programs} programs, no difference without a name")
    for name, count in sorted(driver.kinds.items()):
        print(f"  {name}: {count}")
    for name, count in sorted(driver.named_counts.items()):
        print(f"named: {name}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
