//! The page layer on one thread: what views see on a leaf, the insert list against a map, and who is
//! alive after a replacement. What threads do to each other here is the models' (`loom-tests`).

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::ids::{TableId, TxnId};
use crate::cache::Cache;
use crate::format::{BuilderCapacity, PageBuilder, PageImage, PageKind, Tag};
use crate::memory::Owned;
use crate::mvcc::Transactions;
use crate::reclaim::{Fences, HazardDomain, HazardSlot};
use crate::sync::Arc;
use crate::sync::epoch;

fn image(keys: &[&[u8]]) -> PageImage {
    let mut builder = PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default());
    keys.iter().for_each(|key| builder.push(key, Tag::Inline, key));
    builder.finish_image()
}

/// A reference with a leaf under it. When it goes, nothing may be left.
struct Page {
    reference: RootRef,
    hazards: Arc<HazardDomain>,
    cache: Arc<Cache>,
}

impl Page {
    fn new(keys: &[&[u8]]) -> Self {
        Self::with_txns(keys, None)
    }

    fn with_txns(keys: &[&[u8]], cell_txns: Option<Box<[TxnId]>>) -> Self {
        let page = Self {
            reference: RootRef::new(PageRef::new_dirty(0, 0)),
            hazards: HazardDomain::new(Fences::Portable),
            cache: Arc::new(Cache::new(1 << 20)),
        };
        new_leaf_in(&page.reference, |home| {
            let range = LeafRange::default();
            Leaf::new(image(keys), cell_txns, range, home, &page.cache, 4)
        });
        page
    }

    fn leaf(&self, keys: &[&[u8]]) -> Owned<Leaf> {
        Leaf::new(image(keys), None, LeafRange::default(), &self.reference, &self.cache, 4)
    }

    fn pin(&self) -> PinnedLeaf {
        PinnedLeaf::new(HazardSlot::new(&self.hazards))
    }

    fn pinned(&self) -> PinnedLeaf {
        let mut pin = self.pin();
        assert!(pin.pin(&self.reference));
        pin
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.reference.free_below(&self.hazards);
        self.hazards.reclaim();
        if !std::thread::panicking() {
            assert_eq!(self.hazards.retired_bytes(), 0, "a leaf was forgotten");
            assert_eq!(self.cache.bytes_used(), 0, "the account does not return to zero");
        }
    }
}

fn look<'p>(leaf: &'p Leaf, key: &[u8], view: &impl View) -> Lookup<'p> {
    leaf.lookup(key, view)
}

fn found(bytes: &[u8]) -> Lookup<'_> {
    Lookup::Found(ValueRef::Inline(bytes))
}

fn put(leaf: &Leaf, key: &[u8], txn: u64, value: &[u8]) {
    leaf.latch().put(key, TxnId(txn), UpdateKind::Inline, value);
}

#[test]
fn lookup_finds_the_newest_version_that_the_view_sees() {
    let page = Page::new(&[b"a"]);
    let pin = page.pinned();
    let leaf = pin.leaf().expect("pinned");
    let transactions = Arc::new(Transactions::new());
    let before = Transactions::snapshot(&transactions);
    let first = transactions.begin_write();
    put(leaf, b"a", first.0, b"one");
    transactions.commit(first, &[]);
    let between = Transactions::snapshot(&transactions);
    let second = transactions.begin_write();
    leaf.latch().put(b"a", second, UpdateKind::Tombstone, &[]);
    transactions.commit(second, &[]);
    let after = Transactions::snapshot(&transactions);
    assert_eq!(look(leaf, b"a", &**before.snapshot()), found(b"a"));
    assert_eq!(look(leaf, b"a", &**between.snapshot()), found(b"one"));
    assert_eq!(look(leaf, b"a", &**after.snapshot()), Lookup::Missing);
    assert_eq!(look(leaf, b"a", &Everything), Lookup::Missing);
    assert_eq!(look(leaf, b"a", &Settled { below: second }), Lookup::Unsettled);
    assert_eq!(look(leaf, b"b", &Everything), Lookup::Missing);
}

#[test]
fn abort_brings_back_what_was_below() {
    let page = Page::new(&[b"a"]);
    let pin = page.pinned();
    let leaf = pin.leaf().expect("pinned");
    put(leaf, b"a", 1, b"kept");
    for value in [b"x", b"y"] {
        put(leaf, b"a", 2, value);
    }
    put(leaf, b"n", 2, b"new");
    for key in [b"a", b"n"] {
        leaf.latch().abort(key, TxnId(2));
    }
    assert_eq!(look(leaf, b"a", &Everything), found(b"kept"));
    assert_eq!(look(leaf, b"n", &Everything), Lookup::Missing);
    let latched = leaf.latch();
    assert_eq!(latched.newest(b"a").txn, Some(TxnId(1)));
    assert_eq!(latched.newest(b"n").txn, None);
}

