//! Real threads on both kinds of fences: what a model of memory cannot show, the machine may.

use std::ptr::NonNull;
use std::sync::Barrier;
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

/// Memory that is in no processor's cache. Stores to it queue up in front of a hazard's store,
/// so that a missing fence has a window of hundreds of nanoseconds and not of a few.
struct Cold {
    words: Vec<AtomicU64>,
    random: u64,
}

impl Cold {
    const WORD_COUNT: usize = if cfg!(miri) { 64 } else { 16 << 20 };

    fn new() -> Cold {
        Cold { words: (0..Self::WORD_COUNT as u64).map(AtomicU64::new).collect(), random: 1 }
    }

    fn store_some(&mut self) {
        for _ in 0..48 {
            self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1);
            let index = (self.random >> 33) as usize % self.words.len();
            self.words[index].store(self.random, Ordering::Relaxed);
        }
    }
}

fn read_until(ready: &Barrier, stop: &AtomicBool, word: &AtomicPtr<Page>, slot: &HazardSlot) {
    let mut cold = Cold::new();
    ready.wait();
    while !stop.load(Ordering::Relaxed) {
        cold.store_some();
        let found = slot.protect(|| NonNull::new(word.load(Ordering::Acquire)));
        let page = found.expect("the word always leads to a page");
        for _ in 0..200 {
            // SAFETY: pages of this test are never really freed.
            let state = unsafe { page.as_ref() }.state.load(Ordering::Relaxed);
            assert_eq!(state, ALIVE, "a protected page was freed");
        }
    }
}

fn check(fences: Fences) {
    let page_count = if cfg!(miri) { 200 } else { 300_000 };
    let domain = HazardDomain::new(fences);
    let pages: Vec<Page> = (0..page_count).map(|_| Page { state: AtomicU64::new(ALIVE) }).collect();
    let address = |page: &Page| NonNull::from(page).as_ptr();
    let word = AtomicPtr::new(address(&pages[0]));
    let ready = Barrier::new(3);
    let stop = AtomicBool::new(false);
    FREED.store(0, Ordering::Relaxed);
    thread::scope(|scope| {
        for _ in 0..2 {
            let slot = HazardSlot::new(&domain);
            scope.spawn(|| {
                let slot = slot;
                read_until(&ready, &stop, &word, &slot);
            });
        }
        ready.wait();
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
