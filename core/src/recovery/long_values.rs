//! The long values that records name: whether they are there, whose space they take, and which of them
//! were replaced so long ago that others lie in their place.

use hashbrown::{HashMap, HashSet};

use super::{CountsFrom, Origin, counts, malformed, payload};
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId};
use crate::block::overflow::{OverflowRef, addresses, read_value_in_pieces};
use crate::block::{Address, Blocks};
use crate::txn::{Change, Payload, Verb, kind};
use crate::wal::Record;

/// See the file.
#[derive(Default)]
pub(super) struct LongValues {
    /// Every block of the values that are there.
    found: Vec<Found>,
    /// The references of those that are not, though they need not be.
    gone: HashSet<Vec<u8>>,
    /// What became of the keys that had them, in the log's order.
    keys: HashMap<Key, Vec<Fate>>,
    /// When each table was dropped.
    drops: HashMap<TableId, Lsn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    table: TableId,
    key: Box<[u8]>,
}

struct Found {
    address: Address,
    /// The first chunk of the transaction that wrote it, unless it wrote its commit alone.
    first_chunk: Option<Lsn>,
}

/// A change to a key that a long value which is gone was written to.
struct Fate {
    first_chunk: Option<Lsn>,
    position: Lsn,
    /// The change is that value, and this was found in its place.
    missing: Option<Error>,
}

impl LongValues {
    /// Reads every long value that `record` names and that counts. The inner error is of one that must be there and
    /// is not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the record makes no sense; [`Error::Io`].
    pub(super) fn read_all_of(
        &mut self,
        record: &Record<'_>,
        counts_from: &CountsFrom,
        blocks: &Blocks,
        origin: Origin<'_>,
    ) -> Result<Result<(), Error>> {
        match record.kind {
            kind::COMMIT | kind::CHUNK => {}
            kind::DROP => {
                let table = Reader::new(record.payload).u32();
                let table = TableId(table.ok_or_else(|| malformed(record, origin))?);
                self.drops.insert(table, record.position);
                return Ok(Ok(()));
            }
            _ => return Ok(Ok(())),
        }
        let mut payload: Payload<'_> = payload(record, origin)?;
        let first_chunk = match record.kind {
            kind::COMMIT => payload.first_chunk,
            _ => payload.first_chunk.or(Some(record.position)),
        };
        let found_before = self.found.len();
        while let Some(change) = payload.next_change().map_err(|_| malformed(record, origin))? {
            if !counts(counts_from, change.table, record.position) {
                continue;
            }
            let mut missing = None;
            if let Verb::PutOverflow(reference) = change.verb {
                let value = OverflowRef::decode(&mut Reader::new(reference))
                    .ok_or_else(|| malformed(record, origin))?;
                match read_value_in_pieces(blocks, &value, |_| Ok(())) {
                    Ok(()) => {
                        let blocks = addresses(blocks, &value)?;
                        let found = |address| Found { address, first_chunk };
                        self.found.extend(blocks.into_iter().map(found));
                    }
                    Err(error @ Error::Corrupt(_)) if record.position < origin.through => {
                        self.gone.insert(reference.to_vec());
                        missing = Some(error);
                    }
                    Err(error @ Error::Corrupt(_)) => {
                        // The record does not count, nor what it names.
                        self.found.truncate(found_before);
                        return Ok(Err(error));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.note(change, first_chunk, record.position, missing);
        }
        Ok(Ok(()))
    }

    fn note(
        &mut self,
        change: Change<'_>,
        first_chunk: Option<Lsn>,
        position: Lsn,
        missing: Option<Error>,
    ) {
        if self.keys.is_empty() && missing.is_none() {
            return;
        }
        let key = Key { table: change.table, key: change.key.into() };
        if missing.is_some() || self.keys.contains_key(&key) {
            self.keys.entry(key).or_default().push(Fate { first_chunk, position, missing });
        }
    }

    /// Now that it is known who committed and where the log ends: claims the space of all values, and
    /// makes sure that each one that is gone had been overtaken.
    ///
    /// Those of transactions that did not commit are claimed too: should recovery itself be cut short,
    /// the next one must find their records as this one did. They are freed behind it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a value that is gone and that nothing replaced.
    pub(super) fn settle(
        self,
        committed: &HashSet<Lsn>,
        end: Lsn,
        blocks: &Blocks,
    ) -> Result<Settled> {
        let has_committed =
            |first_chunk: Option<Lsn>| first_chunk.is_none_or(|first| committed.contains(&first));
        for (key, fates) in self.keys {
            let dropped = self.drops.get(&key.table);
            let is_last = |fate: &Fate| fate.position < end && has_committed(fate.first_chunk);
            if let Some(Fate { position, missing: Some(error), .. }) =
                fates.into_iter().rfind(is_last)
                && dropped.is_none_or(|dropped| *dropped < position)
            {
                return Err(error);
            }
        }
        let (mut kept, mut abandoned) = (HashSet::new(), HashSet::new());
        for Found { address, first_chunk } in self.found {
            blocks.claim(&address)?;
            let group = if has_committed(first_chunk) { &mut kept } else { &mut abandoned };
            group.insert(address);
        }
        // The same bytes may have been written to the same place again, by one who committed.
        abandoned.retain(|address| !kept.contains(address));
        Ok(Settled { gone: self.gone, kept, abandoned })
    }
}

/// What the log's long values came to.
#[derive(Default)]
pub(super) struct Settled {
    /// References of those that were replaced before the checkpoint and are gone.
    pub(super) gone: HashSet<Vec<u8>>,
    /// The blocks of those that were committed.
    pub(super) kept: HashSet<Address>,
    /// The blocks of those that nobody committed.
    pub(super) abandoned: HashSet<Address>,
}
