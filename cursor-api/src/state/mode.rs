//! What a cursor is for, and which operations that leaves.

use crate::config::CursorSettings;
use crate::{Error, Result};

/// What a cursor works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A table, in every way.
    Table,
    /// A table: `next` goes anywhere.
    Random,
    /// An empty table, to be filled.
    Bulk,
    /// Rows that were made when the cursor was opened.
    Rows,
}

/// What is asked of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `next`.
    Next,
    /// `prev`, the searches.
    Move,
    /// `insert`.
    Insert,
    /// Everything else that writes.
    Write,
    /// Bounds, `largest_key`.
    Table,
    /// Being an end of a truncation.
    Ends,
    /// `compare`.
    Compare,
}

impl Mode {
    pub(super) fn of(settings: &CursorSettings) -> Result<Self> {
        match (settings.bulk, settings.next_random) {
            (true, true) => {
                Err(Error::invalid("a cursor is for bulk or for next_random, not both"))
            }
            (true, false) => Ok(Self::Bulk),
            (false, true) => Ok(Self::Random),
            (false, false) => Ok(Self::Table),
        }
    }

    /// Refuses what a cursor of this mode does not do.
    #[inline]
    pub(super) fn check(self, op: Op) -> Result<()> {
        if self == Self::Table { Ok(()) } else { self.check_special(op) }
    }

    fn check_special(self, op: Op) -> Result<()> {
        let (allowed, name) = match self {
            Self::Table => (true, "table"),
            Self::Random => (matches!(op, Op::Next | Op::Ends), "random"),
            Self::Bulk => (op == Op::Insert, "bulk"),
            Self::Rows => (matches!(op, Op::Next | Op::Move | Op::Compare), "read-only"),
        };
        if allowed {
            return Ok(());
        }
        let op = match op {
            Op::Next => "next",
            Op::Move => "a search or prev",
            Op::Insert => "insert",
            Op::Write => "update, remove, reserve or modify",
            Op::Table => "a bound or largest_key",
            Op::Ends => "truncate",
            Op::Compare => "compare",
        };
        Err(Error::Unsupported { what: format!("{op} on a {name} cursor") })
    }
}
