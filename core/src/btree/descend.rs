//! From the root to a leaf: the read path.
//!
//! A descent pins the epoch, follows references through indexes without a lock, and publishes a
//! hazard for the leaf that it ends on. A page on disk is read in after the epoch is unpinned; the
//! descent then starts again.

use std::ops::Range;

use super::Tree;
use super::load::{Wanted, is_sample};
use crate::base::error::Result;
use crate::page::{Index, LoadClaim, PageRef, PinnedLeaf, State};
use crate::sync::epoch::{self, Guard};
use crate::sync::is_left_out;

/// Leaves of so many bytes are announced at once, at most.
const ANNOUNCED_BYTES_MOST: u64 = 1 << 20;

/// Which leaf a descent looks for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'k> {
    /// The one where this key belongs.
    At(&'k [u8]),
    /// The one where the keys just below this one belong.
    Before(&'k [u8]),
    /// The last one.
    Last,
}

impl Target<'_> {
    #[inline]
    pub(super) fn child(self, index: &Index) -> usize {
        match self {
            Self::At(key) => index.find(key),
            Self::Before(key) => index.find_before(key),
            Self::Last => index.child_count() - 1,
        }
    }
}

/// Where a descent ended.
pub(super) enum End<'g> {
    Pinned,
    Disk(&'g PageRef),
    Remnant(&'g PageRef),
    Loading,
    Changed,
}

/// What a descent has to wait for, off the epoch.
enum Missing {
    Nothing,
    /// A page, which is ours to read in.
    Page(LoadClaim),
    /// Another thread's reading: the ticket.
    Load(u64),
}

impl Tree {
    /// Pins the leaf that `target` names, reading pages in as needed.
    ///
    /// # Errors
    /// What reading a page gives.
    #[inline]
    pub fn find_leaf(&self, target: Target<'_>, pin: &mut PinnedLeaf) -> Result<()> {
        loop {
            let missing = {
                let guard = epoch::pin();
                match self.descend(target, pin, &guard) {
                    End::Pinned => return Ok(()),
                    end => self.missing(target, pin, &end, &guard),
                }
            };
            self.fetch(target, missing, pin)?;
        }
    }

    /// Pins the leaf of `key`, or, where that is not in memory, what is left of it there if that has the row of `key`.
    /// Then `pin` has its value, which everybody sees.
    ///
    /// # Errors
    /// As [`find_leaf`](Self::find_leaf).
    #[inline]
    pub fn find_row(&self, key: &[u8], pin: &mut PinnedLeaf) -> Result<()> {
        let target = Target::At(key);
        let (mut came_for, mut has_waited) = (false, false);
        loop {
            let missing = {
                let guard = epoch::pin();
                match self.descend(target, pin, &guard) {
                    End::Pinned => return Ok(()),
                    End::Remnant(reference) if self.pin_row(reference, key, pin, came_for) => {
                        return Ok(());
                    }
                    end => self.missing(target, pin, &end, &guard),
                }
            };
            came_for = match missing {
                // Where several want rows of one leaf at once, they want the leaf.
                Missing::Page(claim) if !has_waited => self.load_row(key, claim, pin)?,
                missing => {
                    has_waited |= matches!(missing, Missing::Load(_));
                    self.fetch(target, missing, pin)?;
                    false
                }
            };
        }
    }

    /// Pins the leaf if that needs no disk; false when a page would have to be read in.
    #[inline]
    pub fn find_leaf_in_cache(&self, target: Target<'_>, pin: &mut PinnedLeaf) -> bool {
        loop {
            let guard = epoch::pin();
            match self.descend(target, pin, &guard) {
                End::Pinned => return true,
                End::Disk(_) | End::Remnant(_) | End::Loading => return false,
                End::Changed => {}
            }
        }
    }

    /// As [`find_row`](Self::find_row), if that needs no disk; false when a page would have to be read in.
    #[inline]
    pub fn find_row_in_cache(&self, key: &[u8], pin: &mut PinnedLeaf) -> bool {
        loop {
            let guard = epoch::pin();
            match self.descend(Target::At(key), pin, &guard) {
                End::Pinned => return true,
                End::Remnant(reference) => return self.pin_row(reference, key, pin, false),
                End::Disk(_) | End::Loading => return false,
                End::Changed => {}
            }
        }
    }

    /// Pins what is left in memory of a leaf, if that has the row of `key`, which may have `come_for` this.
    #[inline]
    fn pin_row(
        &self,
        reference: &PageRef,
        key: &[u8],
        pin: &mut PinnedLeaf,
        came_for: bool,
    ) -> bool {
        let is_there = pin.pin_row_of(self.id, reference, key, came_for);
        if is_there && !came_for {
            self.shared.stats.remnant_reads.bump();
        }
        is_there
    }

    /// What a descent to `target` that came to `end` has to wait for.
    fn missing(
        &self,
        target: Target<'_>,
        pin: &mut PinnedLeaf,
        end: &End<'_>,
        guard: &Guard,
    ) -> Missing {
        match end {
            End::Pinned | End::Changed => Missing::Nothing,
            End::Disk(reference) | End::Remnant(reference) => {
                reference.claim().map_or(Missing::Nothing, Missing::Page)
            }
            End::Loading => {
                // The ticket is drawn before the second look, so a load that ends in between is
                // not slept through.
                let ticket = self.shared.loads.ticket();
                let still = matches!(self.descend(target, pin, guard), End::Loading);
                let ticket =
                    if is_left_out!(LoadTicketLate) { self.shared.loads.ticket() } else { ticket };
                if still { Missing::Load(ticket) } else { Missing::Nothing }
            }
        }
    }

    /// Waits for what is missing. The descent to `target` then starts again.
    fn fetch(&self, target: Target<'_>, missing: Missing, pin: &mut PinnedLeaf) -> Result<()> {
        match missing {
            Missing::Nothing => {}
            Missing::Page(claim) => self.load_page(target, claim, pin)?,
            Missing::Load(ticket) => self.shared.loads.wait(ticket),
        }
        Ok(())
    }

    #[inline]
    fn descend<'g>(
        &'g self,
        target: Target<'_>,
        pin: &mut PinnedLeaf,
        guard: &'g Guard,
    ) -> End<'g> {
        let mut reference: &PageRef = &self.root;
        loop {
            match reference.state(guard) {
                State::Index(index) => reference = index.child(target.child(index)),
                State::Leaf(_) => {
                    let is_pinned = pin.pin_of(self.id, reference);
                    return if is_pinned { End::Pinned } else { End::Changed };
                }
                State::Disk => return End::Disk(reference),
                State::Remnant => return End::Remnant(reference),
                State::Loading => return End::Loading,
                State::Dead => return End::Changed,
            }
        }
    }

    /// Tells the disk that the leaves on the way from that of `target` will be read soon: those so many further
    /// up, or down, below the same parent, as far as they are on disk and not too long together. Returns how far
    /// that was.
    pub(super) fn announce(&self, target: Target<'_>, down: bool, which: Range<usize>) -> usize {
        let guard = epoch::pin();
        let mut reference: &PageRef = &self.root;
        while let State::Index(index) = reference.state(&guard) {
            let child = target.child(index);
            if reference.level() > 1 {
                reference = index.child(child);
                continue;
            }
            let mut slots = which.clone().map_while(|distance| match down {
                true => child.checked_sub(distance),
                false => Some(child + distance).filter(|slot| *slot < index.child_count()),
            });
            let (mut count, mut bytes, mut blocks) = (0, 0, Vec::new());
            while bytes < ANNOUNCED_BYTES_MOST
                && let Some(slot) = slots.next()
            {
                let leaf = index.child(slot);
                if leaf.state(&guard).is_on_disk()
                    && let Some(address) = leaf.home().address
                {
                    bytes += u64::from(address.len_bytes());
                    blocks.push(address);
                }
                count += 1;
            }
            // The disk may take its time, and index pages that left are not freed meanwhile.
            drop(guard);
            self.shared.blocks.will_read(&blocks);
            return which.start - 1 + count;
        }
        0
    }

    /// Reads in the page that `claim` holds, which a descent to `target` met.
    #[cold]
    fn load_page(&self, target: Target<'_>, claim: LoadClaim, pin: &mut PinnedLeaf) -> Result<()> {
        if let Some(address) = claim.reference().home().address {
            pin.misses().leaf_is_wanted(address.offset());
        }
        self.load(target, claim, Wanted::Page).map(|_| ())
    }

    /// The same for the row of `key`, which may come without its leaf: true if it did.
    #[cold]
    fn load_row(&self, key: &[u8], claim: LoadClaim, pin: &mut PinnedLeaf) -> Result<bool> {
        let is_leaf = claim.reference().level() == 0;
        let address = claim.reference().home().address.filter(|_| is_leaf);
        let comes_alone = address.is_some_and(|address| {
            self.shared.cache.prefers_rows()
                && !is_sample(&address)
                && !pin.misses().row_wants_leaf(address.offset())
        });
        let wanted = if comes_alone { Wanted::Row(key) } else { Wanted::Page };
        self.load(Target::At(key), claim, wanted)
    }

    /// Reads in what is wanted of the page that `claim` holds; true if that was a row alone.
    fn load(&self, target: Target<'_>, claim: LoadClaim, wanted: Wanted<'_>) -> Result<bool> {
        let result = match self.range_of(target, &claim) {
            Some(range) if !wanted.is_here(&claim) => self.read_in(claim, range, wanted),
            // The claim ends with this call, and the descent starts again.
            _ => {
                drop(claim);
                Ok(false)
            }
        };
        self.shared.loads.ended();
        result
    }
}
