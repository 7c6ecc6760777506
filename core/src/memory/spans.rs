//! Which spans no class has.

use std::ops::Range;

use super::SPAN_BYTES;
use super::region::HUGE_BYTES;

/// How many spans a huge page has.
const PER_HUGE_PAGE: u32 = (HUGE_BYTES / SPAN_BYTES) as u32;

/// How many spans are made resident ahead of need at most: two huge pages.
const AHEAD_MOST: usize = 2 * PER_HUGE_PAGE as usize;

/// What of free spans stays resident at least, in spans.
const WARM_LEAST: usize = (2 << 20) / SPAN_BYTES;

/// How many free spans stay resident beside a cache of this size.
pub(super) fn warm_max(cache_bytes_max: u64) -> usize {
    WARM_LEAST.max((cache_bytes_max / 32) as usize / SPAN_BYTES)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Spans {
    count: u32,
    /// Spans from this one on were never taken.
    next: u32,
    /// Free spans whose memory is resident.
    warm: Vec<u32>,
    /// Free spans whose memory was given back to the system.
    cold: Vec<u32>,
    /// How many may be warm.
    warm_max: usize,
}

impl Spans {
    pub(super) fn new(count: u32) -> Self {
        let warm_max = warm_max(u64::from(count) * SPAN_BYTES as u64);
        Self { count, next: 0, warm: Vec::new(), cold: Vec::new(), warm_max }
    }

    /// A span, and whether its memory is resident.
    pub(super) fn take(&mut self) -> Option<(u32, bool)> {
        if let Some(span) = self.warm.pop() {
            return Some((span, true));
        }
        let cold = self.cold.pop().or_else(|| {
            let next = self.next;
            self.next += u32::from(next < self.count);
            (next < self.count).then_some(next)
        })?;
        Some((cold, false))
    }

    /// How many free spans should be resident before somebody needs them: a share of what was taken, so that a
    /// small database has none.
    fn ahead(&self) -> usize {
        AHEAD_MOST.min(self.warm_max).min(self.next as usize / 8)
    }

    /// Whether so few free spans are resident that more should be.
    pub(super) fn are_short(&self) -> bool {
        self.warm.len() < self.ahead().div_ceil(2)
    }

    /// Takes spans out whose memory is not resident, to be made so and [`put`](Self::put) back: none where
    /// there are enough resident ones. What was never taken comes by the huge page.
    pub(super) fn take_ahead(&mut self) -> Option<Range<u32>> {
        if self.warm.len() >= self.ahead() {
            return None;
        }
        if let Some(span) = self.cold.pop() {
            return Some(span..span + 1);
        }
        let first = self.next;
        self.next = (first / PER_HUGE_PAGE * PER_HUGE_PAGE + PER_HUGE_PAGE).min(self.count);
        (first < self.next).then_some(first..self.next)
    }

    /// Sets how many free spans stay resident; takes those out that are too many.
    pub(super) fn keep_warm(&mut self, warm_max: usize) -> Vec<u32> {
        self.warm_max = warm_max;
        self.warm.split_off(warm_max.min(self.warm.len()))
    }

    /// Takes a free span back, if it may stay resident; else it is nobody's, and to be given back to the
    /// system and then [`put`](Self::put) here.
    pub(super) fn keep(&mut self, span: u32) -> bool {
        let is_room = self.warm.len() < self.warm_max;
        if is_room {
            self.warm.push(span);
        }
        is_room
    }

    /// Takes a free span back whose memory is gone, or could not be given back.
    pub(super) fn put(&mut self, span: u32, is_gone: bool) {
        if is_gone { self.cold.push(span) } else { self.warm.push(span) }
    }
}
