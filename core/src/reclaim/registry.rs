//! The slots of a domain: a linked list of blocks that only grows, so that a scan can read it
//! while slots are taken, returned and added.

use std::ptr;

use crate::reclaim::Fences;
use crate::sync::Padded;
use crate::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
#[cfg(any(loom, shuttle))]
use crate::sync::weaken::{self, Weakness};

/// Slots per block; at most 32, the width of [`Block::taken`].
#[cfg(not(any(loom, shuttle)))]
const BLOCK_SLOTS: usize = 32;
#[cfg(any(loom, shuttle))]
const BLOCK_SLOTS: usize = 1;

const ALL_TAKEN: u32 = (((1_u64 << BLOCK_SLOTS) - 1) & u32::MAX as u64) as u32;

/// The object that a slot's owner may touch, or null. Written by the owner alone, read by scans.
pub(super) type Hazard = AtomicPtr<()>;

/// Some slots.
#[derive(Debug)]
struct Block {
    /// One bit per slot that has an owner. Changed by whoever takes or returns a slot; read by
    /// scans, which skip the others.
    taken: AtomicU32,
    /// The block that was added before this one. Fixed before the block can be found.
    next: *mut Block,
    hazards: [Padded<Hazard>; BLOCK_SLOTS],
}

/// Every slot of a domain.
#[derive(Debug)]
pub(super) struct Registry {
    /// The newest block. Changed by whoever adds one; blocks leave only with the registry.
    head: AtomicPtr<Block>,
}

// SAFETY: `next` is written before the block is published and never again; everything else in a
// block is atomic; and blocks live as long as the registry, which owns them.
unsafe impl Send for Registry {}
// SAFETY: as above.
unsafe impl Sync for Registry {}

/// One slot, taken by [`Registry::take`] until [`Registry::put_back`]. Dangling once the
/// registry is gone.
#[derive(Debug)]
pub(super) struct Taken {
    block: *const Block,
    index: usize,
}

