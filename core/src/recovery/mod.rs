//! Recovery: from the last checkpoint and the log to the state that was promised.
//!
//! Two passes over the log. The first learns which large transactions committed, claims the space of
//! the long values that they name, and finds where the log ends: at the first record that is not
//! whole, or that names a long value which never reached the disk. Either is an error where a later
//! record says that it had been durable. The second hands over what committed, in the log's order; it
//! is applied in batches, sorted by key. A checkpoint by the caller then makes the result durable, and only after it
//! the old segments go; until then recovery can be interrupted and started again.
#![forbid(unsafe_code)]

mod batch;
mod long_values;

use hashbrown::{HashMap, HashSet};

use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn, TableId};
use crate::block::{Address, Blocks};
use crate::io::Storage;
use crate::sync::Arc;
use crate::txn::{Change, Payload, Verb, kind};
use crate::wal::{Record, Scan, scan};

use long_values::{LongValues, Settled};

pub use batch::Batch;

/// Where the log is, and from where it is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'s> {
    /// The folder.
    pub storage: &'s dyn Storage,
    /// The database's name in it.
    pub name: &'s str,
    /// The database's identity.
    pub id: DatabaseId,
    /// Where the superblock says that replay starts.
    pub from: Lsn,
    /// The epoch that the superblock names.
    pub epoch: u32,
    /// Before this position a record may name a long value that was replaced, and whose space was
    /// used again, before the checkpoint.
    pub through: Lsn,
}

/// What replay does to the database.
pub trait Apply {
    /// Applies one change, now or by the end of [`finish`](Self::finish). A table that does not exist was
    /// dropped later: of its changes nothing is left but the space of long values, which is to be given up.
    ///
    /// # Errors
    /// What reading and writing pages gives.
    fn change(&mut self, change: Change<'_>) -> Result<()>;

    /// A table was created, with this payload; it may exist already.
    ///
    /// # Errors
    /// When the payload does not parse.
    fn create(&mut self, payload: &[u8]) -> Result<()>;

    /// A table was dropped; it may be gone already.
    ///
    /// # Errors
    /// What freeing its pages gives.
    fn drop_table(&mut self, table: TableId) -> Result<()>;

    /// That was all: whatever waits is applied.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    fn finish(&mut self) -> Result<()>;
}

/// What the first pass found out.
pub struct Survey {
    committed: HashSet<Lsn>,
    long_values: Settled,
    /// The end of the last record that counts.
    end: Lsn,
    records: u64,
    next_epoch: u32,
    log_is_there: bool,
    counts_from: CountsFrom,
}

/// Where the changes of a table begin to count; all do of those that are not here.
pub type CountsFrom = HashMap<TableId, Lsn>;

impl Survey {
    /// Of a database whose log is not looked at.
    pub fn nothing(origin: Origin<'_>) -> Self {
        Self {
            committed: HashSet::new(),
            long_values: Settled::default(),
            end: origin.from,
            records: 0,
            next_epoch: origin.epoch,
            log_is_there: false,
            counts_from: CountsFrom::default(),
        }
    }

    /// Whether the log holds nothing that the checkpoint does not.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether there are segments at all.
    pub fn log_is_there(&self) -> bool {
        self.log_is_there
    }

    /// Where the next epoch starts.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// How many bytes of log there are from `origin` on.
    pub fn log_bytes(&self, origin: Origin<'_>) -> u64 {
        self.end.0.saturating_sub(origin.from.0)
    }

    /// The next epoch.
    pub fn next_epoch(&self) -> u32 {
        self.next_epoch
    }
}

fn open(origin: Origin<'_>) -> Result<Scan> {
    scan(origin.storage, origin.name, origin.id, origin.from, origin.epoch)
}

/// The first pass. Changes in front of where their table's `counts_from` are taken for not being there.
///
/// # Errors
/// [`Error::Corrupt`] when the log, or a long value that was durable, is damaged; [`Error::Io`].
pub fn survey(origin: Origin<'_>, counts_from: CountsFrom, blocks: &Blocks) -> Result<Survey> {
    let mut scan = open(origin)?;
    let log_is_there = !scan.is_empty();
    let mut survey = Survey { log_is_there, counts_from, ..Survey::nothing(origin) };
    let mut long_values = LongValues::default();
    while let Some(record) = scan.next_record()? {
        let position = record.position;
        if let Err(missing) =
            long_values.read_all_of(&record, &survey.counts_from, blocks, origin)?
        {
            // A value that never reached the disk: its record was not durable, so the log ends in
            // front of it. Unless somebody knows that it was.
            if scan.was_durable(position)? {
                return Err(missing);
            }
            break;
        }
        if record.kind == kind::COMMIT
            && let Some(first) = payload(&record, origin)?.first_chunk
        {
            survey.committed.insert(first);
        }
        survey.records += 1;
        survey.end = record.end;
    }
    survey.next_epoch = scan.next_epoch()?;
    survey.long_values = long_values.settle(&survey.committed, survey.end, blocks)?;
    Ok(survey)
}

/// The blocks of long values that committed transactions in the log name. What else is in use is the
/// checkpoint's.
pub fn named_by_the_log(survey: &Survey) -> impl Iterator<Item = Address> + '_ {
    survey.long_values.kept.iter().chain(&survey.long_values.abandoned).copied()
}

