//! Models 1, 4 and 5 on leaves: a held leaf stays, its insert list is whole as far as it is
//! published, its chains say the same to one snapshot for ever, and who holds a leaf that was
//! replaced finds out in time.

use loom::sync::Arc;
use loom::thread;
use loom_tests::tree::{image, value};
use loom_tests::{check, check_control, check_within};
use rshelve_core::base::ids::{TableId, TxnId};
use rshelve_core::cache::Cache;
use rshelve_core::internals::mvcc::Transactions;
use rshelve_core::internals::reclaim::{Fences, HazardDomain, HazardSlot};
use rshelve_core::internals::weaken::Weakness;
use rshelve_core::memory::Owned;
use rshelve_core::page::{
    Everything, Home, Keep, Leaf, LeafRange, Lookup, PageRef, PinnedLeaf, Settled, UpdateKind,
    ValueRef, View, new_leaf_in,
};

/// What loom says of a read that is not in order with a publication or a free.
const RACE: &str = "Causality violation";

/// A reference with a leaf under it, and all that they need.
struct Page {
    reference: Box<PageRef>,
    hazards: Arc<HazardDomain>,
    cache: Arc<Cache>,
    transactions: Arc<Transactions>,
}

impl Page {
    fn new(keys: &[&[u8]]) -> Arc<Self> {
        let page = Self::over(PageRef::new_dirty(0, 0));
        new_leaf_in(&page.reference, |_| page.leaf(keys));
        Arc::new(page)
    }

    fn over(reference: Box<PageRef>) -> Self {
        Self {
            reference,
            hazards: HazardDomain::new(Fences::Portable),
            cache: Arc::new(Cache::new(1 << 20)),
            transactions: Arc::new(Transactions::new()),
        }
    }

    fn leaf(&self, keys: &[&[u8]]) -> Owned<Leaf> {
        Leaf::new(image(keys), None, LeafRange::default(), &self.reference, &self.cache, 8)
    }

    fn pin(&self) -> PinnedLeaf {
        PinnedLeaf::new(HazardSlot::new(&self.hazards))
    }

    /// A pin that holds the leaf, which nobody changes meanwhile.
    fn pinned(&self) -> PinnedLeaf {
        let mut pin = self.pin();
        assert!(pin.pin(&self.reference));
        pin
    }

    /// Puts a version on the leaf that `pin` holds.
    fn put(&self, pin: &PinnedLeaf, key: &[u8], id: TxnId, value: &[u8]) {
        pin.leaf().unwrap().latch().put(key, id, UpdateKind::Inline, value);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.reference.free_below(&self.hazards);
        self.hazards.reclaim();
        assert_eq!(self.hazards.retired_bytes(), 0, "a retired leaf was forgotten");
        assert_eq!(self.cache.bytes_used(), 0, "the cache's account does not return to zero");
    }
}

/// Reads on the leaf that `pin` holds.
fn read<'p>(pin: &'p PinnedLeaf, key: &[u8], view: &impl View) -> Option<&'p [u8]> {
    value(pin.leaf().unwrap().lookup(key, view))
}

/// A reader beside an eviction; or beside a replacement and then an eviction.
fn leave(replace_first: bool) {
    let page = Page::new(&[b"a"]);
    let reader = {
        let (page, mut pin) = (page.clone(), page.pin());
        thread::spawn(move || {
            if pin.pin(&page.reference) {
                assert_eq!(read(&pin, b"a", &Everything), Some(&b"a"[..]), "a row was lost");
                assert!(pin.remember(|leaf| match leaf.lookup(b"a", &Everything) {
                    Lookup::Found(value) => Some(value),
                    _ => None,
                }));
                pin.release();
            }
            pin
        })
    };
    let mut pin = page.pinned();
    if replace_first {
        let new = page.leaf(&[b"a", b"b"]);
        pin.leaf().unwrap().latch().replace_with(new, &page.hazards);
        assert!(pin.pin(&page.reference));
    }
    pin.leaf().unwrap().latch().evict(&page.hazards);
    pin.release();
    page.hazards.reclaim();
    // Whether it found the leaf or not, it holds nothing.
    let _idle = reader.join().unwrap();
    page.hazards.reclaim();
    assert_eq!(page.hazards.retired_bytes(), 0, "an idle pin holds a leaf");
}

