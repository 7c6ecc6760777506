//! The page reference: where a page is, in one atomic word.
//!
//! `Disk -> Loading -> Leaf | Index -> Disk`, `Remnant` in place of `Disk` where some rows of a leaf stay, and `Dead`
//! as the end:
//!
//! - `Disk` or `Remnant` to `Loading`: whoever will read the page in, by compare-and-swap; one wins.
//! - `Loading` to `Leaf`, `Index`, `Remnant` (only a row was wanted), or back to what it was on an error: the winner
//!   alone.
//! - `Leaf` to another `Leaf` (a rebuild), to `Disk` or `Remnant` (eviction), to `Index` (the root splits) or to
//!   `Dead` (a split, an empty page): the holder of the leaf's latch.
//! - `Remnant` to another `Remnant` or to `Disk`: whoever holds it under a hazard, by compare-and-swap.
//! - `Index` to another `Index`, to `Disk` or to `Dead`: the holder of the tree's structure lock.
//! - `Disk` to `Dead`: the holder of the structure lock, by compare-and-swap, for it races with
//!   readers that want the page in.
//!
//! The word owns the page. A reference itself is owned by the index that names it, and is retired
//! through the epoch when the last index that named it is.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::index::Index;
use super::leaf::Leaf;
use super::remnant::Remnant;
use super::replace::{retire_leaf, retire_remnant};
use crate::block::Address;
use crate::cache::Cache;
use crate::format::PageImage;
use crate::memory::Owned;
use crate::reclaim::HazardDomain;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::life::{Life, Mortal};
use crate::sync::{Arc, Mutex, is_left_out, ordering};

const DISK: usize = 0;
const LOADING: usize = 1;
const LEAF: usize = 2;
const INDEX: usize = 3;
const DEAD: usize = 4;
const REMNANT: usize = 5;
const TAG_MASK: usize = 7;

/// A page reference. See the module.
#[repr(align(64))]
pub struct PageRef {
    word: AtomicPtr<u8>,
    /// Something below here is not in any checkpoint yet. Written by holders of the structure
    /// lock (and cleared for a leaf only by who also holds its latch); a latch holder may read it.
    dirty: AtomicBool,
    /// How many levels of pages are below; 0 for leaves. Only the root's ever changes, under the
    /// structure lock.
    level: AtomicU8,
    /// Where the page is on disk. Written under the structure lock, or by who is loading.
    home: Mutex<Home>,
    life: Life,
}

impl Mortal for PageRef {
    fn life(&self) -> &Life {
        &self.life
    }
}

/// Where a page is on disk, and what is known of it without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Its block; none while it was never written, or has no rows.
    pub address: Option<Address>,
    /// The rows below it, in that block.
    pub rows: u64,
    /// The last checkpoint that has written it, or found that it need not.
    pub written: u32,
    /// Changes when the keys that belong to the page do: who wrote a block for the keys that
    /// belonged to it before finds that out.
    pub serial: u32,
}

impl Home {
    /// Of a page in the block at `address`.
    pub fn at(address: Address, rows: u64) -> Self {
        Self { address: Some(address), rows, written: 0, serial: 0 }
    }

    /// The same page after a checkpoint wrote it.
    pub fn written_by(self, checkpoint: u32, address: Option<Address>, rows: u64) -> Self {
        Self { address, rows, written: checkpoint, serial: self.serial }
    }
}

/// The right to read a page in. While it lasts nobody else changes the reference, and the
/// reference is not freed; dropped unused, it leaves the page on disk, and what was left of it in memory.
pub struct LoadClaim {
    reference: NonNull<PageRef>,
    /// What the word named. Nothing leads to it, and it is not retired yet.
    remnant: Option<NonNull<Remnant>>,
}

// SAFETY: references and remnants are `Sync`, and the claim keeps its own alive wherever it goes.
unsafe impl Send for LoadClaim {}

