//! A tree: descending to a leaf, changing it, splitting and removing pages, walking in key order.
//!
//! Locks, in the order in which they are taken: a leaf's latch, then the tree's **structure lock**. The
//! structure lock guards what an index says (children, dirty marks, addresses); it is held for
//! microseconds and never across I/O. Readers take neither.
//!
//! A tree never calls eviction and never waits for room: the session layer does. It knows no
//! transaction but by its id and view, no log, and no other tree.
#![forbid(unsafe_code)]

mod approach;
mod bulk;
mod descend;
mod free;
mod grow;
mod leaf_walk;
mod load;
mod merge;
mod pages;
mod position;
mod random;
mod replaced;
mod shrink;
mod sweep;
mod write;
mod writeback;

use crate::base::ids::{TableId, TxnId};
use crate::base::options::TableOptions;
use crate::base::stats::Stats;
use crate::block::Blocks;
use crate::cache::Cache;
use crate::format::PageImage;
use crate::memory::Owned;
use crate::mvcc::Transactions;
use crate::page::{Home, Leaf, LeafRange, PageRef, PinnedLeaf, RootRef, new_leaf_in};
use crate::reclaim::{HazardDomain, HazardSlot};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, epoch};

pub use approach::KEYS_AT_ONCE;
pub use bulk::BulkLoad;
pub use descend::Target;
pub use load::{Loads, is_sample};
pub use merge::Merged;
pub use pages::{LongValue, PageBlock};
pub use position::{Landing, Position, Walked};
pub use random::Drawn;
pub use replaced::Replaced;
pub use sweep::{Seen, Swept, Which};
pub use writeback::{Fold, LeafWriteBack, Prepared, Writer};

/// What all trees of a database share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The data file.
    pub blocks: Arc<Blocks>,
    /// Who may still stand on a page.
    pub hazards: Arc<HazardDomain>,
    /// Who may still see a version.
    pub transactions: Arc<Transactions>,
    /// The memory account.
    pub cache: Arc<Cache>,
    /// The counters.
    pub stats: Arc<Stats>,
    /// Who waits for a page that another thread reads in.
    pub loads: Arc<Loads>,
    /// What waits for the end of a replay.
    pub replaced: Arc<Replaced>,
}

impl Shared {
    /// Frees what was unlinked and nobody stands on any more, as far as that can be told now.
    pub fn reclaim(&self) {
        epoch::pin().flush();
        self.hazards.reclaim();
    }

    /// A pin that holds nothing yet.
    pub fn new_pin(&self) -> PinnedLeaf {
        PinnedLeaf::new(HazardSlot::new(&self.hazards))
    }
}

/// How many keys a leaf's insert list may hold before the leaf is rebuilt.
#[cfg(not(any(loom, shuttle)))]
const ENTRIES_MAX: usize = 64;
#[cfg(any(loom, shuttle))]
const ENTRIES_MAX: usize = 2;

/// The most levels of internal pages that a file may claim for a tree; no tree grows so high.
pub const LEVELS_MAX: u8 = 64;

/// One table's tree.
pub struct Tree {
    id: TableId,
    options: TableOptions,
    shared: Shared,
    root: RootRef,
    /// See the module.
    structure: Mutex<()>,
    serials: AtomicU32,
    uses: TreeUse,
}

/// Shows, while it lives, that somebody will come back to a tree.
#[derive(Clone, Debug)]
pub struct TreeUse(Arc<()>);

/// The right to change what indexes say.
pub(crate) type Structure<'t> = MutexGuard<'t, ()>;

impl Tree {
    /// An empty tree.
    pub fn create(id: TableId, options: TableOptions, shared: Shared) -> Self {
        let tree = Self::with_root(id, options, shared, PageRef::new_dirty(0, 0));
        new_leaf_in(&tree.root, |home| {
            tree.new_leaf(load::empty_image(), None, LeafRange::default(), home)
        });
        tree
    }

    /// The tree whose root, with so many levels below, is on disk; an empty one when there is none.
    pub fn open(
        id: TableId,
        options: TableOptions,
        shared: Shared,
        root: Option<(Home, u8)>,
    ) -> Self {
        match root {
            Some((home, level)) => {
                Self::with_root(id, options, shared, PageRef::on_disk(home, level))
            }
            None => Self::create(id, options, shared),
        }
    }

    fn with_root(id: TableId, options: TableOptions, shared: Shared, root: Box<PageRef>) -> Self {
        let (structure, serials) = (Mutex::new(()), AtomicU32::new(1));
        let root = RootRef::new(root);
        Self { id, options, shared, root, structure, serials, uses: TreeUse(Arc::new(())) }
    }

    /// The table's id.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// The table's options.
    pub fn options(&self) -> &TableOptions {
        &self.options
    }

    /// What all trees of the database share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Shows that somebody will come back to the tree.
    pub fn new_use(&self) -> TreeUse {
        self.uses.clone()
    }

    /// Whether somebody will.
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.uses.0) > 1
    }

    /// Where the root was last written, and how many rows it had.
    pub fn home(&self) -> Home {
        self.root.home()
    }

    /// Whether something is not in any checkpoint.
    pub fn is_dirty(&self) -> bool {
        self.root.is_dirty()
    }

    /// The longest value that lies in a leaf; longer ones lie in extents of their own.
    pub fn inline_bytes_max(&self) -> usize {
        self.options.leaf_bytes_max as usize / 4
    }

    /// How many levels of indexes there are; 0 while the root is a leaf.
    pub fn height(&self) -> u8 {
        self.root.level()
    }

    fn next_serial(&self) -> u32 {
        // Relaxed: the structure lock orders who uses it.
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    fn new_leaf(
        &self,
        image: PageImage,
        cell_txns: Option<Box<[TxnId]>>,
        range: LeafRange,
        home: &PageRef,
    ) -> Owned<Leaf> {
        Leaf::new(image, cell_txns, range, home, &self.shared.cache, ENTRIES_MAX)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.root.free_below(&self.shared.hazards);
        self.shared.hazards.reclaim();
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").field("id", &self.id).finish_non_exhaustive()
    }
}