#[test]
fn abort_hides_what_a_rebuild_put_into_the_image() {
    let txns = Some(Box::from([TxnId(7), TxnId::VISIBLE]));
    let page = Page::with_txns(&[b"a", b"b"], txns);
    let pin = page.pinned();
    let leaf = pin.leaf().expect("pinned");
    assert!(!leaf.cells_settled(TxnId(7)) && leaf.cells_settled(TxnId(8)));
    assert_eq!(look(leaf, b"a", &Settled { below: TxnId(7) }), Lookup::Unsettled);
    assert_eq!(look(leaf, b"b", &Settled { below: TxnId(7) }), found(b"b"));
    leaf.latch().abort(b"a", TxnId(7));
    assert_eq!(look(leaf, b"a", &Settled { below: TxnId(8) }), Lookup::Missing);
}

#[test]
fn adopted_versions_keep_their_order_and_writers() {
    let page = Page::new(&[]);
    let pin = page.pinned();
    let old = pin.leaf().expect("pinned");
    for txn in 1..=3 {
        put(old, b"k", txn, &[txn as u8]);
    }
    let entry = old.entry(0).expect("an entry");
    let chain: Vec<&Update> =
        std::iter::successors(Some(entry.newest()), |update| update.older()).collect();
    let new = page.leaf(&[]);
    new.latch().adopt(b"k", &chain);
    let copied = std::iter::successors(new.entry(0).map(Entry::newest), |update| update.older());
    let copied: Vec<_> = copied.map(|update| (update.txn().0, update.bytes().to_vec())).collect();
    assert_eq!(copied, [(3, vec![3]), (2, vec![2]), (1, vec![1])]);
}

#[test]
fn budget_is_over_after_too_many_keys_and_can_be_put_off() {
    let page = Page::new(&[]);
    let pin = page.pinned();
    let leaf = pin.leaf().expect("pinned");
    for key in 0..4_u8 {
        put(leaf, &[key], 1, b"v");
    }
    let mut latched = leaf.latch();
    assert!(!latched.is_over_budget());
    latched.put(b"one more", TxnId(1), UpdateKind::Inline, b"v");
    assert!(latched.is_over_budget());
    latched.raise_budget();
    assert!(!latched.is_over_budget());
    latched.put(b"long", TxnId(1), UpdateKind::Inline, &[0; 100_000]);
    assert!(latched.is_over_budget());
    assert!(leaf.charged_bytes() > 100_000, "the arena is charged");
    assert_eq!(leaf.changes(), 6);
}

#[test]
fn pinned_leaf_outlives_its_replacement_and_its_eviction() {
    let page = Page::new(&[b"a"]);
    let mut reader = page.pinned();
    assert!(reader.remember(|leaf| match leaf.lookup(b"a", &Everything) {
        Lookup::Found(value) => Some(value),
        _ => None,
    }));
    let writer = page.pinned();
    let new = page.leaf(&[b"b"]);
    writer.leaf().expect("pinned").latch().replace_with(new, &page.hazards);
    drop(writer);
    page.hazards.reclaim();
    assert_eq!(reader.value(), Some(ValueRef::Inline(b"a")));
    assert!(reader.leaf().expect("pinned").is_dead());
    assert!(reader.leaf().expect("pinned").latch().home().is_none(), "it has no home any more");
    assert!(page.hazards.retired_bytes() > 0);
    let mut pin = page.pinned();
    assert!(!pin.leaf().expect("pinned").is_dead());
    pin.leaf().expect("pinned").latch().evict(&page.hazards);
    assert!(!pin.pin(&page.reference), "a page on disk cannot be pinned");
    assert!(pin.leaf().is_none());
    reader.release();
    assert_eq!(reader.value(), None);
    page.hazards.reclaim();
    assert_eq!(page.hazards.retired_bytes(), 0);
}

#[test]
fn pinned_leaf_outlives_its_tree() {
    let mut page = Page::new(&[b"a"]);
    let pin = page.pinned();
    page.reference.free_below(&page.hazards);
    page.hazards.reclaim();
    let leaf = pin.leaf().expect("pinned");
    assert_eq!(look(leaf, b"a", &Everything), found(b"a"));
    assert!(leaf.latch().home().is_none(), "its home may be gone");
    drop(pin);
}