fn evict() {
    leave(false);
}

fn replace() {
    leave(true);
}

/// Two claim a page on disk, one installs it, and both may read it then.
fn read_in() {
    let page = Arc::new(Page::over(PageRef::on_disk(Home::default(), 0)));
    let reads = |page: &Page| {
        let mut pin = page.pin();
        let claim = page.reference.claim();
        let won = claim.is_some();
        if let Some(claim) = claim {
            claim.install_leaf(page.leaf(&[b"a"]), &page.hazards);
        }
        if pin.pin(&page.reference) {
            assert_eq!(read(&pin, b"a", &Everything), Some(&b"a"[..]), "a row was lost");
        }
        won
    };
    let other = {
        let page = page.clone();
        thread::spawn(move || reads(&page))
    };
    let won = reads(&page);
    assert!(won != other.join().unwrap(), "a page was not read in once");
}

/// A page of which the row `a` stayed when its leaf left.
fn page_with_row_left() -> Arc<Page> {
    let page = Page::new(&[b"a", b"b", b"c"]);
    let pin = page.pinned();
    assert_eq!(value(pin.leaf().unwrap().read(b"a", &Everything)), Some(&b"a"[..]));
    let stays = pin.leaf().unwrap().latch().evict_all_but_rows(&page.hazards).is_ok();
    assert!(stays, "nothing stays");
    drop(pin);
    page.hazards.reclaim();
    page
}

/// Reads the row that stayed, wherever it is.
fn read_row_left(page: &Page, pin: &mut PinnedLeaf) {
    if pin.pin_row_of(TableId(1), &page.reference, b"a", false) {
        let ends = pin.remnant().map(|remnant| remnant.first_key());
        assert_eq!(ends.as_deref(), Some(&b"a"[..]), "what stayed has another row");
        assert!(matches!(pin.value(), Some(ValueRef::Inline(b"a"))), "a row was lost");
    } else if pin.pin(&page.reference) {
        assert_eq!(read(pin, b"a", &Everything), Some(&b"a"[..]), "a row was lost");
    }
}

/// Beside a reader of the row that stayed: the clock moves it to other memory, or takes it away.
fn trim() {
    let page = page_with_row_left();
    let reader = {
        let (page, mut pin) = (page.clone(), page.pin());
        thread::spawn(move || {
            read_row_left(&page, &mut pin);
            pin.release();
            pin
        })
    };
    let mut pin = page.pin();
    assert!(pin.pin_remnant(&page.reference));
    assert!(page.reference.trim(pin.remnant().unwrap(), Keep::All, &page.hazards).is_some());
    pin.release();
    page.hazards.reclaim();
    let _idle = reader.join().unwrap();
    page.hazards.reclaim();
    assert_eq!(page.hazards.retired_bytes(), 0, "an idle pin holds a remnant");
}

/// Beside a reader of the row that stayed, the leaf is read in.
fn read_in_beside_row() {
    let page = page_with_row_left();
    let reader = {
        let (page, mut pin) = (page.clone(), page.pin());
        thread::spawn(move || read_row_left(&page, &mut pin))
    };
    let claim = page.reference.claim().expect("a leaf on disk");
    claim.install_leaf(page.leaf(&[b"a", b"b", b"c"]), &page.hazards);
    page.hazards.reclaim();
    reader.join().unwrap();
    // The row that stayed counts as read.
    let pin = page.pinned();
    assert!(pin.leaf().unwrap().latch().evict_all_but_rows(&page.hazards).is_ok());
}

