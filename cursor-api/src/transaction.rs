//! A transaction as a closure, run again when it conflicts.

use std::ops::{Bound, RangeBounds};
use std::time::{Duration, Instant};

use crate::typed::{Key, Stored, TypedTable, bytes_of};
use crate::{Connection, Cursor, Error, Result, Session, Table, TransactionOptions};

/// The first and the longest pause before a transaction runs again.
const PAUSE_FIRST: Duration = Duration::from_micros(50);
const PAUSE_MOST: Duration = Duration::from_millis(10);

/// An open transaction, as [`Connection::transaction`] hands it to a closure. It commits when the
/// closure returns, and is rolled back when that returns an error or panics.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// use rshelve::Error;
/// stock.insert(b"eggs", b"12")?;
/// let refused = connection.transaction(|transaction| {
///     transaction.remove(&stock, b"eggs")?;
///     transaction.insert(&stock, b"ham", b"3")?;
///     assert_eq!(transaction.len(&stock), 1);
///     Err::<(), Error>(Error::NotFound) // the body's own reason
/// });
/// assert!(matches!(refused, Err(Error::NotFound)));
/// assert!(stock.contains(b"eggs")? && !stock.contains(b"ham")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Transaction<'s> {
    session: &'s Session,
}

impl Connection {
    /// Runs `body` in a transaction and commits it. When it conflicts with another one it is rolled
    /// back and `body` runs again, until the database's time-out has passed; so `body` should do
    /// nothing else that lasts.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let stock = connection.create_table("stock", &Default::default())?;
    /// let eggs = connection.transaction(|transaction| {
    ///     let eggs = transaction.get(&stock, b"eggs")?.map_or(0, |value| value[0]);
    ///     transaction.insert(&stock, b"eggs", &[eggs + 1])?;
    ///     Ok::<_, rshelve::Error>(eggs + 1)
    /// })?;
    /// assert_eq!(eggs, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What `body` returns, after a rollback; [`Error::Rollback`] when it conflicted until the time-out;
    /// what the commit gives.
    pub fn transaction<R, E: From<Error>>(
        &self,
        body: impl FnMut(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.transaction_with(&TransactionOptions::default(), body)
    }

    /// The same, run as `options` say.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// use rshelve::{Isolation, TransactionOptions};
    /// let options = TransactionOptions::new().isolation(Isolation::ReadCommitted);
    /// let rows = connection.transaction_with(&options, |transaction| {
    ///     stock.insert(b"eggs", b"12")?; // another transaction
    ///     Ok::<_, rshelve::Error>(transaction.len(&stock))
    /// })?;
    /// assert_eq!(rows, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub fn transaction_with<R, E: From<Error>>(
        &self,
        options: &TransactionOptions,
        mut body: impl FnMut(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let session = self.open_session()?;
        let deadline = Instant::now().checked_add(self.options().timeout);
        let mut pause = PAUSE_FIRST;
        loop {
            session.begin_with(options)?;
            // A panic in `body` drops the session, which rolls back.
            match body(&Transaction { session: &session }) {
                Ok(result) => {
                    session.commit()?;
                    return Ok(result);
                }
                Err(error) => {
                    let conflicted = session.has_conflicted();
                    session.rollback()?;
                    let is_late = deadline.is_some_and(|end| Instant::now() + pause >= end);
                    if !conflicted || is_late {
                        return Err(error);
                    }
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }
}

impl<'s> Transaction<'s> {
    /// The value of `key`, as the transaction sees it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     assert_eq!(transaction.get(&stock, b"a")?.as_deref(), Some(&b"1"[..]));
    ///     assert_eq!(transaction.get(&stock, b"d")?, None);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading gives.
    pub fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(table, key, <[u8]>::to_vec)
    }

    /// What `read` makes of the value of `key`, borrowed from the page that holds it. It leaves the
    /// transaction alone.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     assert_eq!(transaction.get_with(&stock, b"a", <[u8]>::len)?, Some(1));
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with<R>(
        &self,
        table: &Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.session.core().get(table.handle(), key, read)
    }

    /// Whether `key` has a value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     assert!(transaction.contains(&stock, b"a")?);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, table: &Table, key: &[u8]) -> Result<bool> {
        Ok(self.get_with(table, key, |_| ())?.is_some())
    }

    /// As [`get`](Self::get), and whoever writes `key` beside this transaction conflicts with it: for
    /// what is read to decide what is written elsewhere.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     // What "a" says decides on "b": nobody may change it meanwhile.
    ///     if transaction.get_for_update(&stock, b"a")?.is_some() {
    ///         transaction.remove(&stock, b"b")?;
    ///     }
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn get_for_update(&self, table: &Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.session.core().rewrite(table.handle(), key, |value| value)
    }

    /// Gives `key` this value, whether or not it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// connection.transaction(|transaction| {
    ///     transaction.insert(&stock, b"eggs", b"12")?;
    ///     transaction.insert(&stock, b"ham", b"3")?;
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(stock.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rollback`] when another transaction was first: return it, and the transaction runs
    /// again. Else as [`Table::insert`].
    pub fn insert(&self, table: &Table, key: &[u8], value: &[u8]) -> Result<()> {
        self.session.core().put(table.handle(), key, value)
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// connection.transaction(|transaction| {
    ///     assert!(transaction.insert_new(&stock, b"eggs", b"12")?);
    ///     assert!(!transaction.insert_new(&stock, b"eggs", b"3")?);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_new(&self, table: &Table, key: &[u8], value: &[u8]) -> Result<bool> {
        self.session.core().insert(table.handle(), key, value)
    }

    /// Deletes `key`; false if it has no value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     assert!(transaction.remove(&stock, b"a")?);
    ///     assert!(!transaction.remove(&stock, b"a")?);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove(&self, table: &Table, key: &[u8]) -> Result<bool> {
        self.session.core().remove(table.handle(), key)
    }

    /// Applies every change of `batch`, in order: no value deletes the key. It comes to the same as one call for each,
    /// and takes less time where the rows are not in the processor's cache or not in memory: what several rows need
    /// is fetched at once.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     transaction.apply(&stock, &[("a", None), ("b", Some("2")), ("d", Some("4"))])
    /// })?;
    /// assert!(!stock.contains(b"a")?);
    /// assert_eq!(stock.len()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and the transaction can only be rolled back then; but a key or value that is too long
    /// is refused before anything is done.
    pub fn apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        table: &Table,
        batch: &[(K, Option<V>)],
    ) -> Result<()> {
        self.session.apply(table, batch)
    }

    /// Deletes every row of a range of keys.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     transaction.remove_range(&stock, &b"b"[..]..)?;
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(stock.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove_range<'k>(&self, table: &Table, keys: impl RangeBounds<&'k [u8]>) -> Result<()> {
        let plain = |bound: Bound<&&'k [u8]>| bound.map(|key| *key);
        let (start, stop) = (plain(keys.start_bound()), plain(keys.end_bound()));
        self.session.core().remove_range(table.handle(), start, stop)
    }

    /// How many rows `table` has, as the transaction sees it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     transaction.insert(&stock, b"d", b"1")?;
    ///     assert_eq!((transaction.len(&stock), stock.len()?), (4, 3));
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self, table: &Table) -> u64 {
        self.session.core().rows(table.handle())
    }

    /// A cursor over `table`, for walks.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// connection.transaction(|transaction| {
    ///     let mut cursor = transaction.cursor(&stock)?;
    ///     while cursor.next()? {
    ///         cursor.update(b"2")?;
    ///     }
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(stock.get(b"c")?.as_deref(), Some(&b"2"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Session::open_cursor`].
    pub fn cursor(&self, table: &Table) -> Result<Cursor<'s>> {
        self.session.open_cursor(table.name())
    }

    /// A typed table, as the transaction sees it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// connection.transaction(|transaction| {
    ///     let rows = transaction.typed(&years);
    ///     rows.insert("Holy Grail", &1975)?;
    ///     assert_eq!(rows.get("Holy Grail")?, Some(1975));
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(years.get("Holy Grail")?, Some(1975));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn typed<'t, K: ?Sized, V: ?Sized>(
        &'t self,
        table: &'t TypedTable<K, V>,
    ) -> TypedRows<'t, 's, K, V> {
        TypedRows { transaction: self, table }
    }
}

