//! Real threads on both kinds of fences: what a model of memory cannot show, the machine may.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::{Fences, HazardDomain, HazardSlot};

const ALIVE: u64 = 0xA11E;
const DEAD: u64 = 0xDEAD;

/// An object that says whether it was freed. "Freed" ones stay in memory, so that a reader which
/// is wrong reads [`DEAD`] and not something undefined.
struct Page {
    state: AtomicU64,
}

static FREED: AtomicUsize = AtomicUsize::new(0);

unsafe fn free(object: *mut ()) {
    // SAFETY: every object of this test is a `Page` that lives until the test's end.
    let page = unsafe { &*object.cast::<Page>() };
    assert_eq!(page.state.swap(DEAD, Ordering::Relaxed), ALIVE, "freed twice");
    FREED.fetch_add(1, Ordering::Relaxed);
}

fn read_until(stop: &AtomicBool, word: &AtomicPtr<Page>, slot: &HazardSlot) {
    while !stop.load(Ordering::Relaxed) {
        let found = slot.protect(|| NonNull::new(word.load(Ordering::Acquire)));
        let page = found.expect("the word always leads to a page");
        for _ in 0..4 {
            // SAFETY: pages of this test are never really freed.
            let state = unsafe { page.as_ref() }.state.load(Ordering::Relaxed);
            assert_eq!(state, ALIVE, "a protected page was freed");
        }
    }
}

fn check(fences: Fences) {
    let page_count = if cfg!(miri) { 200 } else { 100_000 };
    let domain = HazardDomain::new(fences);
    let pages: Vec<Page> = (0..page_count).map(|_| Page { state: AtomicU64::new(ALIVE) }).collect();
    let address = |page: &Page| NonNull::from(page).as_ptr();
    let word = AtomicPtr::new(address(&pages[0]));
    let stop = AtomicBool::new(false);
    FREED.store(0, Ordering::Relaxed);
    thread::scope(|scope| {
        for _ in 0..3 {
            let slot = HazardSlot::new(&domain);
            scope.spawn(|| {
                let slot = slot;
                read_until(&stop, &word, &slot);
            });
        }
        for page in &pages[1..] {
            let old = word.swap(address(page), Ordering::AcqRel);
            let old = NonNull::new(old).expect("the word always leads to a page");
            // SAFETY: the word was just changed, and each page is in it once.
            unsafe { domain.retire(old.cast(), 8 << 10, free) };
            // Often enough that the scan follows the change closely.
            domain.reclaim();
        }
        stop.store(true, Ordering::Relaxed);
    });
    domain.reclaim();
    assert_eq!(FREED.load(Ordering::Relaxed), page_count - 1);
    assert_eq!(domain.retired_bytes(), 0);
}

#[test]
fn readers_never_see_a_freed_page_under_either_kind_of_fences() {
    check(Fences::Portable);
    if Fences::fastest() == Fences::Membarrier {
        check(Fences::Membarrier);
    }
}
