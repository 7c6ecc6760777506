//! Models 1 and 2: a page is not freed under a reader, and nothing retired is forgotten.

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, Ordering};
use loom::thread;
use loom_tests::{check, check_control};
use rshelve_core::internals::reclaim::{Fences, HazardDomain, HazardSlot};
use rshelve_core::internals::weaken::Weakness;

/// What loom says when a read and the free are not in order, whichever comes first.
const RACE: &str = "Causality violation";

/// A page whose memory outlives the model, so that a reader which is wrong is caught, and not
/// undefined. Freeing it is a write to `alive`, which loom checks against every read.
struct Page {
    alive: UnsafeCell<bool>,
}

fn page() -> NonNull<Page> {
    NonNull::from(Box::leak(Box::new(Page { alive: UnsafeCell::new(true) })))
}

/// The `drop_fn`: marks the page.
unsafe fn free(object: *mut ()) {
    // SAFETY: every object of these models is a `Page` that is never unmapped.
    let page = unsafe { &*object.cast::<Page>() };
    page.alive.with_mut(|alive| {
        // SAFETY: loom has checked that nobody else is in the cell.
        let was_alive = unsafe { std::mem::replace(&mut *alive, false) };
        assert!(was_alive, "freed twice");
    });
}

fn is_alive(page: NonNull<Page>) -> bool {
    // SAFETY: pages are never unmapped.
    let page = unsafe { page.as_ref() };
    // SAFETY: loom has checked that nobody writes the cell.
    page.alive.with(|alive| unsafe { *alive })
}

/// Unmaps a page at the end of a model.
fn unmap(page: NonNull<Page>) {
    // SAFETY: boxed in `page`, and every thread that knew it has been joined.
    drop(unsafe { Box::from_raw(page.as_ptr()) });
}

/// One read by the protocol; what `word` leads to must be alive for as long as the slot is set.
fn read(word: &AtomicPtr<Page>, slot: &HazardSlot) {
    if let Some(page) = slot.protect(|| NonNull::new(word.load(Ordering::Acquire))) {
        assert!(is_alive(page), "a freed page was read");
    }
    slot.clear();
}

/// Makes `word` lead to `new`, and retires what it led to.
fn replace(word: &AtomicPtr<Page>, new: *mut Page, domain: &HazardDomain) {
    if let Some(old) = NonNull::new(word.swap(new, Ordering::AcqRel)) {
        // SAFETY: the word was just changed; the page was in no other, and is not put back.
        unsafe { domain.retire(old.cast(), 1, free) };
    }
}

/// When all is quiet, one more scan frees whatever is left.
fn nothing_is_forgotten(domain: &HazardDomain, pages: &[NonNull<Page>]) {
    domain.reclaim();
    assert_eq!(domain.retired_bytes(), 0, "a retired page was forgotten");
    for page in pages {
        assert!(!is_alive(*page), "a retired page was never freed");
        unmap(*page);
    }
}

/// Some readers, each with its slot, and one thread that leads the word through `pages` to
/// nothing.
fn read_beside_evict(reader_count: usize, page_count: usize) {
    let domain = HazardDomain::new(Fences::Portable);
    let pages: Vec<_> = (0..page_count).map(|_| page()).collect();
    let word = Arc::new(AtomicPtr::new(pages[0].as_ptr()));
    let readers: Vec<_> = (0..reader_count)
        .map(|_| {
            let (slot, word) = (HazardSlot::new(&domain), Arc::clone(&word));
            thread::spawn(move || read(&word, &slot))
        })
        .collect();
    for page in &pages[1..] {
        replace(&word, page.as_ptr(), &domain);
    }
    replace(&word, std::ptr::null_mut(), &domain);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    nothing_is_forgotten(&domain, &pages);
}

fn evict() {
    read_beside_evict(2, 1);
}

fn replace_and_evict() {
    read_beside_evict(1, 2);
}

/// Two threads retire: the scan of one meets what the other retired, and one reader.
fn evict_twice() {
    let domain = HazardDomain::new(Fences::Portable);
    let pages = [page(), page()];
    let words: Vec<_> = pages.iter().map(|page| AtomicPtr::new(page.as_ptr())).collect();
    let words = Arc::new(words);
    let reader = {
        let (slot, words) = (HazardSlot::new(&domain), Arc::clone(&words));
        thread::spawn(move || read(&words[0], &slot))
    };
    let evictor = {
        let (domain, words) = (domain.clone(), Arc::clone(&words));
        thread::spawn(move || replace(&words[0], std::ptr::null_mut(), &domain))
    };
    replace(&words[1], std::ptr::null_mut(), &domain);
    reader.join().unwrap();
    evictor.join().unwrap();
    nothing_is_forgotten(&domain, &pages);
}

/// Readers that take their slots, and so add blocks to the registry, while a scan reads it.
fn growth() {
    let domain = HazardDomain::new(Fences::Portable);
    let pages = [page()];
    let word = Arc::new(AtomicPtr::new(pages[0].as_ptr()));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (domain, word) = (domain.clone(), Arc::clone(&word));
            thread::spawn(move || read(&word, &HazardSlot::new(&domain)))
        })
        .collect();
    replace(&word, std::ptr::null_mut(), &domain);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    nothing_is_forgotten(&domain, &pages);
}

#[test]
fn model_1_hazard_against_evict() {
    check("1 hazard against evict, two readers", evict);
    check("1 hazard against evict, one reader, two pages", replace_and_evict);
    check("1 hazard against evict, two evictors", evict_twice);
}

#[test]
fn model_1_needs_the_readers_fence() {
    check_control("1 hazard against evict", Weakness::HazardReaderFence, RACE, evict);
}

#[test]
fn model_1_needs_the_scanners_fence() {
    check_control("1 hazard against evict", Weakness::HazardScannerFence, RACE, evict);
}

#[test]
fn model_1_needs_the_release_of_a_cleared_slot() {
    check_control("1 hazard against evict", Weakness::HazardClearRelease, RACE, evict);
}

#[test]
fn model_2_registry_growth_against_scan() {
    check("2 registry growth against scan", growth);
}

#[test]
fn model_2_needs_the_head_after_the_fence() {
    check_control("2 registry growth", Weakness::RegistryHeadEarly, RACE, growth);
}
