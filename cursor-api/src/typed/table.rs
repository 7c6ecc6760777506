//! A table whose keys and values have types.

use std::marker::PhantomData;
use std::ops::RangeBounds;

use super::{Key, Stored};
use crate::{Result, Table, TableRange};

/// A [`Table`] whose keys and values have types. Who opens it says which; the table does not know.
///
/// ```
/// use rshelve::typed::TypedTable;
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// let table = connection.create_table("visits", &Default::default())?;
/// let visits: TypedTable<(&str, i64), u32> = table.typed();
/// visits.insert(&("inn", 1975), &12)?;
/// visits.insert(&("inn", -44), &3)?;
/// assert_eq!(visits.get(&("inn", 1975))?, Some(12));
/// let years = visits.range(("inn", -100)..("inn", 2000)).map(|row| row.map(|(key, _)| key.1));
/// assert_eq!(years.collect::<Result<Vec<_>, _>>()?, [-44, 1975]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TypedTable<K: ?Sized, V: ?Sized> {
    table: Table,
    key: PhantomData<K>,
    value: PhantomData<V>,
}

impl<K: ?Sized, V: ?Sized> Clone for TypedTable<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.table.clone())
    }
}

impl<K: ?Sized, V: ?Sized> TypedTable<K, V> {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, key: PhantomData, value: PhantomData }
    }

    /// The table of bytes.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// assert!(years.table().contains(b"Holy Grail")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How many rows there are; no matter how many, it takes the same time.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// assert_eq!(years.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::len`].
    pub fn len(&self) -> Result<u64> {
        self.table.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// assert!(years.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::len`].
    pub fn is_empty(&self) -> Result<bool> {
        self.table.is_empty()
    }
}

impl<K: Key + ?Sized, V: Stored + ?Sized> TypedTable<K, V> {
    /// The value of `key`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// assert_eq!(years.get("Holy Grail")?, Some(1975));
    /// assert_eq!(years.get("Life of Brian")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it is not of this type; as [`Table::get`].
    pub fn get(&self, key: &K) -> Result<Option<V::Owned>> {
        self.table.get_with(&bytes_of(key), V::decode)?.transpose()
    }

    /// Gives `key` this value, whether or not it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1974)?;
    /// years.insert("Holy Grail", &1975)?;
    /// assert_eq!(years.get("Holy Grail")?, Some(1975));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::insert`].
    pub fn insert(&self, key: &K, value: &V) -> Result<()> {
        self.table.insert(&bytes_of(key), &bytes_of(value))
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// assert!(years.insert_new("Holy Grail", &1975)?);
    /// assert!(!years.insert_new("Holy Grail", &1979)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::insert`].
    pub fn insert_new(&self, key: &K, value: &V) -> Result<bool> {
        self.table.insert_new(&bytes_of(key), &bytes_of(value))
    }

    /// Deletes `key`; false if it has no value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// assert!(years.remove("Holy Grail")?);
    /// assert!(!years.remove("Holy Grail")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::insert`].
    pub fn remove(&self, key: &K) -> Result<bool> {
        self.table.remove(&bytes_of(key))
    }

    /// All rows in key order, from either end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let years = stock.typed::<str, i64>();
    /// years.insert("Holy Grail", &1975)?;
    /// for row in years.iter() {
    ///     assert_eq!(row?, ("Holy Grail".to_owned(), 1975));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> TypedRange<K, V> {
        TypedRange { rows: self.table.iter(), types: PhantomData }
    }

    /// The rows of a range of keys in key order, from either end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let films = stock.typed::<i64, str>();
    /// films.insert(&1975, "Holy Grail")?;
    /// films.insert(&1979, "Life of Brian")?;
    /// let late: Vec<_> = films.range(1976..).collect::<Result<_, _>>()?;
    /// assert_eq!(late, [(1979, "Life of Brian".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, keys: impl RangeBounds<K>) -> TypedRange<K, V>
    where
        K: Sized,
    {
        let (start, stop) = (keys.start_bound().map(bytes_of), keys.end_bound().map(bytes_of));
        TypedRange { rows: TableRange::new(self.table.clone(), start, stop), types: PhantomData }
    }
}

/// The bytes of a key or value that stands alone.
pub(crate) fn bytes_of<T: Stored + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// Rows of a [`TypedTable`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// let films = stock.typed::<i64, str>();
/// films.insert(&1975, "Holy Grail")?;
/// films.insert(&1979, "Life of Brian")?;
/// let last = films.iter().next_back().transpose()?;
/// assert_eq!(last, Some((1979, "Life of Brian".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedRange<K: ?Sized, V: ?Sized> {
    rows: TableRange,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: Key + ?Sized, V: Stored + ?Sized> TypedRange<K, V> {
    fn decode(row: Result<(Vec<u8>, Vec<u8>)>) -> Result<(K::Owned, V::Owned)> {
        let (key, value) = row?;
        Ok((K::decode(&key)?, V::decode(&value)?))
    }
}

impl<K: Key + ?Sized, V: Stored + ?Sized> Iterator for TypedRange<K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next().map(Self::decode)
    }
}

impl<K: Key + ?Sized, V: Stored + ?Sized> DoubleEndedIterator for TypedRange<K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.next_back().map(Self::decode)
    }
}

/// Once at an end, at an end for good.
impl<K: Key + ?Sized, V: Stored + ?Sized> std::iter::FusedIterator for TypedRange<K, V> {}

impl<K: ?Sized, V: ?Sized> std::fmt::Debug for TypedRange<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TypedRange").field(&self.rows).finish()
    }
}
