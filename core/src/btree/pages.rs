//! Where the pages of a tree, and its long values, lie in the file, and giving a page another place:
//! for compaction.

use super::{Target, Tree};
use crate::base::error::Result;
use crate::block::{Address, Extent};
use crate::format::Tag;
use crate::page::{PageRef, State};
use crate::sync::epoch;

/// A page that is on disk, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageBlock {
    /// How many levels of pages are below it.
    pub level: u8,
    /// A key that belongs to it.
    pub key: Vec<u8>,
    /// Its block.
    pub address: Address,
}

/// A long value that every snapshot sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongValue {
    /// Its key.
    pub key: Vec<u8>,
    /// The reference to it.
    pub reference: Vec<u8>,
}

impl Tree {
    /// Adds the long values in the leaf of `from` to `out`, but those that changed since the leaf was
    /// built; says where the next leaf begins.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn long_values(&self, from: &[u8], out: &mut Vec<LongValue>) -> Result<Option<Vec<u8>>> {
        let mut pin = self.shared().new_pin();
        self.find_leaf(Target::At(from), &mut pin)?;
        let Some(leaf) = pin.leaf() else { return Ok(Some(from.to_vec())) };
        let image = leaf.image();
        for slot in 0..image.len() {
            let cell = image.cell(slot);
            if cell.tag == Tag::Overflow {
                let mut key = Vec::new();
                image.key_into(slot, &mut key);
                out.push(LongValue { key, reference: cell.bytes.to_vec() });
            }
        }
        Ok(leaf.range().high.as_ref().map(|high| high.to_vec()))
    }

    /// Hands `out` the pages whose blocks lie in `place`, among those on the way to `from` and
    /// those behind it below the same lowest index; says where the next lowest index begins. Pages
    /// that the next checkpoint writes anyway are left out, those that a named checkpoint reaches, and
    /// those that were written since the last checkpoint, whose space may be used again at any time.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn pages_within(
        &self,
        from: &[u8],
        place: Extent,
        out: &mut dyn FnMut(PageBlock),
    ) -> Result<Option<Vec<u8>>> {
        // Brings the indexes into memory, and keeps them there.
        let mut pin = self.shared().new_pin();
        self.find_leaf(Target::At(from), &mut pin)?;
        let guard = epoch::pin();
        let mut consider = |reference: &PageRef, key: Vec<u8>| {
            let within = |address: &Address| {
                let extent = address.extent();
                let overlaps = extent.offset < place.end() && place.offset < extent.end();
                overlaps && self.may_move(address)
            };
            if let Some(address) = reference.home().address.filter(within)
                && !reference.is_dirty()
            {
                out(PageBlock { level: reference.level(), key, address });
            }
        };
        let mut reference: &PageRef = &self.root;
        loop {
            consider(reference, from.to_vec());
            let State::Index(index) = reference.state(&guard) else { return Ok(None) };
            let at = index.find(from);
            if reference.level() > 1 {
                reference = index.child(at);
                continue;
            }
            for slot in at..index.child_count() {
                let mut key = from.to_vec();
                if slot > at {
                    index.separator_into(slot, &mut key);
                }
                consider(index.child(slot), key);
            }
            return Ok(self.end_of_index(from, &guard));
        }
    }

    /// Whether a page that lies at `address` may be moved; if so, its block stays as it is until the next
    /// checkpoint is durable, whatever becomes of the page.
    fn may_move(&self, address: &Address) -> bool {
        let blocks = &self.shared().blocks;
        !blocks.is_kept(address) && !blocks.is_fresh(address)
    }

    /// Whether the leaf of `page` still lies where it was found and may be moved. While no checkpoint is made,
    /// its block can be read then. Checkpoints since it was found may have let the space be used again.
    pub fn is_still_there(&self, page: &PageBlock) -> bool {
        let guard = epoch::pin();
        let here = self.reference_at(0, &page.key, &guard);
        here.is_some_and(|here| here.home().address == Some(page.address))
            && self.may_move(&page.address)
    }

    /// Makes the next checkpoint write the internal page of `page` again, wherever there is room.
    pub fn rewrite_index(&self, page: &PageBlock) {
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let here = self.reference_at(page.level, &page.key, &guard);
        if let Some(here) = here.filter(|here| here.home().address == Some(page.address)) {
            here.set_dirty(true);
            self.mark_above_dirty(page.level, &page.key, &structure, &guard);
        }
    }

    /// Notes that the leaf of `page` lies at `copy`, a copy of its block, and frees the old block;
    /// false, and nothing is changed, when the leaf changed or moved meanwhile, or somebody reads it
    /// in just now.
    ///
    /// Nobody reads the old address from the reference when its space can be used again: while the
    /// address changes, the leaf is in memory under its latch, so that it is not evicted, or claimed,
    /// so that nobody reads it in.
    ///
    /// # Errors
    /// When the old block cannot be freed: the file is damaged.
    pub fn move_leaf(&self, page: &PageBlock, copy: Address) -> Result<bool> {
        let mut pin = self.shared().new_pin();
        if self.find_leaf_in_cache(Target::At(&page.key), &mut pin) {
            let Some(leaf) = pin.leaf() else { return Ok(false) };
            let latched = leaf.latch();
            let Some(home) = latched.home() else { return Ok(false) };
            return self.move_home(home, page, copy);
        }
        let claim = {
            let guard = epoch::pin();
            self.reference_at(0, &page.key, &guard).and_then(PageRef::claim)
        };
        let Some(claim) = claim else { return Ok(false) };
        let moved = self.move_home(claim.reference(), page, copy);
        drop(claim);
        self.shared().loads.ended();
        moved
    }

    fn move_home(&self, home: &PageRef, page: &PageBlock, copy: Address) -> Result<bool> {
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let is_here = self
            .reference_at(0, &page.key, &guard)
            .is_some_and(|reference| std::ptr::eq(reference, home));
        let mut place = home.home();
        if !is_here || home.is_dirty() || place.address != Some(page.address) {
            return Ok(false);
        }
        place.address = Some(copy);
        home.set_home(place);
        self.mark_above_dirty(0, &page.key, &structure, &guard);
        drop(structure);
        self.shared().blocks.free(&page.address)?;
        Ok(true)
    }
}