/// Beside a reader of the row that stayed, another row is read without its leaf.
fn read_alone_beside_row() {
    let page = page_with_row_left();
    let reader = {
        let (page, mut pin) = (page.clone(), page.pin());
        thread::spawn(move || read_row_left(&page, &mut pin))
    };
    let leaf = page.leaf(&[b"a", b"b", b"c"]);
    let claim = page.reference.claim().expect("a leaf on disk");
    assert!(claim.install_row(leaf.image(), 1, &page.cache, &page.hazards).is_ok());
    page.hazards.reclaim();
    reader.join().unwrap();
    let mut pin = page.pin();
    for key in [b"a", b"b"] {
        assert!(pin.pin_row_of(TableId(1), &page.reference, key, false), "a row is gone");
        assert!(matches!(pin.value(), Some(ValueRef::Inline(value)) if value == key));
    }
}

/// One reads the leaf in, or cannot and gives it back, while the clock moves the row that stayed.
fn claim_against_trim() {
    let page = page_with_row_left();
    let loader = {
        let page = page.clone();
        thread::spawn(move || drop(page.reference.claim()))
    };
    let mut pin = page.pin();
    if pin.pin_remnant(&page.reference) {
        page.reference.trim(pin.remnant().unwrap(), Keep::All, &page.hazards);
    }
    loader.join().unwrap();
    assert!(pin.pin_row_of(TableId(1), &page.reference, b"a", false), "the row is gone");
}

/// New keys, out of order, through two growths of the arrays, beside a reader.
fn insert_list() {
    const KEYS: [&[u8]; 3] = [b"b", b"a", b"c"];
    let page = Page::new(&[]);
    let writer = {
        let (page, pin) = (page.clone(), page.pinned());
        thread::spawn(move || {
            for key in KEYS {
                page.put(&pin, key, TxnId::FIRST, key);
            }
        })
    };
    let pin = page.pinned();
    let leaf = pin.leaf().unwrap();
    for _ in 0..2 {
        let mut order = Vec::new();
        leaf.sort_entries_into(&mut order);
        let keys: Vec<&[u8]> = order
            .iter()
            .map(|number| leaf.entry(usize::from(*number)).expect("a counted entry").key())
            .collect();
        assert!(keys.is_sorted(), "the insert list is out of order");
        for key in &KEYS[..keys.len()] {
            assert!(keys.contains(key), "the insert list has a gap");
            assert_eq!(read(&pin, key, &Everything), Some(*key), "an entry was not found");
        }
    }
    writer.join().unwrap();
    assert_eq!(leaf.entry_count(), KEYS.len());
}

/// Two readers want the entries in order, beside a writer: the first keeps it for the other.
fn kept_order() {
    let page = Page::new(&[]);
    let pin = page.pinned();
    for key in [b"b", b"a"] {
        page.put(&pin, key, TxnId::FIRST, key);
    }
    let sorts = |page: &Page| {
        let pin = page.pinned();
        let leaf = pin.leaf().unwrap();
        let mut order = Vec::new();
        leaf.sort_entries_into(&mut order);
        let keys: Vec<&[u8]> = order
            .iter()
            .map(|number| leaf.entry(usize::from(*number)).expect("a counted entry").key())
            .collect();
        let whole: [&[&[u8]]; 2] = [&[b"a", b"b"], &[b"a", b"b", b"c"]];
        assert!(whole.contains(&keys.as_slice()), "the order is not the list's");
    };
    let readers = [(); 2].map(|()| {
        let page = page.clone();
        thread::spawn(move || sorts(&page))
    });
    page.put(&pin, b"c", TxnId::FIRST, b"c");
    for reader in readers {
        reader.join().unwrap();
    }
    sorts(&page);
}

