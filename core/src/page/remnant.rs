//! What is in memory of a leaf that is not: rows that were read lately.
//!
//! A leaf is read in for a row of it. Where rows are wanted one by one, and some much more often than others, a
//! cache full of whole leaves is a cache full of their neighbours. So of a leaf that is on disk as it is, the rows
//! that were read may stay when it leaves, in an image of their own, until they were not read for some rounds of the
//! clock (one whole round of its own, which is so many of the clock's as the evictor says). When the leaf is read in
//! again, they count as read there. (The idea is that of the record cache of Deuteronomy: Levandoski and
//! others, "High Performance Transactions in Deuteronomy", CIDR 2015.) While rows are worth more than leaves, a row
//! comes alone in the first place, beside those that are here.
//!
//! A remnant never changes. It says what the leaf's block says, which everybody sees; what it has not, only the
//! block can tell. Whoever writes, or walks, needs the leaf.

use smallvec::SmallVec;

use super::leaf::{self, Leaf, ValueRef};
use super::marks::{MARKS, Marks, Uses, mark_of};
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

/// Slots of an image, in order.
type Slots = SmallVec<[usize; 16]>;

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
        let slots: Slots = match kept {
            0 => return None,
            _ => (0..rows).filter(|slot| kept & mark_of(*slot, rows) != 0).collect(),
        };
        let was_read = |slot: usize| read & mark_of(slot, rows) != 0;
        let marks = (0..).zip(&slots).filter(|(_, slot)| was_read(**slot));
        let before = marks.fold(0, |marks, (place, _)| marks | mark_of(place, slots.len()));
        Self::with_slots(image, &slots, Marks::with_before(before), bytes_max, cache)
    }

    /// The rows of `old`, if there are any, and that in `slot` of `image`, which is the whole leaf's; none if they are so
    /// many, or take so much, that little would be won. The new row counts as read in the round before, so that what is
    /// read once leaves first.
    pub(super) fn with_row(
        old: Option<&Self>,
        image: &PageImage,
        slot: usize,
        cache: &Arc<Cache>,
    ) -> Option<Box<Self>> {
        let (mut slots, mut key): (Slots, _) = (SmallVec::new(), Vec::new());
        for place in 0..old.map_or(0, |old| old.image.len()) {
            old?.image.key_into(place, &mut key);
            slots.push(image.search(&key).ok()?);
        }
        let new_place = slots.binary_search(&slot).err()?;
        slots.insert(new_place, slot);
        let rows_of_old = slots.len() - 1;
        if rows_of_old >= MARKS {
            return None;
        }
        let moved = |marks: u64| {
            let marked = (0..rows_of_old).filter(|place| marks & mark_of(*place, rows_of_old) != 0);
            let places = marked.map(|place| place + usize::from(place >= new_place));
            places.fold(0, |marks, place| marks | mark_of(place, slots.len()))
        };
        let (lately, before) = old.map_or((0, 0), |old| (old.marks.lately(), old.marks.before()));
        let marks = Marks::with_before(moved(before) | mark_of(new_place, slots.len()));
        marks.add_lately(moved(lately));
        let bytes_max = (leaf::OVERHEAD_BYTES + image.bytes_len() as u64) / 2;
        let mut new = Self::with_slots(image, &slots, marks, bytes_max, cache)?;
        new.rounds = AtomicU8::new(old.map_or(0, |old| old.rounds.load(Ordering::Relaxed)));
        Some(new)
    }

    fn with_slots(
        image: &PageImage,
        slots: &[usize],
        marks: Marks,
        bytes_max: u64,
        cache: &Arc<Cache>,
    ) -> Option<Box<Self>> {
        let cells_bytes = slots.iter().map(|slot| image.cell_len(*slot) + HEAD_AND_OFFSET).sum();
        if slots.is_empty() || OVERHEAD_BYTES + cells_bytes as u64 > bytes_max {
            return None;
        }
        let capacity = BuilderCapacity { slots: slots.len(), cells_bytes };
        let mut builder = PageBuilder::new(PageKind::Leaf, image.prefix(), capacity);
        slots.iter().for_each(|slot| builder.push_from(image, *slot));
        let image = builder.finish_image_in(cache.memory());
        Some(Box::new(Self {
            charge: Charge::new(cache, OVERHEAD_BYTES + image.bytes_len() as u64),
            image,
            marks,
            rounds: AtomicU8::new(0),
            life: Life::new(),
        }))
    }

    /// The value of `key`, if its row is here; that counts as a read of it, but for the one that it `came_for`.
    #[inline]
    pub(super) fn read(&self, key: &[u8], came_for: bool) -> Option<ValueRef<'_>> {
        let slot = self.image.search(key).ok()?;
        if !came_for {
            self.marks.note(slot, self.image.len());
        }
        Some(ValueRef::of_cell(self.image.cell(slot)))
    }

    /// Whether the row of `key` is here.
    pub(super) fn has_row(&self, key: &[u8]) -> bool {
        self.image.search(key).is_ok()
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
        *uses += self.uses(u64::from(rounds));
        let (marks, rows) = (self.marks.all(), self.image.len());
        let is_cold = (0..rows).any(|slot| marks & mark_of(slot, rows) == 0);
        if !is_cold {
            self.marks.end_round();
        }
        is_cold
    }

    /// How much the rows were used in the last `rounds` rounds that stayed for these rounds alone: they were not read in
    /// those before.
    fn uses(&self, rounds: u64) -> Uses {
        let rows = self.image.len().clamp(1, MARKS) as u64;
        let old = rows.saturating_sub(u64::from(self.marks.before().count_ones()));
        let bytes = self.charged_bytes() * old / rows * rounds;
        Uses { reads: u64::from(self.marks.count_new()), bytes }
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
