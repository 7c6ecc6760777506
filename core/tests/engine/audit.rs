//! Verifies a closed database's file: nothing damaged, nothing reached twice or free, and what is lost.

use std::sync::Arc;

use rshelve_core::engine::verify_on;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{LockKind, OpenHow, Storage};
use rshelve_core::verify::Report;

use crate::harness::NAME;

/// Panics when verifying finds anything; returns how many bytes are in use and reached by nobody.
pub fn unreached_bytes(storage: &MemoryStorage) -> u64 {
    clean_report(storage).unreached_bytes()
}

/// Panics when verifying finds anything; returns what it says of a file that it finds nothing in.
pub fn clean_report(storage: &MemoryStorage) -> Report {
    let file = storage.open(NAME, OpenHow::ReadOnly).expect("the database is there");
    assert!(file.try_lock(LockKind::Shared).expect("a lock"), "somebody still has the lock");
    drop(file);
    let report = verify_on(Arc::new(storage.clone()), NAME, &mut |_| Ok(()))
        .unwrap_or_else(|error| panic!("the file cannot be verified: {error}"));
    assert!(report.is_clean(), "{report}");
    report
}
