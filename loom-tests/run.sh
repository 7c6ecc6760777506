#!/bin/sh
# Checks every model. Arguments go to the test binaries: a name, for one model.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
# The controls panic on purpose; where is of no interest.
export RUST_BACKTRACE=0
export CARGO_TARGET_DIR=target/loom
# Linking with optimization across crates takes longer than the models.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
exec cargo test -p loom-tests --release -- --nocapture "$@"
