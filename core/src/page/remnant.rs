//! What is left of a leaf that left memory: the rows that were read lately.
//!
//! A leaf is read in for a row of it. Where rows are wanted one by one, and some much more often than others, a
//! cache full of whole leaves is a cache full of their neighbours. So of a leaf that is on disk as it is, the rows
//! that were read may stay when it leaves, in an image of their own, until they were not read for some rounds of the
//! clock (one whole round of its own, which is so many of the clock's as the evictor says). When the leaf is read in
//! again, they count as read there. (The idea is that of the record cache of Deuteronomy: Levandoski and
//! others, "High Performance Transactions in Deuteronomy", CIDR 2015.)
//!
//! A remnant never changes. It says what the leaf's block says, which everybody sees; what it has not, only the
//! block can tell. Whoever writes, or walks, needs the leaf.

use smallvec::SmallVec;

use super::leaf::{Leaf, ValueRef};
use super::marks::{Marks, Uses, mark_of};
use crate::cache::{Cache, Charge};
use crate::format::{BuilderCapacity, PageBuilder, PageImage, PageKind};
use crate::memory::Sparse;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::life::{Life, Mortal};

/// See the module.
pub struct Remnant {
    image: PageImage,
    marks: Marks,
    /// How many rounds of the clock it has seen since its own last one.
    rounds: AtomicU8,
    charge: Charge,
    life: Life,
}

impl Mortal for Remnant {
    fn life(&self) -> &Life {
        &self.life
    }
}

/// Which rows of a remnant stay when another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that were read lately.
    ReadLately,
    /// All of them: it only moves to other memory.
    All,
}

/// What a row takes in an image beside its cell.
const HEAD_AND_OFFSET: usize = 10;
/// What a remnant takes beside its image, with what the allocator adds.
const OVERHEAD_BYTES: u64 = std::mem::size_of::<Remnant>() as u64 + 16;

impl Remnant {
    /// What may stay of `leaf`: the rows that were read lately, or in this round, unless there are none, or they take so
    /// much that little would be won. The caller holds the leaf's latch, and all of the leaf is on disk.
    pub(super) fn of(leaf: &Leaf) -> Option<Box<Self>> {
        if !leaf.is_unchanged() {
            return None;
        }
        let (bytes_max, cache) = (leaf.charged_bytes() / 2, leaf.cache());
        let (image, marks) = (leaf.image(), &leaf.marks);
        // What was read in the round before may have come from a remnant, and was not read since.
        Self::with_rows(image, marks.all(), marks.lately(), bytes_max, cache)
            .or_else(|| Self::with_rows(image, marks.lately(), u64::MAX, bytes_max, cache))
    }

    /// The rows of `image` that `kept` names, if there are any, and they take `bytes_max` at most. Those that `read`
    /// names count as read in the round before; the others leave in the next unless they are read in it.
    fn with_rows(
        image: &PageImage,
        kept: u64,
        read: u64,
        bytes_max: u64,
        cache: &Arc<Cache>,
    ) -> Option<Box<Self>> {
        let rows = image.len();
        let slots: SmallVec<[usize; 16]> = match kept {
            0 => return None,
            _ => (0..rows).filter(|slot| kept & mark_of(*slot, rows) != 0).collect(),
        };
        let cell_bytes = |slot: &usize| image.cell_len(*slot) + HEAD_AND_OFFSET;
        let cells_bytes: usize = slots.iter().map(cell_bytes).sum();
        if slots.is_empty() || OVERHEAD_BYTES + cells_bytes as u64 > bytes_max {
            return None;
        }
        let capacity = BuilderCapacity { slots: slots.len(), cells_bytes };
        let mut builder = PageBuilder::new(PageKind::Leaf, image.prefix(), capacity);
        slots.iter().for_each(|slot| builder.push_from(image, *slot));
        let was_read = |slot: usize| read & mark_of(slot, rows) != 0;
        let marks = (0..).zip(&slots).filter(|(_, slot)| was_read(**slot));
        let before = marks.fold(0, |marks, (place, _)| marks | mark_of(place, slots.len()));
        let image = builder.finish_image_in(cache.memory());
        Some(Box::new(Self {
            charge: Charge::new(cache, OVERHEAD_BYTES + image.bytes_len() as u64),
            image,
            marks: Marks::with_before(before),
            rounds: AtomicU8::new(0),
            life: Life::new(),
        }))
    }

    /// The value of `key`, if its row is here; that counts as a read of it.
    #[inline]
    pub(super) fn read(&self, key: &[u8]) -> Option<ValueRef<'_>> {
        let slot = self.image.search(key).ok()?;
        self.marks.note(slot, self.image.len());
        Some(ValueRef::of_cell(self.image.cell(slot)))
    }

    /// The smallest key that it has.
    pub fn first_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        self.image.key_into(0, &mut key);
        key
    }

    /// Nothing leads to it any more: it is freed when nobody stands on it. Returns its bytes.
    pub(super) fn leave(&self) -> u64 {
        self.charge.leave();
        self.charge.bytes()
    }

    /// The bytes that it holds of the cache.
    pub fn charged_bytes(&self) -> u64 {
        self.charge.bytes()
    }

    /// Whether it lies in a span of page memory that is worth emptying.
    pub fn lies_in(&self, sparse: Sparse) -> bool {
        self.image.lies_in(sparse)
    }

    /// One round of the clock, so many of which make one for the rows: true when it has rows that were not read lately.
    /// Adds to `uses` how much the others were.
    pub fn cool(&self, rounds_max: u8, uses: &mut Uses) -> bool {
        let rounds = self.rounds.load(Ordering::Relaxed) + 1;
        if rounds < rounds_max {
            self.rounds.store(rounds, Ordering::Relaxed);
            return false;
        }
        self.rounds.store(0, Ordering::Relaxed);
        let bytes = self.charged_bytes() * u64::from(rounds);
        *uses += Uses { reads: u64::from(self.marks.count()), bytes };
        let (marks, rows) = (self.marks.all(), self.image.len());
        let is_cold = (0..rows).any(|slot| marks & mark_of(slot, rows) == 0);
        if !is_cold {
            self.marks.end_round();
        }
        is_cold
    }

    /// What is to stay of it.
    pub(super) fn next(&self, keep: Keep) -> Option<Box<Self>> {
        let (image, cache) = (&self.image, self.charge.cache());
        match keep {
            Keep::ReadLately => {
                let marks = &self.marks;
                Self::with_rows(image, marks.all(), marks.lately(), u64::MAX, cache)
            }
            Keep::All => {
                let mut next = Self::with_rows(image, u64::MAX, 0, u64::MAX, cache)?;
                next.marks = self.marks.copy();
                next.rounds = AtomicU8::new(self.rounds.load(Ordering::Relaxed));
                Some(next)
            }
        }
    }

    /// Marks in `leaf`, which takes its place, those of its rows that were read lately.
    pub(super) fn mark_rows_in(&self, leaf: &Leaf) {
        let (image, mut key) = (leaf.image(), Vec::new());
        let (marks, rows) = (self.marks.all(), self.image.len());
        for slot in (0..rows).filter(|slot| marks & mark_of(*slot, rows) != 0) {
            self.image.key_into(slot, &mut key);
            if let Ok(slot) = image.search(&key) {
                leaf.marks.add_before(mark_of(slot, image.len()));
            }
        }
    }
}
