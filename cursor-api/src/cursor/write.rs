//! Writing through a cursor.

use super::{Cursor, found};
#[cfg(doc)]
use crate::Error;
use crate::Result;
use crate::state::{Modify, Padding};

impl Cursor<'_> {
    /// Gives `key` this value, whether or not it has one (unless the cursor was opened without
    /// `overwrite`). The cursor is on no record afterwards.
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
    /// cursor.insert(b"d", b"4")?;
    /// cursor.insert(b"d", b"5")?;
    /// assert!(cursor.key().is_err(), "on no record");
    /// assert_eq!(stock.get(b"d")?.as_deref(), Some(&b"5"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rollback`] when another transaction was first; [`Error::DuplicateKey`] without
    /// `overwrite`; as [`Table::insert`](crate::Table::insert).
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let session = &mut self.session.state();
        let state = &mut self.state;
        state.leave(session);
        state.insert_row(session, key, value)
    }

    /// Gives `key` this value if it has none; false if it has one. The cursor is on no record
    /// afterwards.
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
    /// assert!(cursor.insert_new(b"d", b"4")?);
    /// assert!(!cursor.insert_new(b"d", b"5")?);
    /// assert_eq!(stock.get(b"d")?.as_deref(), Some(&b"4"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_new(&mut self, key: &[u8], value: &[u8]) -> Result<bool> {
        let session = &mut self.session.state();
        let state = &mut self.state;
        state.leave(session);
        state.insert_new_row(session, key, value)
    }

    /// Gives the record that the cursor is on another value, and stays on it.
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
    /// assert!(cursor.search(b"b")?);
    /// cursor.update(b"2")?;
    /// assert_eq!((cursor.key()?, cursor.value()?), (&b"b"[..], &b"2"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record; as [`insert`](Self::insert).
    pub fn update(&mut self, value: &[u8]) -> Result<()> {
        self.state.set_value(value);
        self.state.update(&mut self.session.state())
    }

    /// Removes the record that the cursor is on; false if it is gone already. The cursor keeps its
    /// place, so that `next` and `prev` go on from there.
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
    /// assert!(cursor.search(b"b")?);
    /// assert!(cursor.remove()?);
    /// assert!(cursor.next()?);
    /// assert_eq!(cursor.key()?, b"c");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record; as [`insert`](Self::insert).
    pub fn remove(&mut self) -> Result<bool> {
        found(self.state.remove(&mut self.session.state()))
    }

    /// Removes the record of `key`; false if there is none. The cursor is on no record afterwards.
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
    /// assert!(cursor.remove_key(b"b")?);
    /// assert!(!cursor.remove_key(b"b")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove_key(&mut self, key: &[u8]) -> Result<bool> {
        let session = &mut self.session.state();
        let state = &mut self.state;
        state.leave(session);
        found(state.remove_row(session, key))
    }

    /// Makes every transaction that writes `key` beside this one conflict with it, and goes to its
    /// record; false if there is none. For what is read to decide what is written elsewhere.
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
    /// // What "a" says decides on "b": nobody may change it meanwhile.
    /// session.begin()?;
    /// if cursor.reserve(b"a")? && cursor.value()? == b"1" {
    ///     cursor.remove_key(b"b")?;
    /// }
    /// session.commit()?;
    /// assert!(!stock.contains(b"b")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; as [`insert`](Self::insert).
    pub fn reserve(&mut self, key: &[u8]) -> Result<bool> {
        self.state.set_key(key);
        found(self.state.reserve(&mut self.session.state()))
    }

    /// Changes parts of the value of `key`, one after the other, and goes to its record; false if there
    /// is none.
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
    /// use rshelve::state::Modify;
    /// session.begin()?;
    /// let change = Modify { data: b"23".to_vec(), offset: 1, size: 0 };
    /// assert!(cursor.modify(b"a", &[change])?);
    /// assert_eq!(cursor.value()?, b"123");
    /// session.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn modify(&mut self, key: &[u8], changes: &[Modify]) -> Result<bool> {
        self.state.set_key(key);
        found(self.state.modify(&mut self.session.state(), changes, Padding::Nul))
    }
}
