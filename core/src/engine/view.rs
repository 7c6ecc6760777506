//! Reading a checkpoint: a named one, or the latest, as it was when it was taken.
//!
//! A view opens trees of its own over the checkpoint's blocks; their pages are charged to the cache and
//! evicted like all others, and never change. A named checkpoint cannot be dropped while a view of it
//! is open; the latest is pinned for as long.

use std::cell::OnceCell;

use hashbrown::HashMap;

use super::catalog::{Entry, entries};
use super::checkpoints::LATEST_CHECKPOINT;
use super::open::catalog_tree;
use super::session::load_long_value;
use super::{Engine, Inner};
use crate::base::error::{Error, Result};
use crate::base::ids::{Generation, TableId};
use crate::base::options::TableOptions;
use crate::block::Superblock;
use crate::btree::{Landing, Position, Tree};
use crate::page::{Everything, Home, ValueRef};
use crate::sync::Arc;

/// A checkpoint that is open for reading. Clones share it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    view: Arc<View>,
}

/// A table as a checkpoint has it. It keeps the checkpoint open.
#[derive(Clone, Debug)]
pub struct CheckpointTable {
    view: Arc<View>,
    table: Arc<ViewTable>,
}

/// See the module.
#[derive(Debug)]
struct View {
    hold: Hold,
    name: String,
    tables: HashMap<String, Arc<ViewTable>>,
}

#[derive(Debug)]
struct ViewTable {
    name: String,
    rows: u64,
    tree: Arc<Tree>,
}

