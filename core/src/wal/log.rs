//! The log that is being written: joins positions, segments and records.
//!
//! # Locks
//!
//! `preparing` before `active` before `segments`, each before those in `positions`. Only
//! `preparing` is held across I/O: while the next segment is made, others go on appending into
//! the current one.

mod append;

pub use append::{AtOnce, Draft, Registration, Written};

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn};
use crate::base::options::Durability;
use crate::io::{Storage, SyncPoint};
use crate::sync::Mutex;
use crate::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Release},
};
use crate::wal::active::Active;
use crate::wal::positions::Positions;
use crate::wal::record::{ALIGN_BYTES, RECORD_HEADER_BYTES, Seed};
use crate::wal::segment::{
    HEADER_BYTES, Preparation, Prepared, Segment, SegmentHeader, Spare, prepare, segment_name,
    segment_number,
};

/// The first segment of a log, in bytes: small, so that a small database opens fast.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;

/// What a record may take however small the segments are: more than a transaction logs at a time.
const PAYLOAD_BYTES_LEAST: u64 = 1 << 20;

/// Segment files kept for reuse: what fills between two checkpoints of the usual distance.
const SPARES_MAX: usize = 4;

/// The knobs of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// What [`Registration::wait_committed`] waits for. [`Durability::Checkpoint`] has no log,
    /// and is taken as [`Durability::Process`].
    pub durability: Durability,
    /// Copy records into a shared map where that works; otherwise write them.
    pub map: bool,
    /// The size of a segment file in bytes, but for the first, which is at most 1 MiB. 4 KiB to
    /// 1 GiB; the default is 16 MiB. A longer record gets a segment of its own.
    pub segment_bytes_max: u64,
    /// Permission bits of a new segment, before the umask.
    pub file_mode: u32,
    /// Told when a segment is half full and [`Log::prepare_next`] should run; without it, the
    /// thread whose append passed the middle prepares the next segment itself.
    pub on_half_full: Option<Hook>,
    /// Makes durable what records name outside of the log. Called by each sync, after it is settled
    /// which records the sync covers; its failure is the sync's.
    pub before_sync: Option<BeforeSync>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            map: true,
            segment_bytes_max: 16 << 20,
            file_mode: 0o666,
            on_half_full: None,
            before_sync: None,
        }
    }
}

/// Something to call, on any thread and with no lock of the log held. It must not block.
#[derive(Clone)]
pub struct Hook(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Something to call in front of a sync, with no lock of the log held.
#[derive(Clone)]
pub struct BeforeSync(pub Arc<dyn Fn() -> Result<()> + Send + Sync>);

impl fmt::Debug for BeforeSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeSync")
    }
}

/// The log of an open database. Shared by all of its threads.
#[derive(Debug)]
pub struct Log {
    storage: Arc<dyn Storage>,
    base_name: String,
    id: DatabaseId,
    seed: Seed,
    epoch: u32,
    options: LogOptions,
    positions: Positions,
    /// The making of segments. Held across I/O.
    preparing: Mutex<Preparing>,
    /// Where the next record goes. Held for a few instructions per record.
    active: Mutex<Active>,
    /// Every segment that may hold a record and was not released, in order of position.
    segments: Mutex<Vec<Arc<Segment>>>,
    /// A segment's name is not durable yet. Set by who prepared it, before any record goes into
    /// it; taken by the next sync.
    folder_pending: AtomicBool,
}

#[derive(Debug, Default)]
struct Preparing {
    /// The next segment's number; unknown before the first.
    number: Option<u64>,
    spares: Vec<Spare>,
}

impl Log {
    /// Starts an epoch at `start`, which must lie at or after the end of everything that was
    /// replayed, and before which everything must be durable: in the data file by a checkpoint,
    /// or in the log by [`Scan::sync`](crate::wal::Scan::sync). `epoch` must be greater than
    /// any that was used before ([`Scan::next_epoch`](crate::wal::Scan::next_epoch)).
    ///
    /// Creates nothing on disk until the first record.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an argument makes no sense.
    pub fn open(
        storage: Arc<dyn Storage>,
        base_name: &str,
        id: DatabaseId,
        epoch: u32,
        start: Lsn,
        options: LogOptions,
    ) -> Result<Self> {
        if epoch == 0 {
            return Err(Error::invalid("the log's epoch is zero; epochs start at one"));
        }
        if !start.0.is_multiple_of(ALIGN_BYTES) {
            return Err(Error::invalid(format!("the log cannot start at {start}: not aligned")));
        }
        if !(4 << 10..=1 << 30).contains(&options.segment_bytes_max) {
            return Err(Error::invalid(format!(
                "log segments of {} bytes are out of range; give 4 KiB to 1 GiB",
                options.segment_bytes_max
            )));
        }
        Ok(Self {
            storage,
            base_name: base_name.to_owned(),
            id,
            seed: Seed::new(id),
            epoch,
            options,
            positions: Positions::new(start),
            preparing: Mutex::new(Preparing::default()),
            active: Mutex::new(Active::default()),
            segments: Mutex::new(Vec::new()),
            folder_pending: AtomicBool::new(false),
        })
    }

