#!/usr/bin/env bash
# Measures rshelve beside other stores, all through Python: one command, one Markdown table on standard
# output, and with --json FILE the figures of every round.
#
#   benches/python/run.sh                        100,000 records, one round
#   benches/python/run.sh --rounds 9             with intervals
#   benches/python/run.sh --records 10000 --stores rshelve,lmdb
#
# The first run makes an environment of its own, target/python-bench, with the wheel built from this
# tree and the peers of requirements.txt; a peer that does not install is named and left out. WiredTiger
# has no wheel: RSHELVE_WIREDTIGER_PYTHON names an interpreter that has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=${CARGO_TARGET_DIR:-target}/python-bench
python=$venv/bin/python
say() { printf '%s\n' "$*" >&2; }

[ -x "$python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }

while read -r requirement; do
  stamp=$venv/${requirement%%=*}.installed
  [ "$(cat "$stamp" 2>/dev/null)" != "$requirement" ] || continue
  source_only=
  [ "${requirement%%=*}" != sqlitedict ] || source_only=sqlitedict
  if pip install --only-binary :all: ${source_only:+--no-binary "$source_only"} "$requirement" 2>"$venv/pip.log"; then
    printf '%s' "$requirement" >"$stamp"
  else
    say "left out: $requirement: $(tail -1 "$venv/pip.log")"
  fi
done < <(grep -v '^#' benches/python/requirements.txt)

# As shipped: the release build, in a wheel.
stamp=$(find Cargo.toml Cargo.lock pyproject.toml core cursor-api pyshelve -type f \
  -not -path '*/tests/*' -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 cksum | cksum)
if [ "$(cat "$venv/rshelve.installed" 2>/dev/null)" != "$stamp" ]; then
  say "building rshelve's wheel"
  rm -rf "$venv/wheel"
  pip wheel --no-deps --wheel-dir "$venv/wheel" .
  pip install --force-reinstall --no-deps "$venv"/wheel/rshelve-*.whl
  pip install typing_extensions
  printf '%s' "$stamp" >"$venv/rshelve.installed"
fi
exec "$python" benches/python/bench.py "$@"
