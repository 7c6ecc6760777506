//! Models 3, 5 and 6 on whole trees over a data file in memory: a page is read in once, and a fold
//! or a split loses and hides nothing.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use loom_tests::tree::{empty_tree, get, put, put_as, tree_on_disk};
use loom_tests::{Kept, check_control, check_control_within, check_within};
use rshelve_core::base::ids::TxnId;
use rshelve_core::btree::{Fold, Position, Prepared, Target, Tree, Writer};
use rshelve_core::internals::mvcc::Transactions;
use rshelve_core::internals::weaken::Weakness;
use rshelve_core::page::{Everything, PinnedLeaf, UpdateKind, Verdict, View};

/// A value of which three fill a leaf.
const VALUE: &[u8] = &[b'v'; 24];

/// Two readers of one page on disk: the first reads it in, the second waits for that.
fn read_once() {
    let (tree, stats) = tree_on_disk();
    let tree = Kept::new(tree);
    let other = {
        let (tree, mut pin) = (tree.clone(), Kept::new(tree.shared().new_pin()));
        thread::spawn(move || get(&tree, &mut pin, b"a", &Everything))
    };
    let mut pin = Kept::new(tree.shared().new_pin());
    let here = get(&tree, &mut pin, b"b", &Everything);
    assert_eq!(here.as_deref(), Some(&b"b"[..]), "a row was not seen");
    assert_eq!(other.join().unwrap().as_deref(), Some(&b"a"[..]), "a row was not seen");
    assert_eq!(stats.blocks_read.get(), 1, "a page was not read in once");
}

/// A tree of two levels, and so many keys that `h` splits the last leaf.
fn grown_tree() -> Arc<Tree> {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    for key in [b"a", b"c", b"e", b"f", b"g"] {
        put(&tree, &mut pin, key, VALUE);
    }
    assert_eq!((tree.height(), tree.shared().stats.pages_split.get()), (1, 1));
    tree
}

/// A leaf is split, and the parent's index swapped, beside a reader.
fn split() {
    let tree = grown_tree();
    let writer = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || put(&tree, &mut pin, b"h", VALUE))
    };
    let mut pin = tree.shared().new_pin();
    for key in [b"g", b"a", b"e"] {
        assert!(get(&tree, &mut pin, key, &Everything).is_some(), "a row was not found");
    }
    writer.join().unwrap();
    assert_eq!(tree.shared().stats.pages_split.get(), 2);
    for key in [b"a", b"c", b"e", b"f", b"g", b"h"] {
        assert!(get(&tree, &mut pin, key, &Everything).is_some(), "a row was lost");
    }
}

/// A leaf is split, and a commit goes to one of the new ones, beside a position on the old one: the
/// next key after a commit that its snapshot sees is that commit's.
fn split_under_position() {
    let tree = grown_tree();
    let mut position = Position::new(tree.shared().new_pin());
    assert!(position.find(&tree, b"f", &Everything).unwrap());
    let id = tree.shared().transactions.begin_write();
    let splitter = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || put(&tree, &mut pin, b"h", VALUE))
    };
    let writer = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || put_as(&tree, &mut pin, id, b"fa", b"new"))
    };
    let guard = Transactions::snapshot(&tree.shared().transactions);
    assert!(position.next(&tree, &**guard.snapshot()).unwrap(), "a row was not found");
    let expected: &[u8] = if guard.snapshot().sees(id) { b"fa" } else { b"g" };
    assert_eq!(position.key(), Some(expected), "a position hides a commit");
    drop(position);
    splitter.join().unwrap();
    writer.join().unwrap();
}

/// Sees everything, and takes a step at each look that orders nothing. Loom looks for races with the
/// last access to an atomic only, and whoever changes an index has read it just before: without
/// a step between a position's look at its leaf and its next descent nobody would come in between.
struct Stepping<'s>(&'s AtomicUsize);

impl View for Stepping<'_> {
    fn verdict(&self, id: TxnId) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        Everything.verdict(id)
    }
}

/// A leaf whose rows are all deleted goes, and its keys go to its neighbour, beside a position at
/// `from` that steps over a deleted row from one to the other.
fn removal_under_position(
    from: &[u8],
    deleted: &[&[u8]],
    move_on: fn(&Tree, &mut Position, &Stepping<'_>),
) {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    for key in [b"a", b"c", b"e", b"f"] {
        put(&tree, &mut pin, key, VALUE);
    }
    let steps = Arc::new(AtomicUsize::new(0));
    let mut position = Position::new(tree.shared().new_pin());
    assert!(position.find(&tree, from, &Everything).unwrap());
    for key in deleted {
        delete(&tree, &mut pin, key);
    }
    let remover = {
        let (tree, steps) = (tree.clone(), steps.clone());
        thread::spawn(move || {
            rebuild(&tree, &mut pin, b"e");
            steps.fetch_add(1, Ordering::Relaxed);
            pin
        })
    };
    move_on(&tree, &mut position, &Stepping(&steps));
    position.reset();
    let mut pin = remover.join().unwrap();
    tree.find_leaf(Target::At(b"e"), &mut pin).unwrap();
    assert!(pin.leaf().unwrap().covers(b"a"), "the empty leaf did not go");
}

fn removal_ahead() {
    removal_under_position(b"a", &[b"c", b"e", b"f"], |tree, position, view| {
        assert!(!position.next(tree, view).unwrap(), "a position went back");
    });
}

fn removal_behind() {
    removal_under_position(b"f", &[b"e", b"f"], |tree, position, view| {
        assert!(position.prev(tree, view).unwrap(), "a row was not found");
        assert_eq!(position.key(), Some(&b"c"[..]), "a position went on from the wrong end");
    });
}

/// A leaf whose rows are all deleted goes, and its keys go to its neighbour, which is clean: beside who evicts that and
/// reads it in again.
fn removal_beside_eviction() {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    for key in [b"a", b"c", b"e", b"f"] {
        put(&tree, &mut pin, key, VALUE);
    }
    write_back(&tree, b"a");
    delete(&tree, &mut pin, b"e");
    delete(&tree, &mut pin, b"f");
    let remover = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || rebuild(&tree, &mut pin, b"e"))
    };
    if tree.find_leaf_in_cache(Target::At(b"a"), &mut pin) {
        let latched = pin.leaf().unwrap().try_latch();
        if let Some(latched) = latched.filter(|it| it.home().is_some_and(|home| !home.is_dirty())) {
            latched.evict(&tree.shared().hazards);
        }
    }
    tree.find_leaf(Target::At(b"a"), &mut pin).unwrap();
    remover.join().unwrap();
    tree.find_leaf(Target::At(b"e"), &mut pin).unwrap();
    assert!(pin.leaf().unwrap().covers(b"e"), "a leaf ends before its keys do");
}

