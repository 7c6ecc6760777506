//! Putting pages in place of others: the writer's half of the hazard and epoch protocols.
//!
//! Each function here marks a leaf dead first, then changes the word, then retires the old page: leaves
//! through the hazard scan, indexes and references through the epoch.

use std::ptr::NonNull;

use super::index::{Children, Index};
use super::latched::Latched;
use super::leaf::Leaf;
use super::reference::{Home, PageRef};
use super::remnant::{Keep, Remnant};
use crate::memory::Owned;
use crate::reclaim::HazardDomain;
use crate::sync::Arc;
use crate::sync::epoch::Guard;
use crate::sync::{is_left_out, life};

impl Latched<'_> {
    /// Puts `new` in the leaf's place.
    pub fn replace_with(self, new: Owned<Leaf>, hazards: &Arc<HazardDomain>) {
        new.take_heat_of(self.leaf());
        self.change_word(hazards, |home| home.install_leaf(new));
    }

    /// Puts an internal page in the leaf's place: the root grows.
    pub fn replace_with_index(self, index: Box<Index>, hazards: &Arc<HazardDomain>) {
        self.change_word(hazards, |home| home.install_index(index));
    }

    /// The leaf leaves memory; its home keeps saying where it is on disk.
    pub fn evict(self, hazards: &Arc<HazardDomain>) {
        self.change_word(hazards, PageRef::install_disk);
    }

    /// The same, but the rows that were read lately stay. All of the leaf is on disk.
    ///
    /// # Errors
    /// The latch again, and the leaf stays as it is, if no row was read lately, or rows of more than half of it.
    pub fn evict_all_but_rows(self, hazards: &Arc<HazardDomain>) -> Result<(), Self> {
        let Some(remnant) = Remnant::of(self.leaf()) else { return Err(self) };
        let remnant = NonNull::from(Box::leak(remnant));
        self.change_word(hazards, |home| home.install_remnant(Some(remnant)));
        Ok(())
    }

    /// The leaf and its reference are replaced by others, which the parent's index names already.
    pub fn bury(self, hazards: &Arc<HazardDomain>, guard: &Guard) {
        let home = self.home().map(NonNull::from);
        self.change_word(hazards, PageRef::install_dead);
        if let Some(home) = home {
            retire_reference(home, guard);
        }
    }

    fn change_word(self, hazards: &Arc<HazardDomain>, change: impl FnOnce(&PageRef)) {
        let Some(home) = self.home() else { return };
        // What it was installed as, not what we borrow: it will be freed.
        let Some(leaf) = home.leaf() else { return };
        if is_left_out!(KillAfterWord) {
            change(home);
            self.kill();
        } else {
            self.kill();
            change(home);
        }
        drop(self);
        // SAFETY: the word that led to the leaf was changed above, under the latch, by whoever
        // killed it, so once.
        unsafe { retire_leaf(leaf, hazards) };
    }
}

impl PageRef {
    /// Puts in the place of `old`, which the caller holds under a hazard, what is to stay of it. Returns by how many bytes
    /// that is less; none when somebody was faster.
    pub fn trim(&self, old: &Remnant, keep: Keep, hazards: &HazardDomain) -> Option<u64> {
        let new = old.next(keep);
        let bytes = new.as_ref().map_or(0, |new| new.charged_bytes());
        let new = new.map(|new| NonNull::from(Box::leak(new)));
        let Some(replaced) = self.exchange_remnant(old, new) else {
            if let Some(new) = new {
                // SAFETY: it was just taken out of a box, and nobody else knows it.
                life::free(unsafe { Box::from_raw(new.as_ptr()) });
            }
            return None;
        };
        let bytes_before = old.charged_bytes();
        // SAFETY: the word named it until we changed it.
        unsafe { retire_remnant(replaced, hazards) };
        Some(bytes_before.saturating_sub(bytes))
    }
}

/// # Safety
/// 1. No word names the remnant any more, and it is retired once.
pub(super) unsafe fn retire_remnant(remnant: NonNull<Remnant>, hazards: &HazardDomain) {
    // SAFETY: (1) it is alive until it is retired, below.
    let bytes = unsafe { remnant.as_ref() }.leave() as usize;
    // SAFETY: (1) is the caller's; every remnant was taken out of a box.
    unsafe { hazards.retire(remnant.cast(), bytes, free_remnant) };
}

/// # Safety
/// 1. `remnant` was taken out of a box, and is freed once.
unsafe fn free_remnant(remnant: *mut ()) {
    // SAFETY: (1).
    life::free(unsafe { Box::from_raw(remnant.cast::<Remnant>()) });
}

/// # Safety
/// 1. No word names the leaf any more, and it is retired once.
/// 2. It was installed by `PageRef::install_leaf`.
pub(super) unsafe fn retire_leaf(leaf: NonNull<Leaf>, hazards: &HazardDomain) {
    // SAFETY: (1) it is alive until it is retired, below.
    let bytes = unsafe { leaf.as_ref() }.leave() as usize;
    // SAFETY: (1) is the caller's; by (2) `free_leaf` gets what was taken out of a box.
    unsafe { hazards.retire(leaf.cast(), bytes, free_leaf) };
}

