//! Cursors' places: finding keys, walking, and the values there.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use super::{Isolation, Session, load_long_value, view_of};
use crate::base::error::{Error, Result};
use crate::base::ids::TxnId;
use crate::btree::{Drawn, Landing, Position};
use crate::engine::OpenTable;
use crate::engine::edges::Side;
use crate::mvcc::{ReadView, Snapshot, Transactions};
use crate::page::ValueRef;
use crate::sync::Arc;

/// How often a place without a row is drawn before any row is taken.
const DRAWS_MAX: usize = 1000;

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Towards greater keys.
    pub forward: bool,
    /// Long values are read. Else they are empty where they are visited.
    pub reads_long_values: bool,
}

/// What a session sees now. It keeps nothing of that from being discarded but what is on a page that is held.
#[derive(Debug)]
pub struct PageView {
    snapshot: Arc<Snapshot>,
    own: Option<TxnId>,
    stamp: u64,
}

impl PageView {
    /// Goes on from row to row of the page that `at` is on, as [`Session::walk`] does; none where that needs
    /// the session.
    #[inline]
    pub fn walk<B>(
        &self,
        at: &mut Position,
        forward: bool,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Option<B> {
        let view = ReadView { snapshot: &self.snapshot, own: self.own };
        let walked = at.walk_leaf(&view, forward, visit);
        if walked.moved {
            at.set_stamp(self.stamp);
        }
        walked.broke
    }
}

impl Session {
    /// A place in a table, nowhere yet.
    pub fn position(&self) -> Position {
        Position::new(self.inner.shared.new_pin())
    }

    /// The same, for pages that need not stay in the cache for its sake.
    pub fn position_reading_once(&self) -> Position {
        Position::reading_once(self.inner.shared.new_pin())
    }

    /// Goes to `key`; false, and nowhere, if it is not there.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading pages gives.
    pub fn find(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.placed(table, at, |at, view| at.find(table.tree(), key, view))
    }

    /// Goes to `key` or the smallest key above.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<Landing> {
        self.placed(table, at, |at, view| at.seek(table.tree(), key, view))
    }

