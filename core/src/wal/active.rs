//! Where the next record goes: the current segment, its windows, and the segment after it.
//!
//! One lock in [`Log`](crate::wal::Log) guards it, so that handing out positions and moving from
//! window to window and segment to segment are one step. No I/O happens here.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::smallvec;

use crate::base::ids::Lsn;
use crate::wal::positions::{Positions, Reserved};
use crate::wal::record::RECORD_HEADER_BYTES;
use crate::wal::segment::{Prepared, Window, Windows};

/// See the file's documentation.
#[derive(Debug, Default)]
pub(crate) struct Active {
    /// Where the next record starts; nothing before the first record.
    window: Option<Arc<Window>>,
    /// The segment's windows after that one.
    ahead: VecDeque<Arc<Window>>,
    /// The end of the segment's positions.
    limit: u64,
    /// Its middle, until somebody passed it.
    half: Option<u64>,
    /// The segment after it, when that is ready.
    pub next: Option<Prepared>,
    pub closed: bool,
}

/// Reserved positions, and where they lie.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub reserved: Reserved<'a>,
    pub windows: Windows,
    /// This record passed the segment's middle.
    pub half_full: bool,
}

impl Active {
    /// Where the current segment ends; nothing before the first record.
    pub fn segment_end(&self) -> Option<Lsn> {
        self.window.as_ref().map(|_| Lsn(self.limit))
    }

    /// The window of the next record, if copying is all that a record of so many bytes takes: it is mapped,
    /// and has room for all of it.
    #[inline]
    pub fn window_of(&self, positions: &Positions, size_bytes: u64) -> Option<&Window> {
        let end = Lsn(positions.end().0 + size_bytes);
        let has_room = !self.closed && self.fits(positions, size_bytes);
        self.window
            .as_deref()
            .filter(|window| has_room && window.is_mapped() && end <= window.end())
    }

    /// Notes that positions were handed out up to `end`: true if that passed the segment's middle.
    #[inline]
    pub fn pass_middle(&mut self, end: Lsn) -> bool {
        self.half.take_if(|half| *half <= end.0).is_some()
    }

    /// Whether the middle of the current segment was passed.
    pub fn is_half_full(&self) -> bool {
        self.window.is_some() && self.half.is_none()
    }

    /// Whether a record, and the filler that must follow it, fit into the current segment.
    #[inline]
    pub fn fits(&self, positions: &Positions, size_bytes: u64) -> bool {
        self.window.is_some() && positions.end().0 + size_bytes + RECORD_HEADER_BYTES <= self.limit
    }

    /// Reserves what fits.
    #[inline]
    pub fn place<'a>(&mut self, positions: &'a Positions, size_bytes: u64) -> Place<'a> {
        let reserved = positions.reserve(size_bytes);
        let mut windows = Windows::new();
        if let Some(window) = &self.window {
            windows.push(Arc::clone(window));
        }
        while self.window.as_ref().is_some_and(|window| window.end() < reserved.end()) {
            let Some(next) = self.ahead.pop_front() else { break };
            windows.push(Arc::clone(&next));
            self.window = Some(next);
        }
        let half_full = self.pass_middle(reserved.end());
        Place { reserved, windows, half_full }
    }

    /// Makes `next` the current segment. What is left of the old one is reserved for its filler,
    /// which takes its windows along, to be unmapped without the lock.
    pub fn switch<'a>(
        &mut self,
        positions: &'a Positions,
        mut next: Prepared,
    ) -> Option<Place<'a>> {
        let filler = self.window.take().map(|window| {
            let reserved = positions.reserve(self.limit - positions.end().0);
            let mut windows: Windows = smallvec![window];
            windows.extend(self.ahead.drain(..));
            Place { reserved, windows, half_full: false }
        });
        let (start, end) = (next.segment.start().0, next.segment.end().0);
        assert_eq!(positions.end().0, start, "segments follow each other without a gap");
        self.window = next.windows.pop_front();
        self.ahead = next.windows;
        self.limit = end;
        self.half = Some(start + (end - start) / 2);
        filler
    }
}
