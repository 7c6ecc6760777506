//! Recovery: from the last checkpoint and the log to the state that was promised.
//!
//! Two passes over the log. The first learns which large transactions committed, claims the space of
//! the long values that records name, and finds where the log ends: at the first record that is not
//! whole, or that names a long value which never reached the disk. The second applies what committed, in
//! the log's order. A checkpoint by the caller then makes the result durable, and only after it
//! the old segments go; until then recovery can be interrupted and started again.
#![forbid(unsafe_code)]

use hashbrown::HashSet;

use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn, TableId};
use crate::block::Blocks;
use crate::block::overflow::{OverflowRef, addresses, read_value_in_pieces};
use crate::io::Storage;
use crate::sync::Arc;
use crate::txn::{Change, Payload, Verb, kind};
use crate::wal::{Record, Scan, scan};

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
    /// Applies one change. A table that does not exist was dropped later: nothing is to be done.
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
}

/// What the first pass found out.
pub struct Survey {
    committed: HashSet<Lsn>,
    /// References of long values that were replaced before the checkpoint and are gone.
    gone: HashSet<Vec<u8>>,
    /// The end of the last record that counts.
    end: Lsn,
    records: u64,
    next_epoch: u32,
    log_is_there: bool,
}

impl Survey {
    /// Of a database whose log is not looked at.
    pub fn nothing(origin: Origin<'_>) -> Self {
        Self {
            committed: HashSet::new(),
            gone: HashSet::new(),
            end: origin.from,
            records: 0,
            next_epoch: origin.epoch,
            log_is_there: false,
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

    /// The next epoch.
    pub fn next_epoch(&self) -> u32 {
        self.next_epoch
    }
}

fn open(origin: Origin<'_>) -> Result<Scan> {
    scan(origin.storage, origin.name, origin.id, origin.from, origin.epoch)
}

/// The first pass.
///
/// # Errors
/// [`Error::Corrupt`] when the log, or a long value that was durable, is damaged; [`Error::Io`].
pub fn survey(origin: Origin<'_>, blocks: &Blocks) -> Result<Survey> {
    let mut scan = open(origin)?;
    let mut survey = Survey { log_is_there: !scan.is_empty(), ..Survey::nothing(origin) };
    while let Some(record) = scan.next_record()? {
        if !claim_long_values(&record, blocks, origin, &mut survey.gone)? {
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
    Ok(survey)
}

/// The second pass: applies everything that committed before the survey's end.
///
/// # Errors
/// [`Error::Corrupt`] when a record's content makes no sense; what `apply` gives.
pub fn replay(origin: Origin<'_>, survey: &Survey, apply: &mut dyn Apply) -> Result<()> {
    let mut scan = open(origin)?;
    while let Some(record) = scan.next_record()? {
        if record.position >= survey.end {
            return Ok(());
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
    Ok(())
}

fn apply_changes(
    record: &Record<'_>,
    origin: Origin<'_>,
    survey: &Survey,
    apply: &mut dyn Apply,
) -> Result<()> {
    let mut payload = payload(record, origin)?;
    while let Some(change) = payload.next_change().map_err(|_| malformed(record, origin))? {
        if !matches!(change.verb, Verb::PutOverflow(reference) if survey.gone.contains(reference)) {
            apply.change(change)?;
        }
    }
    Ok(())
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

/// Claims the long values that the record names. False when one of them never reached the disk: the
/// record was not durable, so the log ends in front of it.
fn claim_long_values(
    record: &Record<'_>,
    blocks: &Blocks,
    origin: Origin<'_>,
    gone: &mut HashSet<Vec<u8>>,
) -> Result<bool> {
    if !matches!(record.kind, kind::COMMIT | kind::CHUNK) {
        return Ok(true);
    }
    let mut payload = payload(record, origin)?;
    while let Some(change) = payload.next_change().map_err(|_| malformed(record, origin))? {
        let Verb::PutOverflow(reference) = change.verb else { continue };
        let value = OverflowRef::decode(&mut Reader::new(reference))
            .ok_or_else(|| malformed(record, origin))?;
        match read_value_in_pieces(blocks, &value, |_| Ok(())) {
            Ok(()) => {}
            Err(Error::Corrupt(_)) if record.position < origin.through => {
                gone.insert(reference.to_vec());
                continue;
            }
            Err(Error::Corrupt(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        for address in addresses(blocks, &value)? {
            blocks.claim(&address)?;
        }
    }
    Ok(true)
}

fn payload<'r>(record: &Record<'r>, origin: Origin<'_>) -> Result<Payload<'r>> {
    Payload::new(record.payload).ok_or_else(|| malformed(record, origin))
}

fn malformed(record: &Record<'_>, origin: Origin<'_>) -> Error {
    let label: Arc<str> = origin.storage.display(origin.name).into();
    let found = format!("kind {} with {} bytes", record.kind, record.payload.len());
    Error::corrupt(&label, record.position.0, "record of the log", "changes", found)
}
