//! Real file systems: the power cut, and the disk filled up, on loop devices.
//!
//! The power is cut with `xfs_io -x -c shutdown`, which throws away what no sync made durable, creations
//! and renames among it; then the file system is mounted again and the database compared, as after a kill
//! ([`crate::kill`]). It needs root, loop devices, `mkfs` and xfsprogs; where one of them is missing the
//! tests print the reason and pass. They run where `RSHELVE_TEST_MOUNT=1` asks for them, and in the
//! long form:
//!
//! ```text
//! RSHELVE_TEST_MOUNT=1 cargo test -p rshelve-core --test engine real -- --nocapture --test-threads 1
//! ```

mod full;
mod mount;
mod power;
