//! Appending: a record is drafted, gets its positions, is copied, and is filled.

use std::ops::Deref;
use std::sync::Arc;

use super::{Log, failed};
use crate::base::error::{Error, Result};
use crate::base::ids::Lsn;
use crate::base::options::Durability;
use crate::io::SyncPoint;
use crate::wal::active::{Active, Place};
use crate::wal::positions::{Reserved, Ticket};
use crate::wal::record::{FILLER, HeaderBytes, PayloadSum, RecordHeader, record_bytes};
use crate::wal::segment::{Through, Window, write_record};

/// Records up to this size are copied under the lock that hands out positions, if copying is all that it
/// takes: that is quicker than letting those behind wait until they are filled.
const COPIED_IN_TURN_BYTES_MAX: u64 = 4 << 10;

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The record's position.
    pub position: Lsn,
    /// The position behind it, for [`Registration::wait_committed`].
    pub end: Lsn,
}

/// A record that has no place yet. From [`Log::draft`].
#[derive(Clone, Copy, Debug)]
pub struct Draft<'p> {
    kind: u8,
    parts: &'p [&'p [u8]],
    len: u32,
    sum: PayloadSum,
}

impl Draft<'_> {
    /// Positions that it takes.
    #[inline]
    fn size_bytes(&self) -> u64 {
        record_bytes(u64::from(self.len))
    }
}

/// A record that was appended, and with that committed. [`Log::follow_up`] comes when no lock is held.
#[derive(Clone, Copy, Debug)]
#[must_use = "the log may want its next segment prepared"]
pub struct AtOnce {
    /// Where it is.
    pub written: Written,
    half_full: bool,
}

/// A commit that holds back [`Log::lowest_registered`] until it is dropped. Drop it only after
/// the commit is visible, or when nothing was appended that should be replayed.
#[derive(Debug)]
#[must_use = "a registration protects the commit only while it lives"]
pub struct Registration<L: Deref<Target = Log>> {
    log: L,
    ticket: Ticket,
}

impl Log {
    /// Registers a commit, before it appends anything. Cheap.
    #[inline]
    pub fn register(&self) -> Registration<&Self> {
        Registration { ticket: self.positions.register(), log: self }
    }

    /// The same, for a commit that outlives this borrow of the log.
    pub fn register_owned(log: &Arc<Self>) -> Registration<Arc<Self>> {
        Registration { ticket: log.positions.register(), log: Arc::clone(log) }
    }

