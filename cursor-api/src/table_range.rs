//! Iterating over a table's rows without a transaction.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::ops::Bound;

use crate::table::is_within;
use crate::{Result, Table};

/// How many rows are read at first, and at most, at a time.
const BATCH_ROWS_FIRST: usize = 16;
const BATCH_ROWS_MOST: usize = 1024;
/// No more rows are read at a time once they come to so many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// The rows of a range, as [`Table::range`] returns them: owned copies in key order, from either end
/// until the ends meet.
///
/// They are read in batches, 16 rows at first and up to 1024 (or 256 KiB) later, each from a snapshot of
/// its own. So an iterator that idles, or a loop that rewrites a table larger than the cache, keeps
/// nothing from being evicted or discarded. A row that is there all the time is given exactly once, as it
/// was when its batch was read; one that comes, changes or goes ahead of the iterator is given as it is
/// then if its batch is read later, and as it was before if it has been read. For one snapshot of all
/// rows use [`Cursor::range`](crate::Cursor::range), in a transaction or outside.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// # for key in [b"a", b"b", b"c"] {
/// #     stock.insert(key, b"1")?;
/// # }
/// let mut rows = stock.iter();
/// let (first, last) = (rows.next().transpose()?, rows.next_back().transpose()?);
/// assert_eq!(first.map(|(key, _)| key).as_deref(), Some(&b"a"[..]));
/// assert_eq!(last.map(|(key, _)| key).as_deref(), Some(&b"c"[..]));
/// assert_eq!(rows.count(), 1, "what is between");
///
/// // One snapshot, whatever is written meanwhile.
/// let session = connection.open_session()?;
/// let mut cursor = session.open_cursor("stock")?;
/// let mut rows = cursor.range(..);
/// rows.next().transpose()?;
/// stock.clear()?;
/// assert_eq!(rows.count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TableRange {
    table: Table,
    start: Bound<Vec<u8>>,
    stop: Bound<Vec<u8>>,
    front: Batch,
    back: Batch,
}

/// Rows that one end has read and not yet given.
struct Batch {
    rows: VecDeque<(Vec<u8>, Vec<u8>)>,
    next_rows: usize,
    /// There are no more behind these.
    is_last: bool,
}

impl TableRange {
    pub(crate) fn new(table: Table, start: Bound<Vec<u8>>, stop: Bound<Vec<u8>>) -> Self {
        let batch = || Batch { rows: VecDeque::new(), next_rows: BATCH_ROWS_FIRST, is_last: false };
        Self { table, start, stop, front: batch(), back: batch() }
    }

    fn step(&mut self, reverse: bool) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        let batch = if reverse { &mut self.back } else { &mut self.front };
        if batch.rows.is_empty() && !batch.is_last {
            let (start, stop) = (as_slice(&self.start), as_slice(&self.stop));
            let read = self.table.scan(start, stop, reverse, batch.next_rows, BATCH_BYTES);
            match read {
                Ok(rows) => {
                    let bytes: usize =
                        rows.iter().map(|(key, value)| key.len() + value.len()).sum();
                    batch.is_last = rows.len() < batch.next_rows && bytes < BATCH_BYTES;
                    batch.rows = rows.into();
                    batch.next_rows = (batch.next_rows * 4).min(BATCH_ROWS_MOST);
                }
                Err(error) => {
                    batch.is_last = true;
                    return Some(Err(error));
                }
            }
        }
        let row = batch.rows.pop_front()?;
        if !is_within(&row.0, as_slice(&self.start), as_slice(&self.stop)) {
            // The other end has given this one.
            batch.rows.clear();
            batch.is_last = true;
            return None;
        }
        let bound = if reverse { &mut self.stop } else { &mut self.start };
        *bound = Bound::Excluded(row.0.clone());
        Some(Ok(row))
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

impl Iterator for TableRange {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for TableRange {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

/// Once at an end, at an end for good.
impl FusedIterator for TableRange {}

impl std::fmt::Debug for TableRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableRange").field("start", &self.start).field("stop", &self.stop).finish()
    }
}