    /// Goes to the largest key below `key`; false, and nowhere, if there is none.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek_below(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.placed(table, at, |at, view| {
            at.go_before(table.tree(), key)?;
            at.prev(table.tree(), view)
        })
    }

    /// Goes to the next key; from nowhere, to the first.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    #[inline]
    pub fn next(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if self.moves_in_image(at, |at, view| at.next_in_image(view))? {
            return Ok(true);
        }
        self.next_anywhere(table, at)
    }

    fn next_anywhere(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if at.is_set() || self.transaction.is_none() {
            return self.placed(table, at, |at, view| at.next(table.tree(), view));
        }
        self.enter_at(table, at, Side::Front)
    }

    /// Goes to the previous key; from nowhere, to the last.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    #[inline]
    pub fn prev(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if self.moves_in_image(at, |at, view| at.prev_in_image(view))? {
            return Ok(true);
        }
        self.prev_anywhere(table, at)
    }

    /// Goes on from row to row, calling `visit` with each one's key and value, until it wants no more; from
    /// nowhere, from an end of the table. What the visit broke with, and the position is on that
    /// row; none, and nowhere, at the other end. Quicker than a step and a look for each.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn walk<B>(
        &mut self,
        table: &OpenTable,
        at: &mut Position,
        Walk { forward, reads_long_values }: Walk,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        loop {
            if let Some(view) = self.page_view(at)?
                && let Some(why) = view.walk(at, forward, visit)
            {
                return Ok(Some(why));
            }
            let found = if forward { self.next(table, at)? } else { self.prev(table, at)? };
            if !found {
                return Ok(None);
            }
            let long_value = OnceCell::new();
            let value = match at.value() {
                Some(ValueRef::Overflow(_)) if !reads_long_values => &[],
                _ => self.value(table, at, &long_value)?,
            };
            if let ControlFlow::Break(why) = visit(at.key().unwrap_or_default(), value) {
                return Ok(Some(why));
            }
        }
    }

    /// What the rows of the page that `at` is on can be looked at with past the session; none where the
    /// session must be asked for each.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn page_view(&mut self, at: &Position) -> Result<Option<PageView>> {
        self.inner.check_open()?;
        if !at.is_set() || self.weak() == Some(Isolation::ReadUncommitted) {
            return Ok(None);
        }
        self.hold_view();
        let (snapshot, own) = match &self.transaction {
            Some(transaction) => (transaction.snapshot(), transaction.view().own),
            None => (self.snapshot.as_ref(), None),
        };
        let stamp = self.view;
        Ok(snapshot.map(|held| PageView { snapshot: Arc::clone(held.snapshot()), own, stamp }))
    }

    fn prev_anywhere(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if at.is_set() || self.transaction.is_none() {
            return self.placed(table, at, |at, view| at.prev(table.tree(), view));
        }
        self.enter_at(table, at, Side::Back)
    }

    /// From nowhere to the first or last row that the transaction sees.
    fn enter_at(&mut self, table: &OpenTable, at: &mut Position, side: Side) -> Result<bool> {
        let (id, tree) = (table.id(), table.tree());
        let found = if self.edges.take_place(id, side, at) {
            self.placed(table, at, |at, view| at.settle(tree, side == Side::Front, view))?
        } else {
            let edge = self.edges.key(id, side).map(<[u8]>::to_vec);
            self.placed(table, at, |at, view| match (edge, side) {
                (Some(key), Side::Front) => Ok(at.seek(tree, &key, view)? != Landing::End),
                (Some(key), Side::Back) => at.seek_back(tree, &key, view),
                (None, Side::Front) => at.next(tree, view),
                (None, Side::Back) => at.prev(tree, view),
            })?
        };
        if let Some(key) = at.key().filter(|_| found) {
            self.edges.found(id, side, key);
        }
        Ok(found)
    }

    /// Sets `at` nowhere. Where it was at an end of the table, who looks for that end next in this transaction
    /// goes on from there.
    pub fn leave(&mut self, at: &mut Position) {
        if self.transaction.is_some() {
            let inner = &self.inner;
            self.edges.leave_place(at, || Position::new(inner.shared.new_pin()));
        }
        at.reset();
    }

    /// Goes to a row that the session sees, each with the same chance; `ticket` draws any number, each
    /// with the same chance. False, and nowhere, when there is none.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn random(
        &mut self,
        table: &OpenTable,
        at: &mut Position,
        mut ticket: impl FnMut() -> u64,
    ) -> Result<bool> {
        for _ in 0..DRAWS_MAX {
            at.reset();
            let Some(drawn) = table.tree().draw(ticket())? else { break };
            if self.go_to_drawn(table, at, &drawn)? {
                return Ok(true);
            }
        }
        // So few of the places have a row that the session sees: the first one behind any place.
        at.reset();
        let Some(drawn) = table.tree().draw(ticket())? else { return self.next(table, at) };
        Ok(self.seek(table, at, &drawn.low)? != Landing::End || self.next(table, at)?)
    }

    /// Goes to the row that was drawn; false when there is none that the session sees.
    fn go_to_drawn(&mut self, table: &OpenTable, at: &mut Position, drawn: &Drawn) -> Result<bool> {
        let mut found = self.seek(table, at, &drawn.low)? != Landing::End;
        for _ in 0..drawn.number {
            found = found && self.next(table, at)?;
        }
        let is_below = |key: &[u8]| drawn.high.as_ref().is_none_or(|high| key < high);
        Ok(found && at.key().is_some_and(is_below))
    }

    /// Moves within the image that `at` stands on, if `go` can: no page is read in, so there is no room
    /// to make for one.
    #[inline]
    fn moves_in_image(
        &mut self,
        at: &mut Position,
        go: impl FnOnce(&mut Position, &ReadView<'_>) -> bool,
    ) -> Result<bool> {
        self.inner.check_open()?;
        if !at.is_set() || self.weak() == Some(Isolation::ReadUncommitted) {
            return Ok(false);
        }
        self.hold_view();
        let moved = go(at, &view_of(&self.transaction, self.snapshot.as_ref()));
        if moved {
            at.set_stamp(self.view);
        }
        Ok(moved)
    }

    fn placed<R>(
        &mut self,
        table: &OpenTable,
        at: &mut Position,
        go: impl FnOnce(&mut Position, &ReadView<'_>) -> Result<R>,
    ) -> Result<R> {
        self.inner.check_open()?;
        self.hold_view();
        let outcome = if self.weak() == Some(Isolation::ReadUncommitted) {
            go(at, &ReadView { snapshot: &Snapshot::everything(), own: None })
        } else {
            go(at, &view_of(&self.transaction, self.snapshot.as_ref()))
        };
        at.set_stamp(self.view);
        self.inner.note_detour(table.tree(), at.take_looks(), at.pin());
        self.inner.relieve();
        outcome
    }

    /// Lets the snapshot of reads outside a transaction go: no cursor is placed any more, or what it
    /// sees shall be new.
    pub fn release_snapshot(&mut self) {
        self.view += 1;
        self.snapshot = None;
    }

    /// Reads outside a transaction see what is committed now, if they have a snapshot.
    pub fn retake_snapshot(&mut self) {
        if self.snapshot.is_some() {
            self.release_snapshot();
            self.snapshot = Some(Transactions::snapshot(&self.inner.shared.transactions));
        }
    }

    /// Reads that have no transaction's snapshot go on with what is committed now, unless they have a
    /// snapshot already.
    #[inline]
    pub fn hold_view(&mut self) {
        if self.transaction.is_none() && self.snapshot.is_none() {
            self.snapshot = Some(Transactions::snapshot(&self.inner.shared.transactions));
        }
    }

    /// Whether reads outside a transaction have a snapshot now.
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The bytes of the value that `at` is on: borrowed from its page, or, for a long one, read into
    /// `long_value`, which the caller empties when `at` moves.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is nowhere; what reading a long value gives.
    #[inline]
    pub fn value<'v>(
        &self,
        table: &OpenTable,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match at.value() {
            Some(ValueRef::Inline(bytes)) => Ok(bytes),
            _ => self.long_value(table, at, long_value),
        }
    }

    fn long_value<'v>(
        &self,
        table: &OpenTable,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match at.value() {
            Some(ValueRef::Inline(bytes)) => Ok(bytes),
            Some(ValueRef::Overflow(reference)) => match long_value.get() {
                Some(bytes) => Ok(bytes),
                None => {
                    let bytes = match at.key() {
                        Some(key) if at.stamp() != self.view => self.read_again(table, key)?,
                        _ => load_long_value(table.tree(), reference)?,
                    };
                    Ok(long_value.get_or_init(|| bytes))
                }
            },
            None => Err(Error::invalid("the cursor is on no record; search or move it first")),
        }
    }

    /// The long value of `key`, on which a position stands since a view that is gone: what it saw may
    /// be gone with it, so this is what is seen now.
    fn read_again(&self, table: &OpenTable, key: &[u8]) -> Result<Vec<u8>> {
        let held = match self.snapshot {
            Some(_) => None,
            None => self.hold_snapshot(),
        };
        let view = view_of(&self.transaction, self.snapshot.as_ref().or(held.as_ref()));
        let mut again = self.position();
        if !again.find(table.tree(), key, &view)? {
            return Err(Error::NotFound);
        }
        match again.value() {
            Some(ValueRef::Overflow(reference)) => load_long_value(table.tree(), reference),
            Some(ValueRef::Inline(bytes)) => Ok(bytes.to_vec()),
            None => Err(Error::NotFound),
        }
    }
}
