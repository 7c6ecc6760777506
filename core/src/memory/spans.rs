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

    /// Sets how many free spans stay resident.
    pub(super) fn keep_warm(&mut self, warm_max: usize) {
        self.warm_max = warm_max;
    }

    /// A span that was warm and is one too many; its memory must be given back to the system.
    pub(super) fn cool(&mut self) -> Option<u32> {
        if self.warm.len() <= self.warm_max {
            return None;
        }
        let span = self.warm.pop()?;
        self.cold.push(span);
        Some(span)
    }

    /// Takes a span back; false when its memory must be given back to the system.
    pub(super) fn give_back(&mut self, span: u32) -> bool {
        let is_warm = self.warm.len() < self.warm_max;
        if is_warm {
            self.warm.push(span)
        } else {
            self.cold.push(span)
        }
        is_warm
    }
}
