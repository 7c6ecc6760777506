"""`rshelve.wt` and a real WiredTiger do the same. See `wt_driver`."""

from __future__ import annotations

import os
import random

import pytest
import wt_driver
import wt_planted

LONG = os.environ.get("RSHELVE_TEST_LONG") == "1"


def theirs() -> str:
    """The interpreter with a WiredTiger; without one the test is skipped."""
    python = wt_driver.wiredtiger_python()
    if python is None:
        pytest.skip(
            "no wiredtiger to compare with: pip install 'swig<4.3' cmake ninja wiredtiger, here or in an "
            "environment whose python RSHELVE_WIREDTIGER_PYTHON names"
        )
    return python


def test_random_operations_end_alike() -> None:
    python = theirs()
    seed = int(os.environ.get("RSHELVE_TEST_SEED", random.randrange(1 << 32)))
    operations = 1_000_000 if LONG else 4_000
    print(f"seed: RSHELVE_TEST_SEED={seed}")
    driver = wt_driver.run(python, seed, operations)
    print(f"{driver.operations} operations in {driver.programs} programs; named: {dict(driver.named_counts)}")
    assert driver.operations >= operations


@pytest.mark.parametrize("plant", wt_planted.PLANTS)
def test_planted_mistake_is_noticed(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    python = theirs()
    monkeypatch.setenv("RSHELVE_WT_PLANT", plant)
    with pytest.raises(wt_driver.Difference) as difference:
        wt_driver.run(python, 7, 60_000, module="wt_planted")
    assert "seed 7" in str(difference.value)


def test_answers_that_differ_are_a_difference() -> None:
    """What needs no WiredTiger: two sides that answer from a list."""

    class Side:
        def __init__(self, *answers: list[object]) -> None:
            self.answers = list(answers)

        def send(self, operation: list[object]) -> None:
            pass

        def receive(self) -> list[object]:
            return self.answers.pop(0)

    driver = wt_driver.Driver.with_sides(
        [Side(["is", 0, ""], ["is", 0, ""]), Side(["is", 0, ""], ["is", -31803, ""])], seed=3
    )
    assert driver.same("c.next", 1) == ["is", 0, ""]
    with pytest.raises(wt_driver.Difference, match=r"seed 3.*c\.next differs"):
        driver.same("c.next", 1)
