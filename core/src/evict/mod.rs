//! Eviction: which pages leave memory, and how.
//!
//! A clock goes round the leaves in memory, tree after tree, in key order. Each use of a leaf adds a
//! little heat, each round takes some away, and what is cold leaves. The use that a leaf was read in for leaves it
//! cold, so that what is used once does not push out what is used again and again (the idea is that of SIEVE,
//! Zhang and others, 2024). Clean
//! leaves are dropped, but the rows of them that were read lately ([`Remnant`](crate::page::Remnant)); dirty ones are folded and written first, several in one write. A leaf that holds a
//! version which some snapshot or a rollback still needs stays. Where pages are not too many, but scattered over
//! more memory than they need, those leave that lie in nearly empty stretches of it. Internal pages leave when nothing
//! below them is in memory.
//!
//! Who calls it, and when, is the engine's business.
#![forbid(unsafe_code)]

mod balance;
mod hand;

use crate::base::error::Result;
use crate::block::NewBlock;
use crate::btree::{Fold, LeafWriteBack, Prepared, Target, Tree, Which, Writer, is_sample};
use crate::page::{Latched, PinnedLeaf};
use crate::sync::{Arc, Mutex};
use hand::{Hand, Reached};

pub use hand::ROUNDS_LEAST;

/// The hand of the clock.
#[derive(Debug, Default)]
pub struct Clock {
    /// Lock order: nothing is waited for under it but the epoch and, for a moment, a class of page memory.
    hand: Mutex<Hand>,
}

/// What one step of the clock did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How many pages, or rows that were left of some, left memory.
    pub evicted: usize,
    /// Whether the hand came to the end of the last tree, and looked for cold leaves there.
    pub went_round: bool,
}

impl Clock {
    /// Moves the hand over some leaves of `trees`, and evicts those that are to leave.
    ///
    /// # Errors
    /// What writing gives. What could not be written stays in memory.
    pub fn step(&self, trees: &[Arc<Tree>]) -> Result<Step> {
        let Some(reached) = self.hand.lock().advance(trees) else {
            return Ok(Step { evicted: 0, went_round: true });
        };
        let Reached { tree, from, which, swept, fold, may_rows_stay, is_end } = reached;
        let is_cold = matches!(which, Which::Cold { .. });
        // First, for it needs no disk; each is let go then, so that it can be freed. In sparse spans they only move.
        let is_less = |remnant: PinnedLeaf| tree.trim(&remnant, which).is_some_and(|less| less > 0);
        let trimmed = swept.remnants.into_iter().map(is_less).filter(|is_less| *is_less).count();
        let mut evicted = evict_leaves(&tree, swept.found, fold, may_rows_stay)?;
        if let Some(level) = swept.idle_index {
            evicted += usize::from(evict_index(&tree, level, &from)?);
        }
        let shared = tree.shared();
        shared.stats.pages_evicted.add(evicted as u64);
        if evicted > 0 {
            self.hand.lock().note_evicted();
        }
        if evicted + trimmed > 0 || !is_cold {
            shared.hazards.reclaim();
        }
        if is_end && !is_cold {
            // A single block keeps all of its span from becoming free.
            shared.cache.memory().inspect(|memory| memory.give_back_spares());
        }
        Ok(Step { evicted: evicted + trimmed, went_round: is_end && is_cold })
    }
}

/// Evicts what it can of `leaves`; dirty ones are written in one batch.
fn evict_leaves(
    tree: &Tree,
    leaves: Vec<PinnedLeaf>,
    fold: Fold,
    may_rows_stay: bool,
) -> Result<usize> {
    let mut evicted = 0;
    let mut ready = Vec::new();
    for pin in leaves {
        match evict_clean(tree, &pin, may_rows_stay) {
            Some(is_evicted) => evicted += usize::from(is_evicted),
            None => prepare(tree, pin, fold, &mut ready)?,
        }
    }
    if ready.is_empty() {
        return Ok(evicted);
    }
    let addresses = write_leaves(tree, &ready)?;
    for (write_back, address) in ready.iter().zip(addresses) {
        if let Some(latched) = tree.install_leaf(write_back, address, Writer::Eviction)? {
            evicted += usize::from(evict(tree, latched, may_rows_stay));
            tree.shared().stats.pages_written_by_eviction.bump();
        }
    }
    Ok(evicted)
}

