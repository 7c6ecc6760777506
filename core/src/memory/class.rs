//! Blocks of one size: which spans they lie in, and which are free.

use super::SPAN_BYTES;

/// The size of the smallest class.
const SMALLEST_BYTES: usize = 512;
/// How many classes there are to a doubling.
const STEPS: usize = 8;
/// The size of the largest class.
const LARGEST_BYTES: usize = 64 << 10;
/// How many classes there are.
pub(super) const CLASSES: usize =
    1 + STEPS * (LARGEST_BYTES.ilog2() - SMALLEST_BYTES.ilog2()) as usize;

/// A bit for each block of a span.
type Bits = [u64; SPAN_BYTES / SMALLEST_BYTES / 64];

/// The class for a block of `len` bytes.
pub(super) fn class_of(len: usize) -> Option<usize> {
    if !(super::BLOCK_BYTES_LEAST..=LARGEST_BYTES).contains(&len) {
        return None;
    }
    if len <= SMALLEST_BYTES {
        return Some(0);
    }
    let doubling = (len - 1).ilog2();
    let step = (len - 1) >> (doubling - STEPS.ilog2());
    Some(1 + (doubling - SMALLEST_BYTES.ilog2()) as usize * STEPS + step - STEPS)
}

/// The size of a class's blocks: a multiple of 64.
pub(super) fn block_bytes(class: usize) -> usize {
    match class.checked_sub(1) {
        None => SMALLEST_BYTES,
        Some(above) => (SMALLEST_BYTES / STEPS * (STEPS + above % STEPS + 1)) << (above / STEPS),
    }
}

/// A span that belongs to a class.
#[derive(Debug)]
struct Span {
    number: u32,
    /// Its place on its shelf of `Class::open`, while a block of it is free.
    open_at: u32,
    free: Bits,
    free_count: u32,
}

/// See the module. Spans are named by their numbers in the region, and by their places here.
#[derive(Debug)]
pub(super) struct Class {
    block_bytes: usize,
    spans: Vec<Span>,
    /// How many blocks are free in all of them.
    free_count: usize,
    /// Places in `spans` that no span has.
    vacant: Vec<u32>,
    /// The places of the spans with free blocks, by how many those are: see [`shelf`](Self::shelf).
    open: [Vec<u32>; SHELVES],
}

/// How many shelves there are for spans with free blocks.
const SHELVES: usize = 8;

/// Which spans are worth emptying, so that they become free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparse {
    /// The emptiest ones of each class, if a quarter of them is free.
    #[default]
    Emptiest,
    /// All of which a quarter is free.
    Quarter,
}

impl Class {
    pub(super) fn new(class: usize) -> Self {
        Self {
            block_bytes: block_bytes(class),
            spans: Vec::new(),
            free_count: 0,
            vacant: Vec::new(),
            open: Default::default(),
        }
    }

    fn per_span(&self) -> usize {
        SPAN_BYTES / self.block_bytes
    }

    /// Where a span with so many free blocks is, by eighths; nowhere if it has none.
    fn shelf(&self, free_count: u32) -> Option<usize> {
        (free_count as usize * SHELVES).div_ceil(self.per_span()).checked_sub(1)
    }

    /// The offset in the region of a block, which is live then. It comes from one of the fullest spans, so that
    /// the emptiest ones become free in time: cache pages come and go at random, and taken from anywhere, blocks
    /// would leave each span half empty for good.
    pub(super) fn take(&mut self) -> Option<usize> {
        let place = *self.open.iter().find_map(|shelf| shelf.last())?;
        let span = &mut self.spans[place as usize];
        let word = span.free.iter().position(|word| *word != 0)?;
        let bit = span.free[word].trailing_zeros() as usize;
        span.free[word] &= !(1 << bit);
        let offset = span.number as usize * SPAN_BYTES + (word * 64 + bit) * self.block_bytes;
        let free_count = span.free_count - 1;
        self.set_free_count(place, free_count);
        Some(offset)
    }

    /// Whether the span at this place is worth emptying: not where all free blocks of the class are those of a span or
    /// two, for then its newest blocks would have to leave, and the next would take a span again.
    pub(super) fn is_sparse(&self, place: u32, sparse: Sparse) -> bool {
        let free_count = self.spans[place as usize].free_count;
        let is_emptiest =
            || self.shelf(free_count) == self.open.iter().rposition(|shelf| !shelf.is_empty());
        self.free_count >= 2 * self.per_span()
            && free_count as usize * 4 >= self.per_span()
            && (sparse == Sparse::Quarter || is_emptiest())
    }

    /// Takes a span into use, all of whose blocks are free; returns its place.
    pub(super) fn add_span(&mut self, number: u32) -> u32 {
        let mut free = Bits::default();
        for block in 0..self.per_span() {
            free[block / 64] |= 1 << (block % 64);
        }
        let span = Span { number, open_at: 0, free, free_count: 0 };
        let place = match self.vacant.pop() {
            Some(place) => {
                self.spans[place as usize] = span;
                place
            }
            None => {
                self.spans.push(span);
                self.spans.len() as u32 - 1
            }
        };
        self.set_free_count(place, self.per_span() as u32);
        place
    }

    /// Takes the block at `offset` back; `place` tells a span's place by its number. Returns the number of
    /// the block's span if that is free now: it is not the class's any more.
    pub(super) fn give_back(&mut self, offset: usize, place: impl Fn(u32) -> u32) -> Option<u32> {
        let number = (offset / SPAN_BYTES) as u32;
        let block = offset % SPAN_BYTES / self.block_bytes;
        let (place, per_span) = (place(number), self.per_span() as u32);
        let span = &mut self.spans[place as usize];
        debug_assert_eq!(span.number, number, "a span of this class");
        debug_assert_eq!(span.free[block / 64] >> (block % 64) & 1, 0, "a block freed twice");
        span.free[block / 64] |= 1 << (block % 64);
        let free_count = span.free_count + 1;
        if free_count < per_span {
            self.set_free_count(place, free_count);
            return None;
        }
        self.set_free_count(place, 0);
        self.vacant.push(place);
        Some(number)
    }

    /// Notes how many blocks of a span are free; with none it is not found any more.
    fn set_free_count(&mut self, place: u32, count: u32) {
        let span = &mut self.spans[place as usize];
        let before = std::mem::replace(&mut span.free_count, count);
        self.free_count = self.free_count + count as usize - before as usize;
        let (before, after) = (self.shelf(before), self.shelf(count));
        if before == after {
            return;
        }
        if let Some(before) = before {
            let (shelf, at) = (&mut self.open[before], self.spans[place as usize].open_at);
            shelf.swap_remove(at as usize);
            if let Some(moved) = shelf.get(at as usize) {
                self.spans[*moved as usize].open_at = at;
            }
        }
        if let Some(after) = after {
            self.spans[place as usize].open_at = self.open[after].len() as u32;
            self.open[after].push(place);
        }
    }
}
