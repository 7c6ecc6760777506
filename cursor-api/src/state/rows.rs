//! Rows that were made when their cursor was opened: metadata, statistics.

use std::cmp::Ordering;

/// Rows in key order, and a place among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    at: Option<usize>,
}

impl Rows {
    /// Of rows in any order.
    pub(super) fn new(mut rows: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        rows.sort();
        Self { rows, at: None }
    }

    pub(super) fn reset(&mut self) {
        self.at = None;
    }

    /// The row that it is on.
    pub(super) fn row(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.rows.get(self.at?)?;
        Some((key, value))
    }

    /// Goes on by one, from nowhere to an end; false, and nowhere, behind the other end.
    pub(super) fn walk(&mut self, forward: bool) -> bool {
        let next = match (self.at, forward) {
            (None, true) => Some(0),
            (None, false) => self.rows.len().checked_sub(1),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
        };
        self.at = next.filter(|at| *at < self.rows.len());
        self.at.is_some()
    }

    /// Goes to `key`; false, and nowhere, if it is not there.
    pub(super) fn search(&mut self, key: &[u8]) -> bool {
        self.at = self.rows.binary_search_by(|row| row.0.as_slice().cmp(key)).ok();
        self.at.is_some()
    }

    /// Goes to `key`, or the smallest one above, or else the largest one.
    pub(super) fn search_near(&mut self, key: &[u8]) -> Option<Ordering> {
        let (Ok(at) | Err(at)) = self.rows.binary_search_by(|row| row.0.as_slice().cmp(key));
        self.at = Some(at.min(self.rows.len().checked_sub(1)?));
        self.row().map(|(found, _)| found.cmp(key))
    }
}
