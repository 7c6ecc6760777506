//! Small trees and leaves for the models, over a data file in memory.

use std::sync::OnceLock;

use loom::sync::Arc;
use rshelve_core::base::ids::{TableId, TxnId};
use rshelve_core::base::options::{OpenMode, TableOptions};
use rshelve_core::base::stats::Stats;
use rshelve_core::block::{Address, BlockKind, Blocks, NewBlock, create};
use rshelve_core::btree::{Loads, Shared, Target, Tree};
use rshelve_core::cache::Cache;
use rshelve_core::format::{BuilderCapacity, PageBuilder, PageImage, PageKind, Tag};
use rshelve_core::internals::mvcc::Transactions;
use rshelve_core::internals::reclaim::{Fences, HazardDomain};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{OpenHow, Storage};
use rshelve_core::page::{Home, Lookup, PinnedLeaf, UpdateKind, ValueRef, View};

/// The table of every model's tree.
pub const TABLE: TableId = TableId(1);

/// A leaf's image with these keys, each its own value.
pub fn image(keys: &[&[u8]]) -> PageImage {
    let mut builder = PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default());
    keys.iter().for_each(|key| builder.push(key, Tag::Inline, key));
    builder.finish_image()
}

/// The value that was found, if one was.
pub fn value<'p>(lookup: Lookup<'p>) -> Option<&'p [u8]> {
    match lookup {
        Lookup::Found(ValueRef::Inline(bytes) | ValueRef::Overflow(bytes)) => Some(bytes),
        Lookup::Missing | Lookup::Unsettled => None,
    }
}

/// Makes what all models share: in an execution of its own, because every execution of a model has
/// to take the same steps.
pub fn prepare() {
    loom::model(|| {
        template();
    });
}

/// A database with one block, which has the rows `a` and `b`; made once, because no model is about
/// making it.
fn template() -> &'static (MemoryStorage, Address) {
    static TEMPLATE: OnceLock<(MemoryStorage, Address)> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let storage = MemoryStorage::new();
        let file = create(&storage, "spam", 0o600, OpenMode::Create).unwrap();
        let blocks = Blocks::open(file, "spam".into(), true, Default::default()).unwrap();
        let image = image(&[b"a", b"b"]);
        let compression = TableOptions::default().compression;
        let block = NewBlock::from_image(BlockKind::Leaf, TABLE, compression, image.as_bytes());
        let address = blocks.write(&[block]).unwrap()[0];
        drop(blocks);
        (storage, address)
    })
}

/// What a model's tree stands on, and the counters of its data file.
pub fn shared() -> (Shared, std::sync::Arc<Stats>) {
    let storage = template().0.duplicate();
    let file = storage.open("spam", OpenHow::Existing).unwrap();
    let stats = std::sync::Arc::new(Stats::default());
    let blocks = Blocks::open(file, "spam".into(), true, stats.clone()).unwrap();
    let shared = Shared {
        blocks: Arc::new(blocks),
        hazards: HazardDomain::new(Fences::Portable),
        transactions: Arc::new(Transactions::new()),
        cache: Arc::new(Cache::new(1 << 20)),
        stats: Arc::new(Stats::default()),
        loads: Arc::new(Loads::default()),
        replaced: Default::default(),
    };
    (shared, stats)
}

/// Pages that split when they have three rows of the models.
fn options() -> TableOptions {
    TableOptions { leaf_bytes_max: 124, internal_bytes_max: 4096, ..Default::default() }
}

/// An empty tree.
pub fn empty_tree() -> Arc<Tree> {
    Arc::new(Tree::create(TABLE, options(), shared().0))
}

/// A tree of one leaf, with the rows `a` and `b`, which is on disk; and how often that is read.
pub fn tree_on_disk() -> (Arc<Tree>, std::sync::Arc<Stats>) {
    let (shared, stats) = shared();
    let root = (Home::at(template().1, 2), 0);
    (Arc::new(Tree::open(TABLE, options(), shared, Some(root))), stats)
}

/// Writes `key` in a transaction of its own. Waits for nobody: the models' writers do not meet.
pub fn put(tree: &Tree, pin: &mut PinnedLeaf, key: &[u8], value: &[u8]) -> TxnId {
    let id = tree.shared().transactions.begin_write();
    put_as(tree, pin, id, key, value);
    id
}

/// Writes `key` in the transaction `id`, and commits that.
pub fn put_as(tree: &Tree, pin: &mut PinnedLeaf, id: TxnId, key: &[u8], value: &[u8]) {
    tree.write(key, pin, |latched| {
        latched.put(key, id, UpdateKind::Inline, value);
        Ok(())
    })
    .unwrap();
    pin.release();
    tree.shared().transactions.commit(id, &[]);
}

/// What `view` finds for `key`.
pub fn get(tree: &Tree, pin: &mut PinnedLeaf, key: &[u8], view: &impl View) -> Option<Vec<u8>> {
    tree.find_leaf(Target::At(key), pin).unwrap();
    let found = pin.leaf().and_then(|leaf| value(leaf.lookup(key, view)).map(<[u8]>::to_vec));
    pin.release();
    found
}
