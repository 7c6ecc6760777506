#!/usr/bin/env bash
# Runs the fuzz targets, one after the other, on the stable toolchain.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]     60 seconds each, every target, if nothing is said
#
# It needs cargo-fuzz and a C++ compiler. What it finds is in fuzz/artifacts, and the exit status is 1.
# New inputs go to fuzz/corpus; keep what is worth it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "skipped: cargo-fuzz is not installed (cargo install cargo-fuzz)"
  exit 77
fi
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- page log file operations config packing
failed=0
for target in "$@"; do
  echo "==> $target, $seconds s"
  cargo fuzz run --sanitizer=none "$target" -- \
    -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 || failed=1
done
exit "$failed"
