//! How a cursor moves: walks, searches, jumps.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use rshelve_core::btree::Landing;
use rshelve_core::engine::PageView;

use super::{CursorState, Held, no_table, note_failure};
use crate::state::SessionState;
use crate::state::mode::{Mode, Op};
use crate::state::rows::Rows;
use crate::state::source::Source;
use crate::{Error, Result};

impl CursorState {
    /// Goes to the next record; from no record, to the first. A random cursor goes to any record.
    ///
    #[doc = state_example!(r#"let mut keys = Vec::new();
while cursor.next(&mut session).is_ok() {
    keys.extend_from_slice(cursor.key(&session)?);
}
assert_eq!(keys, b"abc");"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`], and on no record, at the end, or at the end of the bounds;
    /// [`Error::Closed`]; what reading gives.
    #[inline]
    pub fn next(&mut self, session: &mut SessionState) -> Result<()> {
        match self.mode {
            Mode::Table => self.walk(session, true),
            Mode::Random => self.jump(session),
            Mode::Rows => self.in_rows(|rows| rows.walk(true)),
            Mode::Bulk => self.refuse(session, Op::Next),
        }
    }

    /// Goes to the previous record; from no record, to the last.
    ///
    #[doc = state_example!(r#"cursor.prev(&mut session)?;
assert_eq!(cursor.key(&session)?, b"c");"#)]
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn prev(&mut self, session: &mut SessionState) -> Result<()> {
        match self.mode {
            Mode::Table => self.walk(session, false),
            Mode::Rows => self.in_rows(|rows| rows.walk(false)),
            Mode::Random | Mode::Bulk => self.refuse(session, Op::Move),
        }
    }

    #[inline]
    fn walk(&mut self, session: &mut SessionState, forward: bool) -> Result<()> {
        self.catch_up();
        self.long_value.take();
        let (core, at) = (&mut session.core, &mut self.position);
        let moved = match &self.table {
            None => Err(no_table(&self.name)),
            Some(table) if self.bounds.are_set() => self.bounds.walk(core, table, at, forward),
            Some(table) if forward => table.next(core, at),
            Some(table) => table.prev(core, at),
        };
        if !matches!(moved, Ok(true)) {
            (self.key_is, self.value_is) = (Held::No, Held::No);
        }
        self.arrived(session, moved)
    }

    /// What the records of the page that the cursor is on can be looked at with, past the session; none
    /// where the session must be asked for each.
    pub(crate) fn page_view(&mut self, session: &mut SessionState) -> Result<Option<PageView>> {
        self.catch_up();
        self.long_value.take();
        match self.table {
            Some(Source::Live(_)) if self.mode == Mode::Table && !self.bounds.are_set() => {
                session.core.page_view(&self.position)
            }
            _ => Ok(None),
        }
    }