#[test]
fn killed_leaf_has_a_home_for_its_killer_alone() {
    let page = Page::new(&[b"a"]);
    let pin = page.pinned();
    let latched = pin.leaf().expect("pinned").latch();
    latched.kill();
    assert!(latched.home().is_some());
    drop(latched);
    let latched = pin.leaf().expect("pinned").latch();
    latched.kill();
    assert!(latched.home().is_none(), "whoever killed it is done with it");
}

#[test]
fn claim_is_exclusive_and_returns_the_page_to_disk() {
    let page = Page::new(&[]);
    page.pinned().leaf().expect("pinned").latch().evict(&page.hazards);
    let claim = page.reference.claim().expect("on disk");
    assert!(page.reference.claim().is_none() && !page.reference.kill_on_disk());
    assert!(matches!(page.reference.state(&epoch::pin()), State::Loading));
    drop(claim);
    assert!(matches!(page.reference.state(&epoch::pin()), State::Disk));
    let claim = page.reference.claim().expect("on disk again");
    claim.install_leaf(page.leaf(&[b"a"]), &page.hazards);
    assert_eq!(look(page.pinned().leaf().expect("pinned"), b"a", &Everything), found(b"a"));
}

/// A thousand bytes a row.
fn long_image(keys: &[&[u8]]) -> PageImage {
    let mut builder = PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default());
    keys.iter().for_each(|key| builder.push(key, Tag::Inline, &key.repeat(1000)));
    builder.finish_image()
}

fn long_rows(page: &Page, keys: &[&[u8]]) -> Owned<Leaf> {
    Leaf::new(long_image(keys), None, LeafRange::default(), &page.reference, &page.cache, 4)
}

const KEYS: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"];

/// A page in memory with a row for each of `KEYS`, of which some were read.
fn page_with_rows_read(read: &[&[u8]]) -> Page {
    let page = Page::new(&[]);
    let rows = long_rows(&page, &KEYS);
    page.pinned().leaf().expect("pinned").latch().replace_with(rows, &page.hazards);
    let pin = page.pinned();
    for key in read {
        let value = key.repeat(1000);
        assert_eq!(pin.leaf().expect("pinned").read(key, &Everything), found(&value));
    }
    drop(pin);
    page
}

fn evict_all_but_rows(page: &Page) -> bool {
    let pin = page.pinned();
    let latched = pin.leaf().expect("pinned").latch();
    let stays = latched.evict_all_but_rows(&page.hazards).is_ok();
    drop(pin);
    page.hazards.reclaim();
    stays
}

/// Which of `KEYS` are in memory.
fn rows_in_memory(page: &Page) -> Vec<&'static [u8]> {
    let mut pin = page.pin();
    let mut is_here = |key: &&[u8]| {
        let is_here = pin.pin_row_of(TableId(1), &page.reference, key, false);
        assert_eq!(pin.value().is_some(), is_here);
        if let Some(value) = pin.value() {
            assert_eq!(value, ValueRef::Inline(&key.repeat(1000)));
        }
        assert!(pin.leaf().is_none());
        is_here
    };
    KEYS.into_iter().filter(|key| is_here(key)).collect()
}

#[test]
fn rows_that_were_read_stay_when_their_leaf_leaves() {
    let page = page_with_rows_read(&[b"b", b"g"]);
    assert!(evict_all_but_rows(&page));
    assert!(matches!(page.reference.state(&epoch::pin()), State::Remnant));
    assert!(page.cache.bytes_used() < 3000);
    assert_eq!(rows_in_memory(&page), [b"b", b"g"]);
    assert!(!page.reference.kill_on_disk(), "an index may not leave while rows are here");
    // Who wanted to read the leaf in and could not leaves the rows.
    let claim = page.reference.claim().expect("a leaf on disk");
    assert_eq!(rows_in_memory(&page).len(), 0);
    drop(claim);
    assert_eq!(rows_in_memory(&page), [b"b", b"g"]);
    // When the leaf is read in and leaves again, they stay again.
    let claim = page.reference.claim().expect("a leaf on disk");
    claim.install_leaf(long_rows(&page, &KEYS), &page.hazards);
    assert!(evict_all_but_rows(&page));
    assert_eq!(rows_in_memory(&page), [b"b", b"g"]);
}

#[test]
fn nothing_stays_of_a_leaf_that_nobody_or_everybody_read() {
    for read in [&KEYS[..0], &KEYS[..6]] {
        let page = page_with_rows_read(read);
        assert!(!evict_all_but_rows(&page));
        assert!(matches!(page.reference.state(&epoch::pin()), State::Leaf(_)));
    }
}

