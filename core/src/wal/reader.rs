//! Reading the log back, after a crash: which records count, and where they end.
//!
//! # What counts
//!
//! The scan stands at a position in an epoch; both start as the superblock gives them. The next
//! record is looked for
//!
//! 1. in the segment of the highest later epoch that starts at exactly this position: an earlier
//!    recovery found the log to end here, and went on in an epoch of its own. If there is one,
//!    the scan is in its epoch from now on, whether it holds a record or not;
//! 2. otherwise in the segments of the scan's epoch whose range holds the position. (Two of them
//!    can, when somebody copied a file; a position of an epoch is written once, so whatever is
//!    valid there is the record.)
//!
//! A record is valid when its checksum, which covers the database's id, verifies, and it names
//! the position where it lies and its segment's epoch. Files of another database, of an earlier
//! epoch, or with another name count for nothing. File names and the order of files do not
//! matter.
//!
//! # Where it ends
//!
//! At the first position without a valid record. Pages that were not synced reach the disk in
//! any order, so valid records behind that are ordinary power loss, and are dropped; unless one
//! of the same or a later epoch says that the position was durable when it was written. Then
//! something that was promised is gone, and the scan ends with [`Error::Corrupt`]. Segments
//! whose headers are damaged are searched for such a witness too.

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn};
use crate::io::{File, OpenHow, Storage, SyncPoint};
use crate::wal::record::{
    ALIGN_BYTES, FILLER, HeaderBytes, RECORD_HEADER_BYTES, RecordHeader, Seed, record_bytes, verify,
};
use crate::wal::segment::{Found, HEADER_BYTES, SegmentHeader, segment_number};

/// Bytes read from a segment at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// How many zeros are skipped at a time in the search for witnesses. A multiple of [`ALIGN_BYTES`].
const STRETCH_BYTES: usize = 1024;

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it lies.
    pub position: Lsn,
    /// The position behind it.
    pub end: Lsn,
    /// The epoch in which it was written.
    pub epoch: u32,
    /// Its writer's kind.
    pub kind: u8,
    /// Its writer's bytes.
    pub payload: &'a [u8],
}

/// The log from one position on, record by record. See the file's documentation.
#[derive(Debug)]
pub struct Scan {
    seed: Seed,
    segments: Vec<Reading>,
    /// Segments whose headers do not verify.
    damaged: Vec<Reading>,
    position: Lsn,
    epoch: u32,
    epoch_max: u32,
    done: bool,
}

/// A file that is read.
#[derive(Debug)]
struct Reading {
    label: Arc<str>,
    file: Arc<dyn File>,
    /// What the file says of itself; a damaged one says nothing.
    header: Option<SegmentHeader>,
    /// Bytes of it to look at: no more than there are, nor than the header says.
    len_bytes: u64,
    /// Bytes read, and where they start.
    buffer: Vec<u8>,
    buffer_start: u64,
}

/// Starts to read the log of the database `id` from the position and in the epoch that its
/// superblock gives. Nothing is created or changed.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unsupported`] for a segment of this database in a later format.
pub fn scan(
    storage: &dyn Storage,
    base_name: &str,
    id: DatabaseId,
    from: Lsn,
    epoch: u32,
) -> Result<Scan> {
    let mut scan = Scan {
        seed: Seed::new(id),
        segments: Vec::new(),
        damaged: Vec::new(),
        position: from,
        epoch,
        epoch_max: epoch,
        done: false,
    };
    for (name, _) in segment_files(storage, base_name)? {
        let label: Arc<str> = storage.display(&name).into();
        let file = match storage.open(&name, OpenHow::ReadOnly) {
            Ok(file) => file,
            Err(error) => return Err(Error::io("open", &label, error)),
        };
        let found = SegmentHeader::read(&*file, &label, id)?;
        let len_bytes = file.len().map_err(|error| Error::io("measure", &label, error))?;
        let mut reading =
            Reading { label, file, header: None, len_bytes, buffer: Vec::new(), buffer_start: 0 };
        match found {
            Found::Foreign => {}
            Found::Damaged => scan.damaged.push(reading),
            Found::Ours(header) => {
                scan.epoch_max = scan.epoch_max.max(header.epoch);
                reading.header = Some(header);
                reading.len_bytes = len_bytes.min(header.size_bytes);
                scan.segments.push(reading);
            }
        }
    }
    Ok(scan)
}

