//! The domain: who retires what, and when a scan frees it.

use std::fmt;
use std::mem;
use std::ptr::NonNull;

use super::registry::Registry;
use crate::reclaim::Fences;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Padded, thread_number};

/// Objects retired since the last scan that start the next one.
#[cfg(not(any(loom, shuttle)))]
const SCAN_COUNT: usize = 64;
#[cfg(any(loom, shuttle))]
const SCAN_COUNT: usize = 1;

/// How many lists of retired objects there are, where memory is not scarce.
#[cfg(not(any(loom, shuttle)))]
const LISTS: usize = 8;
#[cfg(any(loom, shuttle))]
const LISTS: usize = 1;

/// Bytes retired since the last scan that start the next one, unless the domain was told less.
const SCAN_BYTES: usize = 1 << 20;

/// The hazard slots of one open database, and what waits for them.
#[derive(Debug)]
pub struct HazardDomain {
    registry: Registry,
    fences: Fences,
    /// Bytes retired since the last scan that start the next one.
    scan_bytes: usize,
    /// One for each of the threads that retire, or some of them: what a thread retired it frees, and its
    /// memory is used again where its cache lines are. Leaves of the lock order: nothing is locked, freed or
    /// called while one is held.
    retired: Box<[Padded<Mutex<RetireList>>]>,
    /// Bytes retired and not yet freed. Grows when an object is retired, shrinks when it is
    /// freed; read by anybody, as a statistic.
    retired_bytes: AtomicUsize,
}

/// What was retired and not yet freed, except what a running scan has taken out.
#[derive(Debug, Default)]
struct RetireList {
    objects: Vec<Retired>,
    /// Objects that came since the last scan began.
    fresh_count: usize,
    /// Bytes of them.
    fresh_bytes: usize,
}

impl RetireList {
    /// Takes everything out, for a scan.
    fn take(&mut self) -> Vec<Retired> {
        (self.fresh_count, self.fresh_bytes) = (0, 0);
        mem::take(&mut self.objects)
    }
}

/// An object that no word leads to any more.
struct Retired {
    object: NonNull<()>,
    size_bytes: usize,
    drop_fn: unsafe fn(*mut ()),
}

// SAFETY: by the second condition of `HazardDomain::retire`, any thread may free the object.
unsafe impl Send for Retired {}

impl HazardDomain {
    /// A domain without slots. Falls back to [`Fences::Portable`] where `fences` does not work.
    pub fn new(fences: Fences) -> Arc<HazardDomain> {
        Self::scanning_every(fences, SCAN_BYTES)
    }

    /// The same, for a memory in which `scan_bytes` matter: it scans at the latest when so many
    /// bytes were retired, and 1 MiB at the most.
    pub fn scanning_every(fences: Fences, scan_bytes: usize) -> Arc<HazardDomain> {
        // A small memory has no room for what several lists hold back.
        let lists = if scan_bytes < SCAN_BYTES { 1 } else { LISTS };
        Arc::new(HazardDomain {
            registry: Registry::new(),
            fences: fences.or_portable(),
            scan_bytes: scan_bytes.min(SCAN_BYTES),
            retired: (0..lists).map(|_| Padded(Mutex::new(RetireList::default()))).collect(),
            retired_bytes: AtomicUsize::new(0),
        })
    }

