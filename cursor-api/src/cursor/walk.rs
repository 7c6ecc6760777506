//! Walking with a cursor: many records in one call.

use std::ops::ControlFlow;

use super::Cursor;
use crate::{Error, Result};

impl Cursor<'_> {
    /// Goes on from record to record, from no record on from the first, and calls `visit` with the key and
    /// the value of each, borrowed from the page, until it breaks. What it broke with, and the cursor is
    /// on that record; none, and on no record, at the end. Several times as quick as [`next`](Self::next),
    /// [`key`](Self::key) and [`value`](Self::value) of each record.
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
    /// use std::ops::ControlFlow::{Break, Continue};
    /// let mut seen = Vec::new();
    /// let broke = cursor.walk(|key, _value| {
    ///     seen.push(key.to_vec());
    ///     if key == b"b" { Break("enough") } else { Continue(()) }
    /// })?;
    /// assert_eq!((broke, seen), (Some("enough"), vec![b"a".to_vec(), b"b".to_vec()]));
    /// assert_eq!(cursor.key()?, b"b");
    /// let mut bytes = 0;
    /// let end = cursor.walk(|_key, value| {
    ///     bytes += value.len();
    ///     Continue::<()>(())
    /// })?;
    /// assert_eq!((end, bytes), (None, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// What `visit` writes in the session's transaction may be seen by the same walk, or not; it must not
    /// end the transaction.
    ///
    /// # Errors
    /// As [`search`](Self::search); what was visited until then was visited.
    pub fn walk<B>(
        &mut self,
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        self.walk_on(true, visit)
    }

    /// As [`walk`](Self::walk), towards smaller keys; from no record on from the last.
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
    /// let largest = cursor.walk_back(|key, _value| std::ops::ControlFlow::Break(key.to_vec()))?;
    /// assert_eq!(largest.as_deref(), Some(&b"c"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`walk`](Self::walk).
    pub fn walk_back<B>(
        &mut self,
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        self.walk_on(false, visit)
    }

    /// Removes those of the records behind the cursor, from no record on all, that `keep` refuses; how many
    /// those were. Only inside a transaction, so that nothing is removed that `keep` did not see. The cursor
    /// is on no record afterwards.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// let removed = connection.transaction(|transaction| {
    ///     transaction.cursor(&stock)?.retain(|key, _value| key != b"b")
    /// })?;
    /// assert_eq!((removed, stock.len()?), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; [`Error::Rollback`] when another transaction wrote one of
    /// them meanwhile; as [`remove_key`](Self::remove_key).
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> Result<u64> {
        if !self.session.state().in_transaction() {
            return Err(Error::invalid("only permitted in a running transaction; begin one"));
        }
        let mut refused = Refused::default();
        let mut removed = 0;
        loop {
            let stopped = self.walk(|key, value| {
                if !keep(key, value) {
                    refused.push(key);
                }
                if refused.are_many() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            // While the pages that they are on are in the processor's cache.
            removed += self.state.remove_rows(&mut self.session.state(), refused.keys())?;
            refused = refused.emptied();
            if stopped.is_none() {
                return Ok(removed);
            }
        }
    }

    fn walk_on<B>(
        &mut self,
        forward: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        loop {
            // The session is free while records are visited: the visit may use it.
            let view = self.state.page_view(&mut self.session.state())?;
            if let Some(view) = view
                && let Some(why) = self.state.walk_page(&view, forward, &mut visit)
            {
                return Ok(Some(why));
            }
            let there = if forward { self.next()? } else { self.prev()? };
            if !there {
                return Ok(None);
            }
            if let ControlFlow::Break(why) = visit(self.key()?, self.value()?) {
                return Ok(Some(why));
            }
        }
    }
}

/// Keys that are to be removed, one behind the other.
#[derive(Default)]
struct Refused {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Refused {
    /// So many are removed at once: about as many as two pages have.
    const KEYS_MAX: usize = 256;
    const BYTES_MAX: usize = 64 << 10;

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn are_many(&self) -> bool {
        self.ends.len() >= Self::KEYS_MAX || self.bytes.len() >= Self::BYTES_MAX
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or_default())
    }

    /// None, with the room that it has.
    fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.ends.clear();
        self
    }
}