/// The segment files of a database by their names, in order of their numbers.
fn segment_files(storage: &dyn Storage, base_name: &str) -> Result<Vec<(String, u64)>> {
    let names = storage.list(&format!("{base_name}-wal"));
    let label = || storage.display(base_name).into();
    let names = names.map_err(|error| Error::io("list the log of", &label(), error))?;
    let mut files: Vec<_> = names
        .into_iter()
        .filter_map(|name| segment_number(base_name, &name).map(|number| (name, number)))
        .collect();
    files.sort_unstable_by_key(|(_, number)| *number);
    Ok(files)
}

/// Removes the segments of the database `id` whose epoch is below `epoch`, and those that were
/// never finished. For after a recovery: a durable superblock must name `epoch` and a position
/// behind everything that was replayed. Other databases' files stay.
///
/// # Errors
/// [`Error::Io`] when a file cannot be looked at or removed.
pub fn remove_segments(
    storage: &dyn Storage,
    base_name: &str,
    id: DatabaseId,
    epoch: u32,
) -> Result<()> {
    let mut removed = false;
    for (name, _) in segment_files(storage, base_name)? {
        let label: Arc<str> = storage.display(&name).into();
        let file = storage
            .open(&name, OpenHow::ReadOnly)
            .map_err(|error| Error::io("open", &label, error))?;
        let stale = match SegmentHeader::read(&*file, &label, id)? {
            Found::Ours(header) => header.epoch < epoch,
            Found::Damaged => true,
            Found::Foreign => false,
        };
        drop(file);
        if stale {
            storage.remove(&name).map_err(|error| Error::io("remove", &label, error))?;
            removed = true;
        }
    }
    if removed {
        let outcome = storage.sync_folder(SyncPoint::Folder);
        let label = || storage.display(base_name).into();
        outcome.map_err(|error| Error::io("sync the folder of", &label(), error))?;
    }
    Ok(())
}