impl LoadClaim {
    /// The claimed reference.
    pub fn reference(&self) -> &PageRef {
        // SAFETY: who unlinks a reference changes its word from `Disk` or from a page in memory;
        // while we hold it in `Loading` nobody can.
        let reference = unsafe { self.reference.as_ref() };
        reference.life.touch();
        reference
    }

    /// Whether the row of `key` is among those that are in memory.
    pub fn has_row(&self, key: &[u8]) -> bool {
        // SAFETY: it is ours.
        self.remnant.is_some_and(|remnant| unsafe { remnant.as_ref() }.has_row(key))
    }

    /// Installs the leaf that was read. The rows that stayed of it when it left count as read lately.
    pub fn install_leaf(self, leaf: Owned<Leaf>, hazards: &HazardDomain) {
        // Not dropped: that would put the page back on disk.
        let claim = ManuallyDrop::new(self);
        if let Some(remnant) = claim.remnant {
            // SAFETY: it is ours until it is retired, below.
            unsafe { remnant.as_ref() }.mark_rows_in(&leaf);
        }
        claim.reference().install_leaf(leaf);
        if let Some(remnant) = claim.remnant {
            // SAFETY: the claim took it out of the word, and ends here without a drop.
            unsafe { retire_remnant(remnant, hazards) };
        }
    }

    /// Installs the row in `slot` of the leaf's `image` that was read, beside the rows that stayed when it left.
    ///
    /// # Errors
    /// The claim again, if together they are much of the leaf.
    pub fn install_row(
        self,
        image: &PageImage,
        slot: usize,
        cache: &Arc<Cache>,
        hazards: &HazardDomain,
    ) -> Result<(), Self> {
        // SAFETY: it is ours until it is retired, below.
        let old = self.remnant.map(|remnant| unsafe { remnant.as_ref() });
        let Some(new) = Remnant::with_row(old, image, slot, cache) else { return Err(self) };
        // Not dropped: that would put what stayed back.
        let claim = ManuallyDrop::new(self);
        claim.reference().install_remnant(Some(NonNull::from(Box::leak(new))));
        if let Some(remnant) = claim.remnant {
            // SAFETY: the claim took it out of the word, and ends here without a drop.
            unsafe { retire_remnant(remnant, hazards) };
        }
        Ok(())
    }

    /// Installs the internal page that was read.
    pub fn install_index(self, index: Box<Index>) {
        // Not dropped: that would put the page back on disk.
        ManuallyDrop::new(self).reference().install_index(index);
    }
}

impl Drop for LoadClaim {
    fn drop(&mut self) {
        self.reference().install_remnant(self.remnant);
    }
}

/// A reference that no index names: a tree's root. Not a box, which says wherever it is moved to that nothing
/// else leads to what is in it: leaves lead to their home.
pub struct RootRef(NonNull<PageRef>);

// SAFETY: as a box of the reference, which is both.
unsafe impl Send for RootRef {}
// SAFETY: as above.
unsafe impl Sync for RootRef {}

impl RootRef {
    /// Takes over a reference that nothing leads to yet.
    pub fn new(reference: Box<PageRef>) -> Self {
        Self(NonNull::from(Box::leak(reference)))
    }

    /// See [`PageRef::free_below`].
    pub fn free_below(&mut self, hazards: &HazardDomain) {
        // SAFETY: it is ours until we are dropped, and `&mut self` says that nobody else uses it.
        unsafe { self.0.as_mut() }.free_below(hazards);
    }
}