    /// The kind of fences in use.
    pub fn fences(&self) -> Fences {
        self.fences
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Calls `drop_fn(object)` once no slot names `object`: some calls later, or when the domain
    /// is dropped. Now and then this call frees what other calls retired, so the caller must
    /// hold no lock that any `drop_fn` takes.
    ///
    /// `size_bytes` is what the object occupies. Accounting for what was freed is up to
    /// `drop_fn`.
    ///
    /// # Safety
    /// 1. Every word that led to `object` was changed before, so that nobody who reads it from
    ///    now on finds `object`.
    /// 2. `drop_fn(object)` may run once, on any thread, at any later time until the domain is
    ///    dropped; it neither panics nor calls the domain.
    /// 3. Nobody touches `object` but readers that protected it by a slot of this domain, and
    ///    nobody retires it again.
    pub unsafe fn retire(
        &self,
        object: NonNull<()>,
        size_bytes: usize,
        drop_fn: unsafe fn(*mut ()),
    ) {
        // Relaxed: a statistic. Added before the object can be freed, so it never goes below 0.
        self.retired_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        let own = self.own_list();
        let due = {
            let mut list = own.lock();
            list.objects.push(Retired { object, size_bytes, drop_fn });
            list.fresh_count += 1;
            list.fresh_bytes += size_bytes;
            list.fresh_count >= SCAN_COUNT || list.fresh_bytes >= self.scan_bytes
        };
        if due {
            // Taken in a statement of its own, so that the lock is not held when objects are freed.
            let objects = own.lock().take();
            self.free_unheld(objects, own);
        }
    }

    /// Frees now what was retired and no slot names; returns how many bytes that were. What
    /// another thread's scan has in hand meanwhile is left to that scan.
    pub fn reclaim(&self) -> usize {
        // One scan, with its fence on every processor, for all lists.
        let mut objects = Vec::new();
        for list in &self.retired {
            let mut taken = list.lock().take();
            match objects.is_empty() {
                true => objects = taken,
                false => objects.append(&mut taken),
            }
        }
        self.free_unheld(objects, self.own_list())
    }

    /// The list of the calling thread.
    fn own_list(&self) -> &Mutex<RetireList> {
        &self.retired[thread_number() % self.retired.len()]
    }

    /// Frees those of `objects` that no slot names, and puts the others into `list`.
    fn free_unheld(&self, mut objects: Vec<Retired>, list: &Mutex<RetireList>) -> usize {
        if objects.is_empty() {
            return 0;
        }
        let mut hazards: Vec<*mut ()> = Vec::new();
        let mut freed_bytes = 0;
        if self.registry.scan(self.fences, |object| hazards.push(object)) {
            hazards.sort_unstable();
            objects.retain(|retired| {
                let held = hazards.binary_search(&retired.object.as_ptr()).is_ok();
                if !held {
                    freed_bytes += retired.size_bytes;
                    // SAFETY: no slot named it in a scan after its words were changed, and it is
                    // on no list but ours, so this is the one call.
                    unsafe { retired.free() };
                }
                held
            });
        }
        // Relaxed: a statistic.
        self.retired_bytes.fetch_sub(freed_bytes, Ordering::Relaxed);
        let mut list = list.lock();
        // The longer one stays, so that a list in steady state allocates nothing.
        if list.objects.capacity() < objects.capacity() {
            mem::swap(&mut list.objects, &mut objects);
        }
        list.objects.append(&mut objects);
        freed_bytes
    }

    /// True if a slot names `object` now. A guess, for choosing what to evict: by the time the
    /// caller looks at the answer, it may be wrong either way.
    pub fn is_hazard(&self, object: NonNull<()>) -> bool {
        let mut found = false;
        self.registry.peek(|hazard| found |= hazard == object.as_ptr());
        found
    }

    /// Bytes that were retired and not yet freed.
    pub fn retired_bytes(&self) -> usize {
        // Relaxed: a statistic.
        self.retired_bytes.load(Ordering::Relaxed)
    }

    /// How many slots have an owner.
    pub fn slot_count(&self) -> usize {
        self.registry.taken_count()
    }
}

impl Drop for HazardDomain {
    fn drop(&mut self) {
        for list in &mut self.retired {
            for retired in mem::take(&mut list.get_mut().objects) {
                // SAFETY: every slot keeps the domain alive, so none is left to name it; and it was
                // on the list, so it was not freed yet.
                unsafe { retired.free() };
            }
        }
    }
}

impl Retired {
    /// # Safety
    /// 1. No slot names the object, and none ever will again.
    /// 2. This is called once.
    unsafe fn free(&self) {
        // SAFETY: by (1), (2) and the conditions of `HazardDomain::retire`.
        unsafe { (self.drop_fn)(self.object.as_ptr()) }
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired")
            .field("object", &self.object)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::reclaim::HazardSlot;

    /// An object that counts its end.
    struct Page {
        ended: Arc<AtomicUsize>,
    }

    fn page(ended: &Arc<AtomicUsize>) -> NonNull<()> {
        NonNull::from(Box::leak(Box::new(Page { ended: Arc::clone(ended) }))).cast()
    }

    unsafe fn end(object: *mut ()) {
        // SAFETY: every object of these tests was boxed in `page`.
        let page = unsafe { Box::from_raw(object.cast::<Page>()) };
        page.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn retire(domain: &HazardDomain, object: NonNull<()>, size_bytes: usize) {
        // SAFETY: no word leads to these objects, and each is retired once.
        unsafe { domain.retire(object, size_bytes, end) }
    }

    fn both(check: impl Fn(&Arc<HazardDomain>, &Arc<AtomicUsize>)) {
        for fences in [Fences::Portable, Fences::Membarrier] {
            check(&HazardDomain::new(fences), &Arc::default());
        }
    }

    #[test]
    fn scan_keeps_what_a_slot_names_and_frees_the_rest() {
        both(|domain, ended| {
            let slot = HazardSlot::new(domain);
            let (held, loose) = (page(ended), page(ended));
            slot.publish(held);
            assert_eq!(slot.get(), Some(held));
            assert!(domain.is_hazard(held) && !domain.is_hazard(loose));
            retire(domain, held, 10);
            retire(domain, loose, 7);
            assert_eq!(domain.retired_bytes(), 17);
            assert_eq!(domain.reclaim(), 7);
            assert_eq!((ended.load(Ordering::Relaxed), domain.retired_bytes()), (1, 10));
            slot.clear();
            assert_eq!(domain.reclaim(), 10);
            assert_eq!((ended.load(Ordering::Relaxed), domain.retired_bytes()), (2, 0));
        });
    }

    #[test]
    fn dropped_slot_holds_nothing() {
        both(|domain, ended| {
            let object = page(ended);
            let slot = HazardSlot::new(domain);
            slot.publish(object);
            retire(domain, object, 1);
            assert_eq!(domain.reclaim(), 0);
            assert_eq!(domain.slot_count(), 1);
            drop(slot);
            assert_eq!(domain.slot_count(), 0);
            assert_eq!(domain.reclaim(), 1);
        });
    }

    #[test]
    fn retire_scans_by_itself_after_enough_objects() {
        both(|domain, ended| {
            for _ in 0..SCAN_COUNT - 1 {
                retire(domain, page(ended), 1);
            }
            assert_eq!(ended.load(Ordering::Relaxed), 0);
            retire(domain, page(ended), 1);
            assert_eq!(ended.load(Ordering::Relaxed), SCAN_COUNT);
        });
    }

    #[test]
    fn retire_scans_by_itself_after_enough_bytes() {
        both(|domain, ended| {
            retire(domain, page(ended), SCAN_BYTES);
            assert_eq!(ended.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn held_objects_do_not_make_each_retirement_scan() {
        both(|domain, ended| {
            let slots: Vec<HazardSlot> = (0..SCAN_COUNT).map(|_| HazardSlot::new(domain)).collect();
            for slot in &slots {
                let object = page(ended);
                slot.publish(object);
                retire(domain, object, SCAN_BYTES);
            }
            retire(domain, page(ended), 1);
            assert_eq!(ended.load(Ordering::Relaxed), 0);
            assert_eq!(domain.retired_bytes(), SCAN_COUNT * SCAN_BYTES + 1);
        });
    }

    #[test]
    fn dropped_domain_frees_everything() {
        both(|_, ended| {
            let domain = HazardDomain::new(Fences::Portable);
            retire(&domain, page(ended), 1);
            drop(domain);
            assert_eq!(ended.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn protect_follows_the_word_until_it_is_stable() {
        both(|domain, ended| {
            let slot = HazardSlot::new(domain);
            let (old, new) = (page(ended), page(ended));
            let mut reads = [Some(old), Some(new), Some(new)].into_iter();
            assert_eq!(slot.protect(|| reads.next().flatten()), Some(new));
            assert_eq!(slot.get(), Some(new));
            let mut reads = [Some(old), None].into_iter();
            assert_eq!(slot.protect(|| reads.next().flatten()), None);
            assert_eq!(slot.get(), None);
            assert!(!slot.try_protect(old, || false));
            assert_eq!(slot.get(), None);
            assert!(slot.try_protect(old, || true));
            assert_eq!(slot.get(), Some(old));
            retire(domain, old, 1);
            retire(domain, new, 1);
        });
    }
}
