//! What a cursor reads: a table as it is, or as a checkpoint has it.

use std::cell::OnceCell;

use rshelve_core::base::ids::TableId;
use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::{CheckpointTable, OpenTable, Session as CoreSession};

use crate::{Error, Result, TableOptions};

/// A table to read, and perhaps to write.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// As it is, in the session's transaction.
    Live(OpenTable),
    /// As a checkpoint has it, which is kept for as long.
    Past(CheckpointTable),
}

impl Source {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Live(table) => table.name(),
            Self::Past(table) => table.name(),
        }
    }

    pub(super) fn options(&self) -> &TableOptions {
        match self {
            Self::Live(table) => table.options(),
            Self::Past(table) => table.options(),
        }
    }

    /// What it is, for who asks whether two are the same: the table, and the number of the checkpoint.
    pub(super) fn id(&self) -> (TableId, Option<u64>) {
        match self {
            Self::Live(table) => (table.id(), None),
            Self::Past(table) => (table.id(), Some(table.generation())),
        }
    }

    /// The table, if it can be written.
    #[inline]
    pub(super) fn live(&self) -> Result<&OpenTable> {
        match self {
            Self::Live(table) => Ok(table),
            Self::Past(_) => Err(Error::Unsupported {
                what: "this on a checkpoint cursor, which only reads,".into(),
            }),
        }
    }

    #[inline]
    pub(super) fn find(
        &self,
        core: &mut CoreSession,
        at: &mut Position,
        key: &[u8],
    ) -> Result<bool> {
        match self {
            Self::Live(table) => core.find(table, at, key),
            Self::Past(table) => table.find(at, key),
        }
    }

    #[inline]
    pub(super) fn seek(
        &self,
        core: &mut CoreSession,
        at: &mut Position,
        key: &[u8],
    ) -> Result<Landing> {
        match self {
            Self::Live(table) => core.seek(table, at, key),
            Self::Past(table) => table.seek(at, key),
        }
    }

    pub(super) fn seek_below(
        &self,
        core: &mut CoreSession,
        at: &mut Position,
        key: &[u8],
    ) -> Result<bool> {
        match self {
            Self::Live(table) => core.seek_below(table, at, key),
            Self::Past(table) => table.seek_below(at, key),
        }
    }

    #[inline]
    pub(super) fn next(&self, core: &mut CoreSession, at: &mut Position) -> Result<bool> {
        match self {
            Self::Live(table) => core.next(table, at),
            Self::Past(table) => table.next(at),
        }
    }

    #[inline]
    pub(super) fn prev(&self, core: &mut CoreSession, at: &mut Position) -> Result<bool> {
        match self {
            Self::Live(table) => core.prev(table, at),
            Self::Past(table) => table.prev(at),
        }
    }

    /// Goes to any record; `ticket` draws any number.
    pub(super) fn random(
        &self,
        core: &mut CoreSession,
        at: &mut Position,
        ticket: impl FnMut() -> u64,
    ) -> Result<bool> {
        match self {
            Self::Live(table) => core.random(table, at, ticket),
            Self::Past(table) => table.random(at, ticket),
        }
    }

    #[inline]
    pub(super) fn value<'v>(
        &self,
        core: &CoreSession,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match self {
            Self::Live(table) => core.value(table, at, long_value),
            Self::Past(table) => table.value(at, long_value),
        }
    }
}
