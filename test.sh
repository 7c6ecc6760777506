#!/usr/bin/env bash
# All tests: Rust, Python, loom models, shuttle schedules, doctests; formatting and warnings too.
#
#   ./test.sh                 every step in its short form
#   ./test.sh --long          the same with the long forms (more seeds, more operations)
#   ./test.sh clippy rust     these steps only
#
# It needs cargo, a C compiler and Python >= 3.11 with pip. What it installs for Python goes into
# .venv; the Python of the machine is left alone. A step that fails does not stop the ones behind
# it; the closing lines say which failed, and the exit status is theirs.
set -u
cd "$(dirname "$0")" || exit 2

STEPS="fmt clippy rust doctest doc deny loom shuttle python"

usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; echo "Steps: $STEPS"; }

# Tests read RSHELVE_TEST_LONG and run their long form when it is 1.
export RSHELVE_TEST_LONG="${RSHELVE_TEST_LONG:-0}"
chosen=""
for argument in "$@"; do
  case " $STEPS " in
    *" $argument "*) chosen="$chosen $argument"; continue ;;
  esac
  case "$argument" in
    --long) RSHELVE_TEST_LONG=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test.sh: there is no step \"$argument\"" >&2; usage >&2; exit 2 ;;
  esac
done
[ -n "$chosen" ] || chosen="$STEPS"

skip() { echo "skipped: $*"; return 77; }

# Nextest runs each test in its own process; plain `cargo test` does where it is missing.
step_rust() {
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast
  else
    cargo test --workspace --no-fail-fast --lib --bins --tests --examples
  fi
}
step_fmt() { cargo fmt --all --check; }
step_clippy() { cargo clippy --workspace --all-targets -- -D warnings; }
step_doctest() { cargo test --workspace --doc --no-fail-fast; }
step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps; }
step_deny() { scripts/deny.sh; }
step_loom() {
  [ -x loom-tests/run.sh ] || skip "there is no loom-tests/run.sh" || return
  loom-tests/run.sh
}
step_shuttle() {
  [ -x shuttle-tests/run.sh ] || skip "there is no shuttle-tests/run.sh" || return
  shuttle-tests/run.sh
}
step_python() {
  [ -x scripts/python-tests.sh ] || skip "there is no scripts/python-tests.sh" || return
  scripts/python-tests.sh
}

passed=0 failed=0 skipped=0 summary=""
for step in $chosen; do
  printf '\n==> %s\n' "$step"
  started=$SECONDS
  "step_$step"
  status=$?
  case $status in
    0) word=ok passed=$((passed + 1)) ;;
    77) word=skipped skipped=$((skipped + 1)) ;;
    *) word="FAILED ($status)" failed=$((failed + 1)) ;;
  esac
  summary="$summary$(printf '%-8s %-12s %5d s' "$step" "$word" $((SECONDS - started)))
"
done

printf '\n%s' "$summary"
printf 'steps: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
