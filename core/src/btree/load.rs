//! Reading pages in, and waiting for others who do.

use std::ptr::NonNull;

use super::descend::Target;
use super::{Shared, Tree};
use crate::base::error::{Error, Result};
use crate::block::{Address, BlockKind, UNIT_BYTES};
use crate::format::{BuilderCapacity, PageBuilder, PageImage, PageKind};
use crate::page::{Home, Index, LeafRange, LoadClaim, PageRef, State, new_reference_on_disk};
use crate::reconcile::ChildCell;
use crate::sync::epoch;
use crate::sync::{Condvar, Mutex};

/// What a page is read for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'k> {
    /// The page.
    Page,
    /// The row of this key, and nothing else of its leaf if that can be.
    Row(&'k [u8]),
}

impl Wanted<'_> {
    /// Whether it came meanwhile: whoever wanted it looked before the page was theirs.
    pub(super) fn is_here(&self, claim: &LoadClaim) -> bool {
        matches!(self, Self::Row(key) if claim.has_row(key))
    }
}

/// Of so many leaves one is in the sample.
const SAMPLED_ONE_IN: u64 = 16;

/// Whether the leaf at `address` is one of the few that show what the others would be good for: where rows may not stay,
/// its rows may, and where rows come without their leaf, it comes. By where it lies on disk, for that says nothing of
/// its rows.
pub fn is_sample(address: &Address) -> bool {
    // Fibonacci hashing, for blocks of one size lie at like distances.
    let hash = (address.offset() / UNIT_BYTES).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash < u64::MAX / SAMPLED_ONE_IN
}

/// Lets threads sleep until some page was read in: there are few at a time, so one queue serves.
#[derive(Debug, Default)]
pub struct Loads {
    ended: Mutex<u64>,
    changed: Condvar,
}

impl Loads {
    /// How many loads have ended so far.
    pub(super) fn ticket(&self) -> u64 {
        *self.ended.lock()
    }

    /// Sleeps until a load has ended since `ticket` was drawn.
    pub(super) fn wait(&self, ticket: u64) {
        let mut ended = self.ended.lock();
        while *ended == ticket {
            ended = self.changed.wait(ended);
        }
    }

    /// A load has ended, one way or the other.
    pub(super) fn ended(&self) {
        *self.ended.lock() += 1;
        self.changed.notify_all();
    }
}

impl Tree {
    /// The keys that belong to the page that `claim` holds; none when `target` does not lead there any
    /// more, and the descent has to start again.
    ///
    /// Computed after the claim, because a neighbour's removal may widen the range until then, and
    /// gives up when it meets a claim.
    pub(super) fn range_of(&self, target: Target<'_>, claim: &LoadClaim) -> Option<LeafRange> {
        let guard = epoch::pin();
        let mut range = LeafRange::default();
        let mut separator = Vec::new();
        let mut reference: &PageRef = &self.root;
        while let State::Index(index) = reference.state(&guard) {
            let child = target.child(index);
            if child > 0 {
                index.separator_into(child, &mut separator);
                range.raise_low(&separator);
            }
            if child + 1 < index.child_count() {
                index.separator_into(child + 1, &mut separator);
                range.lower_high(&separator);
            }
            reference = index.child(child);
        }
        std::ptr::eq(reference, claim.reference()).then_some(range)
    }

    /// Reads the page that `claim` holds and installs it, or what is wanted of it; true if that was a row. On an error it
    /// stays on disk.
    pub(super) fn read_in(
        &self,
        claim: LoadClaim,
        range: LeafRange,
        wanted: Wanted<'_>,
    ) -> Result<bool> {
        let level = claim.reference().level();
        let Home { address, rows, .. } = claim.reference().home();
        let Some(address) = address else {
            // Never written because it had no rows: an empty leaf serves, whatever the level was
            // (and that is 0, because only leaves are evicted without a block).
            let leaf = self.new_leaf(empty_image(), None, range, claim.reference());
            claim.install_leaf(leaf, &self.shared.hazards);
            return Ok(false);
        };
        let kind = if level == 0 { BlockKind::Leaf } else { BlockKind::Internal };
        // Leaves live in page memory; internal pages, of which there are few, do not.
        let memory = self.shared.cache.memory().filter(|_| level == 0);
        let bytes = self.shared.blocks.read_page(&address, kind, memory)?;
        let image = PageImage::parse(bytes)
            .map_err(|error| error.into_corruption(self.shared.blocks.label(), address.offset()))?;
        if level > 0 {
            let index = self.index_from_disk(image, level, rows, &address)?;
            claim.install_index(index);
            return Ok(false);
        }
        let image = self.check_leaf(image, &range, rows, &address)?;
        let claim = match self.install_row(claim, &image, wanted) {
            Ok(()) => return Ok(true),
            Err(claim) => claim,
        };
        let leaf = self.new_leaf(image, None, range, claim.reference());
        claim.install_leaf(leaf, &self.shared.hazards);
        Ok(false)
    }

