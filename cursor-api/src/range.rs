//! Iterating over a range of keys, from both ends.

use std::cell::OnceCell;
use std::iter::FusedIterator;
use std::ops::Bound;

use rshelve_core::btree::Position;

use crate::table::{enter_at_start, enter_at_stop, is_within};
use crate::{Cursor, Result};

/// The records of a range, as [`Cursor::range`] returns them: owned copies, in key order, from either
/// end until the ends meet. All of them from one snapshot.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// # let session = connection.open_session()?;
/// # for key in [b"a", b"b", b"c"] {
/// #     stock.insert(key, b"1")?;
/// # }
/// # let mut cursor = session.open_cursor("stock")?;
/// let mut rows = cursor.range(..);
/// let (first, last) = (rows.next().transpose()?, rows.next_back().transpose()?);
/// assert_eq!(first.map(|(key, _)| key).as_deref(), Some(&b"a"[..]));
/// assert_eq!(last.map(|(key, _)| key).as_deref(), Some(&b"c"[..]));
/// stock.insert(b"bb", b"2")?; // after the snapshot
/// assert_eq!(rows.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Range<'c, 's> {
    cursor: &'c mut Cursor<'s>,
    front: Position,
    back: Position,
    start: Bound<Vec<u8>>,
    stop: Bound<Vec<u8>>,
    /// The iterator holds a snapshot of its own accord.
    counted: bool,
    done: bool,
}

impl<'c, 's> Range<'c, 's> {
    pub(crate) fn new(
        cursor: &'c mut Cursor<'s>,
        start: Bound<Vec<u8>>,
        stop: Bound<Vec<u8>>,
    ) -> Self {
        let (front, back) = {
            let core = cursor.session().core();
            (core.position(), core.position())
        };
        cursor.session().state().cursor_placed();
        Self { cursor, front, back, start, stop, counted: true, done: false }
    }

    fn step(&mut self, forward: bool) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut session = self.cursor.session().core();
        let table = self.cursor.table()?;
        let here = if forward { &mut self.front } else { &mut self.back };
        let found = match (forward, here.is_set()) {
            (true, true) => session.next(table, here)?,
            (false, true) => session.prev(table, here)?,
            (true, false) => enter_at_start(&mut session, table, here, as_slice(&self.start))?,
            (false, false) => enter_at_stop(&mut session, table, here, as_slice(&self.stop))?,
        };
        let bounds = (as_slice(&self.start), as_slice(&self.stop));
        let Some(key) = here.key().filter(|key| found && is_within(key, bounds.0, bounds.1)) else {
            return Ok(None);
        };
        let key = key.to_vec();
        let value = session.value(table, here, &OnceCell::new())?.to_vec();
        Ok(Some((key, value)))
    }

    /// Whether the end that is about to give `key` has met the other.
    fn have_met(&self, key: &[u8], forward: bool) -> bool {
        let other = if forward { &self.back } else { &self.front };
        other.key().is_some_and(|other| if forward { key >= other } else { key <= other })
    }

    fn advance(&mut self, forward: bool) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        if self.done {
            return None;
        }
        let row = match self.step(forward) {
            Ok(Some((key, _))) if self.have_met(&key, forward) => None,
            row => row.transpose(),
        };
        if !matches!(row, Some(Ok(_))) {
            self.finish();
        }
        row
    }

    fn finish(&mut self) {
        self.done = true;
        self.front.reset();
        self.back.reset();
        if std::mem::take(&mut self.counted) {
            self.cursor.session().state().cursor_left();
        }
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

impl Iterator for Range<'_, '_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(true)
    }
}

impl DoubleEndedIterator for Range<'_, '_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.advance(false)
    }
}

/// Once at an end, at an end for good.
impl FusedIterator for Range<'_, '_> {}

impl Drop for Range<'_, '_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl std::fmt::Debug for Range<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range").field("start", &self.start).field("stop", &self.stop).finish()
    }
}
