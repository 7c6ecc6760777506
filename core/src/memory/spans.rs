//! Which spans no class has.

use super::SPAN_BYTES;

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
