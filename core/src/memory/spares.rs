//! Free blocks that a thread keeps at hand.

use super::class::{CLASSES, block_bytes};

/// How many bytes of one class a thread keeps at hand before it gives half of them back.
const BYTES_MAX: usize = 128 << 10;
/// How many blocks at most.
const BLOCKS_MAX: usize = 16;
/// What a thread takes and gives before it says so.
const UNSAID_BYTES_MAX: i64 = 64 << 10;

/// Blocks by class, last in first out: what was given back last is still in the processor's cache.
#[derive(Debug)]
pub(super) struct Spares {
    /// Offsets in the region.
    classes: Box<[Vec<usize>]>,
    /// What became slack here, less what is slack no more, and nobody was told of.
    unsaid_bytes: i64,
}

impl Spares {
    pub(super) fn new() -> Self {
        Self { classes: (0..CLASSES).map(|_| Vec::new()).collect(), unsaid_bytes: 0 }
    }

    pub(super) fn take(&mut self, class: usize) -> Option<usize> {
        self.classes[class].pop()
    }

    /// Keeps a block; true when there are too many now.
    pub(super) fn put(&mut self, class: usize, offset: usize) -> bool {
        let spares = &mut self.classes[class];
        spares.push(offset);
        spares.len() >= (BYTES_MAX / block_bytes(class)).min(BLOCKS_MAX)
    }

    /// All of a class's blocks.
    pub(super) fn take_all(&mut self, class: usize) -> impl Iterator<Item = usize> {
        self.classes[class].drain(..)
    }

    /// The half of a class's blocks that was put here first.
    pub(super) fn take_half(&mut self, class: usize) -> impl Iterator<Item = usize> {
        let spares = &mut self.classes[class];
        spares.drain(..spares.len().div_ceil(2))
    }

    /// Notes a change of the slack; what has to be said of it, if anything.
    pub(super) fn note_slack(&mut self, bytes: i64) -> Option<i64> {
        self.unsaid_bytes += bytes;
        let is_much = self.unsaid_bytes.abs() >= UNSAID_BYTES_MAX;
        is_much.then(|| std::mem::take(&mut self.unsaid_bytes))
    }

    /// What nobody was told of.
    #[cfg(test)]
    pub(super) fn unsaid_bytes(&self) -> i64 {
        self.unsaid_bytes
    }
}
