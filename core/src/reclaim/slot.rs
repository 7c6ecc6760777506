//! One hazard slot, owned by one reader: the side of the protocol that must cost nothing.

use std::ptr::{self, NonNull};

use super::registry::{Hazard, Taken};
use crate::reclaim::{Fences, HazardDomain};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
#[cfg(any(loom, shuttle))]
use crate::sync::weaken::{self, Weakness};

/// Names at most one object that must not be freed. The module's page has the protocol.
///
/// A slot belongs to one thread at a time, which may change. It returns to its domain when it is
/// dropped, and keeps the domain alive until then.
#[derive(Debug)]
pub struct HazardSlot {
    /// Written by us, read by scans. Points into a block of `domain`'s registry.
    hazard: NonNull<Hazard>,
    fences: Fences,
    taken: Taken,
    domain: Arc<HazardDomain>,
}

// SAFETY: the pointers in it lead to a block of the registry, which any thread may touch and
// which `domain` keeps alive. It is not `Sync`: a slot has one writer.
unsafe impl Send for HazardSlot {}

impl HazardSlot {
    /// Takes a free slot of `domain`, or makes one.
    pub fn new(domain: &Arc<HazardDomain>) -> HazardSlot {
        let taken = domain.registry().take();
        // SAFETY: `domain` owns the registry and is alive.
        let hazard = unsafe { taken.hazard() };
        HazardSlot {
            // SAFETY: the address of a field is never null.
            hazard: unsafe { NonNull::new_unchecked(hazard.cast_mut()) },
            fences: domain.fences(),
            taken,
            domain: Arc::clone(domain),
        }
    }

    #[inline]
    fn hazard(&self) -> &Hazard {
        // SAFETY: the block is alive as long as `self.domain`.
        unsafe { self.hazard.as_ref() }
    }

    /// Names `object` instead of whatever the slot named before. The caller's next read of the
    /// word that led to `object` is ordered after this; only if it finds the word unchanged may
    /// the object be touched.
    #[inline]
    pub fn publish(&self, object: NonNull<()>) {
        self.fences.publish(self.hazard(), object.as_ptr());
    }

    /// Names nothing. What the slot named may be freed from now on.
    #[inline]
    pub fn clear(&self) {
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::HazardClearRelease) {
            return self.hazard().store(ptr::null_mut(), Ordering::Relaxed);
        }
        // Release: our last touch of the object comes first. Pairs with the Acquire load in
        // `Registry::scan`.
        self.hazard().store(ptr::null_mut(), Ordering::Release);
    }

    /// What the slot names.
    #[inline]
    pub fn get(&self) -> Option<NonNull<()>> {
        // Relaxed: only the owner writes it, and the owner asks.
        NonNull::new(self.hazard().load(Ordering::Relaxed))
    }

    /// The protocol for a word that may move on: reads it with `load`, publishes, reads it again,
    /// and so on until both reads agree. The object returned is not freed until the slot is
    /// changed, provided that it lies in this slot's domain and is retired there. With `None`,
    /// because the word leads nowhere, the slot is clear.
    ///
    /// `load` must read the word itself, each time, at least with Acquire.
    #[inline]
    pub fn protect<T>(&self, mut load: impl FnMut() -> Option<NonNull<T>>) -> Option<NonNull<T>> {
        let mut seen = load();
        while let Some(object) = seen {
            self.publish(object.cast());
            seen = load();
            if seen == Some(object) {
                return seen;
            }
        }
        self.clear();
        None
    }

    /// The protocol for a word that the caller has read already: publishes `object`, asks
    /// `unchanged` whether the word is still the same, and clears the slot if it is not. True if
    /// the object may be touched.
    #[inline]
    pub fn try_protect(&self, object: NonNull<()>, unchanged: impl FnOnce() -> bool) -> bool {
        self.publish(object);
        let unchanged = unchanged();
        if !unchanged {
            self.clear();
        }
        unchanged
    }

    /// The domain that the slot belongs to.
    pub fn domain(&self) -> &Arc<HazardDomain> {
        &self.domain
    }
}

impl Drop for HazardSlot {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: taken from this domain's registry in `new`, and dropped once.
        unsafe { self.domain.registry().put_back(&self.taken) };
    }
}
