#!/usr/bin/env bash
# Makes the virtual environment `.venv` in the root and installs rshelve into it, built from this
# tree. Needs cargo, a C compiler and Python >= 3.11 with pip. Does nothing, quickly, when nothing
# has changed since the last time.
#
#   scripts/venv.sh [EXTRA...]     extras of pyproject.toml, such as: demo test
#   scripts/venv.sh --bare         only the environment, for tools that need no rshelve
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.venv
python=$venv/bin/python

say() { printf '%s\n' "$*" >&2; }

command -v cargo >/dev/null || { say "cargo is missing: install Rust first"; exit 1; }

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.{11..20}; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    if "$name" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  say "no Python >= 3.11 with pip was found; set PYTHON to one"
  return 1
}

make_venv() {
  local base
  base=$(find_python)
  say "making $venv with $("$base" --version)"
  rm -rf "$venv"
  # Some systems package Python without what gives a new environment its pip.
  if ! "$base" -m venv "$venv" >/dev/null 2>&1; then
    rm -rf "$venv"
    "$base" -m venv --without-pip "$venv"
    "$base" -m pip --python "$python" install --quiet pip
  fi
}

# What the installed package is made of, as one number.
stamp_of() {
  {
    printf '%s\n' "$@"
    "$python" --version
    cargo --version
    find Cargo.toml Cargo.lock pyproject.toml core cursor-api pyshelve -type f \
      -not -path '*/target/*' -not -path '*/tests/*' -not -path '*/__pycache__/*' -not -name '*.so' -print0 |
      sort -z | xargs -0 cksum
  } | cksum
}

if ! "$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  make_venv
fi
[ "${1:-}" != --bare ] || exit 0

# What was asked for once stays, so that two callers do not take turns in removing it.
mkdir -p "$venv/rshelve"
for extra in "$@"; do touch "$venv/rshelve/extra-$extra"; done
extras=$(find "$venv/rshelve" -name 'extra-*' | sed 's/.*extra-//' | sort | paste -sd, -)

stamp=$(stamp_of "$extras")
if [ "$(cat "$venv/rshelve/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
say "building and installing rshelve${extras:+ with $extras}; the first time takes a few minutes"
rm -f "$venv/rshelve/stamp"
"$python" -m pip install --quiet --disable-pip-version-check ".${extras:+[$extras]}"
printf '%s' "$stamp" >"$venv/rshelve/stamp"