impl std::ops::Deref for RootRef {
    type Target = PageRef;
    #[inline]
    fn deref(&self) -> &PageRef {
        // SAFETY: it is ours until we are dropped.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for RootRef {
    fn drop(&mut self) {
        // SAFETY: `new` took it out of a box; what is below was freed, so no leaf goes home any more.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What a reference's word said.
#[derive(Clone, Copy)]
pub enum State<'g> {
    /// Only on disk.
    Disk,
    /// On disk; some of its rows are in memory, too.
    Remnant,
    /// Somebody is reading it in.
    Loading,
    /// A leaf in memory; to be touched only under a hazard.
    Leaf(NonNull<Leaf>),
    /// An internal page in memory, for as long as the epoch guard lives.
    Index(&'g Index),
    /// Replaced by others; start again at the root.
    Dead,
}

impl State<'_> {
    /// Whether the page itself has to be read in, and nobody does yet.
    pub fn is_on_disk(&self) -> bool {
        matches!(self, Self::Disk | Self::Remnant)
    }
}

impl PageRef {
    /// A reference to a page on disk, with `level` levels of pages below.
    pub fn on_disk(home: Home, level: u8) -> Box<Self> {
        Self::with_word(tag_word(DISK), home, false, level)
    }

    /// A reference to nothing yet: its page is installed before anybody can see it.
    pub fn new_dirty(serial: u32, level: u8) -> Box<Self> {
        let home = Home { serial, ..Home::default() };
        Self::with_word(tag_word(LOADING), home, true, level)
    }

    fn with_word(word: *mut u8, home: Home, dirty: bool, level: u8) -> Box<Self> {
        Box::new(Self {
            word: AtomicPtr::new(word),
            dirty: AtomicBool::new(dirty),
            level: AtomicU8::new(level),
            home: Mutex::new(home),
            life: Life::new(),
        })
    }

    /// What the word says now.
    #[inline]
    pub fn state<'g>(&self, _guard: &'g Guard) -> State<'g> {
        // Acquire: the page's content is seen. Pairs with the Release in `store_word`.
        let word = self.word.load(Ordering::Acquire);
        let page = word.map_addr(|address| address & !TAG_MASK);
        match word.addr() & TAG_MASK {
            DISK => State::Disk,
            LOADING => State::Loading,
            LEAF => NonNull::new(page.cast::<Leaf>()).map_or(State::Dead, State::Leaf),
            // SAFETY: the pointer came from `Box::into_raw`, and who takes an index out of a word
            // retires it through the epoch, so it outlives the guard.
            INDEX => unsafe { page.cast::<Index>().as_ref() }.map_or(State::Dead, |index| {
                index.life().touch();
                State::Index(index)
            }),
            REMNANT => State::Remnant,
            _ => State::Dead,
        }
    }

    /// What the word names, if its tag is `tag`.
    #[inline]
    fn named<T>(&self, tag: usize) -> Option<NonNull<T>> {
        // Acquire: as in `state`.
        let word = self.word.load(Ordering::Acquire);
        if word.addr() & TAG_MASK != tag {
            return None;
        }
        NonNull::new(word.map_addr(|address| address & !TAG_MASK).cast())
    }

    /// The leaf that the word names, if it names one: what a hazard protocol reads twice.
    #[inline]
    pub(super) fn leaf(&self) -> Option<NonNull<Leaf>> {
        self.named(LEAF)
    }

    /// The remnant that the word names, if it names one, as [`leaf`](Self::leaf).
    #[inline]
    pub(super) fn remnant(&self) -> Option<NonNull<Remnant>> {
        self.named(REMNANT)
    }

    /// Whether a leaf is in memory here, or some rows of one. If it is a leaf, what the clock looks at in it is on its
    /// way to the processor: who asks many references at once waits for one trip to memory, not for two with each.
    #[inline]
    pub fn foresees_leaf(&self) -> bool {
        let leaf = self.leaf();
        if let Some(leaf) = leaf {
            Leaf::prefetch_heat(leaf);
        }
        leaf.is_some() || self.remnant().is_some()
    }

    /// Asks the processor for the leaf that is in memory here, if one is.
    #[inline]
    pub fn prefetch_leaf(&self) {
        self.leaf().into_iter().for_each(Leaf::prefetch);
    }

