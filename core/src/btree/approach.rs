//! Coming up to several keys at once: what writes to them look at is on its way from memory at the same time.
//!
//! A write to a key that nobody used lately is some ten trips to memory, of which each says where the next one leads:
//! the lowest index, the reference, the leaf, its changes, its image. For one key they come one after the other,
//! and the processor waits for each. Several keys take each step together, so that it waits once for all of them.
//! (Group prefetching: Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance through prefetching",
//! ICDE 2004.)

use smallvec::SmallVec;

use super::Tree;
use crate::block::Address;
use crate::page::{Index, PageRef, PinnedLeaf, State};
use crate::sync::epoch::{self, Guard};
use crate::sync::prefetch;

/// So many keys are come up to together. A processor has some ten lines on their way at a time, so that fewer do as well
/// in memory; a disk does better with more.
pub const KEYS_AT_ONCE: usize = 16;

impl Tree {
    /// Pins the leaves of `keys`, as far as they are in memory: the first's by the first of `pins`, and so on, up to
    /// [`KEYS_AT_ONCE`] of them. What a write to each looks at is on its way to the processor then, and the disk knows
    /// which of them will be read.
    pub fn approach(&self, keys: &[&[u8]], pins: &mut [PinnedLeaf]) {
        let mut on_disk = SmallVec::new();
        {
            let guard = epoch::pin();
            let mut references = [None; KEYS_AT_ONCE];
            self.find_references(keys, &mut references, &guard);
            references.iter().flatten().for_each(|reference| reference.prefetch_leaf());
            for (pin, reference) in pins.iter_mut().zip(references) {
                match reference {
                    Some(reference) if pin.pin_of(self.id, reference) => {}
                    Some(leaf) if leaf.state(&guard).is_on_disk() => {
                        on_disk.extend(leaf.home().address);
                    }
                    _ => pin.release(),
                }
            }
        }
        self.announce_leaves(on_disk);
        let leaves = || pins.iter().zip(keys).filter_map(|(pin, key)| Some((pin.leaf()?, key)));
        leaves().for_each(|(leaf, key)| leaf.prefetch_place(key));
        leaves().for_each(|(leaf, _)| leaf.prefetch_changes());
    }

    /// Tells the disk that these leaves will be read soon: it reads several at once, and in a better order.
    fn announce_leaves(&self, mut blocks: SmallVec<[Address; KEYS_AT_ONCE]>) {
        if blocks.len() > 1 {
            blocks.sort_unstable_by_key(Address::offset);
            blocks.dedup_by_key(|address| address.offset());
            self.shared.blocks.will_read(&blocks);
        }
    }

    /// The references of the leaves of `keys`; none where an index on the way is not in memory.
    fn find_references<'g>(
        &'g self,
        keys: &[&[u8]],
        references: &mut [Option<&'g PageRef>; KEYS_AT_ONCE],
        guard: &'g Guard,
    ) {
        let mut lowest = [None; KEYS_AT_ONCE];
        for (index, key) in lowest.iter_mut().zip(keys) {
            *index = match self.reference_at(1, key, guard).map(|reference| reference.state(guard))
            {
                Some(State::Index(index)) => Some(index),
                _ => None,
            };
        }
        let indexes = || lowest.iter().zip(keys).filter_map(|(index, key)| Some(((*index)?, *key)));
        indexes().for_each(|(index, _)| index.prefetch());
        indexes().for_each(|(index, key)| index.image().prefetch_place(key));
        let mut slots = [0; KEYS_AT_ONCE];
        for (slot, (index, key)) in slots.iter_mut().zip(lowest.iter().zip(keys)) {
            if let Some(index) = index {
                *slot = index.find(key);
                index.prefetch_child(*slot);
            }
        }
        for ((reference, slot), index) in references.iter_mut().zip(slots).zip(lowest) {
            *reference = index.map(|index: &Index| index.child(slot));
            reference.iter().for_each(|reference| prefetch(std::ptr::from_ref(*reference)));
        }
    }
}
