//! Creating, opening and dropping tables.

use hashbrown::HashSet;

use super::catalog::{Entry, OpenTable, Table};
use super::{Engine, Inner};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::TableOptions;
use crate::evict::Clock;
use crate::sync::atomic::Ordering;
use crate::txn::kind;

/// The longest name of a table, in bytes.
const NAME_BYTES_MAX: usize = 1024;

impl Engine {
    /// Opens table `name`, created with `options` if there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it exists with other options; what the log gives.
    pub fn create_table(&self, name: &str, options: &TableOptions) -> Result<OpenTable> {
        options.check()?;
        let inner = &self.inner;
        if let Some(table) = self.existing(name, options)? {
            return Ok(table);
        }
        inner.check_writable("create a table")?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let len = name.len();
            return Err(Error::invalid(format!(
                "a table's name of {len} bytes; give 1 to {NAME_BYTES_MAX}"
            )));
        }
        let _gate = inner.enter()?;
        let _alone = inner.turn.take();
        if let Some(table) = self.existing(name, options)? {
            return Ok(table);
        }
        let id = TableId(inner.next_table.fetch_add(1, Ordering::Relaxed));
        let entry = Entry::new(name.to_owned(), id, options.clone());
        let payload = entry.encode();
        inner
            .committer
            .log_catalog(kind::CREATE, &payload, || inner.catalog.insert(entry, &inner.shared))
    }

    fn existing(&self, name: &str, options: &TableOptions) -> Result<Option<OpenTable>> {
        let Some(table) = self.inner.catalog.get(name) else { return Ok(None) };
        if table.options() != options {
            return Err(Error::invalid(format!(
                "table {name:?} exists with other options ({:?}, not {options:?})",
                table.options()
            )));
        }
        Ok(Some(table))
    }

    /// Opens table `name`.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn table(&self, name: &str) -> Result<OpenTable> {
        self.inner.check_open()?;
        let missing = || Error::Missing { what: format!("table {name:?}") };
        self.inner.catalog.get(name).ok_or_else(missing)
    }

    /// The names of all tables, sorted.
    pub fn table_names(&self) -> Vec<String> {
        self.inner.catalog.names()
    }

    /// Drops table `name` and all that is in it. Rolling back an open transaction does not bring it
    /// back.
    ///
    /// # Errors
    /// [`Error::Busy`] while a cursor or handle on it is open, or a transaction that wrote to it;
    /// [`Error::Missing`]; what the log and reading its pages give.
    pub fn drop_table(&self, name: &str) -> Result<()> {
        let inner = &self.inner;
        inner.check_writable("drop a table")?;
        let _gate = inner.enter()?;
        let _alone = inner.turn.take();
        // Out of the catalog first: once the record is in the log, the drop cannot be refused.
        let table = inner.catalog.remove(name)?;
        let id = table.tree().id();
        let logged = inner.committer.log_catalog(kind::DROP, &id.0.to_le_bytes(), || ());
        if let Err(error) = logged {
            inner.catalog.restore(table);
            return Err(error);
        }
        inner.discard(&table)
    }
}

impl Inner {
    /// Frees the space of a table that was taken out of the catalog. Only one caller at a time, and no
    /// checkpoint beside it.
    pub(super) fn discard(&self, table: &Table) -> Result<()> {
        self.catalog.put(table.name(), None)?;
        self.shared.transactions.forget_table(table.tree().id());
        let tree = table.tree();
        let mut long_values = HashSet::new();
        let mut next = Some(Box::default());
        let clock = Clock::default();
        while let Some(key) = next {
            next = tree.collect_long_values(&key, &mut long_values)?;
            // Eviction does not find the table any more, so its pages are evicted here.
            if self.shared.cache.wants_eviction() {
                clock.step(std::slice::from_ref(tree))?;
            }
        }
        tree.free_blocks()?;
        tree.free_long_values(long_values)
    }
}
