//! Counters of what the engine did. Relaxed everywhere: a statistic orders nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sync::Sharded;

/// A number that only grows: the sum of what each group of threads counted.
#[derive(Debug, Default)]
pub struct Counter(Sharded<AtomicU64>);

impl Counter {
    /// One more.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// `count` more.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.own().fetch_add(count, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|part| part.load(Relaxed)).sum()
    }
}

macro_rules! statistics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The engine's running counters, one set per open database.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        /// The values of [`Stats`] at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct StatsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
            /// Bytes that the cache holds now.
            pub cache_bytes: u64,
            /// The data file's size in bytes.
            pub file_bytes: u64,
        }

        impl StatsSnapshot {
            /// Every value with its name.
            ///
            /// ```
            /// use rshelve_core::engine::Engine;
            /// # let folder = tempfile::tempdir()?;
            /// # let path = folder.path().join("spam");
            /// let engine = Engine::open(&path, Default::default())?;
            /// assert!(engine.stats().named().any(|(name, count)| name == "file_bytes" && count > 0));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [
                    $((stringify!($name), self.$name),)*
                    ("cache_bytes", self.cache_bytes),
                    ("file_bytes", self.file_bytes),
                ]
                .into_iter()
            }
        }

        impl Stats {
            /// Reads every counter; `cache_bytes` and `file_bytes` are left for the caller.
            pub fn snapshot(&self) -> StatsSnapshot {
                StatsSnapshot { $($name: self.$name.get(),)* cache_bytes: 0, file_bytes: 0 }
            }
        }
    };
}

statistics! {
    /// Blocks read from the data file.
    blocks_read,
    /// Bytes of them.
    block_bytes_read,
    /// Blocks written to the data file.
    blocks_written,
    /// Bytes of them.
    block_bytes_written,
    /// Commits that wrote.
    commits,
    /// Transactions that were rolled back.
    rollbacks,
    /// Writes that met another transaction's.
    conflicts,
    /// Checkpoints completed.
    checkpoints,
    /// Pages dropped from the cache.
    pages_evicted,
    /// Pages that were written so that they could be dropped.
    pages_written_by_eviction,
    /// Leaf pages rebuilt in memory.
    pages_rebuilt,
    /// Leaf pages split.
    pages_split,
    /// Log bytes written.
    log_bytes,
    /// Syncs of the log.
    log_syncs,
    /// Operations that waited for room in the cache.
    cache_waits,
    /// Leaf pages of which some rows stayed when they were dropped.
    remnants_left,
    /// Reads of rows that were in memory without their leaf page.
    remnant_reads,
    /// Rows that were read from the data file, and none of the rest of their leaf pages.
    rows_read_alone,
}
