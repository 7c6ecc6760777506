#!/bin/sh
# Checks every model. Arguments go to the test binaries: a name, for one model.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=target/loom
exec cargo test -p loom-tests --release -- --nocapture "$@"
