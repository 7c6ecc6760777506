//! A database in a folder of its own, sessions of it, and cursors with keys of text.

use std::cmp::Ordering;

use rshelve::state::{CursorState, Edge, Modify, Padding, SessionState};
use rshelve::{
    Code, Connection, CursorOptions, DatabaseOptions, Error, Isolation, Result, TableOptions,
    TransactionOptions,
};
use tempfile::TempDir;

/// The table that most tests use.
pub const TABLE: &str = "stock";

pub struct World {
    pub connection: Connection,
    pub folder: TempDir,
}

impl World {
    /// With an empty table.
    pub fn new() -> Self {
        Self::with(DatabaseOptions::default())
    }

    pub fn with(options: DatabaseOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("spam"), options).expect("opens");
        connection.create_table(TABLE, &TableOptions::default()).expect("is created");
        Self { connection, folder }
    }

    /// With the keys `keys`, each with its own text as the value.
    pub fn holding(keys: &[&str]) -> Self {
        let world = Self::new();
        let table = world.connection.table(TABLE).expect("is there");
        for key in keys {
            table.insert(key.as_bytes(), key.as_bytes()).expect("is inserted");
        }
        world
    }

    pub fn session(&self) -> Talk {
        Talk { state: SessionState::open(&self.connection).expect("a session opens") }
    }

    /// What a new reader sees.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut session = self.session();
        let mut cursor = session.cursor();
        cursor.rest(&mut session)
    }
}

/// A session.
pub struct Talk {
    pub state: SessionState,
}

impl Talk {
    pub fn cursor(&mut self) -> Hand {
        self.open(&CursorOptions::new()).expect("a cursor opens")
    }

    pub fn open(&mut self, options: &CursorOptions) -> Result<Hand> {
        Ok(Hand { state: self.state.open_cursor(TABLE, options)? })
    }

    pub fn strict(&mut self) -> Hand {
        self.open(&CursorOptions::new().overwrite(false)).expect("a cursor opens")
    }

    pub fn begin(&mut self) {
        self.state.begin(&TransactionOptions::new()).expect("a transaction begins");
    }

    pub fn begin_with(&mut self, isolation: Isolation) {
        let options = TransactionOptions::new().isolation(isolation);
        self.state.begin(&options).expect("a transaction begins");
    }

    pub fn commit(&mut self) -> Result<()> {
        self.state.commit()
    }

    pub fn rollback(&mut self) {
        self.state.rollback().expect("rolls back");
    }

    /// Gives `key` a value through a cursor of its own.
    pub fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let mut cursor = self.cursor();
        let outcome = cursor.insert(self, key, value);
        cursor.close(self);
        outcome
    }

    /// The value of `key`, through a cursor of its own.
    pub fn get(&mut self, key: &str) -> Option<String> {
        let mut cursor = self.cursor();
        let found = cursor.search(self, key);
        let value = found.is_ok().then(|| cursor.value(self).expect("has a value"));
        cursor.close(self);
        value
    }
}

/// A cursor.
pub struct Hand {
    pub state: CursorState,
}

impl Hand {
    pub fn set(&mut self, key: &str) -> &mut Self {
        self.state.set_key(key.as_bytes());
        self
    }

    pub fn set_value(&mut self, value: &str) -> &mut Self {
        self.state.set_value(value.as_bytes());
        self
    }

    pub fn key(&self, session: &Talk) -> Result<String> {
        self.state.key(&session.state).map(text)
    }

    pub fn value(&self, session: &Talk) -> Result<String> {
        self.state.value(&session.state).map(text)
    }

    pub fn next(&mut self, session: &mut Talk) -> Result<String> {
        self.state.next(&mut session.state)?;
        self.key(session)
    }

    pub fn prev(&mut self, session: &mut Talk) -> Result<String> {
        self.state.prev(&mut session.state)?;
        self.key(session)
    }

    pub fn search(&mut self, session: &mut Talk, key: &str) -> Result<()> {
        self.set(key).state.search(&mut session.state)
    }

    pub fn near(&mut self, session: &mut Talk, key: &str) -> Result<(Ordering, String)> {
        let landed = self.set(key).state.search_near(&mut session.state)?;
        Ok((landed, self.key(session)?))
    }

    pub fn insert(&mut self, session: &mut Talk, key: &str, value: &str) -> Result<()> {
        self.set(key).set_value(value).state.insert(&mut session.state)
    }

    pub fn update(&mut self, session: &mut Talk, key: &str, value: &str) -> Result<()> {
        self.set(key).set_value(value).state.update(&mut session.state)
    }

    pub fn remove(&mut self, session: &mut Talk, key: &str) -> Result<()> {
        self.set(key).state.remove(&mut session.state)
    }

    pub fn reserve(&mut self, session: &mut Talk, key: &str) -> Result<()> {
        self.set(key).state.reserve(&mut session.state)
    }

    pub fn modify(&mut self, session: &mut Talk, key: &str, changes: &[Modify]) -> Result<()> {
        self.set(key).state.modify(&mut session.state, changes, Padding::Nul)
    }

    pub fn bound(
        &mut self,
        session: &mut Talk,
        edge: Edge,
        key: &str,
        inclusive: bool,
    ) -> Result<()> {
        self.set(key).state.set_bound(&mut session.state, edge, inclusive)
    }

    pub fn reset(&mut self, session: &mut Talk) {
        self.state.reset(&mut session.state);
    }

    pub fn close(self, session: &mut Talk) {
        self.state.close(&mut session.state).expect("closes");
    }

    /// All keys from here on.
    pub fn keys(&mut self, session: &mut Talk) -> String {
        std::iter::from_fn(|| match self.next(session) {
            Ok(key) => Some(key),
            Err(error) => {
                assert_eq!(Code::of(&error), Code::NOTFOUND);
                None
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
    }

    /// All rows from here on.
    pub fn rest(&mut self, session: &mut Talk) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        while let Ok(key) = self.next(session) {
            rows.push((key, self.value(session).expect("has a value")));
        }
        rows
    }
}

/// The number of the error that an operation gave.
#[track_caller]
pub fn code<T: std::fmt::Debug>(outcome: Result<T>) -> Code {
    Code::of(&outcome.expect_err("an error"))
}

/// Whether an operation was refused with EINVAL and `words`.
#[track_caller]
pub fn assert_invalid<T: std::fmt::Debug>(outcome: Result<T>, words: &str) {
    match outcome {
        Err(Error::Invalid { what }) => assert!(what.contains(words), "{what:?}"),
        other => panic!("expected EINVAL with {words:?}, not {other:?}"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}
