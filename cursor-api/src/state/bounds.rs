//! The range that a cursor is held to.

use std::cmp::Ordering;
use std::ops::Bound;

use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::Session as CoreSession;

use super::SessionState;
use super::cursor::{CursorState, Held, note_failure, requires};
use super::mode::Op;
use super::source::Source;
use crate::{Error, Result};

/// One end of a range.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # connection.create_table("stock", &Default::default())?;
/// use rshelve::state::{Edge, SessionState};
/// # let mut session = SessionState::open(&connection)?;
/// let mut cursor = session.open_cursor("stock", &Default::default())?;
/// for key in [b"a", b"b", b"c"] {
///     cursor.insert_row(&mut session, key, b"1")?;
/// }
/// cursor.set_key(b"b");
/// cursor.set_bound(&mut session, Edge::Lower, true)?;
/// cursor.next(&mut session)?;
/// assert_eq!(cursor.key(&session)?, b"b");
/// cursor.close(&mut session)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The end with the smallest keys.
    Lower,
    /// The end with the largest keys.
    Upper,
}

/// Where a cursor's range begins and ends.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }
}

impl Bounds {
    pub(super) fn are_set(&self) -> bool {
        !matches!((&self.lower, &self.upper), (Bound::Unbounded, Bound::Unbounded))
    }

    /// Where `key` lies: before, in, or behind the range.
    pub(super) fn place(&self, key: &[u8]) -> Ordering {
        let is_below = match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(lower) => key < lower.as_slice(),
            Bound::Excluded(lower) => key <= lower.as_slice(),
        };
        let is_above = match &self.upper {
            Bound::Unbounded => false,
            Bound::Included(upper) => key > upper.as_slice(),
            Bound::Excluded(upper) => key >= upper.as_slice(),
        };
        match (is_below, is_above) {
            (true, _) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => Ordering::Equal,
        }
    }

    /// Whether no key fits between the two.
    fn are_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (
                Bound::Included(lower) | Bound::Excluded(lower),
                Bound::Included(upper) | Bound::Excluded(upper),
            ) => lower >= upper,
        }
    }

    /// Goes on by one record, from nowhere to the first or last in the range; false beyond its end.
    pub(super) fn walk(
        &self,
        core: &mut CoreSession,
        table: &Source,
        at: &mut Position,
        forward: bool,
    ) -> Result<bool> {
        let found = match (at.is_set(), forward) {
            (true, true) => table.next(core, at)?,
            (true, false) => table.prev(core, at)?,
            (false, true) => self.enter_lower(core, table, at)?,
            (false, false) => self.enter_upper(core, table, at)?,
        };
        Ok(found && at.key().is_some_and(|key| self.place(key).is_eq()))
    }

    fn enter_lower(
        &self,
        core: &mut CoreSession,
        table: &Source,
        at: &mut Position,
    ) -> Result<bool> {
        match &self.lower {
            Bound::Unbounded => table.next(core, at),
            Bound::Included(lower) => Ok(table.seek(core, at, lower)? != Landing::End),
            Bound::Excluded(lower) => match table.seek(core, at, lower)? {
                Landing::Exact => table.next(core, at),
                Landing::Above => Ok(true),
                Landing::End => Ok(false),
            },
        }
    }

    fn enter_upper(
        &self,
        core: &mut CoreSession,
        table: &Source,
        at: &mut Position,
    ) -> Result<bool> {
        match &self.upper {
            Bound::Unbounded => table.prev(core, at),
            Bound::Excluded(upper) => table.seek_below(core, at, upper),
            Bound::Included(upper) => {
                Ok(table.find(core, at, upper)? || table.seek_below(core, at, upper)?)
            }
        }
    }

    /// Goes near `key`, within the range: to it, to the smallest key above, or to the largest below.
    pub(super) fn land_near(
        &self,
        core: &mut CoreSession,
        table: &Source,
        at: &mut Position,
        key: &[u8],
    ) -> Result<Option<Ordering>> {
        at.reset();
        let is_in = |at: &Position| at.key().is_some_and(|found| self.place(found).is_eq());
        let found = match self.place(key) {
            Ordering::Less => self.walk(core, table, at, true)?,
            Ordering::Greater => self.walk(core, table, at, false)?,
            Ordering::Equal => {
                (table.seek(core, at, key)? != Landing::End && is_in(at))
                    || (table.seek_below(core, at, key)? && is_in(at))
            }
        };
        Ok(at.key().filter(|_| found).map(|found| found.cmp(key)))
    }
}

impl CursorState {
    /// Holds the cursor to keys from, or up to, the key that is set.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"b");
cursor.set_bound(&mut session, Edge::Lower, true)?;
cursor.next(&mut session)?;
assert_eq!(cursor.key(&session)?, b"b");"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] when no key is set, when the cursor is on a record, and when no key would be
    /// left between the bounds.
    pub fn set_bound(
        &mut self,
        session: &mut SessionState,
        edge: Edge,
        inclusive: bool,
    ) -> Result<()> {
        self.catch_up();
        let outcome = self.mode.check(Op::Table).and_then(|()| self.try_set_bound(edge, inclusive));
        outcome.inspect_err(|error| note_failure(session, error))
    }

    fn try_set_bound(&mut self, edge: Edge, inclusive: bool) -> Result<()> {
        if self.position.is_set() || self.key_is == Held::There {
            return Err(Error::invalid(
                "setting bounds on a positioned cursor is not allowed; reset it first",
            ));
        }
        if self.key_is == Held::No {
            return Err(requires("key"));
        }
        let key = self.key.clone();
        let bound = if inclusive { Bound::Included(key) } else { Bound::Excluded(key) };
        let Bounds { lower, upper } = self.bounds.clone();
        match edge {
            Edge::Lower => self.replace_bounds(bound, upper),
            Edge::Upper => self.replace_bounds(lower, bound),
        }
    }

    /// Sets both bounds.
    pub(crate) fn replace_bounds(
        &mut self,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Result<()> {
        self.mode.check(Op::Table)?;
        let bounds = Bounds { lower, upper };
        if bounds.are_empty() {
            return Err(Error::invalid("the provided cursor bounds are overlapping"));
        }
        self.bounds = bounds;
        Ok(())
    }

    /// Takes the bounds away, or one of them.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"b");
cursor.set_bound(&mut session, Edge::Lower, true)?;
cursor.clear_bound(&mut session, None)?;
cursor.next(&mut session)?;
assert_eq!(cursor.key(&session)?, b"a");"#)]
    ///
    /// # Errors
    /// [`Error::Unsupported`] of a cursor that has none.
    pub fn clear_bound(&mut self, _session: &mut SessionState, edge: Option<Edge>) -> Result<()> {
        self.catch_up();
        self.mode.check(Op::Table)?;
        if edge != Some(Edge::Upper) {
            self.bounds.lower = Bound::Unbounded;
        }
        if edge != Some(Edge::Lower) {
            self.bounds.upper = Bound::Unbounded;
        }
        Ok(())
    }
}
