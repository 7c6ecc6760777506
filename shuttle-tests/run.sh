#!/bin/sh
# Runs every scenario in its schedules. Arguments go to the test binary: a name, for one scenario.
# RSHELVE_TEST_LONG=1 runs 100,000 schedules; RSHELVE_SCHEDULE=FILE plays one again.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg shuttle ${RUSTFLAGS:-}"
# The controls panic on purpose; where is of no interest.
export RUST_BACKTRACE=0
export CARGO_TARGET_DIR="$PWD/target/shuttle"
# Linking with optimization across crates takes longer than the schedules.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Debug assertions are half of what is checked.
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
exec cargo test -p shuttle-tests --release -- --nocapture "$@"