/// A commit, and a rollback over it, beside a snapshot and a read without one.
fn update_chain() {
    let page = Page::new(&[b"k"]);
    let writer = {
        let (page, pin) = (page.clone(), page.pinned());
        thread::spawn(move || {
            let id = page.transactions.begin_write();
            page.put(&pin, b"k", id, b"committed");
            page.transactions.commit(id, &[]);
            let id = page.transactions.begin_write();
            page.put(&pin, b"k", id, b"rolled back");
            pin.leaf().unwrap().latch().abort(b"k", id);
            page.transactions.abort(id);
        })
    };
    let pin = page.pinned();
    let below = page.transactions.all_ended_below();
    if let Some(now) = read(&pin, b"k", &Settled { below }) {
        assert!(now == b"k" || now == b"committed", "a rollback was read");
    }
    let guard = Transactions::snapshot(&page.transactions);
    let first = read(&pin, b"k", &**guard.snapshot());
    assert!(first == Some(b"k") || first == Some(b"committed"), "a rollback was read");
    let again = read(&pin, b"k", &**guard.snapshot());
    assert_eq!(first, again, "a snapshot changed its mind");
    writer.join().unwrap();
}

/// A commit in one step, then one that comes to nothing, beside a snapshot and a read without one.
fn commit_at_once() {
    const TABLE: TableId = TableId(1);
    let page = Page::new(&[b"a"]);
    let writer = {
        let (page, pin) = (page.clone(), page.pinned());
        thread::spawn(move || {
            let mut latched = pin.leaf().unwrap().latch();
            let newest = latched.newest(b"k");
            let pending = latched.put_pending_on(&newest, b"k", UpdateKind::Inline, b"v");
            page.transactions.commit_at_once((TABLE, 1), |id| pending.stamp(id));
            let newest = latched.newest(b"k");
            drop(latched.put_pending_on(&newest, b"k", UpdateKind::Inline, b"undone"));
        })
    };
    let pin = page.pinned();
    let below = page.transactions.all_ended_below();
    let settled = read(&pin, b"k", &Settled { below });
    assert_ne!(settled, Some(&b"undone"[..]), "a rollback was read");
    let guard = Transactions::snapshot(&page.transactions);
    let first = read(&pin, b"k", &**guard.snapshot());
    assert_eq!(guard.rows(TABLE), u64::from(first.is_some()), "the count differs from the rows");
    let again = read(&pin, b"k", &**guard.snapshot());
    assert_eq!(first, again, "a snapshot changed its mind");
    assert!(first.is_none_or(|value| value == b"v"), "a rollback was read");
    writer.join().unwrap();
    assert_eq!(read(&pin, b"k", &**guard.snapshot()), first, "a snapshot changed its mind");
    drop(guard);
    let guard = Transactions::snapshot(&page.transactions);
    assert_eq!(read(&pin, b"k", &**guard.snapshot()), Some(&b"v"[..]), "a commit was lost");
}

/// A leaf is replaced, and a commit goes to the new one, beside a reader that holds the old one: a
/// commit that its snapshot sees is on the old leaf, or the old leaf is dead.
fn held_leaf() {
    let page = Page::new(&[b"a"]);
    let held = page.pinned();
    let replacer = {
        let (page, pin) = (page.clone(), page.pinned());
        thread::spawn(move || {
            let new = page.leaf(&[b"a"]);
            pin.leaf().unwrap().latch().replace_with(new, &page.hazards);
        })
    };
    let writer = {
        let (page, mut pin) = (page.clone(), page.pin());
        thread::spawn(move || {
            if !pin.pin(&page.reference) {
                return;
            }
            let mut latched = pin.leaf().unwrap().latch();
            if latched.home().is_some() {
                let id = page.transactions.begin_write();
                latched.put(b"k", id, UpdateKind::Inline, b"v");
                drop(latched);
                page.transactions.commit(id, &[]);
            }
        })
    };
    let guard = Transactions::snapshot(&page.transactions);
    let is_seen = guard.snapshot().sees(TxnId::FIRST);
    if is_seen && !held.leaf().unwrap().is_dead() {
        let found = read(&held, b"k", &**guard.snapshot());
        assert_eq!(found, Some(&b"v"[..]), "a held leaf hides a commit");
    }
    replacer.join().unwrap();
    writer.join().unwrap();
    if page.transactions.all_ended_below() > TxnId::FIRST {
        let now = page.pinned();
        let on_old = read(&held, b"k", &Everything).is_some();
        let on_new = read(&now, b"k", &Everything).is_some();
        // What came before the replacement its maker would have copied.
        assert!(on_old || on_new, "a write was lost");
    }
}

