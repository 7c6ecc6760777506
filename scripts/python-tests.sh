#!/usr/bin/env bash
# Tests of the Python face: the contract, CPython's own tests, threads, memory, kill -9, examples,
# types. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/venv.sh test
exec .venv/bin/python -m pytest pyshelve/tests "$@"