/// A [`TypedTable`] as a [`Transaction`] sees it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// let years = stock.typed::<str, i64>();
/// connection.transaction(|transaction| {
///     let rows = transaction.typed(&years);
///     let year = rows.get_for_update("Holy Grail")?.unwrap_or(1975);
///     rows.insert("Life of Brian", &(year + 4))?;
///     rows.remove("Holy Grail")?;
///     Ok::<_, rshelve::Error>(())
/// })?;
/// assert_eq!(years.get("Life of Brian")?, Some(1979));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TypedRows<'t, 's, K: ?Sized, V: ?Sized> {
    transaction: &'t Transaction<'s>,
    table: &'t TypedTable<K, V>,
}

impl<K: Key + ?Sized, V: Stored + ?Sized> TypedRows<'_, '_, K, V> {
    /// The value of `key`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// connection.transaction(|transaction| {
    ///     let rows = transaction.typed(&years);
    ///     assert_eq!(rows.get("Holy Grail")?, None);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`TypedTable::get`].
    pub fn get(&self, key: &K) -> Result<Option<V::Owned>> {
        let (table, key) = (self.table.table(), bytes_of(key));
        self.transaction.get_with(table, &key, V::decode)?.transpose()
    }

    /// As [`Transaction::get_for_update`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// connection.transaction(|transaction| {
    ///     let rows = transaction.typed(&years);
    ///     let year = rows.get_for_update("Holy Grail")?.unwrap_or(1974);
    ///     rows.insert("Holy Grail", &(year + 1))?;
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(years.get("Holy Grail")?, Some(1975));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn get_for_update(&self, key: &K) -> Result<Option<V::Owned>> {
        let value = self.transaction.get_for_update(self.table.table(), &bytes_of(key))?;
        value.map(|value| V::decode(&value)).transpose()
    }

    /// Gives `key` this value, whether or not it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// connection.transaction(|transaction| {
    ///     let rows = transaction.typed(&years);
    ///     rows.insert("Holy Grail", &1975)?;
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// assert_eq!(years.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn insert(&self, key: &K, value: &V) -> Result<()> {
        self.transaction.insert(self.table.table(), &bytes_of(key), &bytes_of(value))
    }

    /// Deletes `key`; false if it has no value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// connection.transaction(|transaction| {
    ///     let rows = transaction.typed(&years);
    ///     assert!(!rows.remove("Holy Grail")?);
    ///     Ok::<_, rshelve::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn remove(&self, key: &K) -> Result<bool> {
        self.transaction.remove(self.table.table(), &bytes_of(key))
    }
}