    /// Goes on from record to record of the page that the cursor is on until `visit` breaks, and says with
    /// what; none where more than the page is needed.
    pub(crate) fn walk_page<B>(
        &mut self,
        view: &PageView,
        forward: bool,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Option<B> {
        let broke = view.walk(&mut self.position, forward, visit);
        if broke.is_some() {
            (self.key_is, self.value_is) = (Held::There, Held::There);
        }
        broke
    }

    fn jump(&mut self, session: &mut SessionState) -> Result<()> {
        self.catch_up();
        self.long_value.take();
        let (dice, at) = (&mut self.dice, &mut self.position);
        let moved = match &self.table {
            None => Err(no_table(&self.name)),
            Some(table) => table.random(&mut session.core, at, || dice.roll()),
        };
        if !matches!(moved, Ok(true)) {
            (self.key_is, self.value_is) = (Held::No, Held::No);
        }
        self.arrived(session, moved)
    }

    /// Runs one move among rows that are not a table's.
    fn in_rows(&mut self, go: impl FnOnce(&mut Rows) -> bool) -> Result<()> {
        self.catch_up();
        if !go(&mut self.rows) {
            (self.key_is, self.value_is) = (Held::No, Held::No);
            return Err(Error::NotFound);
        }
        if let Some((key, value)) = self.rows.row() {
            let (key, value) = (key.to_vec(), value.to_vec());
            self.set_key(&key);
            self.set_value(&value);
        }
        Ok(())
    }

    /// Goes to the key that is set.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"x");
assert!(matches!(cursor.search(&mut session), Err(Error::NotFound)));
assert_eq!(cursor.key(&session)?, b"x", "it is kept");
cursor.set_key(b"b");
cursor.search(&mut session)?;
assert_eq!(cursor.value(&session)?, b"1");"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`], with the key kept and on no record, when it is not there;
    /// [`Error::Invalid`] when no key is set; as [`next`](Self::next).
    pub fn search(&mut self, session: &mut SessionState) -> Result<()> {
        self.allow(session, Op::Move)?;
        let key = self.take_key(session)?;
        let outcome = self.search_for(session, &key);
        self.give_back_key(key);
        outcome
    }

    /// Goes to `key`; the key is not kept when it is not there.
    ///
    #[doc = state_example!(r#"cursor.search_for(&mut session, b"b")?;
assert_eq!(cursor.value(&session)?, b"1");"#)]
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_for(&mut self, session: &mut SessionState, key: &[u8]) -> Result<()> {
        self.catch_up();
        self.long_value.take();
        if self.mode == Mode::Rows {
            return self.in_rows(|rows| rows.search(key));
        }
        let was_placed = self.placed;
        let mut found = self.find(session, key);
        if was_placed && matches!(found, Ok(false)) {
            self.depart(session);
            found = self.find(session, key);
        }
        self.arrived(session, found)
    }

    fn find(&mut self, session: &mut SessionState, key: &[u8]) -> Result<bool> {
        match &self.table {
            None => Err(no_table(&self.name)),
            Some(_) if !self.bounds.place(key).is_eq() => Ok(false),
            Some(table) => table.find(&mut session.core, &mut self.position, key),
        }
    }

    /// Goes to the key that is set; if it is not there, to the smallest key above, else to the largest
    /// one below. Says where it landed relative to the key.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"aa");
assert_eq!(cursor.search_near(&mut session)?, Ordering::Greater);
assert_eq!(cursor.key(&session)?, b"b");"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no record at all; as [`search`](Self::search).
    pub fn search_near(&mut self, session: &mut SessionState) -> Result<Ordering> {
        self.allow(session, Op::Move)?;
        let key = self.take_key(session)?;
        let outcome = self.search_near_for(session, &key);
        if self.mode != Mode::Rows || outcome.is_err() {
            self.give_back_key(key);
        }
        outcome
    }

    /// The same for `key`, which is not kept.
    ///
    #[doc = state_example!(r#"assert_eq!(cursor.search_near_for(&mut session, b"x")?, Ordering::Less);
assert_eq!(cursor.key(&session)?, b"c");"#)]
    ///
    /// # Errors
    /// As [`search_near`](Self::search_near).
    pub fn search_near_for(&mut self, session: &mut SessionState, key: &[u8]) -> Result<Ordering> {
        self.catch_up();
        self.long_value.take();
        if self.mode == Mode::Rows {
            let mut landed = None;
            self.in_rows(|rows| {
                landed = rows.search_near(key);
                landed.is_some()
            })?;
            return landed.ok_or(Error::NotFound);
        }
        let was_placed = self.placed;
        let mut landed = self.land_near(session, key);
        if was_placed && !matches!(landed, Ok(Some(Ordering::Equal)) | Err(_)) {
            self.depart(session);
            landed = self.land_near(session, key);
        }
        let found = landed.as_ref().map(Option::is_some).map_err(Clone::clone);
        self.arrived(session, found)?;
        landed?.ok_or(Error::NotFound)
    }

    fn land_near(&mut self, session: &mut SessionState, key: &[u8]) -> Result<Option<Ordering>> {
        let (core, at) = (&mut session.core, &mut self.position);
        let table = self.table.as_ref().ok_or_else(|| no_table(&self.name))?;
        if self.bounds.are_set() {
            return self.bounds.land_near(core, table, at, key);
        }
        match table.seek(core, at, key)? {
            Landing::Exact => Ok(Some(Ordering::Equal)),
            Landing::Above => Ok(Some(Ordering::Greater)),
            Landing::End => Ok(table.prev(core, at)?.then_some(Ordering::Less)),
        }
    }

    /// Finds the largest key, and sets it; the cursor is on no record.
    ///
    #[doc = state_example!(r#"cursor.largest_key(&mut session)?;
assert_eq!(cursor.key(&session)?, b"c");
assert!(!cursor.is_placed());"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`] in an empty table; [`Error::Invalid`] with bounds; as
    /// [`next`](Self::next).
    pub fn largest_key(&mut self, session: &mut SessionState) -> Result<()> {
        self.allow(session, Op::Table)?;
        if self.bounds.are_set() {
            let error = Error::invalid("setting bounds is not compatible with cursor largest key");
            note_failure(session, &error);
            return Err(error);
        }
        self.leave(session);
        self.walk(session, false)?;
        let key = self.take_key(session)?;
        self.leave(session);
        self.give_back_key(key);
        Ok(())
    }

    /// Is on no record any more, and looks for its key again: if no other cursor is on one, in what is
    /// committed now. A record that is found in the snapshot that there was keeps that snapshot.
    fn depart(&mut self, session: &mut SessionState) {
        self.position.reset();
        self.count(session);
    }

    /// A move ended on a record, or on none.
    #[inline]
    fn arrived(&mut self, session: &mut SessionState, found: Result<bool>) -> Result<()> {
        if self.placed && matches!(found, Ok(true)) {
            (self.key_is, self.value_is) = (Held::There, Held::There);
            return Ok(());
        }
        self.arrived_anew(session, found)
    }

    fn arrived_anew(&mut self, session: &mut SessionState, found: Result<bool>) -> Result<()> {
        let outcome = match found {
            Ok(true) => {
                (self.key_is, self.value_is) = (Held::There, Held::There);
                Ok(())
            }
            Ok(false) => Err(Error::NotFound),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.position.reset();
            if self.key_is == Held::There {
                self.key_is = Held::No;
            }
            if self.value_is == Held::There {
                self.value_is = Held::No;
            }
            note_failure(session, error);
        }
        self.count(session);
        outcome
    }
}