/// Behind the second pass: gives up the long values of transactions that did not commit. The space is
/// used again when the checkpoint that follows is durable.
///
/// # Errors
/// [`Error::Corrupt`] when they lie in each other.
pub fn free_abandoned(survey: &Survey, blocks: &Blocks) -> Result<()> {
    survey.long_values.abandoned.iter().try_for_each(|address| blocks.free(address))
}

/// The second pass: applies everything that committed before the survey's end.
///
/// # Errors
/// [`Error::Corrupt`] when a record's content makes no sense; what `apply` gives.
pub fn replay(origin: Origin<'_>, survey: &Survey, apply: &mut dyn Apply) -> Result<()> {
    let mut scan = open(origin)?;
    while let Some(record) = scan.next_record()? {
        if record.position >= survey.end {
            break;
        }
        match record.kind {
            kind::COMMIT => apply_changes(&record, origin, survey, apply)?,
            kind::CHUNK => {
                let first = payload(&record, origin)?.first_chunk.unwrap_or(record.position);
                if survey.committed.contains(&first) {
                    apply_changes(&record, origin, survey, apply)?;
                }
            }
            kind::CREATE => apply.create(record.payload)?,
            kind::DROP => {
                let table =
                    Reader::new(record.payload).u32().ok_or_else(|| malformed(&record, origin))?;
                apply.drop_table(TableId(table))?;
            }
            _ => return Err(malformed(&record, origin)),
        }
    }
    apply.finish()
}

fn apply_changes(
    record: &Record<'_>,
    origin: Origin<'_>,
    survey: &Survey,
    apply: &mut dyn Apply,
) -> Result<()> {
    let mut payload = payload(record, origin)?;
    while let Some(change) = payload.next_change().map_err(|_| malformed(record, origin))? {
        let is_gone = |reference| survey.long_values.gone.contains(reference);
        if !counts(&survey.counts_from, change.table, record.position)
            || matches!(change.verb, Verb::PutOverflow(reference) if is_gone(reference))
        {
            continue;
        }
        apply.change(change)?;
    }
    Ok(())
}

/// Whether a change of `table` in the record at `position` counts.
pub fn counts(counts_from: &CountsFrom, table: TableId, position: Lsn) -> bool {
    counts_from.get(&table).is_none_or(|from| position >= *from)
}

/// Reads every record without applying it, and checks that it says what records say; `visit` sees each.
/// Whether the long values that they name are there is not looked at.
///
/// # Errors
/// [`Error::Corrupt`] when the log or a record's content is damaged; [`Error::Io`]; what `visit` gives.
pub fn visit_records(
    origin: Origin<'_>,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<()>,
) -> Result<()> {
    let mut scan = open(origin)?;
    while let Some(record) = scan.next_record()? {
        match record.kind {
            kind::COMMIT | kind::CHUNK => {
                let mut payload = payload(&record, origin)?;
                while payload.next_change().map_err(|_| malformed(&record, origin))?.is_some() {}
            }
            kind::CREATE => {}
            kind::DROP if Reader::new(record.payload).u32().is_some() => {}
            _ => return Err(malformed(&record, origin)),
        }
        visit(&record)?;
    }
    Ok(())
}

fn payload<'r>(record: &Record<'r>, origin: Origin<'_>) -> Result<Payload<'r>> {
    Payload::new(record.payload).ok_or_else(|| malformed(record, origin))
}

fn malformed(record: &Record<'_>, origin: Origin<'_>) -> Error {
    let label: Arc<str> = origin.storage.display(origin.name).into();
    let found = format!("kind {} with {} bytes", record.kind, record.payload.len());
    Error::corrupt(&label, record.position.0, "record of the log", "changes", found)
}