/// Drops the leaf, if it is to leave; none where not all of it is on disk.
fn evict_clean(tree: &Tree, pin: &PinnedLeaf, may_rows_stay: bool) -> Option<bool> {
    let latched = pin.leaf().and_then(|leaf| leaf.try_latch())?;
    let is_clean = latched.home().is_some_and(|home| !home.is_dirty());
    is_clean.then(|| evict(tree, latched, may_rows_stay))
}

/// Drops the leaf, all of which is on disk, but for the rows that were read lately, if they may stay. False, and it
/// stays for another round, if none can, and a row was read again and again: that is one use for the clock.
fn evict(tree: &Tree, latched: Latched<'_>, may_rows_stay: bool) -> bool {
    let shared = tree.shared();
    let is_in_sample = |latched: &Latched<'_>| {
        let address = latched.home().and_then(|home| home.home().address);
        address.is_some_and(|address| is_sample(&address))
    };
    let latched = if may_rows_stay || is_in_sample(&latched) {
        match latched.evict_all_but_rows(&shared.hazards) {
            Ok(()) => {
                shared.stats.remnants_left.bump();
                return true;
            }
            Err(latched) => latched,
        }
    } else {
        latched
    };
    let leaves = !latched.leaf().take_read_again();
    if leaves {
        latched.evict(&shared.hazards);
    }
    leaves
}

/// Makes a dirty leaf ready to be written, if nobody needs more than its image would say. Where it has to be built
/// again first and becomes several, all of them: else what is in memory would become more.
fn prepare(tree: &Tree, pin: PinnedLeaf, fold: Fold, ready: &mut Vec<LeafWriteBack>) -> Result<()> {
    let Some(leaf) = pin.leaf() else { return Ok(()) };
    let (mut low, high) = (leaf.range().low.clone(), leaf.range().high.clone());
    // Where it cannot leave, the next rounds that look for cold leaves pass it by.
    leaf.heat_up();
    match tree.prepare_leaf(pin, Writer::Eviction, fold)? {
        Prepared::Ready(write_back) => {
            ready.push(write_back);
            return Ok(());
        }
        Prepared::Changed => {}
        Prepared::Held | Prepared::Clean => return Ok(()),
    }
    loop {
        let mut folded = tree.shared().new_pin();
        if !tree.find_leaf_in_cache(Target::At(&low), &mut folded) {
            return Ok(());
        }
        let next = folded.leaf().and_then(|leaf| leaf.range().high.clone());
        let prepared = tree.prepare_leaf(folded, Writer::Eviction, Fold::Never)?;
        if let Prepared::Ready(write_back) = prepared {
            ready.push(write_back);
        }
        match next {
            Some(next) if high.as_ref().is_none_or(|high| next < *high) => low = next,
            _ => return Ok(()),
        }
    }
}

/// Writes prepared leaves with as few calls as may be. A leaf without rows has no address.
pub(crate) fn write_leaves(
    tree: &Tree,
    ready: &[LeafWriteBack],
) -> Result<Vec<Option<crate::block::Address>>> {
    let blocks: Vec<Option<NewBlock<'_>>> = ready.iter().map(|leaf| leaf.block(tree)).collect();
    let present: Vec<NewBlock<'_>> = blocks.iter().flatten().copied().collect();
    let mut addresses = tree.shared().blocks.write(&present)?.into_iter();
    Ok(blocks.iter().map(|block| block.and_then(|_| addresses.next())).collect())
}

/// Drops an internal page with nothing below it in memory, written first if it must be.
fn evict_index(tree: &Tree, level: u8, key: &[u8]) -> Result<bool> {
    if tree.is_unwritten(level, key, Writer::Eviction)
        && !tree.write_index(level, key, Writer::Eviction)?
    {
        return Ok(false);
    }
    Ok(tree.evict_index(level, key))
}