/// Keeps a checkpoint's blocks where they are.
struct Hold {
    inner: Arc<Inner>,
    generation: Generation,
    is_named: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.is_named {
            self.inner.checkpoint_uses.lock().close(self.generation);
        } else {
            self.inner.shared.blocks.unpin(self.generation);
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens checkpoint `name` for reading, or, as [`LATEST_CHECKPOINT`], the newest one.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Closed`]; what reading its catalog gives.
    pub fn open_checkpoint(&self, name: &str) -> Result<Checkpoint> {
        let inner = &self.inner;
        inner.check_open()?;
        let (superblock, hold) = if name == LATEST_CHECKPOINT {
            let superblock = inner.shared.blocks.pin();
            let generation = superblock.generation;
            (superblock, Hold { inner: Arc::clone(inner), generation, is_named: false })
        } else {
            self.hold_named(name)?
        };
        let tables = inner.tables_of(&superblock)?;
        let view = Arc::new(View { hold, name: name.to_owned(), tables });
        inner.catalog.add_view(view.tables.values().map(|table| &table.tree));
        inner.relieve();
        Ok(Checkpoint { view })
    }

    fn hold_named(&self, name: &str) -> Result<(Superblock, Hold)> {
        let inner = &self.inner;
        // Under this lock, so that it is not dropped between the look and the count.
        let mut uses = inner.checkpoint_uses.lock();
        let named = inner.shared.blocks.named_checkpoints();
        let named = named.into_iter().find(|named| named.name == name);
        let named = named.filter(|named| uses.open(named.superblock.generation));
        let missing = || Error::Missing { what: format!("checkpoint {name:?}") };
        let superblock = named.ok_or_else(missing)?.superblock;
        let generation = superblock.generation;
        Ok((superblock, Hold { inner: Arc::clone(inner), generation, is_named: true }))
    }
}

impl Inner {
    /// The tables of the checkpoint that `superblock` was written for.
    fn tables_of(&self, superblock: &Superblock) -> Result<HashMap<String, Arc<ViewTable>>> {
        let catalog = catalog_tree(superblock, &self.shared)?;
        let table = |entry: Entry| {
            let Entry { name, id, options, root, rows, .. } = entry;
            let root = root.map(|(address, level)| (Home::at(address, rows), level));
            let tree = Arc::new(Tree::open(id, options, self.shared.clone(), root));
            (name.clone(), Arc::new(ViewTable { name, rows, tree }))
        };
        Ok(entries(&catalog, superblock.root.next_table, &self.label)?
            .into_iter()
            .map(table)
            .collect())
    }
}

impl Checkpoint {
    /// The name that it was opened by.
    pub fn name(&self) -> &str {
        &self.view.name
    }

    /// Its number: later checkpoints have greater ones.
    pub fn generation(&self) -> u64 {
        self.view.hold.generation.0
    }

    /// The names of its tables, sorted.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.view.tables.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Table `name` as the checkpoint has it.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn table(&self, name: &str) -> Result<CheckpointTable> {
        let missing =
            || Error::Missing { what: format!("table {name:?} in checkpoint {:?}", self.name()) };
        let table = Arc::clone(self.view.tables.get(name).ok_or_else(missing)?);
        Ok(CheckpointTable { view: Arc::clone(&self.view), table })
    }
}

impl CheckpointTable {
    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table.name
    }

    /// Its options.
    pub fn options(&self) -> &TableOptions {
        self.table.tree.options()
    }

    /// Its id.
    pub fn id(&self) -> TableId {
        self.table.tree.id()
    }

    /// The number of its checkpoint, as [`Checkpoint::generation`].
    pub fn generation(&self) -> u64 {
        self.view.hold.generation.0
    }

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.table.rows
    }

    /// What `read` makes of `key`'s value.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading pages gives.
    pub fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let mut at = self.position();
        if !self.find(&mut at, key)? {
            return Ok(None);
        }
        let long_value = OnceCell::new();
        Ok(Some(read(self.value(&at, &long_value)?)))
    }

    /// A place in the table, nowhere yet. It is this table's.
    pub fn position(&self) -> Position {
        Position::new(self.view.hold.inner.shared.new_pin())
    }

    /// Goes to `key`; false, and nowhere, if it is not there.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading pages gives.
    pub fn find(&self, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.go(|tree| at.find(tree, key, &Everything))
    }

    /// Goes to `key` or the smallest key above.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek(&self, at: &mut Position, key: &[u8]) -> Result<Landing> {
        self.go(|tree| at.seek(tree, key, &Everything))
    }

    /// Goes to the largest key below `key`; false, and nowhere, if there is none.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek_below(&self, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.go(|tree| {
            at.go_before(tree, key)?;
            at.prev(tree, &Everything)
        })
    }

    /// Goes to the next key; from nowhere, to the first.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn next(&self, at: &mut Position) -> Result<bool> {
        self.go(|tree| at.next(tree, &Everything))
    }

    /// Goes to the previous key; from nowhere, to the last.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn prev(&self, at: &mut Position) -> Result<bool> {
        self.go(|tree| at.prev(tree, &Everything))
    }

    /// Goes to a row, each with the same chance; `ticket` draws any number, each with the same chance.
    /// False, and nowhere, when there is none.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn random(&self, at: &mut Position, mut ticket: impl FnMut() -> u64) -> Result<bool> {
        at.reset();
        let drawn = self.go(|tree| tree.draw(ticket()))?;
        let Some(drawn) = drawn else { return Ok(false) };
        let mut found = self.seek(at, &drawn.low)? != Landing::End;
        for _ in 0..drawn.number {
            found = found && self.next(at)?;
        }
        // A checkpoint's rows are as many as were counted.
        Ok(found)
    }

    /// The bytes of the value that `at` is on: borrowed from its page, or, for a long one, read into
    /// `long_value`, which the caller empties when `at` moves.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is nowhere; what reading a long value gives.
    pub fn value<'v>(
        &self,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match at.value() {
            Some(ValueRef::Inline(bytes)) => Ok(bytes),
            Some(ValueRef::Overflow(reference)) => match long_value.get() {
                Some(bytes) => Ok(bytes),
                None => {
                    let bytes = load_long_value(&self.table.tree, reference)?;
                    Ok(long_value.get_or_init(|| bytes))
                }
            },
            None => Err(Error::invalid("the cursor is on no record; search or move it first")),
        }
    }

    fn go<R>(&self, go: impl FnOnce(&Tree) -> Result<R>) -> Result<R> {
        let inner = &self.view.hold.inner;
        inner.check_open()?;
        let outcome = go(&self.table.tree);
        inner.relieve();
        outcome
    }
}
