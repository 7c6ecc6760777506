//! What a cursor reads: a table as it is, or as a checkpoint has it.

use std::cell::OnceCell;

use rshelve_core::base::ids::TableId;
use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::{OpenTable, Session as CoreSession};

use crate::{Result, TableOptions};

/// A table to read, and perhaps to write.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// As it is, in the session's transaction.
    Live(OpenTable),
}

impl Source {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Live(table) => table.name(),
        }
    }

    pub(super) fn options(&self) -> &TableOptions {
        match self {
            Self::Live(table) => table.options(),
        }
    }

    pub(super) fn id(&self) -> TableId {
        match self {
            Self::Live(table) => table.id(),
        }
    }

    /// The table, if it can be written.
    #[inline]
    pub(super) fn live(&self) -> Result<&OpenTable> {
        match self {
            Self::Live(table) => Ok(table),
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
        }
    }

    #[inline]
    pub(super) fn next(&self, core: &mut CoreSession, at: &mut Position) -> Result<bool> {
        match self {
            Self::Live(table) => core.next(table, at),
        }
    }

    #[inline]
    pub(super) fn prev(&self, core: &mut CoreSession, at: &mut Position) -> Result<bool> {
        match self {
            Self::Live(table) => core.prev(table, at),
        }
    }

    pub(super) fn value<'v>(
        &self,
        core: &CoreSession,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match self {
            Self::Live(table) => core.value(table, at, long_value),
        }
    }
}
