//! A table, as most programs use it: one call, one transaction, from any thread.

mod scan;

use std::ops::Bound;
use std::sync::Arc;

#[cfg(doc)]
use rshelve_core::base::error::Error;
use rshelve_core::engine::{Cached, OpenTable, Session};

use crate::pool::Pool;
use crate::typed::TypedTable;
use crate::{Connection, Result, TableOptions};

pub(crate) use scan::{enter_at_start, enter_at_stop, is_within};

/// Rows, as [`Table::scan`] returns them.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = rshelve::Connection::open(&path, Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// stock.insert(b"eggs", b"12")?;
/// use std::ops::Bound::Unbounded;
/// let rows: rshelve::Rows = stock.scan(Unbounded, Unbounded, false, 10, 0)?;
/// assert_eq!(rows, [(b"eggs".to_vec(), b"12".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A table of a [`Connection`]. Clones and threads share it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// let stock = connection.create_table("stock", &Default::default())?;
/// stock.insert(b"eggs", b"12")?;
/// assert_eq!(stock.get(b"eggs")?.as_deref(), Some(&b"12"[..]));
/// assert!(stock.remove(b"eggs")?);
/// assert!(stock.is_empty()?);
/// assert_eq!(stock.name(), "stock");
/// assert!(stock.options().logged);
/// assert_eq!(stock.connection().tables()?, ["stock"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// # fn assert<T: Send + Sync + Clone>() {}
/// assert::<rshelve::Table>();
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    connection: Connection,
    table: OpenTable,
    pool: Arc<Pool>,
}

/// What [`Table::get_in_cache`] found.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// # for key in [b"a", b"b", b"c"] {
/// #     stock.insert(key, b"1")?;
/// # }
/// use rshelve::InCache;
/// let length = match stock.get_in_cache(b"a", <[u8]>::len)? {
///     InCache::Found(length) => Some(length),
///     InCache::Missing => None,
///     InCache::NeedsDisk => stock.get_with(b"a", <[u8]>::len)?, // on a thread that may wait
/// };
/// assert_eq!(length, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InCache<R> {
    /// The value, as it was read.
    Found(R),
    /// There is no such key.
    Missing,
    /// Finding out needs the disk, or a wait: use [`Table::get_with`].
    NeedsDisk,
}

impl Table {
    pub(crate) fn new(connection: Connection, table: OpenTable) -> Self {
        Self { connection, table, pool: Arc::new(Pool::default()) }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        self.pool.with(self.connection.engine(), work)
    }

    pub(crate) fn handle(&self) -> &OpenTable {
        &self.table
    }

    /// The table's name.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// assert_eq!(stock.name(), "stock");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        self.table.name()
    }

    /// The options that it was created with.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// assert!(stock.options().logged);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options(&self) -> &TableOptions {
        self.table.options()
    }

    /// The database that it belongs to.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// assert_eq!(stock.connection().tables()?, ["stock"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The value of `key`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.get(b"a")?.as_deref(), Some(&b"1"[..]));
    /// assert_eq!(stock.get(b"d")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading gives.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// What `read` makes of the value of `key`, borrowed from the page that holds it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.get_with(b"a", <[u8]>::len)?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.with(|session| session.get(&self.table, key, read))
    }

    /// The same, if it can be told without the disk and without waiting.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// use rshelve::InCache;
    /// assert_eq!(stock.get_in_cache(b"a", <[u8]>::len)?, InCache::Found(1));
    /// assert_eq!(stock.get_in_cache(b"d", <[u8]>::len)?, InCache::Missing);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn get_in_cache<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<InCache<R>> {
        self.with(|session| {
            Ok(match session.get_cached(&self.table, key, read)? {
                Cached::Found(found) => InCache::Found(found),
                Cached::Missing => InCache::Missing,
                Cached::NeedsDisk => InCache::NeedsDisk,
            })
        })
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
    /// assert!(stock.contains(b"a")? && !stock.contains(b"d")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get_with(key, |_| ())?.is_some())
    }

    /// Gives `key` this value, whether or not it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// stock.insert(b"eggs", b"3")?;
    /// assert_eq!(stock.get(b"eggs")?.as_deref(), Some(&b"3"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rollback`] when another transaction holds the key, or the cache is full, for longer
    /// than the time-out; [`Error::Invalid`] for a key or value that is too long;
    /// [`Error::ReadOnly`], [`Error::Closed`], [`Error::Full`]; what the disk gives, which makes the
    /// database read-only.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.with(|session| session.put(&self.table, key, value))
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// assert!(stock.insert_new(b"eggs", b"12")?);
    /// assert!(!stock.insert_new(b"eggs", b"3")?);
    /// assert_eq!(stock.get(b"eggs")?.as_deref(), Some(&b"12"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_new(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        self.with(|session| session.insert(&self.table, key, value))
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
    /// assert!(stock.remove(b"a")?);
    /// assert!(!stock.remove(b"a")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove(&self, key: &[u8]) -> Result<bool> {
        self.with(|session| session.remove(&self.table, key))
    }

    /// Deletes `key` and returns its value, in one step.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.take(b"a")?.as_deref(), Some(&b"1"[..]));
    /// assert_eq!(stock.take(b"a")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with(|session| session.take(&self.table, key))
    }

    /// Deletes the first row and returns it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.pop_first()?, Some((b"a".to_vec(), b"1".to_vec())));
    /// assert_eq!(stock.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn pop_first(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.pop(false)
    }

    /// Deletes the last row and returns it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.pop_last()?, Some((b"c".to_vec(), b"1".to_vec())));
    /// assert_eq!(stock.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn pop_last(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.pop(true)
    }

    fn pop(&self, last: bool) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        loop {
            let keys = self.scan_keys(Bound::Unbounded, Bound::Unbounded, last, 1, 0)?;
            let Some(key) = keys.into_iter().next() else { return Ok(None) };
            // Somebody else may have taken it meanwhile; then there is another one.
            if let Some(value) = self.take(&key)? {
                return Ok(Some((key, value)));
            }
        }
    }

    /// Applies every change of `batch`, in one transaction: no value deletes the key. Other writers of the
    /// same keys are waited for, up to the time-out.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// stock.apply(&[("a", None), ("b", Some("2")), ("d", Some("4"))])?;
    /// assert!(!stock.contains(b"a")?);
    /// assert_eq!(stock.len()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert); nothing of the batch is applied then.
    pub fn apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, batch: &[(K, Option<V>)]) -> Result<()> {
        self.with(|session| session.apply(&self.table, batch))
    }

    /// How many rows there are; no matter how many, it takes the same time.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// assert_eq!(stock.len()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn len(&self) -> Result<u64> {
        self.with(|session| Ok(session.rows(&self.table)))
    }

    /// Whether there are none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// assert!(stock.is_empty()?);
    /// stock.insert(b"eggs", b"12")?;
    /// assert!(!stock.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The table, with keys and values of Rust's types.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// assert_eq!(years.get("Holy Grail")?, Some(1975));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn typed<K: ?Sized, V: ?Sized>(&self) -> TypedTable<K, V> {
        TypedTable::new(self.clone())
    }
}
