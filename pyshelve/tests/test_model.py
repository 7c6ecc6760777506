"""A shelf against a dict: any sequence of operations, reopens among them, gives the same."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
import rshelve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

TEXT = st.text(alphabet="ab\0é\U0001f40d", max_size=4) | st.text(max_size=3).filter(
    lambda text: not any("\ud800" <= c <= "\udfff" for c in text)
)
BYTES = st.binary(max_size=3) | st.sampled_from([b"\xff", b"\xff\xff", b"a\xff", b""])
VALUES = st.integers() | st.lists(st.integers(), max_size=3) | st.integers(0, 40_000).map(lambda n: "x" * n)


class ShelfMachine(RuleBasedStateMachine):
    """Both do each step; after each they are compared."""

    keys = TEXT
    key_kind = "str"
    writeback = False

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.model: dict = {}
        self.shelf = self.open("n")

    def open(self, flag: str) -> rshelve.DbfilenameShelf:
        return rshelve.open(
            os.path.join(self.folder, "spam"), flag, key=self.key_kind, writeback=self.writeback,
            cache_size="1MiB", durability="checkpoint",
        )  # fmt: skip

    def teardown(self) -> None:
        if hasattr(self, "shelf"):
            self.shelf.close()
            shutil.rmtree(self.folder)

    def key(self, data: st.DataObject) -> object:
        known = st.sampled_from(sorted(self.model)) if self.model else self.keys
        return data.draw(known | self.keys)

    @rule(data=st.data(), value=VALUES)
    def set(self, data: st.DataObject, value: object) -> None:
        key = self.key(data)
        self.shelf[key] = value
        self.model[key] = value

    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        key = self.key(data)
        assert self.shelf.get(key, "none") == self.model.get(key, "none")
        assert (key in self.shelf) == (key in self.model)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = self.key(data)
        if key in self.model:
            del self.shelf[key], self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.shelf[key]

    @rule(data=st.data())
    def pop(self, data: st.DataObject) -> None:
        key = self.key(data)
        assert self.shelf.pop(key, None) == self.model.pop(key, None)

    @rule(data=st.data(), value=VALUES)
    def setdefault(self, data: st.DataObject, value: object) -> None:
        key = self.key(data)
        assert self.shelf.setdefault(key, value) == self.model.setdefault(key, value)

    @precondition(lambda self: self.model)
    @rule()
    def popitem(self) -> None:
        first = min(self.model)
        assert self.shelf.popitem() == (first, self.model.pop(first))

    @rule(data=st.data(), values=st.lists(VALUES, max_size=20))
    def update(self, data: st.DataObject, values: list) -> None:
        pairs = [(self.key(data), value) for value in values]
        self.shelf.update(pairs)
        self.model.update(pairs)

    @precondition(lambda self: self.writeback and self.model)
    @rule(data=st.data())
    def change_in_place(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        if isinstance(self.model[key], list):
            value = self.shelf[key]
            self.model[key] = [*value, 1]
            value.append(1)

    @rule()
    def clear(self) -> None:
        self.shelf.clear()
        self.model.clear()

    @rule(data=st.data(), reverse=st.booleans())
    def range(self, data: st.DataObject, reverse: bool) -> None:
        start, stop, prefix = (data.draw(st.none() | self.keys) for _ in range(3))
        expected = [
            (key, self.model[key])
            for key in sorted(self.model, reverse=reverse)
            if (start is None or key >= start) and (stop is None or key < stop)
            and (prefix is None or key.startswith(prefix))
        ]  # fmt: skip
        part = self.shelf.range(start, stop, prefix=prefix, reverse=reverse)
        assert list(part.items()) == expected
        assert list(reversed(part)) == [key for key, _ in reversed(expected)]

    @rule()
    def sync(self) -> None:
        self.shelf.sync()

    @rule(flag=st.sampled_from("cwr"))
    def reopen(self, flag: str) -> None:
        self.shelf.close()
        if flag == "r":
            with self.open("r") as reader:
                assert dict(reader) == self.model
            flag = "w"
        self.shelf = self.open(flag)

    @invariant()
    def same(self) -> None:
        if hasattr(self, "shelf"):
            assert len(self.shelf) == len(self.model)
            assert list(self.shelf) == sorted(self.model)


class BytesShelfMachine(ShelfMachine):
    keys = BYTES
    key_kind = "bytes"


class WritebackShelfMachine(ShelfMachine):
    writeback = True


_SETTINGS = settings(
    max_examples=60, stateful_step_count=40, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.mark.parametrize("machine", [ShelfMachine, BytesShelfMachine, WritebackShelfMachine])
def test_shelf_does_what_a_dict_does(machine: type[RuleBasedStateMachine]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=_SETTINGS)
