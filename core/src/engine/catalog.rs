//! The catalog: which tables there are, in memory and as rows of a tree of its own.

use std::hash::{BuildHasherDefault, DefaultHasher};

use hashbrown::{HashMap, HashSet};

use crate::base::codec::{Reader, put_prefixed, put_varint};
use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId, TxnId};
use crate::base::options::{Compression, ROWS_MAX, TableOptions};
use crate::block::Address;
use crate::btree::{LEVELS_MAX, Position, Shared, Tree};
use crate::checkpoint::TreeRoot;
use crate::page::{Everything, Home, UpdateKind, ValueRef};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, RwLock, Weak};

/// A table that exists.
#[derive(Debug)]
pub struct Table {
    name: String,
    tree: Arc<Tree>,
    /// How many handles are open. Changed under the catalog's lock when it rises from zero, so that a
    /// drop that holds the lock for writing and sees zero is alone.
    users: AtomicUsize,
    /// See [`Entry::counts_from`]. Changed and read by whoever has the turn, or the database to itself.
    counts_from: AtomicU64,
}

/// A handle on a table, which cannot be dropped while one is open.
#[derive(Debug)]
pub struct OpenTable(Arc<Table>);

impl OpenTable {
    fn new(table: &Arc<Table>) -> Self {
        // Relaxed: the catalog's lock orders it against a drop.
        table.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(table))
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The table's options.
    pub fn options(&self) -> &TableOptions {
        self.0.tree.options()
    }

    /// The table's id.
    pub fn id(&self) -> TableId {
        self.0.tree.id()
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.0.tree
    }

    /// The table was filled in bulk: what the log has in front of `position` was of other rows. The next
    /// checkpoint says so, and the caller keeps others from taking it.
    pub(super) fn set_counts_from(&self, position: Lsn) {
        // Relaxed: see `Table::counts_from`.
        self.0.counts_from.store(position.0, Ordering::Relaxed);
    }
}

impl Clone for OpenTable {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        // Release: what was done through the handle is done. Pairs with the Acquire in `remove`.
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

/// A table as the catalog's row, or a log record, has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) id: TableId,
    pub(crate) options: TableOptions,
    pub(crate) root: Option<(Address, u8)>,
    pub(crate) rows: u64,
    /// Where the log's changes of this table begin to count; zero for all of them. Rows that were filled in
    /// bulk are in no log, so changes from before they came must not be replayed over them.
    pub(crate) counts_from: Lsn,
}

const ENTRY_VERSION: u8 = 1;
const FLAG_LOGGED: u8 = 1;
const FLAG_ROOT: u8 = 2;
const FLAG_COUNTS_FROM: u8 = 4;

impl Entry {
    /// A table without rows.
    pub(crate) fn new(name: String, id: TableId, options: TableOptions) -> Self {
        Self { name, id, options, root: None, rows: 0, counts_from: Lsn(0) }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![ENTRY_VERSION];
        put_prefixed(&mut out, self.name.as_bytes());
        put_varint(&mut out, u64::from(self.id.0));
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        out.push(
            flag(self.options.logged, FLAG_LOGGED)
                | flag(self.root.is_some(), FLAG_ROOT)
                | flag(self.counts_from > Lsn(0), FLAG_COUNTS_FROM),
        );
        out.push(match self.options.compression {
            Compression::None => 0,
            Compression::Snappy => 1,
        });
        put_varint(&mut out, u64::from(self.options.leaf_bytes_max));
        put_varint(&mut out, u64::from(self.options.internal_bytes_max));
        put_prefixed(&mut out, self.options.metadata.as_bytes());
        if let Some((address, level)) = &self.root {
            address.encode(&mut out);
            out.push(*level);
        }
        put_varint(&mut out, self.rows);
        if self.counts_from > Lsn(0) {
            put_varint(&mut out, self.counts_from.0);
        }
        out
    }

