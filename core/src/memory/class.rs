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
    /// Its place in `Class::open`, while a block of it is free.
    open_at: u32,
    free: Bits,
    free_count: u32,
}

/// See the module. Spans are named by their numbers in the region, and by their places here.
#[derive(Debug)]
pub(super) struct Class {
    block_bytes: usize,
    spans: Vec<Span>,
    /// Places in `spans` that no span has.
    vacant: Vec<u32>,
    /// The places of the spans with free blocks.
    open: Vec<u32>,
}

impl Class {
    pub(super) fn new(class: usize) -> Self {
        Self {
            block_bytes: block_bytes(class),
            spans: Vec::new(),
            vacant: Vec::new(),
            open: Vec::new(),
        }
    }

    fn per_span(&self) -> usize {
        SPAN_BYTES / self.block_bytes
    }

    /// The offset in the region of a block, which is live then.
    pub(super) fn take(&mut self) -> Option<usize> {
        let span = &mut self.spans[*self.open.last()? as usize];
        let word = span.free.iter().position(|word| *word != 0)?;
        let bit = span.free[word].trailing_zeros() as usize;
        span.free[word] &= !(1 << bit);
        span.free_count -= 1;
        let offset = span.number as usize * SPAN_BYTES + (word * 64 + bit) * self.block_bytes;
        if span.free_count == 0 {
            self.open.pop();
        }
        Some(offset)
    }

    /// Takes a span into use, all of whose blocks are free; returns its place.
    pub(super) fn add_span(&mut self, number: u32) -> u32 {
        let mut free = Bits::default();
        for block in 0..self.per_span() {
            free[block / 64] |= 1 << (block % 64);
        }
        let open_at = self.open.len() as u32;
        let span = Span { number, open_at, free, free_count: self.per_span() as u32 };
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
        self.open.push(place);
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
        span.free_count += 1;
        if span.free_count == 1 {
            span.open_at = self.open.len() as u32;
            self.open.push(place);
        }
        if self.spans[place as usize].free_count < per_span {
            return None;
        }
        self.close(place);
        self.vacant.push(place);
        Some(number)
    }

    fn close(&mut self, place: u32) {
        let at = self.spans[place as usize].open_at as usize;
        self.open.swap_remove(at);
        if let Some(moved) = self.open.get(at) {
            self.spans[*moved as usize].open_at = at as u32;
        }
    }
}
