#!/usr/bin/env bash
# Builds the benchmark and runs it: one command, one Markdown table, JSON beside it.
#
#   benches/run.sh --quick              our engine alone, 200,000 records
#   benches/run.sh basics               inserts, reads and scans, in and out of cache
#   benches/run.sh threads              our engine with 1 to 16 threads, beside processes
#   benches/run.sh --peers --quick      beside LMDB, redb, fjall, RocksDB and SQLite
#   benches/run.sh --light --quick      the same without RocksDB, whose C++ takes minutes to build
#   benches/run.sh --peers ycsb --quick              YCSB A to F
#   benches/run.sh --peers larger --quick            ten times the cache under a hard limit of memory
#   benches/run.sh --peers keys --quick              source lines, words, addresses as keys
#   benches/run.sh --peers group --quick             group commit on a disk with slow syncs
#   benches/run.sh --peers              the same at 5 million records (some 10 GB of disk)
#   benches/run.sh --wiredtiger ...     and WiredTiger, from the C library that is installed
#
#   benches/run.sh counts                            instructions of single operations (valgrind)
#   benches/run.sh classic --records 1000000         memory and file size over time, as CSV
#   benches/run.sh --mimalloc ...                    another allocator, for the peers in Rust too
#
# --peers needs a C++ compiler and libclang (Debian: libclang-dev), and builds RocksDB once, for
# minutes; --wiredtiger needs libwiredtiger-dev, or WIREDTIGER_DIR naming another installation.
# Every other option goes to the benchmark: --help lists them.
set -eu
cd "$(dirname "$0")/.."

features="" target="${CARGO_TARGET_DIR:-target}"
while [ $# -gt 0 ]; do
  case "$1" in
    --light) features="$features,peers" ;;
    --peers) features="$features,peers,rocksdb" ;;
    --mimalloc) features="$features,mimalloc" ;;
    --wiredtiger) features="$features,peers,rocksdb,wiredtiger" ;;
    *) break ;;
  esac
  shift
done
# How long operations wait inside the engine is added up in this build only.
[ "${1:-}" != threads ] || features="$features,waits" target="$target/waits"
# The peers' build is kept apart, so that changing features does not build them again.
case "$features" in
  *rocksdb*) target="$target/peers" ;;
  *peers*) target="$target/light" ;;
esac
case "$features" in *mimalloc*) target="$target/mimalloc" ;; esac

cargo build --release --quiet --package rshelve-benches --target-dir "$target" --features "$features"
exec "$target/release/rshelve-benches" "$@"