    /// For salvage: a table of which only rows were found.
    pub(crate) fn nameless(id: TableId) -> Self {
        Self::new(format!("table-{id}"), id, TableOptions::default())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != ENTRY_VERSION {
            return None;
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let name = text(reader.prefixed()?)?;
        let id = TableId(u32::try_from(reader.varint()?).ok()?);
        let flags = reader.u8()?;
        let compression = match reader.u8()? {
            0 => Compression::None,
            1 => Compression::Snappy,
            _ => return None,
        };
        let leaf_bytes_max = u32::try_from(reader.varint()?).ok()?;
        let internal_bytes_max = u32::try_from(reader.varint()?).ok()?;
        let metadata = text(reader.prefixed()?)?;
        let root = match flags & FLAG_ROOT {
            0 => None,
            _ => {
                let address = Address::decode(&mut reader)?;
                Some((address, reader.u8().filter(|level| *level <= LEVELS_MAX)?))
            }
        };
        // Without a page there are no rows.
        let rows_max = if root.is_some() { ROWS_MAX } else { 0 };
        let rows = reader.varint().filter(|rows| *rows <= rows_max)?;
        let counts_from = match flags & FLAG_COUNTS_FROM {
            0 => Lsn(0),
            _ => Lsn(reader.varint()?),
        };
        let logged = flags & FLAG_LOGGED != 0;
        let options =
            TableOptions { compression, leaf_bytes_max, internal_bytes_max, logged, metadata };
        options.check().ok()?;
        let is_whole = reader.rest().is_empty() && (root.is_some() || rows == 0);
        is_whole.then_some(Self { name, id, options, root, rows, counts_from })
    }
}

/// The tables that the catalog `tree` has.
///
/// # Errors
/// [`Error::Corrupt`] when a row makes no sense; what reading pages gives.
pub(super) fn entries(tree: &Tree, next_table: TableId, label: &Arc<str>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut ids = HashSet::new();
    let mut position = Position::new(tree.shared().new_pin());
    while position.next(tree, &Everything)? {
        let bytes = match position.value() {
            Some(ValueRef::Inline(bytes)) => bytes,
            _ => &[],
        };
        // What is counted and freed by id must be one table's.
        let makes_sense = |entry: &Entry| {
            position.key() == Some(entry.name.as_bytes())
                && (TableId::FIRST..next_table).contains(&entry.id)
                && ids.insert(entry.id)
        };
        let entry = Entry::decode(bytes).filter(makes_sense).ok_or_else(|| {
            let name = String::from_utf8_lossy(position.key().unwrap_or_default()).into_owned();
            Error::corrupt(label, 0, "entry of the catalog", "a table", name)
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

/// The tables by name. Hashed without a seed: of two equal histories, what is done for every table,
/// at the end too, is done in one order, so that a schedule that failed can be repeated.
type Tables = HashMap<String, Arc<Table>, BuildHasherDefault<DefaultHasher>>;

/// The tables of an open database.
#[derive(Debug)]
pub(super) struct Catalog {
    /// Lock order: before every tree's locks. Held for reading while a batch of pages is evicted,
    /// so that no tree goes away under it.
    tables: RwLock<Tables>,
    tree: Tree,
    /// The trees of open views of older checkpoints, for eviction. Lock order: after `tables`.
    views: RwLock<Vec<Weak<Tree>>>,
}

impl Catalog {
    pub(super) fn new(tree: Tree) -> Self {
        Self { tables: RwLock::new(Tables::default()), tree, views: RwLock::new(Vec::new()) }
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Makes the tables known that the catalog's tree has on disk. Returns the greatest id.
    pub(super) fn load(
        &self,
        shared: &Shared,
        next_table: TableId,
        label: &Arc<str>,
    ) -> Result<TableId> {
        let mut greatest = TableId::CATALOG;
        for entry in entries(&self.tree, next_table, label)? {
            greatest = greatest.max(entry.id);
            self.insert(entry, shared);
        }
        Ok(greatest)
    }

    /// Lets eviction know the trees of a view; it forgets them when they are gone.
    pub(super) fn add_view<'t>(&self, trees: impl IntoIterator<Item = &'t Arc<Tree>>) {
        let mut views = self.views.write();
        views.retain(|tree| tree.strong_count() > 0);
        views.extend(trees.into_iter().map(Arc::downgrade));
    }

    /// As [`with_trees`](Self::with_trees), with those of views behind them.
    pub(super) fn with_all_trees<R>(&self, visit: impl FnOnce(&[Arc<Tree>]) -> R) -> R {
        self.with_trees(|trees| {
            let views: Vec<Arc<Tree>> =
                self.views.read().iter().filter_map(Weak::upgrade).collect();
            if views.is_empty() { visit(trees) } else { visit(&[trees, &views].concat()) }
        })
    }

    /// Adds the table that `entry` describes, unless there is one of its name. Returns its handle.
    pub(super) fn insert(&self, entry: Entry, shared: &Shared) -> OpenTable {
        let mut tables = self.tables.write();
        let Entry { name, id, options, root, rows, counts_from } = entry;
        let table = tables.entry(name).or_insert_with_key(|name| {
            let root = root.map(|(address, level)| (Home::at(address, rows), level));
            shared.transactions.set_rows(id, rows);
            let tree = Arc::new(Tree::open(id, options, shared.clone(), root));
            Arc::new(Table {
                name: name.clone(),
                tree,
                users: AtomicUsize::new(0),
                counts_from: AtomicU64::new(counts_from.0),
            })
        });
        OpenTable::new(table)
    }

    pub(super) fn get(&self, name: &str) -> Option<OpenTable> {
        self.tables.read().get(name).map(OpenTable::new)
    }

    pub(super) fn get_by_id(&self, id: TableId) -> Option<OpenTable> {
        self.tables.read().values().find(|table| table.tree.id() == id).map(OpenTable::new)
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tables.read().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Takes the table `name` out, if nobody has it open and no open transaction has written to it.
    pub(super) fn remove(&self, name: &str) -> Result<Arc<Table>> {
        let mut tables = self.tables.write();
        let missing = || Error::Missing { what: format!("table {name:?}") };
        let table = tables.get(name).ok_or_else(missing)?;
        // Acquire: pairs with the Release in `OpenTable::drop`.
        let holder = if table.users.load(Ordering::Acquire) > 0 {
            Some("an open cursor or handle")
        } else if table.tree.is_in_use() {
            Some("an open transaction that wrote to it")
        } else {
            None
        };
        if let Some(holder) = holder {
            return Err(Error::Busy { path: name.into(), holder: holder.to_owned() });
        }
        tables.remove(name).ok_or_else(missing)
    }

    /// Takes [`remove`](Self::remove) back.
    pub(super) fn restore(&self, table: Arc<Table>) {
        self.tables.write().insert(table.name.clone(), table);
    }

    /// Calls `visit` with every tree, the catalog's last, while none can go away.
    pub(super) fn with_trees<R>(&self, visit: impl FnOnce(&[Arc<Tree>]) -> R) -> R {
        let tables = self.tables.read();
        let mut trees: Vec<Arc<Tree>> =
            tables.values().map(|table| Arc::clone(&table.tree)).collect();
        trees.sort_unstable_by_key(|tree| tree.id());
        visit(&trees)
    }

    /// The tables, for a checkpoint, in the order of their ids: of two equal histories the files
    /// are equal.
    pub(super) fn all(&self) -> Vec<OpenTable> {
        let mut tables: Vec<_> = self.tables.read().values().map(OpenTable::new).collect();
        tables.sort_unstable_by_key(OpenTable::id);
        tables
    }

    /// Where the log's changes begin to count, of the tables of which not all do.
    pub(super) fn counts_from(&self) -> HashMap<TableId, Lsn> {
        let tables = self.tables.read();
        let positions = tables.values().map(|table| (table.tree.id(), table.counts_from()));
        positions.filter(|(_, position)| *position > Lsn(0)).collect()
    }

    /// The log has been replayed: what will be in the next one counts.
    pub(super) fn count_all(&self) {
        // Relaxed: see `Table::counts_from`.
        self.tables.read().values().for_each(|table| table.counts_from.store(0, Ordering::Relaxed));
    }

    /// Notes in the catalog's tree where `table` is, unless it says so already.
    pub(super) fn record(&self, table: &OpenTable, root: TreeRoot, rows: u64) -> Result<()> {
        let entry = Entry {
            name: table.name().to_owned(),
            id: table.id(),
            options: table.options().clone(),
            root: root.home.address.map(|address| (address, root.level)),
            rows,
            counts_from: table.0.counts_from(),
        };
        let entry = entry.encode();
        let mut position = Position::new(self.tree.shared().new_pin());
        let found = position.find(&self.tree, table.name().as_bytes(), &Everything)?;
        if found && position.value() == Some(ValueRef::Inline(&entry)) {
            return Ok(());
        }
        drop(position);
        self.put(table.name(), Some(&entry))
    }

    /// Writes a row of the catalog's tree, or deletes it. Only one caller at a time.
    pub(super) fn put(&self, name: &str, entry: Option<&[u8]>) -> Result<()> {
        let mut pin = self.tree.shared().new_pin();
        self.tree.write(name.as_bytes(), &mut pin, |latched| {
            match entry {
                Some(entry) => {
                    latched.put(name.as_bytes(), TxnId::VISIBLE, UpdateKind::Inline, entry)
                }
                None => latched.put(name.as_bytes(), TxnId::VISIBLE, UpdateKind::Tombstone, &[]),
            }
            Ok(())
        })
    }
}

impl Table {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    fn counts_from(&self) -> Lsn {
        // Relaxed: see the field.
        Lsn(self.counts_from.load(Ordering::Relaxed))
    }
}