#[test]
fn row_outlives_what_it_lies_in_while_it_is_held() {
    let page = page_with_rows_read(&[b"c"]);
    assert!(evict_all_but_rows(&page));
    let (mut reader, mut evictor) = (page.pin(), page.pin());
    assert!(reader.pin_row_of(TableId(1), &page.reference, b"c", false));
    assert!(evictor.pin_remnant(&page.reference));
    let held = evictor.remnant().expect("pinned");
    assert_eq!(page.reference.trim(held, Keep::All, &page.hazards), Some(0));
    assert_eq!(page.reference.trim(held, Keep::All, &page.hazards), None, "it was replaced");
    drop(evictor);
    page.hazards.reclaim();
    assert_eq!(reader.value(), Some(ValueRef::Inline(&b"c".repeat(1000))));
    assert_eq!(rows_in_memory(&page), [b"c"], "it is somewhere else");
    reader.release();
    page.hazards.reclaim();
    assert_eq!(page.hazards.retired_bytes(), 0);
}

/// What nobody reads leaves after some rounds of the clock; what is read each time stays.
#[test]
fn rows_leave_when_they_are_read_no_more() {
    let page = page_with_rows_read(&[b"a", b"d"]);
    assert!(evict_all_but_rows(&page));
    let (mut pin, mut rounds, mut uses) = (page.pin(), 0, Uses::default());
    while rows_in_memory_but(&page, b"d") {
        assert!(pin.pin_row_of(TableId(1), &page.reference, b"d", false));
        assert!(pin.pin_remnant(&page.reference));
        let held = pin.remnant().expect("pinned");
        if held.cool(2, &mut uses) {
            assert!(page.reference.trim(held, Keep::ReadLately, &page.hazards).is_some());
        }
        rounds += 1;
        assert!(rounds < 20, "it stays for ever");
    }
    assert!(rounds > 3, "it left at once");
    assert_eq!(rows_in_memory(&page), [b"d"]);
    for _ in 0..20 {
        if pin.pin_remnant(&page.reference) {
            let held = pin.remnant().expect("pinned");
            if held.cool(1, &mut uses) {
                page.reference.trim(held, Keep::ReadLately, &page.hazards);
            }
        }
    }
    assert!(matches!(page.reference.state(&epoch::pin()), State::Disk));
}

/// Reads the row in `slot` of the leaf on disk, and nothing else of it, if that may be.
fn read_alone(page: &Page, slot: usize) -> bool {
    let claim = page.reference.claim().expect("a leaf on disk");
    claim.install_row(&long_image(&KEYS), slot, &page.cache, &page.hazards).is_ok()
}

#[test]
fn rows_that_are_read_alone_join_those_that_stayed() {
    let page = page_with_rows_read(&[]);
    page.pinned().leaf().expect("pinned").latch().evict(&page.hazards);
    for (slot, here) in [(3, &KEYS[3..4]), (1, &[b"b", b"d"]), (2, &KEYS[1..4])] {
        assert!(read_alone(&page, slot));
        page.hazards.reclaim();
        assert_eq!(rows_in_memory(&page), here);
        assert!(page.cache.bytes_used() < 3 * 1000 + 500, "{}", page.cache.bytes_used());
    }
    assert!(!read_alone(&page, 2), "it is there");
    let claim = page.reference.claim().expect("a leaf on disk");
    assert!(claim.has_row(b"c") && !claim.has_row(b"h"));
    drop(claim);
    assert!(read_alone(&page, 7));
    assert!(!read_alone(&page, 5), "together they are more than half of the leaf");
    assert_eq!(rows_in_memory(&page), [b"b", b"c", b"d", b"h"]);
}

#[test]
fn row_that_is_read_once_alone_leaves_first() {
    let page = page_with_rows_read(&[b"d"]);
    assert!(evict_all_but_rows(&page));
    assert!(read_alone(&page, 1));
    let (mut pin, mut uses) = (page.pin(), Uses::default());
    assert!(pin.pin_row_of(TableId(1), &page.reference, b"b", true), "it came for this");
    for is_cold in [false, true] {
        assert!(pin.pin_row_of(TableId(1), &page.reference, b"d", false));
        assert!(pin.pin_remnant(&page.reference));
        let held = pin.remnant().expect("pinned");
        assert_eq!(held.cool(1, &mut uses), is_cold);
        if is_cold {
            assert!(page.reference.trim(held, Keep::ReadLately, &page.hazards).is_some());
        }
    }
    assert_eq!(rows_in_memory(&page), [b"d"]);
}