    /// Installs the row that is wanted of a leaf, whose rows `image` has; gives the claim back where it is the leaf that is
    /// wanted, where it has no such row, for only a leaf can say so, or where it would be much of the leaf.
    fn install_row(
        &self,
        claim: LoadClaim,
        image: &PageImage,
        wanted: Wanted<'_>,
    ) -> std::result::Result<(), LoadClaim> {
        let Wanted::Row(key) = wanted else { return Err(claim) };
        let Ok(slot) = image.search(key) else { return Err(claim) };
        let Shared { cache, hazards, stats, .. } = &self.shared;
        claim.install_row(image, slot, cache, hazards)?;
        stats.rows_read_alone.bump();
        Ok(())
    }

    /// A leaf's keys lie within what its parents say, and are as many: whoever counts rows starts from
    /// what parents say.
    fn check_leaf(
        &self,
        image: PageImage,
        range: &LeafRange,
        rows: u64,
        address: &Address,
    ) -> Result<PageImage> {
        let what = if image.kind() != PageKind::Leaf {
            "kind of a leaf page"
        } else if image.len() as u64 != rows {
            let (expected, found) = (rows.to_string(), image.len().to_string());
            return Err(self.corrupt(address, "rows of a leaf page", &expected, &found));
        } else if image.is_empty() {
            return Ok(image);
        } else if image.compare(0, &range.low).is_lt() {
            "first key of a leaf page"
        } else if range
            .high
            .as_ref()
            .is_some_and(|high| image.compare(image.len() - 1, high).is_ge())
        {
            "last key of a leaf page"
        } else {
            return Ok(image);
        };
        Err(self.corrupt(address, what, "what its parent says", "another"))
    }

    fn index_from_disk(
        &self,
        image: PageImage,
        level: u8,
        rows: u64,
        address: &Address,
    ) -> Result<Box<Index>> {
        if image.kind() != PageKind::Internal || image.is_empty() {
            return Err(self.corrupt(address, "kind of an internal page", "separators", "none"));
        }
        let mut cells = Vec::with_capacity(image.len());
        let mut found_rows: u64 = 0;
        for slot in 0..image.len() {
            let cell = ChildCell::decode(image.cell(slot).bytes);
            found_rows = found_rows.saturating_add(cell.map_or(0, |cell| cell.rows));
            cells.push(cell.ok_or_else(|| {
                self.corrupt(
                    address,
                    "child of an internal page",
                    "an address and a count",
                    "neither",
                )
            })?);
        }
        if found_rows != rows {
            let (expected, found) = (rows.to_string(), found_rows.to_string());
            return Err(self.corrupt(address, "rows of an internal page", &expected, &found));
        }
        let children = cells
            .iter()
            .map(|cell| {
                // Never the serial of the reference that the page had when it was last in memory:
                // whoever prepared that one to be written must not take this for it.
                let home = Home { serial: self.next_serial(), ..Home::at(cell.address, cell.rows) };
                new_reference_on_disk(home, level - 1)
            })
            .collect();
        Ok(self.new_index(image, children))
    }

    pub(super) fn corrupt(
        &self,
        address: &Address,
        what: &'static str,
        expected: &str,
        found: &str,
    ) -> Error {
        Error::corrupt(self.shared.blocks.label(), address.offset(), what, expected, found)
    }

    /// An internal page over `children`, charged to the cache.
    pub(super) fn new_index(
        &self,
        image: PageImage,
        children: Box<[NonNull<PageRef>]>,
    ) -> Box<Index> {
        Box::new(Index::new(image, children, &self.shared.cache))
    }
}

/// The image of a leaf without rows.
pub(super) fn empty_image() -> PageImage {
    PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default()).finish_image()
}
