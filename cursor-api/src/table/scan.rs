//! Reading a table in key order: iterators, and walks in batches.

use std::cell::OnceCell;
use std::ops::{Bound, ControlFlow, RangeBounds};

use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::{OpenTable, Session, Walk};
use rshelve_core::page::ValueRef;

use super::{Rows, Table};
use crate::{Result, TableRange};

impl Table {
    /// The rows of a range of keys in key order, from either end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let stock = connection.create_table("stock", &Default::default())?;
    /// for key in [b"a", b"b", b"c"] {
    ///     stock.insert(key, b"1")?;
    /// }
    /// let mut rows = stock.range(&b"b"[..]..);
    /// assert_eq!(rows.next_back().transpose()?, Some((b"c".to_vec(), b"1".to_vec())));
    /// assert_eq!(rows.next().transpose()?, Some((b"b".to_vec(), b"1".to_vec())));
    /// assert!(rows.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range<'k>(&self, keys: impl RangeBounds<&'k [u8]>) -> TableRange {
        let owned = |bound: Bound<&&[u8]>| bound.map(|key| key.to_vec());
        TableRange::new(self.clone(), owned(keys.start_bound()), owned(keys.end_bound()))
    }

    /// All rows in key order, from either end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// for row in stock.iter().rev() {
    ///     let (key, value) = row?;
    ///     println!("{key:?}: {value:?}");
    /// }
    /// assert_eq!(stock.iter().count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> TableRange {
        TableRange::new(self.clone(), Bound::Unbounded, Bound::Unbounded)
    }

    /// Rows between `start` and `stop` in key order, or backwards from `stop`: at most `rows_max`, and no
    /// more once their keys and values come to `bytes_max` (0 is no limit). Fewer mean the end, unless
    /// `bytes_max` was reached.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// use std::ops::Bound::{Excluded, Unbounded};
    /// let rows = stock.scan(Excluded(b"a"), Unbounded, false, 10, 0)?;
    /// assert_eq!(rows, [(b"b".to_vec(), b"1".to_vec()), (b"c".to_vec(), b"1".to_vec())]);
    /// let last = stock.scan(Unbounded, Unbounded, true, 1, 0)?;
    /// assert_eq!(last, [(b"c".to_vec(), b"1".to_vec())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn scan(
        &self,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
        reverse: bool,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Rows> {
        let mut rows = Rows::new();
        self.scan_with(start, stop, reverse, rows_max, bytes_max, |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
        })?;
        Ok(rows)
    }

    /// As [`scan`](Self::scan), without a copy: calls `visit` with each row's key and value, borrowed
    /// from the page that holds them. It should be quick, and leave the database alone.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// use std::ops::Bound::Unbounded;
    /// let mut bytes = 0;
    /// stock.scan_with(Unbounded, Unbounded, false, usize::MAX, 0, |key, value| {
    ///     bytes += key.len() + value.len();
    /// })?;
    /// assert_eq!(bytes, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get); what was visited until then was visited.
    pub fn scan_with(
        &self,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
        reverse: bool,
        rows_max: usize,
        bytes_max: usize,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let limits = Limits { rows_max, bytes_max };
        let way = Walk { forward: !reverse, reads_long_values: true };
        self.walk((start, stop), way, limits, |key, value| {
            visit(key, value);
            key.len() + value.len()
        })
    }

    /// As [`scan`](Self::scan), the keys alone: long values are not read.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// use std::ops::Bound::Unbounded;
    /// assert_eq!(stock.scan_keys(Unbounded, Unbounded, false, 2, 0)?, [b"a", b"b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn scan_keys(
        &self,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
        reverse: bool,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        self.scan_keys_with(start, stop, reverse, rows_max, bytes_max, |key| {
            keys.push(key.to_vec())
        })?;
        Ok(keys)
    }

    /// As [`scan_with`](Self::scan_with), the keys alone.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// use std::ops::Bound::{Included, Unbounded};
    /// let mut count = 0;
    /// stock.scan_keys_with(Included(b"b"), Unbounded, false, usize::MAX, 0, |_key| count += 1)?;
    /// assert_eq!(count, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`scan_with`](Self::scan_with).
    pub fn scan_keys_with(
        &self,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
        reverse: bool,
        rows_max: usize,
        bytes_max: usize,
        mut visit: impl FnMut(&[u8]),
    ) -> Result<()> {
        let limits = Limits { rows_max, bytes_max };
        let way = Walk { forward: !reverse, reads_long_values: false };
        self.walk((start, stop), way, limits, |key, _| {
            visit(key);
            key.len()
        })
    }

    /// Calls `visit` on each row of a range until a limit is reached; it returns the row's size.
    fn walk(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        way: Walk,
        limits: Limits,
        mut visit: impl FnMut(&[u8], &[u8]) -> usize,
    ) -> Result<()> {
        self.with(|session| {
            let outcome = walk(session, &self.table, bounds, way, limits, &mut visit);
            session.release_snapshot();
            outcome
        })
    }

    /// Deletes every row, a batch of rows in each transaction.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// stock.clear()?;
    /// assert!(stock.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert); what was deleted until then stays deleted.
    pub fn clear(&self) -> Result<()> {
        loop {
            let keys = self.scan_keys(Bound::Unbounded, Bound::Unbounded, false, 4096, 1 << 20)?;
            if keys.is_empty() {
                return Ok(());
            }
            let batch: Vec<_> = keys.into_iter().map(|key| (key, None::<&[u8]>)).collect();
            self.apply(&batch)?;
        }
    }
}

