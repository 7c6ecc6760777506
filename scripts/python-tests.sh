#!/usr/bin/env bash
# The Python part of ./test.sh: builds and installs the package into .venv, then its tests, its
# doctests, and its types (mypy --strict, and stubtest: the stubs against the built extension).
set -eu
cd "$(dirname "$0")/.."

if [ ! -x scripts/venv.sh ] || [ ! -d pyshelve/tests ]; then
  echo "skipped: the Python part is not in this tree"
  exit 77
fi
scripts/venv.sh
python="$PWD/.venv/bin/python"

"$python" -m pytest -q pyshelve/tests
"$python" -m mypy --strict pyshelve/python/rshelve
"$python" -m mypy.stubtest rshelve._rshelve
