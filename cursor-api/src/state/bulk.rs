//! Filling an empty table with ascending keys, fast.

use rshelve_core::engine::{Bulk as Load, OpenTable};

use super::SessionState;
use crate::{Error, Result};

/// What is under way; nothing once the cursor is closed.
#[derive(Debug, Default)]
pub(super) struct Bulk(Option<Load>);

impl Bulk {
    /// Begins to fill `table`.
    pub(super) fn begin(session: &SessionState, table: &OpenTable) -> Result<Self> {
        session.core.bulk(table).map(|load| Self(Some(load)))
    }

    pub(super) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match &mut self.0 {
            Some(load) => load.insert(key, value),
            None => Err(Error::Closed { what: "the bulk cursor" }),
        }
    }

    /// Shows the rows to everybody, and makes them durable.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), |load| load.finish().map(drop))
    }
}