    /// A position at or below every record of each commit that is registered now or later; the
    /// end of the log when none is registered. A checkpoint asks first and takes its snapshot
    /// then.
    pub fn lowest_registered(&self) -> Lsn {
        self.positions.lowest_registered()
    }

    /// The end of the log: the next record goes there or later.
    pub fn end(&self) -> Lsn {
        self.positions.end()
    }

    /// Everything before this position is durable.
    pub fn synced(&self) -> Lsn {
        self.positions.synced()
    }

    /// The epoch of the records that are written.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// How many bytes of log there are from `lsn` to the end.
    pub fn bytes_since(&self, lsn: Lsn) -> u64 {
        self.end().0.saturating_sub(lsn.0)
    }

    /// The longest payload of one record, in bytes; longer ones go in several.
    pub fn payload_bytes_max(&self) -> u64 {
        (self.options.segment_bytes_max / 4).max(PAYLOAD_BYTES_LEAST) - RECORD_HEADER_BYTES
    }

    /// The failure that sealed the log, if any.
    pub fn failure(&self) -> Option<Arc<Error>> {
        self.positions.failure()
    }

    /// Makes every record durable whose append had returned and has no unfinished one before
    /// it; the result is the position before which everything is. Those who commit meanwhile
    /// share it.
    ///
    /// # Errors
    /// [`Error::Failed`] when this sync or something earlier failed; the log is sealed.
    pub fn sync(&self, point: SyncPoint) -> Result<Lsn> {
        let target = self.positions.filled();
        self.sync_through(target, point).map_err(failed)
    }

    /// Returns when everything before `lsn` is durable. One of those who wait syncs for all.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log has failed; [`Error::Invalid`] when `lsn` lies
    /// behind the end of the log.
    pub fn sync_to(&self, lsn: Lsn) -> Result<()> {
        if lsn > self.end() {
            return Err(Error::invalid(format!("the log ends before position {lsn}")));
        }
        self.positions.wait_filled(lsn)?;
        self.sync_through(lsn, SyncPoint::Commit).map(|_| ())
    }

    fn sync_through(&self, target: Lsn, point: SyncPoint) -> Result<Lsn> {
        self.positions.sync_through(target, |through| self.sync_files(through, point))
    }

    /// Called by one leader at a time.
    fn sync_files(&self, through: Lsn, point: SyncPoint) -> Result<()> {
        if let Some(before_sync) = &self.options.before_sync {
            before_sync.0()?;
        }
        let synced = self.positions.synced();
        let dirty: Vec<_> = self
            .segments
            .lock()
            .iter()
            .filter(|segment| segment.end() > synced && segment.start() < through)
            .map(Arc::clone)
            .collect();
        for segment in dirty {
            let outcome = segment.file.sync_data(point);
            outcome.map_err(|error| Error::io("sync", &segment.label, error))?;
        }
        // AcqRel: pairs with the Release in `prepare_with`; the name was there before the flag.
        if self.folder_pending.swap(false, AcqRel) {
            let outcome = self.storage.sync_folder(SyncPoint::Folder);
            outcome.map_err(|error| Error::io("sync the folder of", &self.label(), error))?;
        }
        Ok(())
    }

    fn label(&self) -> Arc<str> {
        self.storage.display(&self.base_name).into()
    }

    /// Prepares the segment after the current one, if that was not done. Others go on appending.
    ///
    /// # Errors
    /// [`Error::Full`] does not stick; [`Error::Failed`] does.
    pub fn prepare_next(&self) -> Result<()> {
        self.prepare_with(&mut self.preparing.lock(), 0)
    }

    /// The same, unless the current segment has room for long yet, or none was begun.
    ///
    /// # Errors
    /// As [`Log::prepare_next`].
    pub fn prepare_next_if_half_full(&self) -> Result<()> {
        let is_half_full = {
            let active = self.active.lock();
            active.next.is_none() && active.is_half_full()
        };
        if is_half_full { self.prepare_next() } else { Ok(()) }
    }

