//! What a log record says: the changes of a transaction, or of the catalog.
//!
//! A commit's payload is a varint, one more than the position of the transaction's first chunk (0
//! when it has none), and changes. A chunk's is the same and changes that belong to a commit still
//! to come. Whole values, so that applying a record twice does no harm.

use crate::base::codec::{Reader, put_prefixed, put_varint};
use crate::base::ids::{Lsn, TableId};

/// The kinds of log records.
pub mod kind {
    /// The last, or only, record of a transaction.
    pub const COMMIT: u8 = 1;
    /// A part of a large transaction, before its commit.
    pub const CHUNK: u8 = 2;
    /// A table was created: its entry in the catalog.
    pub const CREATE: u8 = 3;
    /// A table was dropped.
    pub const DROP: u8 = 4;
}

const PUT: u8 = 1;
const PUT_OVERFLOW: u8 = 2;
const REMOVE: u8 = 3;

/// What a change does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb<'a> {
    /// Gives it this value.
    Put(&'a [u8]),
    /// Gives it the long value with this reference.
    PutOverflow(&'a [u8]),
    /// Deletes it.
    Remove,
}

/// One change to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The table.
    pub table: TableId,
    /// The key.
    pub key: &'a [u8],
    /// What happens to it.
    pub verb: Verb<'a>,
}

impl Change<'_> {
    /// Appends the change.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let (code, value) = match self.verb {
            Verb::Put(value) => (PUT, Some(value)),
            Verb::PutOverflow(reference) => (PUT_OVERFLOW, Some(reference)),
            Verb::Remove => (REMOVE, None),
        };
        out.push(code);
        put_varint(out, u64::from(self.table.0));
        put_prefixed(out, self.key);
        if let Some(value) = value {
            put_prefixed(out, value);
        }
    }
}

/// The decoded payload of a commit or a chunk.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    /// Where the transaction's first chunk is, if it has any. A first chunk has none.
    pub first_chunk: Option<Lsn>,
    rest: Reader<'a>,
}

impl<'a> Payload<'a> {
    /// Starts to read; none when it does not parse.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let mut rest = Reader::new(payload);
        let first_chunk = rest.varint()?.checked_sub(1).map(Lsn);
        Some(Self { first_chunk, rest })
    }

    /// Appends the head of a payload.
    pub fn put_head(out: &mut Vec<u8>, first_chunk: Option<Lsn>) {
        put_varint(out, first_chunk.map_or(0, |lsn| lsn.0 + 1));
    }

    /// The head of a payload.
    pub fn head(first_chunk: Option<Lsn>) -> Vec<u8> {
        let mut out = Vec::with_capacity(10);
        Self::put_head(&mut out, first_chunk);
        out
    }

    /// The next change; none at the end, `Err` when it does not parse.
    pub fn next_change(&mut self) -> Result<Option<Change<'a>>, Malformed> {
        if self.rest.rest().is_empty() {
            return Ok(None);
        }
        self.parse_change().map(Some).ok_or(Malformed)
    }

    fn parse_change(&mut self) -> Option<Change<'a>> {
        let code = self.rest.u8()?;
        let table = TableId(u32::try_from(self.rest.varint()?).ok()?);
        let key = self.rest.prefixed()?;
        let verb = match code {
            PUT => Verb::Put(self.rest.prefixed()?),
            PUT_OVERFLOW => Verb::PutOverflow(self.rest.prefixed()?),
            REMOVE => Verb::Remove,
            _ => return None,
        };
        Some(Change { table, key, verb })
    }
}

/// A record whose checksum is right and whose content is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_round_trips() {
        let changes = [
            Change { table: TableId(1), key: b"", verb: Verb::Put(b"eggs") },
            Change { table: TableId(300), key: b"spam", verb: Verb::Remove },
            Change { table: TableId(2), key: b"k", verb: Verb::PutOverflow(b"ref") },
        ];
        let mut bytes = Payload::head(Some(Lsn(0)));
        changes.iter().for_each(|change| change.encode_into(&mut bytes));
        let mut payload = Payload::new(&bytes).expect("a head");
        assert_eq!(payload.first_chunk, Some(Lsn(0)));
        for change in changes {
            assert_eq!(payload.next_change(), Ok(Some(change)));
        }
        assert_eq!(payload.next_change(), Ok(None));
    }

    #[test]
    fn payload_cut_short_is_malformed_or_shorter() {
        let mut bytes = Payload::head(None);
        Change { table: TableId(1), key: b"spam", verb: Verb::Put(b"eggs") }
            .encode_into(&mut bytes);
        for len in 2..bytes.len() {
            let mut payload = Payload::new(&bytes[..len]).expect("a head");
            assert_eq!(payload.next_change(), Err(Malformed), "{len}");
        }
    }
}