/// What a leaf is good for is what only it has, and only while it would have left otherwise.
#[test]
fn uses_of_a_leaf_count_where_the_disk_was_spared() {
    let page = page_with_rows_read(&[b"a", b"b", b"b", b"c"]);
    let pin = page.pinned();
    let leaf = pin.leaf().expect("pinned");
    let reads = || leaf.uses().reads;
    assert_eq!(reads(), 2, "it was read in for the first");
    leaf.touch();
    leaf.touch();
    assert_eq!(reads(), 3, "all else is one use");
    for _ in 0..3 {
        assert!(!leaf.cool());
        leaf.touch();
        assert_eq!(leaf.uses(), Uses::default(), "it was too hot to leave");
    }
    while !leaf.cool() {}
    assert_eq!(reads(), 0);
    leaf.touch();
    assert_eq!(leaf.read(b"d", &Everything), found(&b"d".repeat(1000)));
    assert_eq!(leaf.uses(), Uses { reads: 2, bytes: leaf.charged_bytes() });
}

/// Whether the remnant has more rows than that of `key`, found out without reading any.
fn rows_in_memory_but(page: &Page, key: &[u8]) -> bool {
    let mut pin = page.pin();
    pin.pin_remnant(&page.reference) && pin.remnant().is_some_and(|held| held.first_key() != key)
}

#[test]
fn index_leads_to_its_children_until_it_is_replaced() {
    let hazards = HazardDomain::new(Fences::Portable);
    let cache = Arc::new(Cache::new(1 << 20));
    let child = || {
        new_leaf_reference(1, |home| {
            Leaf::new(image(&[]), None, LeafRange::default(), home, &cache, 4)
        })
    };
    let internal = |keys: &[&[u8]]| {
        let mut builder = PageBuilder::new(PageKind::Internal, &[], BuilderCapacity::default());
        keys.iter().for_each(|key| builder.push(key, Tag::Child, &[]));
        builder.finish_image()
    };
    let [left, right] = [child(), child()];
    let one = Index::new(internal(&[b""]), Box::from([left]), &cache);
    let root = new_index_reference(2, 1, Box::new(one));
    // SAFETY: made just now, freed below.
    let root = unsafe { &mut *root.as_ptr() };
    let two = Index::new(internal(&[b"", b"m"]), Box::from([left, right]), &cache);
    {
        let guard = epoch::pin();
        let State::Index(old) = root.state(&guard) else { panic!("an index") };
        replace_index(root, Box::new(two), &guard);
        assert_eq!(old.child_count(), 1, "it stays while somebody is pinned");
        let State::Index(new) = root.state(&guard) else { panic!("an index") };
        assert_eq!((new.find(b"a"), new.find(b"m"), new.find_before(b"m")), (0, 1, 0));
        assert_eq!(new.position(new.child(1)), Some(1));
        let mut pin = PinnedLeaf::new(HazardSlot::new(&hazards));
        assert!(pin.pin(new.child(0)));
    }
    root.free_below(&hazards);
    hazards.reclaim();
    assert_eq!(hazards.retired_bytes(), 0);
    // SAFETY: it came from a box, and nothing leads to it.
    drop(unsafe { Box::from_raw(std::ptr::from_mut(root)) });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

    /// Keys in any order, some of them again, some of them deleted, with prefixes in common.
    #[test]
    fn insert_list_agrees_with_a_map(
        changes in prop::collection::vec((prop::collection::vec(0_u8..3, 0..12), any::<bool>()), 0..80)
    ) {
        let page = Page::new(&[b"\x01"]);
        let pin = page.pinned();
        let leaf = pin.leaf().expect("pinned");
        let mut model: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for (number, (key, is_value)) in changes.iter().enumerate() {
            let value = number.to_le_bytes();
            let kind = if *is_value { UpdateKind::Inline } else { UpdateKind::Tombstone };
            leaf.latch().put(key, TxnId(number as u64 + 1), kind, &value);
            model.insert(key.clone(), is_value.then(|| value.to_vec()));
        }
        let mut order = Vec::new();
        leaf.sort_entries_into(&mut order);
        let keys: Vec<&[u8]> =
            order.iter().filter_map(|n| leaf.entry(usize::from(*n))).map(Entry::key).collect();
        prop_assert_eq!(keys, model.keys().map(Vec::as_slice).collect::<Vec<_>>());
        for (key, value) in &model {
            let expected = value.as_deref().map_or(Lookup::Missing, found);
            prop_assert_eq!(look(leaf, key, &Everything), expected);
        }
        prop_assert_eq!(leaf.changes(), changes.len() as u64);
    }
}