/// Writes the leaf of `key`, which stays in memory.
fn write_back(tree: &Tree, key: &[u8]) {
    loop {
        let mut pin = tree.shared().new_pin();
        tree.find_leaf(Target::At(key), &mut pin).unwrap();
        match tree.prepare_leaf(pin, Writer::Eviction, Fold::IfChanged).unwrap() {
            Prepared::Ready(leaf) => {
                let blocks = &tree.shared().blocks;
                let address = leaf.block(tree).map(|block| blocks.write(&[block]).unwrap()[0]);
                assert!(tree.install_leaf(&leaf, address, Writer::Eviction).unwrap().is_some());
                return;
            }
            Prepared::Changed => {}
            Prepared::Held | Prepared::Clean => panic!("a leaf cannot be written"),
        }
    }
}

/// Folds the leaf of `key`, as eviction and checkpoints do.
fn rebuild(tree: &Tree, pin: &mut PinnedLeaf, key: &[u8]) {
    tree.find_leaf(Target::At(key), pin).unwrap();
    let latched = pin.leaf().unwrap().latch();
    if latched.home().is_some() {
        tree.rebuild(latched).unwrap();
    }
}

fn delete(tree: &Tree, pin: &mut PinnedLeaf, key: &[u8]) {
    let id = tree.shared().transactions.begin_write();
    tree.write(key, pin, |latched| {
        latched.put(key, id, UpdateKind::Tombstone, &[]);
        Ok(())
    })
    .unwrap();
    pin.release();
    tree.shared().transactions.commit(id, &[]);
}

/// A fold beside a writer, and beside a reader with a snapshot: that one keeps what it sees.
fn fold() {
    let tree = empty_tree();
    let mut pin = tree.shared().new_pin();
    put(&tree, &mut pin, b"k", b"old");
    let writer = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || put(&tree, &mut pin, b"k", b"new"))
    };
    let folder = {
        let (tree, mut pin) = (tree.clone(), tree.shared().new_pin());
        thread::spawn(move || rebuild(&tree, &mut pin, b"k"))
    };
    let guard = Transactions::snapshot(&tree.shared().transactions);
    let first = get(&tree, &mut pin, b"k", &**guard.snapshot());
    assert!(first.is_some(), "a row was not found");
    let again = get(&tree, &mut pin, b"k", &**guard.snapshot());
    assert_eq!(first, again, "a snapshot changed its mind");
    drop(guard);
    writer.join().unwrap();
    folder.join().unwrap();
    let now = get(&tree, &mut pin, b"k", &Everything);
    assert_eq!(now.as_deref(), Some(&b"new"[..]), "a write was lost");
}

#[test]
fn model_3_two_readers_page_in() {
    check_within("3 two readers page in", 3, read_once);
}

#[test]
fn model_3_needs_the_ticket_before_the_second_look() {
    check_control("3 two readers", Weakness::LoadTicketLate, "deadlock", read_once);
}

#[test]
fn model_5_fold() {
    check_within("5 fold beside a writer and a snapshot", 2, fold);
}

#[test]
fn model_5_needs_the_snapshots_versions() {
    check_control("5 fold", Weakness::FoldForgetsSnapshots, "a snapshot changed its mind", fold);
}

#[test]
fn model_6_split() {
    check_within("6 split", 3, split);
}

#[test]
fn model_6_needs_the_epoch() {
    check_control("6 split", Weakness::IndexFreedInline, "Causality violation", split);
}

#[test]
fn model_6_split_under_a_position() {
    check_within("6 split under a position", 2, split_under_position);
}

#[test]
fn model_6_removal_under_a_position() {
    check_within("6 removal ahead of a position", 2, removal_ahead);
    check_within("6 removal behind a position", 2, removal_behind);
}

#[test]
fn model_6_needs_the_border() {
    let complaint = "a position went back";
    check_control_within("6 removal", 2, Weakness::EnterWithoutBorder, complaint, removal_ahead);
}

#[test]
fn model_6_removal_beside_eviction() {
    check_within("6 removal beside eviction", 2, removal_beside_eviction);
}

#[test]
fn model_6_needs_the_mark_of_a_wider_leaf() {
    let (weakness, complaint) = (Weakness::WidenWithoutMark, "a leaf ends before its keys do");
    check_control_within("6 eviction", 2, weakness, complaint, removal_beside_eviction);
}

#[test]
fn model_6_needs_the_mark_before_the_index() {
    let complaint = "a position hides a commit";
    let weakness = Weakness::KillAfterWord;
    check_control_within("6 position", 2, weakness, complaint, split_under_position);
}
