//! The engines, each behind the same trait. A peer is there when its feature is.

use crate::store::Engine;

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "heed")]
mod lmdb;
mod memory;
mod ours;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "rusqlite")]
mod sqlite;
#[cfg(feature = "wiredtiger")]
mod wiredtiger;

/// The name of our own engine in every table.
pub const OURS: &str = "rshelve";
/// The name of what is no store, and so no peer.
pub const FLOOR: &str = "memory";

/// Every engine of this build, ours first.
pub fn engines() -> Vec<Engine> {
    vec![
        ours::ENGINE,
        #[cfg(feature = "heed")]
        lmdb::ENGINE,
        #[cfg(feature = "redb")]
        redb::ENGINE,
        #[cfg(feature = "rocksdb")]
        rocksdb::PLAIN,
        #[cfg(feature = "rocksdb")]
        rocksdb::SNAPPY,
        #[cfg(feature = "fjall")]
        fjall::ENGINE,
        #[cfg(feature = "rusqlite")]
        sqlite::ENGINE,
        #[cfg(feature = "wiredtiger")]
        wiredtiger::ENGINE,
        memory::ENGINE,
    ]
}
