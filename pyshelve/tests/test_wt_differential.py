"""`rshelve.wt` and a real WiredTiger do the same. See `wt_driver`."""

from __future__ import annotations

import os
import random

import pytest
import wt_driver

LONG = os.environ.get("RSHELVE_TEST_LONG") == "1"


def test_random_operations_end_alike() -> None:
    python = wt_driver.wiredtiger_python()
    if python is None:
        pytest.skip(
            "no wiredtiger to compare with: pip install 'swig<4.3' cmake ninja wiredtiger, here or in an "
            "environment whose python RSHELVE_WIREDTIGER_PYTHON names"
        )
    seed = int(os.environ.get("RSHELVE_TEST_SEED", random.randrange(1 << 32)))
    operations = 100_000 if LONG else 4_000
    print(f"seed: RSHELVE_TEST_SEED={seed}")
    driver = wt_driver.run(python, seed, operations)
    print(f"{driver.operations} operations in {driver.programs} programs; named: {dict(driver.named_counts)}")
    assert driver.operations >= operations
