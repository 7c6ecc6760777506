//! Pages in memory: references, leaves, the changes since a leaf's image, and indexes.
//!
//! A **page reference** is one atomic word, state and pointer together (`reference`). A **leaf**
//! is an immutable image plus a delta: an insert list of the keys that changed, each with an
//! **update chain**, newest first (`leaf`, `delta`, `update`); `latched` writes to it. An **index** is an internal page: an
//! immutable image of separators beside the references of its children (`index`). A **remnant** is what is in memory of a
//! leaf that is not: rows that were read lately (`remnant`, `marks`, `misses`).
//!
//! Who may touch what:
//! - Leaves are reached under a hazard pointer ([`PinnedLeaf`]), which may be held for as long as
//!   one likes; indexes and references under an epoch guard, for the length of a descent.
//! - Readers take no lock. Writers of a leaf take its latch ([`Leaf::latch`]); who replaces a leaf
//!   takes it too, marks the old one dead, and retires it through the hazard scan.
//! - Everything that a leaf's delta points to lives in the leaf's arena and dies with the leaf.
//!
//! This layer knows images, hazards and visibility; it knows no tree, no file and no log.

mod arena;
mod delta;
mod index;
mod latched;
mod leaf;
mod marks;
mod misses;
mod pin;
mod reference;
mod remnant;
mod replace;
mod update;
mod view;

pub use delta::Entry;
pub use index::Index;
pub use latched::{Latched, Newest, Pending};
pub use leaf::{Leaf, LeafRange, Lookup, ValueRef};
pub use marks::Uses;
pub use misses::Misses;
pub use pin::PinnedLeaf;
pub use reference::{Home, LoadClaim, PageRef, RootRef, State};
pub use remnant::{Keep, Remnant};
pub use replace::{
    bury_index, bury_on_disk, evict_index, new_index_reference, new_leaf_in, new_leaf_reference,
    new_reference_on_disk, replace_index,
};
pub use update::{Update, UpdateKind};
pub use view::{Everything, Settled, Verdict, View};

#[cfg(all(test, not(loom)))]
mod tests;