    /// Reserves the positions of a record, in the next segment if the current one is full.
    fn reserve(&self, size_bytes: u64) -> Result<Place<'_>> {
        loop {
            self.positions.check().map_err(failed)?;
            let mut active = self.active.lock();
            if active.closed {
                return Err(Error::Closed { what: "the log" });
            }
            if active.fits(&self.positions, size_bytes) {
                return Ok(active.place(&self.positions, size_bytes));
            }
            let Some(next) = active.next.take() else {
                drop(active);
                let mut preparing = self.preparing.lock();
                self.prepare_with(&mut preparing, size_bytes)?;
                continue;
            };
            self.segments.lock().push(Arc::clone(&next.segment));
            let filler = active.switch(&self.positions, next);
            drop(active);
            if let Some(filler) = filler {
                self.write_filler(filler)?;
            }
        }
    }

    fn write_filler(&self, place: Place<'_>) -> Result<()> {
        let header = RecordHeader {
            len: 0,
            position: place.reserved.start(),
            synced: self.positions.synced(),
            epoch: self.epoch,
            kind: FILLER,
        };
        let windows = place.windows.iter().map(|window| &**window);
        let header = header.encode(self.seed.sum(&[]));
        self.write(Through::Map, place.reserved, windows, &header, &[]).map(|_| ()).map_err(failed)
    }

    /// Copies a record to its place and marks it filled.
    #[inline]
    fn write<'w>(
        &self,
        through: Through,
        reserved: Reserved<'_>,
        windows: impl IntoIterator<Item = &'w Window>,
        header: &HeaderBytes,
        parts: &[&[u8]],
    ) -> Result<Written> {
        let (position, end) = (reserved.start(), reserved.end());
        match write_record(through, windows, position, header, parts) {
            Ok(()) => reserved.fill(),
            Err(error) => {
                reserved.fail(error);
                self.positions.check()?;
            }
        }
        Ok(Written { position, end })
    }

    /// A record of this payload, checked and summed: what can be done before it has its place.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a payload beyond [`Log::payload_bytes_max`].
    pub fn draft<'p>(&self, kind: u8, parts: &'p [&'p [u8]]) -> Result<Draft<'p>> {
        let payload_bytes = parts.iter().map(|part| part.len() as u64).sum();
        match u32::try_from(payload_bytes) {
            Ok(len) if payload_bytes <= self.payload_bytes_max() && kind != FILLER => {
                Ok(Draft { kind, parts, len, sum: self.seed.sum(parts) })
            }
            _ => Err(self.refuse(kind, payload_bytes)),
        }
    }

    /// A draft's header, at `position`.
    #[inline]
    fn header(&self, draft: &Draft<'_>, position: Lsn) -> HeaderBytes {
        let Draft { kind, len, sum, .. } = *draft;
        let synced = self.positions.synced();
        RecordHeader { len, position, synced, epoch: self.epoch, kind }.encode(sum)
    }

    fn append(&self, draft: &Draft<'_>, through: Through) -> Result<Written> {
        self.positions.check().map_err(failed)?;
        if through == Through::Map {
            let mut active = self.active.lock();
            if let Some((written, half_full)) = self.append_in_turn(&mut active, draft) {
                drop(active);
                if half_full {
                    self.half_full();
                }
                return written;
            }
        }
        let place = self.reserve(draft.size_bytes())?;
        let header = self.header(draft, place.reserved.start());
        let windows = place.windows.iter().map(|window| &**window);
        let written = self.write(through, place.reserved, windows, &header, draft.parts)?;
        if place.half_full {
            self.half_full();
        }
        Ok(written)
    }

    /// Copies a small record under the lock that hands out positions, before the next one is handed out:
    /// nobody has to wait then for it to be filled. None where that takes more than a copy. True with it
    /// if it passed the segment's middle.
    #[inline]
    fn append_in_turn(
        &self,
        active: &mut Active,
        draft: &Draft<'_>,
    ) -> Option<(Result<Written>, bool)> {
        let size_bytes = draft.size_bytes();
        if size_bytes > COPIED_IN_TURN_BYTES_MAX {
            return None;
        }
        let window = active.window_of(&self.positions, size_bytes)?;
        let reserved = self.positions.reserve(size_bytes);
        let (header, end) = (self.header(draft, reserved.start()), reserved.end());
        let written = self.write(Through::Map, reserved, [window], &header, draft.parts);
        Some((written, active.pass_middle(end)))
    }

    /// The same where the record is committed with that: everything before it is copied, and nothing
    /// waits for the disk.
    #[inline]
    fn append_at_once(&self, draft: &Draft<'_>) -> Option<AtOnce> {
        if self.options.durability == Durability::Sync || self.positions.check().is_err() {
            return None;
        }
        let mut active = self.active.lock();
        // Positions are handed out under this lock only: what is not filled now is being copied.
        if self.positions.filled() != self.positions.end() {
            return None;
        }
        let (written, half_full) = self.append_in_turn(&mut active, draft)?;
        Some(AtOnce { written: written.ok()?, half_full })
    }

    /// What the thread whose record passed a segment's middle does about it.
    pub fn follow_up(&self, at_once: AtOnce) {
        if at_once.half_full {
            self.half_full();
        }
    }

    #[cold]
    fn refuse(&self, kind: u8, payload_bytes: u64) -> Error {
        if kind == FILLER {
            return Error::invalid(format!("log records of kind {kind} are the log's own"));
        }
        let most = self.payload_bytes_max();
        Error::invalid(format!(
            "a log record of {payload_bytes} bytes is too long; split it into pieces of {most}"
        ))
    }

    #[cold]
    fn half_full(&self) {
        match &self.options.on_half_full {
            Some(hook) => (hook.0)(),
            // What is wrong is said to whoever cannot go on without the segment.
            None => drop(self.prepare_next()),
        }
    }
}

impl<L: Deref<Target = Log>> Registration<L> {
    /// Writes a record, its payload given in parts, and returns where it lies. `kind` is the
    /// caller's; 255 is taken.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room for a new segment, [`Error::Failed`] when the log
    /// failed before, [`Error::Invalid`] for a payload beyond [`Log::payload_bytes_max`],
    /// [`Error::Closed`]: nothing was written. [`Error::OutcomeUnknown`] when the copy failed.
    #[inline]
    pub fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Written> {
        self.log.append(&self.log.draft(kind, parts)?, Through::Map)
    }

    /// The same for a record that is to be synced at once.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_to_sync(&self, kind: u8, parts: &[&[u8]]) -> Result<Written> {
        self.log.append(&self.log.draft(kind, parts)?, Through::Call)
    }

    /// Writes a record that is committed with that, if neither the disk nor a wait is needed: the commit
    /// may become visible without [`wait_committed`](Self::wait_committed). None, and nothing
    /// written, where that cannot be, and after a failure.
    #[inline]
    pub fn append_at_once(&self, draft: &Draft<'_>) -> Option<AtOnce> {
        self.log.append_at_once(draft)
    }

    /// Parks until nothing before `end` is missing from the log, and, with
    /// [`Durability::Sync`], until it is durable. After this the commit may become visible.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log failed meanwhile.
    #[inline]
    pub fn wait_committed(&self, end: Lsn) -> Result<()> {
        self.log.positions.wait_filled(end)?;
        if self.log.options.durability == Durability::Sync {
            self.log.sync_through(end, SyncPoint::Commit)?;
        }
        Ok(())
    }
}

impl<L: Deref<Target = Log>> Drop for Registration<L> {
    fn drop(&mut self) {
        self.log.positions.deregister(&mut self.ticket);
    }
}
