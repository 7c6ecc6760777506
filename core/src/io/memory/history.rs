//! What a storage went through, step by step.
#![forbid(unsafe_code)]

use super::MemoryStorage;
use super::crash::Walk;
use super::disk::{Disk, Step, SyncOutcome};
use crate::io::SyncPoint;

/// A recording: the files at its start, all of them durable, and every step since.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) base: Disk,
    pub(super) steps: Vec<Step>,
}

impl History {
    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many steps there are; a crash can come after each, and before the first.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Stands before the first step, ready to go through them and make crash images.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    /// Stands after the first `count` steps (after all, if there are fewer).
    pub fn walk_to(&self, count: usize) -> Walk<'_> {
        let mut walk = self.walk();
        while walk.at() < count && walk.advance().is_some() {}
        walk
    }

    /// The same history on a machine where the syncs at `point` are a pretence: the negative
    /// control of every crash test, without running the workload again.
    pub fn without_sync(&self, point: SyncPoint) -> History {
        let mut history = self.clone();
        for step in &mut history.steps {
            match step {
                Step::SyncData { point: at, outcome, .. }
                | Step::SyncFolder { point: at, outcome }
                    if *at == point && *outcome == SyncOutcome::Done =>
                {
                    *outcome = SyncOutcome::Ignored;
                }
                _ => {}
            }
        }
        history
    }

    /// The folder as a process leaves it that was killed after `count` steps: everything that it
    /// wrote or copied into a map is there.
    pub fn killed(&self, count: usize) -> MemoryStorage {
        self.killed_within(count, usize::MAX)
    }

    /// The same for a process that was killed while the last of these steps, a write, was under
    /// way: only its first `kept_bytes` bytes are there.
    pub fn killed_within(&self, count: usize, kept_bytes: usize) -> MemoryStorage {
        let mut disk = self.base.clone();
        let count = count.min(self.steps.len());
        for (index, step) in self.steps[..count].iter().enumerate() {
            match step {
                Step::Write { file, offset, bytes, mapped }
                    if index + 1 == count && kept_bytes < bytes.len() =>
                {
                    let bytes = bytes[..kept_bytes].into();
                    disk.apply(&Step::Write {
                        file: *file,
                        offset: *offset,
                        bytes,
                        mapped: *mapped,
                    });
                }
                step => disk.apply(step),
            }
        }
        disk.drop_nameless();
        MemoryStorage::with_disk(disk)
    }
}