impl IntoIterator for &Table {
    type Item = Result<(Vec<u8>, Vec<u8>)>;
    type IntoIter = TableRange;

    fn into_iter(self) -> TableRange {
        self.iter()
    }
}

/// Where a walk stops at the latest.
#[derive(Clone, Copy)]
struct Limits {
    rows_max: usize,
    /// 0 is no limit.
    bytes_max: usize,
}

/// See [`Table::scan`].
fn walk(
    session: &mut Session,
    table: &OpenTable,
    (start, stop): (Bound<&[u8]>, Bound<&[u8]>),
    way: Walk,
    limits: Limits,
    visit: &mut impl FnMut(&[u8], &[u8]) -> usize,
) -> Result<()> {
    let mut at = session.position();
    let there = match way.forward {
        true => enter_at_start(session, table, &mut at, start)?,
        false => enter_at_stop(session, table, &mut at, stop)?,
    };
    if !there || limits.rows_max == 0 {
        return Ok(());
    }
    let (mut rows, mut bytes) = (0, 0);
    let mut take = |key: &[u8], value: &[u8]| {
        if !is_within(key, start, stop) {
            return ControlFlow::Break(());
        }
        bytes += visit(key, value);
        rows += 1;
        let is_enough =
            rows >= limits.rows_max || (limits.bytes_max > 0 && bytes >= limits.bytes_max);
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let long_value = OnceCell::new();
    let first = match at.value() {
        Some(ValueRef::Overflow(_)) if !way.reads_long_values => &[],
        _ => session.value(table, &at, &long_value)?,
    };
    if take(at.key().unwrap_or_default(), first).is_continue() {
        session.walk(table, &mut at, way, &mut take)?;
    }
    Ok(())
}

/// Goes to the first row that is not in front of `start`.
pub(crate) fn enter_at_start(
    session: &mut Session,
    table: &OpenTable,
    at: &mut Position,
    start: Bound<&[u8]>,
) -> Result<bool> {
    match start {
        Bound::Unbounded => session.next(table, at),
        Bound::Included(start) => Ok(session.seek(table, at, start)? != Landing::End),
        Bound::Excluded(start) => match session.seek(table, at, start)? {
            Landing::Exact => session.next(table, at),
            Landing::Above => Ok(true),
            Landing::End => Ok(false),
        },
    }
}

/// Goes to the last row that is not behind `stop`.
pub(crate) fn enter_at_stop(
    session: &mut Session,
    table: &OpenTable,
    at: &mut Position,
    stop: Bound<&[u8]>,
) -> Result<bool> {
    match stop {
        Bound::Unbounded => session.prev(table, at),
        Bound::Excluded(stop) => session.seek_below(table, at, stop),
        Bound::Included(stop) => {
            Ok(session.find(table, at, stop)? || session.seek_below(table, at, stop)?)
        }
    }
}

/// Whether `key` lies between the bounds.
pub(crate) fn is_within(key: &[u8], start: Bound<&[u8]>, stop: Bound<&[u8]>) -> bool {
    let behind_start = match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    behind_start
        && match stop {
            Bound::Unbounded => true,
            Bound::Included(stop) => key <= stop,
            Bound::Excluded(stop) => key < stop,
        }
}
