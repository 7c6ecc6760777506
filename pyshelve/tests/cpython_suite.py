"""Run CPython's own tests of `shelve` and `dbm` against rshelve; a program, run by test_cpython.

It puts rshelve in the place of the standard modules first, then imports the tests.
"""

import dbm
import json
import sys
import types
import unittest

import rshelve
import rshelve.dbm


def substitute() -> None:
    """Put rshelve where the tests look for `shelve` and for a `dbm`."""
    shelve = types.ModuleType("shelve", rshelve.__doc__)
    for name in ("open", "Shelf", "BsdDbShelf", "DbfilenameShelf", "ShelveError"):
        setattr(shelve, name, getattr(rshelve, name))
    sys.modules["shelve"] = shelve
    rshelve.dbm.__name__ = "dbm.rshelve"
    sys.modules["dbm.rshelve"] = rshelve.dbm
    dbm._names.insert(0, "dbm.rshelve")
    dbm._modules["dbm.rshelve"] = rshelve.dbm
    dbm.whichdb = rshelve.dbm.whichdb


def main() -> int:
    """Run them, and print what happened as the last line."""
    substitute()
    load = unittest.defaultTestLoader.loadTestsFromName
    suite = unittest.TestSuite([load("test.test_shelve"), load("test.test_dbm.TestCase_rshelve")])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    print(json.dumps({"ran": result.testsRun, "skipped": len(result.skipped)}))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