impl Scan {
    /// The next record, or `None` at the end of the log.
    ///
    /// # Errors
    /// [`Error::Corrupt`] names the place where a record is missing that was durable;
    /// [`Error::Io`]. After an error the scan is at its end.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        if self.done {
            return Ok(None);
        }
        // Unless a record is found.
        self.done = true;
        let Some((index, header)) = self.advance()? else { return Ok(None) };
        self.done = false;
        let Some(reading) = self.segments.get(index) else { return Ok(None) };
        Ok(Some(Record {
            position: header.position,
            end: self.position,
            epoch: header.epoch,
            kind: header.kind,
            payload: reading.payload(reading.offset_of(header.position), &header),
        }))
    }

    /// Steps over the next record, and over fillers before it; says which segment has it.
    fn advance(&mut self) -> Result<Option<(usize, RecordHeader)>> {
        loop {
            self.enter_later_epoch();
            let Some((index, header)) = self.find_record()? else {
                self.refuse_if_synced()?;
                return Ok(None);
            };
            if header.kind != FILLER {
                self.position = Lsn(header.position.0 + record_bytes(header.summed_bytes()));
                return Ok(Some((index, header)));
            }
            // Every segment holds a record's header at least, so this ends.
            self.position = self.segments.get(index).map_or(self.position, Reading::end);
        }
    }

    /// The position behind the last record that was read. At the end of the scan, the end of the
    /// log: where the next epoch may start.
    pub fn end(&self) -> Lsn {
        self.position
    }

    /// An epoch that was never used, for [`Log::open`](crate::wal::Log::open) after a recovery.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a segment claims the last epoch that there is.
    pub fn next_epoch(&self) -> Result<u32> {
        self.epoch_max.checked_add(1).ok_or_else(|| {
            let last = self
                .segments
                .iter()
                .find(|reading| reading.header.is_some_and(|header| header.epoch == u32::MAX));
            let label = last.map_or_else(|| "the log".into(), |reading| Arc::clone(&reading.label));
            Error::corrupt(&label, 0, "the log's epoch", "a sensible one", u32::MAX)
        })
    }

    /// Whether any segment of this database is there.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.damaged.is_empty()
    }

    /// Makes what was read durable. After a crash of the process alone it may not be, and a log
    /// that is opened behind it says that it is.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing may be opened behind it.
    pub fn sync(&self, storage: &dyn Storage) -> Result<()> {
        for reading in &self.segments {
            let outcome = reading.file.sync_data(SyncPoint::CheckpointLog);
            outcome.map_err(|error| Error::io("sync", &reading.label, error))?;
        }
        let Some(reading) = self.segments.first() else { return Ok(()) };
        let outcome = storage.sync_folder(SyncPoint::Folder);
        outcome.map_err(|error| Error::io("sync the folder of", &reading.label, error))
    }

    /// Rule 1 of the file's documentation.
    fn enter_later_epoch(&mut self) {
        let starts_here = |reading: &Reading| reading.header.filter(|h| h.start == self.position);
        let epochs = self.segments.iter().filter_map(starts_here).map(|header| header.epoch);
        self.epoch = epochs.fold(self.epoch, u32::max);
    }

    /// Rule 2: the record at the scan's position, and which segment has it.
    fn find_record(&mut self) -> Result<Option<(usize, RecordHeader)>> {
        let (position, epoch, seed) = (self.position, self.epoch, self.seed);
        for (index, reading) in self.segments.iter_mut().enumerate() {
            let holds = |header: &SegmentHeader| {
                header.epoch == epoch && (header.start..header.end()).contains(&position)
            };
            if reading.header.as_ref().is_none_or(|header| !holds(header)) {
                continue;
            }
            let offset = reading.offset_of(position);
            if let Some(header) = reading.record_at(offset, Some(position), epoch, seed)?
                && header.epoch == epoch
            {
                return Ok(Some((index, header)));
            }
        }
        Ok(None)
    }

    /// Whether a record says that the one at `position`, in the epoch in which the scan is, was
    /// durable, and with it what its writer had made durable before. The scan's place is not changed,
    /// but the record that it returned last is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn was_durable(&mut self, position: Lsn) -> Result<bool> {
        self.witness(position).map(|witness| witness.is_some())
    }

    /// Who says that the record at `position` was durable, and where that one is.
    fn witness(&mut self, position: Lsn) -> Result<Option<(Arc<str>, Lsn)>> {
        let (epoch, seed) = (self.epoch, self.seed);
        for reading in self.segments.iter_mut().chain(&mut self.damaged) {
            let witness = reading.witness(position, epoch, seed)?;
            if witness.is_some() {
                return Ok(witness);
            }
        }
        Ok(None)
    }

    /// Looks for a record that proves the scan's position to have been durable.
    fn refuse_if_synced(&mut self) -> Result<()> {
        let (position, epoch) = (self.position, self.epoch);
        let Some((witness_label, witness_position)) = self.witness(position)? else {
            return Ok(());
        };
        let home = self.segments.iter().find(|reading| {
            reading.header.is_some_and(|header| {
                header.epoch == epoch && (header.start..header.end()).contains(&position)
            })
        });
        let (label, offset) = match home {
            Some(reading) => (Arc::clone(&reading.label), reading.offset_of(position)),
            None => (Arc::clone(&witness_label), 0),
        };
        Err(Error::corrupt(
            &label,
            offset,
            "a log record",
            format!(
                "a valid record of epoch {epoch} at position {position}, which was durable by the \
                 word of the one at position {witness_position} in {witness_label}"
            ),
            "none",
        ))
    }
}

impl Reading {
    fn end(&self) -> Lsn {
        self.header.map_or(Lsn(0), |header| header.end())
    }

    /// Where a position that the segment holds lies in the file.
    fn offset_of(&self, position: Lsn) -> u64 {
        let start = self.header.map_or(Lsn(0), |header| header.start);
        position.0.saturating_sub(start.0).saturating_add(HEADER_BYTES)
    }

    /// The position that lies at an offset; unknown when the header is damaged.
    fn position_of(&self, offset: u64) -> Option<Lsn> {
        self.header.map(|header| Lsn(header.start.0 + (offset - HEADER_BYTES)))
    }