    fn prepare_with(&self, preparing: &mut Preparing, record_bytes: u64) -> Result<()> {
        let (start, first) = {
            let active = self.active.lock();
            if active.next.is_some() || active.closed {
                return Ok(());
            }
            match active.segment_end() {
                Some(end) => (end, false),
                None => (self.end(), true),
            }
        };
        let usual = self.options.segment_bytes_max;
        let usual = if first { usual.min(FIRST_SEGMENT_BYTES) } else { usual };
        let needed = HEADER_BYTES + record_bytes + RECORD_HEADER_BYTES;
        let mut size_bytes = usual.max(needed.next_multiple_of(4096));
        let fits = |spare: &mut Spare| !first && spare.size_bytes >= needed;
        let spare = preparing.spares.pop_if(fits);
        if let Some(spare) = &spare {
            size_bytes = spare.size_bytes;
        }
        let header = SegmentHeader { id: self.id, epoch: self.epoch, start, size_bytes };
        // Where commits do not wait for the disk, neither does whoever needs the segment: the next
        // sync of the log covers its header and its name. What it is made of may have been written
        // to a moment ago, and to sync it would be to write that.
        let sync = self.options.durability == Durability::Sync;
        let (file_mode, map) = (self.options.file_mode, self.options.map);
        let populate = !first && self.options.durability != Durability::Sync;
        let how = Preparation { header, file_mode, map, sync, populate };
        let prepared = self.prepare_file(preparing, spare, how)?;
        if !sync {
            // Release: pairs with the swap in `sync_files`.
            self.folder_pending.store(true, Release);
        }
        self.active.lock().next = Some(prepared);
        Ok(())
    }

    fn prepare_file(
        &self,
        preparing: &mut Preparing,
        spare: Option<Spare>,
        how: Preparation,
    ) -> Result<Prepared> {
        let mut number = match preparing.number {
            Some(number) => number,
            None => self.first_free_number()?,
        };
        let name = segment_name(&self.base_name, number);
        let label: Arc<str> = self.storage.display(&name).into();
        number += 1;
        preparing.number = Some(number);
        prepare(&*self.storage, name, spare, how).map_err(|error| {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            if matches!(error.kind(), StorageFull | QuotaExceeded) {
                return Error::Full { file: label, needed_bytes: how.header.size_bytes };
            }
            self.seal(Error::io("prepare", &label, error))
        })
    }

    fn first_free_number(&self) -> Result<u64> {
        let names = self.storage.list(&format!("{}-wal", self.base_name));
        let names = names.map_err(|error| self.seal(Error::io("list", &self.label(), error)))?;
        let numbers = names.iter().filter_map(|name| segment_number(&self.base_name, name));
        // At the far end of the numbers somebody played a trick; creating the file then fails.
        Ok(numbers.max().unwrap_or(0).saturating_add(1))
    }

    /// Seals the log; the result is what the caller, whose record was not begun, is told.
    fn seal(&self, error: Error) -> Error {
        self.positions.fail(error);
        self.positions.check().map_or_else(failed, |()| Error::Closed { what: "the log" })
    }

    /// Gives up the segments that lie wholly before `before`: a few are kept to be used again,
    /// the rest is removed. A durable superblock must say to replay from `before` or later.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be removed; it is not looked at again.
    pub fn release(&self, before: Lsn) -> Result<()> {
        let before = before.min(self.positions.filled());
        let mut preparing = self.preparing.lock();
        let released: Vec<_> = {
            let mut segments = self.segments.lock();
            let count = segments.iter().take_while(|segment| segment.end() <= before).count();
            segments.drain(..count).collect()
        };
        let mut outcome = Ok(());
        for segment in released {
            let size_bytes = segment.header.size_bytes;
            let usual = size_bytes == self.options.segment_bytes_max;
            if usual && preparing.spares.len() < SPARES_MAX {
                let (name, file) = (segment.name.clone(), Arc::clone(&segment.file));
                preparing.spares.push(Spare { name, file, size_bytes });
            } else {
                outcome = outcome.and(self.remove(&segment.name));
            }
        }
        outcome
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.storage.display(name).into(), error))
            }
            _ => Ok(()),
        }
    }

    /// Refuses appends from now on, and waits for those under way.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log has failed.
    pub fn close(&self) -> Result<()> {
        self.active.lock().closed = true;
        self.positions.wait_filled(self.end())
    }

    /// Closes the log and removes its files, oldest first. For after the last checkpoint: a
    /// durable superblock must say to replay from the end of the log, so that whatever a crash
    /// leaves of the segments holds nothing to replay.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be removed; the others are, nevertheless.
    pub fn remove_all(&self) -> Result<()> {
        self.active.lock().closed = true;
        let mut preparing = self.preparing.lock();
        let spares = std::mem::take(&mut preparing.spares);
        let segments = std::mem::take(&mut *self.segments.lock());
        let next = self.active.lock().next.take();
        if spares.is_empty() && segments.is_empty() && next.is_none() {
            return Ok(());
        }
        let mut names: Vec<_> = spares.into_iter().map(|spare| spare.name).collect();
        names.extend(segments.iter().map(|segment| segment.name.clone()));
        names.extend(next.map(|next| next.segment.name.clone()));
        let mut outcome = Ok(());
        for name in &names {
            outcome = outcome.and(self.remove(name));
        }
        let synced = self.storage.sync_folder(SyncPoint::Folder);
        outcome.and(synced.map_err(|error| Error::io("sync the folder of", &self.label(), error)))
    }
}

/// What somebody is told whose record was not begun when the log failed: it did not happen.
fn failed(error: Error) -> Error {
    match error {
        Error::OutcomeUnknown { first } => Error::Failed { first },
        other => other,
    }
}
