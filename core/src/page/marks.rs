//! Which rows of an image were read lately: hints for eviction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many marks there are; where an image has more rows, neighbours share one.
pub(super) const MARKS: usize = 64;

/// How much of what eviction's clock went round was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Rows that were read, once for each round, and other uses.
    pub reads: u64,
    /// The bytes that were there, once for each round.
    pub bytes: u64,
}

impl std::ops::AddAssign for Uses {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.bytes += other.bytes;
    }
}

/// See the module. Two rounds of eviction's clock are told apart. Hints that order nothing, so a model checker
/// need not look at them; a mark that is lost to another reader's does no harm.
#[derive(Debug, Default)]
pub(super) struct Marks {
    lately: AtomicU64,
    before: AtomicU64,
    /// A row was read more than once in this round, or two that share a mark.
    again: AtomicBool,
    /// A round has ended since they are kept.
    is_old: AtomicBool,
}

impl Marks {
    /// Nothing was read yet in this round, and in the one before what `before` says.
    pub fn with_before(before: u64) -> Self {
        Self { before: AtomicU64::new(before), ..Self::default() }
    }

    /// What they say now, for another image of the same rows.
    pub fn copy(&self) -> Self {
        let marks = Self::with_before(self.before.load(Ordering::Relaxed));
        marks.lately.store(self.lately(), Ordering::Relaxed);
        marks.is_old.store(self.are_old(), Ordering::Relaxed);
        marks
    }

    /// Notes that the row in `slot` of an image of `rows` was read; true for the first time in this round.
    #[inline]
    pub fn note(&self, slot: usize, rows: usize) -> bool {
        let mark = mark_of(slot, rows);
        let lately = self.lately.load(Ordering::Relaxed);
        let is_first = lately & mark == 0;
        // Not each time: a line that many threads read would go from one to the other.
        if is_first {
            self.lately.store(lately | mark, Ordering::Relaxed);
        } else if !self.again.load(Ordering::Relaxed) {
            self.again.store(true, Ordering::Relaxed);
        }
        is_first
    }

    /// The round ends.
    pub fn end_round(&self) {
        self.before.store(self.lately.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        self.again.store(false, Ordering::Relaxed);
        self.is_old.store(true, Ordering::Relaxed);
    }

    /// Whether a row was read more than once since this was asked last, or since the round began.
    pub fn take_again(&self) -> bool {
        self.again.load(Ordering::Relaxed) && self.again.swap(false, Ordering::Relaxed)
    }

    /// Whether a round has ended since they are kept.
    pub fn are_old(&self) -> bool {
        self.is_old.load(Ordering::Relaxed)
    }

    /// How many marks were made in this round, and not in the one before.
    pub fn count_new(&self) -> u32 {
        (self.lately() & !self.before.load(Ordering::Relaxed)).count_ones()
    }

    /// What was read in this round.
    pub fn lately(&self) -> u64 {
        self.lately.load(Ordering::Relaxed)
    }

    /// What was read in the round before.
    pub fn before(&self) -> u64 {
        self.before.load(Ordering::Relaxed)
    }

    /// Notes what `marks` says, as of this round.
    pub fn add_lately(&self, marks: u64) {
        self.lately.fetch_or(marks, Ordering::Relaxed);
    }

    /// What was read in this round, or in the one before.
    pub fn all(&self) -> u64 {
        self.lately() | self.before.load(Ordering::Relaxed)
    }

    /// Notes what `marks` says, as of the round before.
    pub fn add_before(&self, marks: u64) {
        self.before.fetch_or(marks, Ordering::Relaxed);
    }
}

/// The mark of the row in `slot` of an image of `rows`.
#[inline]
pub(super) fn mark_of(slot: usize, rows: usize) -> u64 {
    let number = if rows <= MARKS { slot } else { slot * MARKS / rows };
    1 << (number % MARKS)
}

/// The mark of a key with the head `head`, where keys have no slots; others may share it.
#[inline]
pub(super) fn mark_of_head(head: u64) -> u64 {
    // Fibonacci hashing: Knuth, The Art of Computer Programming 3, 6.4.
    1 << (head.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - MARKS.ilog2()))
}