/// # Safety
/// 1. `leaf` was installed by `PageRef::install_leaf`, and is freed once.
unsafe fn free_leaf(leaf: *mut ()) {
    let leaf = leaf.cast::<Leaf>();
    // SAFETY: (1) it is alive until it is freed, below.
    let leaf = unsafe { PageRef::take_back_leaf(NonNull::new_unchecked(leaf)) };
    match leaf.into_box() {
        Ok(leaf) => life::free(leaf),
        Err(leaf) => drop(leaf),
    }
}

/// Frees a reference once no descent can stand on it.
fn retire_reference(reference: NonNull<PageRef>, guard: &Guard) {
    let address = reference.as_ptr().expose_provenance();
    // SAFETY: (1) no index names the reference any more, so who pins from now on cannot reach it;
    // (2) dropping a reference frees memory and nothing else. It came from a box.
    unsafe {
        guard.defer(move || {
            life::free(Box::from_raw(std::ptr::with_exposed_provenance_mut::<PageRef>(address)));
        });
    }
}

/// Frees an index, but not the children it names, once no descent can stand in it.
fn retire_index(index: NonNull<Index>, children: Children, guard: &Guard) {
    // SAFETY: the index is alive: it is retired below, and we are pinned.
    unsafe { index.as_ref() }.leave(children);
    if is_left_out!(IndexFreedInline) {
        // SAFETY: none; this is what the model shows.
        return life::free(unsafe { Box::from_raw(index.as_ptr()) });
    }
    let address = index.as_ptr().expose_provenance();
    // SAFETY: as in `retire_reference`.
    unsafe {
        guard.defer(move || {
            life::free(Box::from_raw(std::ptr::with_exposed_provenance_mut::<Index>(address)));
        });
    }
    guard.flush();
}

/// A reference that nobody else knows yet, with the leaf that `make` makes for it.
pub fn new_leaf_reference(
    serial: u32,
    make: impl FnOnce(&PageRef) -> Owned<Leaf>,
) -> NonNull<PageRef> {
    // No box any more when the leaf learns where its home is: see `RootRef`.
    let reference = NonNull::from(Box::leak(PageRef::new_dirty(serial, 0)));
    // SAFETY: it was just made, and nobody else knows it yet.
    new_leaf_in(unsafe { reference.as_ref() }, make);
    reference
}

/// Puts the first leaf under a reference that nobody else knows yet.
pub fn new_leaf_in(reference: &PageRef, make: impl FnOnce(&PageRef) -> Owned<Leaf>) {
    reference.install_leaf(make(reference));
}

/// A reference that nobody else knows yet, with `index` in it.
pub fn new_index_reference(serial: u32, level: u8, index: Box<Index>) -> NonNull<PageRef> {
    let reference = PageRef::new_dirty(serial, level);
    reference.install_index(index);
    NonNull::from(Box::leak(reference))
}

/// A reference that nobody else knows yet, to a page on disk.
pub fn new_reference_on_disk(home: Home, level: u8) -> NonNull<PageRef> {
    NonNull::from(Box::leak(PageRef::on_disk(home, level)))
}

/// Puts `new` in place of the index of `reference`. The caller holds the structure lock.
pub fn replace_index(reference: &PageRef, new: Box<Index>, guard: &Guard) {
    let old = reference.index();
    reference.install_index(new);
    if let Some(old) = old {
        retire_index(old, Children::Stay, guard);
    }
}

/// The internal page of `reference`, whose children are all dead, leaves memory: index and
/// children's references are retired. The caller holds the structure lock.
pub fn evict_index(reference: &PageRef, guard: &Guard) {
    let Some(index) = reference.index() else { return };
    reference.install_disk();
    retire_with_children(index, guard);
}

/// The internal page of `reference` and the reference itself are replaced; its children live on
/// under other indexes, unless `with_children`. The caller holds the structure lock, and no index
/// names `reference` any more.
pub fn bury_index(reference: &PageRef, with_children: bool, guard: &Guard) {
    let Some(index) = reference.index() else { return };
    reference.install_dead();
    if with_children {
        retire_with_children(index, guard);
    } else {
        retire_index(index, Children::Stay, guard);
    }
    retire_reference(NonNull::from(reference), guard);
}

fn retire_with_children(index: NonNull<Index>, guard: &Guard) {
    // SAFETY: the index is alive: it is retired below, and we are pinned.
    let children = unsafe { index.as_ref() }.children();
    for child in children {
        retire_reference(*child, guard);
    }
    retire_index(index, Children::Leave, guard);
}

/// A reference that was killed on disk, and that no index names any more, is freed.
pub fn bury_on_disk(reference: &PageRef, guard: &Guard) {
    retire_reference(NonNull::from(reference), guard);
}
