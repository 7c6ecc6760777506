//! Models 10 and 12: a checkpoint beside a writer and beside eviction. It writes what its snapshot
//! sees, no more and no less, and what it does not have stays dirty.

use loom::sync::Arc;
use loom::thread;
use loom_tests::tree::{empty_tree, get, put, put_as};
use loom_tests::{check_control, check_within};
use rshelve_core::block::BlockKind;
use rshelve_core::btree::{Fold, Prepared, Target, Tree, Writer};
use rshelve_core::evict::Clock;
use rshelve_core::format::PageImage;
use rshelve_core::internals::mvcc::{Snapshot, Transactions};
use rshelve_core::internals::weaken::Weakness;
use rshelve_core::page::{Everything, Home};

/// Writes a tree of one leaf as layer `checkpoint` does, which is above what loom reaches: prepare
/// and install are the tree's. Returns where the root is.
fn checkpoint(tree: &Tree, number: u32, snapshot: &Snapshot) -> Home {
    let writer = Writer::Checkpoint { snapshot, number };
    // What lies in the file from here on a checkpoint may name.
    tree.shared().blocks.begin_checkpoint().unwrap();
    let mut fold = Fold::IfChanged;
    loop {
        if let Some((home, _)) = tree.written_root(writer) {
            return home;
        }
        let mut pin = tree.shared().new_pin();
        if !tree.find_leaf_in_cache(Target::At(b""), &mut pin) {
            continue;
        }
        match tree.prepare_leaf(pin, writer, fold).unwrap() {
            Prepared::Ready(leaf) => {
                let blocks = &tree.shared().blocks;
                let address = leaf.block(tree).map(|block| blocks.write(&[block]).unwrap()[0]);
                tree.install_leaf(&leaf, address, writer).unwrap();
            }
            Prepared::Changed => fold = Fold::Never,
            Prepared::Held | Prepared::Clean => {}
        }
    }
}

/// The keys in the leaf that lies at `home`, one byte each.
fn keys_on_disk(tree: &Tree, home: Home) -> String {
    let Some(address) = home.address else { return String::new() };
    let block = tree.shared().blocks.read(&address, BlockKind::Leaf).unwrap();
    let image = PageImage::parse(block.into()).unwrap();
    let mut key = Vec::new();
    let keys = (0..image.len()).map(|slot| {
        image.key_into(slot, &mut key);
        char::from(key[0])
    });
    keys.collect()
}

/// A checkpoint with a snapshot of now, which must have `keys`, and leaves nothing dirty.
fn last_checkpoint(tree: &Tree, keys: &str) {
    let guard = Transactions::snapshot(&tree.shared().transactions);
    let home = checkpoint(tree, 2, guard.snapshot());
    assert_eq!(keys_on_disk(tree, home), keys, "a dirty page was forgotten");
}

/// A checkpoint beside a writer of the same page.
fn checkpoint_beside_writer() {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    put(&tree, &mut pin, b"a", b"1");
    let id = tree.shared().transactions.begin_write();
    let writer = {
        let tree = tree.clone();
        thread::spawn(move || put_as(&tree, &mut pin, id, b"b", b"2"))
    };
    let guard = Transactions::snapshot(&tree.shared().transactions);
    let home = checkpoint(&tree, 1, guard.snapshot());
    let expected = if guard.snapshot().sees(id) { "ab" } else { "a" };
    assert_eq!(keys_on_disk(&tree, home), expected, "a checkpoint is not its snapshot");
    drop(guard);
    writer.join().unwrap();
    last_checkpoint(&tree, "ab");
}

/// A checkpoint beside the eviction of the same page, which has a row that the checkpoint's snapshot
/// does not see.
fn checkpoint_beside_eviction() {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    put(&tree, &mut pin, b"a", b"1");
    let guard = Transactions::snapshot(&tree.shared().transactions);
    put(&tree, &mut pin, b"b", b"2");
    let evictor = {
        let tree = tree.clone();
        thread::spawn(move || evict(&tree))
    };
    let home = checkpoint(&tree, 1, guard.snapshot());
    assert_eq!(keys_on_disk(&tree, home), "a", "a checkpoint is not its snapshot");
    drop(guard);
    evictor.join().unwrap();
    for key in [b"a", b"b"] {
        assert!(get(&tree, &mut pin, key, &Everything).is_some(), "a row was lost");
    }
    last_checkpoint(&tree, "ab");
}

/// Eviction beside a writer of the same page.
fn eviction_beside_writer() {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    put(&tree, &mut pin, b"a", b"1");
    let writer = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || put(&tree, &mut pin, b"b", b"2"))
    };
    evict(&tree);
    writer.join().unwrap();
    for key in [b"a", b"b"] {
        assert!(get(&tree, &mut pin, key, &Everything).is_some(), "a row was lost");
    }
    last_checkpoint(&tree, "ab");
}

/// Evicts the one leaf, if it may go.
fn evict(tree: &Arc<Tree>) {
    let mut pin = tree.shared().new_pin();
    if tree.find_leaf_in_cache(Target::At(b""), &mut pin) {
        while !pin.leaf().unwrap().cool() {}
    }
    pin.release();
    Clock::default().step(std::slice::from_ref(tree)).unwrap();
}

#[test]
fn model_10_checkpoint_beside_a_writer() {
    check_within("10 checkpoint beside a writer", 3, checkpoint_beside_writer);
}

#[test]
fn model_10_needs_the_mark_of_a_write() {
    let complaint = "a dirty page was forgotten";
    check_control("10", Weakness::WriteWithoutMark, complaint, checkpoint_beside_writer);
}

#[test]
fn model_10_needs_the_second_count_of_changes() {
    let complaint = "a dirty page was forgotten";
    check_control("10", Weakness::CleanWithoutRecount, complaint, checkpoint_beside_writer);
}

#[test]
fn model_12_checkpoint_beside_eviction() {
    check_within("12 checkpoint beside eviction", 2, checkpoint_beside_eviction);
}

#[test]
fn model_12_needs_eviction_to_respect_the_snapshot() {
    let complaint = "a checkpoint is not its snapshot";
    check_control("12", Weakness::EvictionWritesAll, complaint, checkpoint_beside_eviction);
}

#[test]
fn model_12_eviction_beside_a_writer() {
    check_within("12 eviction beside a writer", 2, eviction_beside_writer);
}

#[test]
fn model_12_needs_the_second_count_of_changes() {
    let complaint = "a row was lost";
    check_control("12", Weakness::CleanWithoutRecount, complaint, eviction_beside_writer);
}