    /// A record in this segment with `synced` behind `position`.
    fn witness(
        &mut self,
        position: Lsn,
        epoch: u32,
        seed: Seed,
    ) -> Result<Option<(Arc<str>, Lsn)>> {
        if self.header.is_some_and(|header| header.epoch < epoch || header.end() <= position) {
            return Ok(None);
        }
        let mut offset = match self.header {
            Some(header) if header.start <= position => self.offset_of(position),
            Some(_) => HEADER_BYTES,
            None => 0,
        };
        while offset < self.len_bytes {
            let expected = self.position_of(offset);
            if let Some(header) = self.record_at(offset, expected, epoch, seed)?
                && header.synced > position
            {
                return Ok(Some((Arc::clone(&self.label), header.position)));
            }
            offset = self.skip_zeros(offset + ALIGN_BYTES);
        }
        Ok(None)
    }

    /// The first aligned offset, from this one on, at which the buffer has anything but a header of
    /// zeros, which no record has. Most of a segment is zeros that were never written to.
    fn skip_zeros(&self, offset: u64) -> u64 {
        let start = offset.checked_sub(self.buffer_start).and_then(|at| usize::try_from(at).ok());
        let rest = start.and_then(|start| self.buffer.get(start..)).unwrap_or_default();
        // Whole stretches first: most of a segment was never written.
        let stretches = rest.as_chunks::<STRETCH_BYTES>().0;
        let count = stretches.iter().take_while(|bytes| **bytes == [0; STRETCH_BYTES]).count();
        let rest = rest.get(count * STRETCH_BYTES..).unwrap_or_default();
        let words = rest.as_chunks::<{ ALIGN_BYTES as usize }>().0;
        let zeros = words.iter().take_while(|word| **word == [0; ALIGN_BYTES as usize]).count();
        let zero_bytes = (count * STRETCH_BYTES) as u64 + zeros as u64 * ALIGN_BYTES;
        offset + (zero_bytes + ALIGN_BYTES).saturating_sub(RECORD_HEADER_BYTES)
    }

    /// The valid record at `offset`, if there is one: at `position` where that is known, and of
    /// this epoch or a later one. Its payload is in the buffer afterwards.
    fn record_at(
        &mut self,
        offset: u64,
        position: Option<Lsn>,
        epoch: u32,
        seed: Seed,
    ) -> Result<Option<RecordHeader>> {
        if !self.load(offset, RECORD_HEADER_BYTES)? {
            return Ok(None);
        }
        let Some(bytes) = self.header_bytes(offset) else { return Ok(None) };
        let Some(header) = RecordHeader::decode(&bytes) else { return Ok(None) };
        // Cheap things first: a search for witnesses comes by at every aligned offset.
        if position.is_some_and(|position| header.position != position)
            || header.epoch < epoch.max(1)
            || header.synced > header.position
            || !self.load(offset, RECORD_HEADER_BYTES + header.summed_bytes())?
        {
            return Ok(None);
        }
        Ok(verify(&bytes, self.payload(offset, &header), seed).then_some(header))
    }

    fn header_bytes(&self, offset: u64) -> Option<HeaderBytes> {
        let start = usize::try_from(offset.checked_sub(self.buffer_start)?).ok()?;
        self.buffer.get(start..)?.first_chunk().copied()
    }

    /// The payload of the record at `offset`, which is in the buffer.
    fn payload(&self, offset: u64, header: &RecordHeader) -> &[u8] {
        let from = offset + RECORD_HEADER_BYTES - self.buffer_start;
        let range = from as usize..(from + header.summed_bytes()) as usize;
        self.buffer.get(range).unwrap_or_default()
    }

    /// Has `offset..offset + count` in the buffer; false when the file ends before.
    fn load(&mut self, offset: u64, count: u64) -> Result<bool> {
        let buffered = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        let Some(end) = offset.checked_add(count) else { return Ok(false) };
        if buffered.start <= offset && end <= buffered.end {
            return Ok(true);
        }
        if end > self.len_bytes {
            return Ok(false);
        }
        let wanted = count.max(CHUNK_BYTES).min(self.len_bytes - offset);
        // Empty while it is read, lest a failure leave half of it looking valid.
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(wanted as usize, 0);
        match self.file.read_exact_at(&mut buffer, offset) {
            Ok(()) => {
                self.buffer = buffer;
                self.buffer_start = offset;
                Ok(true)
            }
            // Also at a sudden end: the file is ours and was longer, so what is behind may be the
            // records of commits.
            Err(error) => Err(Error::io("read", &self.label, error)),
        }
    }
}