#[test]
fn model_1_leaf_against_evict_and_replace() {
    check("1 pinned leaf against evict", evict);
    check("1 pinned leaf against replace, then evict", replace);
}

#[test]
fn model_1_leaf_needs_the_second_look() {
    check_control("1 pinned leaf", Weakness::PinWithoutSecondLook, RACE, evict);
}

#[test]
fn model_1_row_that_stayed_against_trim_and_load() {
    check("1 row that stayed against trim", trim);
    check("1 row that stayed against load", read_in_beside_row);
    check("1 row that stayed against a row read alone", read_alone_beside_row);
    check("1 load against trim", claim_against_trim);
}

#[test]
fn model_1_row_that_stayed_needs_the_second_look() {
    check_control("1 row that stayed", Weakness::PinWithoutSecondLook, RACE, trim);
}

#[test]
fn model_1_leaf_needs_both_fences() {
    check_control("1 pinned leaf", Weakness::HazardReaderFence, RACE, evict);
    check_control("1 pinned leaf", Weakness::HazardScannerFence, RACE, evict);
}

#[test]
fn model_3_page_that_is_read_in() {
    check("3 claim and install", read_in);
}

#[test]
fn model_3_needs_the_exchange_of_a_claim() {
    let complaint = "a page was not read in once";
    check_control("3 claim", Weakness::ClaimWithoutExchange, complaint, read_in);
}

#[test]
fn model_3_needs_the_release_of_the_word() {
    check_control("3 install", Weakness::WordRelaxed, RACE, read_in);
}

#[test]
fn model_4_insert_list() {
    check("4 insert list", insert_list);
}

#[test]
fn model_4_needs_the_entry_before_the_count() {
    check_control("4 insert list", Weakness::AppendCountFirst, "counted entry", insert_list);
}

#[test]
fn model_4_needs_both_releases() {
    check_control("4 insert list", Weakness::AppendRelaxed, "counted entry", insert_list);
    check_control("4 insert list", Weakness::GrowRelaxed, RACE, insert_list);
}

#[test]
fn model_4_kept_order() {
    check_within("4 kept order of the insert list", 3, kept_order);
}

#[test]
fn model_4_needs_the_release_of_the_order() {
    check_control("4 kept order", Weakness::OrderRelaxed, RACE, kept_order);
}

#[test]
fn model_5_update_chain() {
    check("5 update chain", update_chain);
}

#[test]
fn model_5_needs_the_release_of_the_head() {
    check_control("5 update chain", Weakness::PrependRelaxed, RACE, update_chain);
}

#[test]
fn model_5_commit_in_one_step() {
    check("5 commit in one step", commit_at_once);
}

#[test]
fn model_5_needs_the_id_before_the_commit() {
    // Whichever loom comes upon first: the count, or the second look.
    let complaint = "assertion `left == right` failed";
    check_control("5 commit in one step", Weakness::StampBehindCommit, complaint, commit_at_once);
}

#[test]
fn model_5_held_leaf_against_replace_and_commit() {
    check_within("5 held leaf against replace and commit", 3, held_leaf);
}

#[test]
fn model_5_needs_the_mark_before_the_word() {
    let complaint = "a held leaf hides a commit";
    check_control("5 held leaf", Weakness::KillAfterWord, complaint, held_leaf);
}
