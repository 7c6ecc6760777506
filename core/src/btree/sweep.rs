//! Going round the pages in memory, for eviction's clock.

use smallvec::SmallVec;

use super::Tree;
use crate::memory::Sparse;
use crate::page::{Index, Keep, Leaf, PageRef, PinnedLeaf, Remnant, State, Uses};
use crate::sync::epoch;

/// How many references are looked at before the leaves that they name.
const REFERENCES_AT_ONCE: usize = 16;

/// How many remnants one step of the clock takes at most: each is held by a hazard.
const REMNANTS_MAX: usize = 64;

/// Which leaves a step of the clock looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that were not used lately.
    Cold {
        /// How many rounds of the clock make one for what is left of a leaf.
        remnant_rounds: u8,
    },
    /// Those of which anything lies in such spans of page memory, so that the spans become free.
    In(Sparse),
}

/// How much of what a step of the clock looked at was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Of leaves.
    pub leaves: Uses,
    /// Of what is left of some.
    pub remnants: Uses,
}

/// What one step of the clock found.
#[derive(Default)]
pub struct Swept {
    /// Leaves of the kind that was looked for.
    pub found: Vec<PinnedLeaf>,
    /// What is left of leaves, and of the kind.
    pub remnants: Vec<PinnedLeaf>,
    /// How much all was used that was looked at, whether it is cold or not.
    pub seen: Seen,
    /// The level of an internal page on the way to the key that the step began at, if nothing below
    /// that page is in memory.
    pub idle_index: Option<u8>,
    /// Where the next step begins; none at the end of the tree.
    pub next: Option<Vec<u8>>,
}

impl Tree {
    /// Looks for leaves of the kind `which` in memory, from `from` on and within one internal page; stops when
    /// `found_max` are found, or some of `bytes_max` bytes.
    pub fn sweep(&self, from: &[u8], which: Which, found_max: usize, bytes_max: u64) -> Swept {
        let mut swept = Swept::default();
        let most = (which, found_max, bytes_max);
        let guard = epoch::pin();
        let mut reference: &PageRef = &self.root;
        while let State::Index(index) = reference.state(&guard) {
            let first = index.find(from);
            let in_memory = |slot: usize| !matches!(index.child(slot).state(&guard), State::Disk);
            let is_idle =
                reference.level() < self.root.level() && !(0..index.child_count()).any(in_memory);
            if is_idle {
                swept.idle_index = Some(reference.level());
            }
            let mut next = first + 1;
            if reference.level() == 1 {
                next = self.sweep_leaves(index, first, most, &mut swept);
            }
            if next < index.child_count() {
                let mut separator = Vec::new();
                index.separator_into(next, &mut separator);
                swept.next = Some(separator);
            }
            if is_idle || reference.level() == 1 {
                return swept;
            }
            reference = index.child(first);
        }
        self.consider(reference, which, &mut self.shared.new_pin(), &mut swept);
        swept
    }

    /// Looks at the leaves in memory below `index` from the child `first` on, until as many are found, or some of as
    /// many bytes; returns the child that comes next.
    fn sweep_leaves(
        &self,
        index: &Index,
        first: usize,
        (which, found_max, bytes_max): (Which, usize, u64),
        swept: &mut Swept,
    ) -> usize {
        let (mut next, mut bytes) = (first, 0);
        let mut pin = self.shared.new_pin();
        while next < index.child_count() {
            // Most references name no leaf in memory, and each is a trip to it: so several at a time.
            let some = next..index.child_count().min(next + REFERENCES_AT_ONCE);
            let here: SmallVec<[usize; REFERENCES_AT_ONCE]> =
                some.clone().filter(|slot| index.child(*slot).foresees_leaf()).collect();
            for slot in here {
                bytes += self.consider(index.child(slot), which, &mut pin, swept);
                if swept.found.len() >= found_max
                    || swept.remnants.len() >= REMNANTS_MAX
                    || bytes >= bytes_max
                {
                    return slot + 1;
                }
            }
            next = some.end;
        }
        next
    }

    /// Notes a leaf, or what is left of one, if it is one of `which`, and counts its heat down to find out that it is
    /// cold; returns the bytes of what was noted.
    fn consider(
        &self,
        reference: &PageRef,
        which: Which,
        pin: &mut PinnedLeaf,
        swept: &mut Swept,
    ) -> u64 {
        let Swept { seen, found, remnants, .. } = swept;
        let (noted, bytes) = if pin.pin(reference) {
            let mut is_it = |leaf: &&Leaf| match which {
                Which::Cold { .. } => {
                    seen.leaves += leaf.uses();
                    leaf.cool()
                }
                Which::In(sparse) => leaf.lies_in(sparse),
            };
            (found, pin.leaf().filter(|leaf| is_it(leaf)).map(Leaf::charged_bytes))
        } else if pin.pin_remnant(reference) {
            let mut is_it = |remnant: &&Remnant| match which {
                Which::Cold { remnant_rounds } => remnant.cool(remnant_rounds, &mut seen.remnants),
                Which::In(sparse) => remnant.lies_in(sparse),
            };
            (remnants, pin.remnant().filter(|remnant| is_it(remnant)).map(Remnant::charged_bytes))
        } else {
            return 0;
        };
        if bytes.is_some() {
            noted.push(std::mem::replace(pin, self.shared.new_pin()));
        }
        bytes.unwrap_or(0)
    }

    /// Frees what nobody reads of what is left of a leaf, or gives all of it other memory. Returns by how many bytes it is
    /// less; none if it had left its place.
    pub fn trim(&self, remnant: &PinnedLeaf, which: Which) -> Option<u64> {
        let remnant = remnant.remnant()?;
        let keep = match which {
            Which::Cold { .. } => Keep::ReadLately,
            Which::In(_) => Keep::All,
        };
        let guard = epoch::pin();
        let reference = self.reference_at(0, &remnant.first_key(), &guard)?;
        reference.trim(remnant, keep, &self.shared.hazards)
    }
}