impl Registry {
    pub fn new() -> Registry {
        Registry { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The block added last, or null.
    fn head(&self) -> *mut Block {
        // Acquire: pairs with the Release in `push`.
        self.head.load(Ordering::Acquire)
    }

    /// The block that `head` named and every older one.
    fn blocks_from(&self, head: *mut Block) -> impl Iterator<Item = &Block> {
        let mut at: *const Block = head;
        std::iter::from_fn(move || {
            // SAFETY: null, or a block that was read from `head` or from a published block's
            // `next`: published with its fields, and alive as long as the registry.
            let block = unsafe { at.as_ref() }?;
            at = block.next;
            Some(block)
        })
    }

    /// A slot that nobody else owns, clear.
    pub fn take(&self) -> Taken {
        let head = self.head();
        self.blocks_from(head).find_map(Block::take).unwrap_or_else(|| self.push(head))
    }

    /// Adds a block and takes its first slot.
    fn push(&self, mut head: *mut Block) -> Taken {
        let block = Box::into_raw(Box::new(Block {
            taken: AtomicU32::new(1),
            next: head,
            hazards: std::array::from_fn(|_| Padded(AtomicPtr::new(ptr::null_mut()))),
        }));
        // Release: publishes the block's fields. Pairs with the Acquire loads of `head`.
        while let Err(newer) =
            self.head.compare_exchange(head, block, Ordering::AcqRel, Ordering::Acquire)
        {
            head = newer;
            // SAFETY: the exchange failed, so nobody else can reach the block yet.
            unsafe { (*block).next = head };
        }
        Taken { block, index: 0 }
    }

    /// Lets somebody else take `slot`. The caller has cleared it.
    ///
    /// # Safety
    /// 1. `slot` was taken from this registry, and is given back once.
    pub unsafe fn put_back(&self, slot: &Taken) {
        // SAFETY: by (1) the block is one of ours, and ours live as long as we do.
        let block = unsafe { &*slot.block };
        // Release: the clearing comes first. Pairs with the Acquire of the next owner in
        // `Block::take`, and with that of a scan which skips the slot for it.
        block.taken.fetch_and(!(1 << slot.index), Ordering::Release);
    }

    /// Issues the scan's fence and calls `visit` with each object that a slot names. False if
    /// the fence failed: then nothing was visited and nothing may be freed.
    #[must_use]
    pub fn scan(&self, fences: Fences, visit: impl FnMut(*mut ())) -> bool {
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::RegistryHeadEarly) {
            let head = self.head();
            return fences.before_scan() && {
                self.visit_from(head, visit);
                true
            };
        }
        if !fences.before_scan() {
            return false;
        }
        // The head is read after the fence: a block that is missed now was added by, or before,
        // a reader whose own fence comes after ours, so that its second look sees the change.
        self.visit_from(self.head(), visit);
        true
    }

    /// Like [`Registry::scan`] without the fence: a guess, because a hazard may be published
    /// that this does not see yet.
    pub fn peek(&self, visit: impl FnMut(*mut ())) {
        self.visit_from(self.head(), visit);
    }

    fn visit_from(&self, head: *mut Block, mut visit: impl FnMut(*mut ())) {
        for block in self.blocks_from(head) {
            // Acquire: pairs with the Release in `put_back`: a slot that is skipped was cleared
            // first. A slot that was taken too late to be seen here has its fence after ours.
            let mut taken = block.taken.load(Ordering::Acquire);
            while taken != 0 {
                let index = taken.trailing_zeros() as usize;
                taken &= taken - 1;
                // Acquire: what the owner did with the object that the slot named before is
                // over. Pairs with the Release stores in `Fences::publish` and
                // `HazardSlot::clear`.
                let object = block.hazards[index].load(Ordering::Acquire);
                if !object.is_null() {
                    visit(object);
                }
            }
        }
    }

    /// How many slots have owners.
    pub fn taken_count(&self) -> usize {
        // Relaxed: a count orders nothing.
        self.blocks_from(self.head())
            .map(|block| block.taken.load(Ordering::Relaxed).count_ones() as usize)
            .sum()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let mut at = self.head();
        while !at.is_null() {
            // SAFETY: the block came from `Box::into_raw`, and `&mut self` proves that nobody
            // reads it any more.
            at = unsafe { Box::from_raw(at) }.next;
        }
    }
}

impl Block {
    /// A free slot of this block, if there is one.
    fn take(&self) -> Option<Taken> {
        // Relaxed: the exchange below decides.
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken != ALL_TAKEN {
            let index = taken.trailing_ones() as usize;
            // Acquire: the last owner's clearing comes before what we publish. Pairs with the
            // Release in `put_back`.
            match self.taken.compare_exchange(
                taken,
                taken | 1 << index,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Taken { block: self, index }),
                Err(now) => taken = now,
            }
        }
        None
    }
}

impl Taken {
    /// The slot's hazard.
    ///
    /// # Safety
    /// 1. The registry that the slot was taken from is alive.
    #[inline]
    pub unsafe fn hazard(&self) -> *const Hazard {
        // SAFETY: by (1) the block is alive.
        let block = unsafe { &*self.block };
        &raw const block.hazards[self.index].0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn registry_reuses_returned_slots_before_it_grows() {
        let registry = Registry::new();
        let slots: Vec<Taken> = (0..BLOCK_SLOTS + 1).map(|_| registry.take()).collect();
        assert_eq!(registry.blocks_from(registry.head()).count(), 2);
        assert_eq!(registry.taken_count(), BLOCK_SLOTS + 1);
        for slot in &slots {
            // SAFETY: taken from this registry above, and given back once.
            unsafe { registry.put_back(slot) };
        }
        assert_eq!(registry.taken_count(), 0);
        for _ in 0..2 * BLOCK_SLOTS {
            registry.take();
        }
        assert_eq!(registry.blocks_from(registry.head()).count(), 2);
    }

    #[test]
    fn registry_gives_each_slot_to_one_owner() {
        let registry = Registry::new();
        let per_thread = 100;
        let mut addresses: Vec<usize> = std::thread::scope(|scope| {
            let take = || {
                (0..per_thread)
                    // SAFETY: the registry outlives the scope.
                    .map(|_| unsafe { registry.take().hazard() } as usize)
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 4 * per_thread);
    }
}