    fn store_word(&self, page: *mut u8, tag: usize) {
        // Release: publishes the page. Pairs with the Acquire loads in `state` and `leaf`.
        let word = page.map_addr(|address| address | tag);
        self.word.store(word, ordering!(Ordering::Release, WordRelaxed));
    }

    /// Puts `to` in the place of `from`, and returns what was there: `from`, as whoever put it there had it.
    fn exchange(&self, from: *mut u8, to: *mut u8) -> Option<*mut u8> {
        if is_left_out!(ClaimWithoutExchange) {
            let was = self.word.load(Ordering::Acquire);
            if was == from {
                self.word.store(to, Ordering::Release);
            }
            return (was == from).then_some(was);
        }
        // AcqRel: whoever wins sees what the last owner of the page did to `home`.
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).ok()
    }

    /// Claims the right to read the page in, or to keep others from it.
    pub fn claim(&self) -> Option<LoadClaim> {
        // Another remnant may lie where this one lies by then: whichever the word names is ours.
        let word = self.exchange(remnant_word(self.remnant()), tag_word(LOADING))?;
        Some(LoadClaim { reference: NonNull::from(self), remnant: remnant_in(word) })
    }

    /// Puts `new` in the place of `old`, which the caller holds under a hazard. Returns `old` for who will free it; none
    /// when it has left its place already.
    pub(super) fn exchange_remnant(
        &self,
        old: &Remnant,
        new: Option<NonNull<Remnant>>,
    ) -> Option<NonNull<Remnant>> {
        let word = remnant_word(Some(NonNull::from(old)));
        self.exchange(word, remnant_word(new)).and_then(remnant_in)
    }

    /// Marks a page on disk as replaced; false when somebody reads it in, or it is in memory. The
    /// caller holds the structure lock.
    pub fn kill_on_disk(&self) -> bool {
        self.exchange(tag_word(DISK), tag_word(DEAD)).is_some()
    }

    /// Takes [`kill_on_disk`](Self::kill_on_disk) back.
    pub fn revive_on_disk(&self) {
        self.store_word(std::ptr::null_mut(), DISK);
    }

    /// Puts the first page under a reference that nobody else knows yet, or in place of a leaf
    /// whose latch the caller holds.
    pub(super) fn install_leaf(&self, leaf: Owned<Leaf>) {
        self.store_word(leaf.into_raw().as_ptr().cast(), LEAF);
    }

    /// Takes what [`install_leaf`](Self::install_leaf) installed for who will free it.
    ///
    /// # Safety
    /// 1. No word names the leaf any more, nobody stands on it, and it is taken once.
    pub(super) unsafe fn take_back_leaf(leaf: NonNull<Leaf>) -> Owned<Leaf> {
        // SAFETY: (1) is the caller's, so it is alive.
        let cache = Arc::clone(unsafe { leaf.as_ref() }.cache());
        // SAFETY: (1) and (3) are the caller's; (2) `Leaf::new` puts it into its cache's memory.
        unsafe { Owned::from_raw(leaf, cache.memory()) }
    }

    /// As [`install_leaf`](Self::install_leaf), for an index.
    pub(super) fn install_index(&self, index: Box<Index>) {
        self.store_word(Box::into_raw(index).cast(), INDEX);
    }

    /// The page leaves memory. The caller holds the leaf's latch, or the structure lock for an
    /// index, and retires the page.
    pub(super) fn install_disk(&self) {
        self.store_word(std::ptr::null_mut(), DISK);
    }

    /// As [`install_disk`](Self::install_disk), but `remnant` of the leaf stays, if there is one.
    pub(super) fn install_remnant(&self, remnant: Option<NonNull<Remnant>>) {
        match remnant {
            Some(remnant) => self.store_word(remnant.as_ptr().cast(), REMNANT),
            None => self.install_disk(),
        }
    }

    /// The reference is replaced. The caller as for [`install_disk`](Self::install_disk).
    pub(super) fn install_dead(&self) {
        self.store_word(std::ptr::null_mut(), DEAD);
    }

    /// Takes the index out of the word, for whoever will retire it. The caller holds the structure
    /// lock.
    pub(super) fn index(&self) -> Option<NonNull<Index>> {
        let word = self.word.load(Ordering::Acquire);
        if word.addr() & TAG_MASK != INDEX {
            return None;
        }
        NonNull::new(word.map_addr(|address| address & !TAG_MASK).cast())
    }

    /// Where the page is on disk.
    pub fn home(&self) -> Home {
        *self.home.lock()
    }

    /// Notes where the page is on disk; returns where it was. The caller holds the structure lock.
    pub fn set_home(&self, home: Home) -> Home {
        std::mem::replace(&mut self.home.lock(), home)
    }

    /// How many levels of pages are below; 0 for leaves.
    pub fn level(&self) -> u8 {
        // Acquire: pairs with the Release in `set_level`.
        self.level.load(Ordering::Acquire)
    }

    /// The root grew or shrank. The caller holds the structure lock.
    pub fn set_level(&self, level: u8) {
        // Release: pairs with the Acquire in `level`.
        self.level.store(level, Ordering::Release);
    }

    /// Whether something below is not in any checkpoint.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        // Relaxed: the structure lock or the latch orders it.
        self.dirty.load(Ordering::Relaxed)
    }

    /// Sets the mark. The caller holds the structure lock; see the field for leaves.
    pub fn set_dirty(&self, dirty: bool) {
        self.dirty.store(dirty, Ordering::Relaxed);
    }

    /// Frees the page that the word owns, and all below it. Only for whoever owns the whole tree. A
    /// leaf that somebody still holds is freed when it is let go.
    pub fn free_below(&mut self, hazards: &HazardDomain) {
        // Acquire: whoever installed the page may have been another thread.
        let word = self.word.swap(tag_word(DEAD), Ordering::Acquire);
        let page = word.map_addr(|address| address & !TAG_MASK);
        match word.addr() & TAG_MASK {
            LEAF => {
                let Some(leaf) = NonNull::new(page.cast::<Leaf>()) else { return };
                // Whoever holds it must not go home from there.
                // SAFETY: the word owned the leaf, and it is not retired yet.
                unsafe { leaf.as_ref() }.latch().kill();
                // SAFETY: the word does not name it any more, and was the only one.
                unsafe { retire_leaf(leaf, hazards) };
            }
            REMNANT => {
                let Some(remnant) = NonNull::new(page.cast::<Remnant>()) else { return };
                // SAFETY: as for the leaf.
                unsafe { retire_remnant(remnant, hazards) };
            }
            INDEX => {
                // SAFETY: the word owned the index, and `&mut self` says that nobody descends.
                let index = unsafe { Box::from_raw(page.cast::<Index>()) };
                for child in index.children() {
                    // SAFETY: the last index that names a reference owns it.
                    let mut child = unsafe { Box::from_raw(child.as_ptr()) };
                    child.free_below(hazards);
                }
            }
            _ => {}
        }
    }
}

/// A word that names nothing.
fn tag_word(tag: usize) -> *mut u8 {
    std::ptr::without_provenance_mut(tag)
}

/// The word of a page on disk of which `remnant` stays, if there is one.
fn remnant_word(remnant: Option<NonNull<Remnant>>) -> *mut u8 {
    match remnant {
        Some(remnant) => remnant.as_ptr().cast::<u8>().map_addr(|address| address | REMNANT),
        None => tag_word(DISK),
    }
}

/// The remnant that `word` names, if it names anything: it is one of those that `remnant_word` makes.
fn remnant_in(word: *mut u8) -> Option<NonNull<Remnant>> {
    NonNull::new(word.map_addr(|address| address & !TAG_MASK).cast())
}
