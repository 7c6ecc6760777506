//! Writing pages back: the three steps that checkpoints and eviction share.
//!
//! Prepare (under the latch, or the structure lock, without I/O), write (holding nothing but hazards),
//! install (under the locks again: did anything change meanwhile?). What is written holds only versions
//! that every live snapshot sees, or what one given snapshot sees, so a block that eviction installs
//! while a checkpoint runs is right for the checkpoint too.

use super::{Structure, Tree};
use crate::base::error::Result;
use crate::block::{Address, BlockKind, NewBlock};
use crate::mvcc::Snapshot;
use crate::page::{Home, Latched, Leaf, PageRef, PinnedLeaf, State, evict_index};
use crate::reconcile::{ChildCell, image_under, index_image};
use crate::sync::epoch::{self, Guard};
use crate::sync::is_left_out;

/// A leaf that is ready to be written.
pub struct LeafWriteBack {
    pin: PinnedLeaf,
    low: Box<[u8]>,
    serial: u32,
    changes: u64,
    /// What one snapshot sees, where that is not the leaf's own image. None is no rows.
    other_image: Option<Option<Vec<u8>>>,
    rows: u64,
}

/// What preparing a leaf came to.
pub enum Prepared {
    /// Write this.
    Ready(LeafWriteBack),
    /// It has versions that some snapshot, or a rollback, still needs.
    Held,
    /// It was replaced or split just now: look again where its keys belong.
    Changed,
    /// There is nothing to write.
    Clean,
}

/// Whether a leaf may be built again before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// It may not.
    Never,
    /// If all of it can be written then. Else folding would only move to other memory what has to stay.
    ToWhole,
    /// If it changed since it was folded last: versions may go that nobody can see any more.
    IfChanged,
}

/// For whom a leaf is written.
#[derive(Clone, Copy, Debug)]
pub enum Writer<'s> {
    /// For eviction: only what everybody sees, and all of it.
    Eviction,
    /// For a checkpoint: what its snapshot sees.
    Checkpoint {
        /// Its snapshot.
        snapshot: &'s Snapshot,
        /// Its number.
        number: u32,
    },
}

impl Writer<'_> {
    /// Whether the page of `reference` has to be written.
    fn wants(self, reference: &PageRef) -> bool {
        let is_written = match self {
            Self::Eviction => false,
            Self::Checkpoint { number, .. } => reference.home().written >= number,
        };
        reference.is_dirty() && !is_written
    }
}

impl LeafWriteBack {
    /// The bytes of memory that it keeps from being freed.
    pub fn held_bytes(&self) -> u64 {
        let other = self.other_image.as_ref().and_then(|image| image.as_ref()).map_or(0, Vec::len);
        self.pin.leaf().map_or(0, Leaf::charged_bytes) + other as u64
    }

    /// The block to write; none when the leaf has no rows.
    pub fn block<'b>(&'b self, tree: &Tree) -> Option<NewBlock<'b>> {
        let image = match &self.other_image {
            Some(image) => image.as_deref()?,
            None => {
                let image = self.pin.leaf()?.image();
                (!image.is_empty()).then(|| image.as_bytes())?
            }
        };
        let compression = tree.options().compression;
        Some(NewBlock::from_image(BlockKind::Leaf, tree.id(), compression, image))
    }
}

impl Tree {
    /// Prepares the pinned leaf for the disk; folds it first where that is of use, and `fold` lets it.
    ///
    /// # Errors
    /// When space of dropped values cannot be freed: the file is damaged.
    pub fn prepare_leaf(
        &self,
        pin: PinnedLeaf,
        writer: Writer<'_>,
        fold: Fold,
    ) -> Result<Prepared> {
        let Some(leaf) = pin.leaf() else { return Ok(Prepared::Changed) };
        let latched = leaf.latch();
        let Some(home) = latched.home() else { return Ok(Prepared::Changed) };
        if !writer.wants(home) {
            return Ok(Prepared::Clean);
        }
        let serial = home.home().serial;
        let changes = leaf.changes();
        let low = leaf.range().low.clone();
        let oldest = self.shared.transactions.oldest();
        let writes_all = is_left_out!(EvictionWritesAll) && matches!(writer, Writer::Eviction);
        let is_settled = leaf.cells_settled(oldest) || writes_all;
        let is_whole = leaf.is_unchanged() && is_settled;
        let may_fold = match fold {
            Fold::Never => false,
            _ if leaf.is_worth_folding() && (fold == Fold::IfChanged || self.is_outgrown(leaf)) => {
                true
            }
            _ => is_settled && (leaf.changes_settled(oldest) || writes_all),
        };
        let (other_image, rows) = if is_whole {
            (None, leaf.image().len() as u64)
        } else if may_fold {
            self.rebuild(latched)?;
            return Ok(Prepared::Changed);
        } else if let Writer::Checkpoint { snapshot, .. } = writer {
            let (image, rows) =
                image_under(leaf, snapshot).map_or((None, 0), |(image, rows)| (Some(image), rows));
            (Some(image), rows)
        } else {
            return Ok(Prepared::Held);
        };
        drop(latched);
        Ok(Prepared::Ready(LeafWriteBack { pin, low, serial, changes, other_image, rows }))
    }

    /// Whether the leaf takes more than image and changes usually do: it may have to be split before its rows fit a
    /// block.
    fn is_outgrown(&self, leaf: &Leaf) -> bool {
        leaf.charged_bytes() > 4 * u64::from(self.options.leaf_bytes_max) + (32 << 10)
    }

    /// Notes that `written` lies at `address`. Returns the leaf, latched, when all of it is on disk
    /// now.
    ///
    /// # Errors
    /// When a replaced block cannot be freed: the file is damaged.
    pub fn install_leaf<'w>(
        &self,
        written: &'w LeafWriteBack,
        address: Option<Address>,
        writer: Writer<'_>,
    ) -> Result<Option<Latched<'w>>> {
        let Some(leaf) = written.pin.leaf() else { return Ok(None) };
        let latched = leaf.latch();
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let is_whole = written.other_image.is_none()
            && (leaf.changes() == written.changes || is_left_out!(CleanWithoutRecount))
            && !leaf.is_dead();
        // A leaf that was replaced meanwhile left its reference behind, unless it was split.
        let reference = match latched.home() {
            Some(home) => Some(home),
            None => self.reference_at(0, &written.low, &guard),
        };
        let reference = reference.filter(|reference| {
            let still = reference.home().serial == written.serial && writer.wants(reference);
            still && (is_whole || matches!(writer, Writer::Checkpoint { .. }))
        });
        let Some(reference) = reference else {
            self.forget_block(address);
            return Ok(None);
        };
        self.set_place(reference, address, written.rows, writer, &structure)?;
        if !is_whole {
            return Ok(None);
        }
        reference.set_dirty(false);
        if matches!(writer, Writer::Eviction) {
            self.mark_above_dirty(0, &written.low, &structure, &guard);
        }
        drop(structure);
        Ok(Some(latched))
    }

    /// The reference with `level` levels below on the way to `key`, if the way is in memory.
    pub(super) fn reference_at<'g>(
        &'g self,
        level: u8,
        key: &[u8],
        guard: &'g Guard,
    ) -> Option<&'g PageRef> {
        let mut reference: &PageRef = &self.root;
        while reference.level() > level {
            let State::Index(index) = reference.state(guard) else { return None };
            reference = index.child(index.find(key));
        }
        (reference.level() == level).then_some(reference)
    }

    /// Where the root is and how many levels are below it, once `writer` need not write it.
    pub fn written_root(&self, writer: Writer<'_>) -> Option<(Home, u8)> {
        let _structure = self.structure.lock();
        (!writer.wants(&self.root)).then(|| (self.root.home(), self.root.level()))
    }

    fn set_place(
        &self,
        reference: &PageRef,
        address: Option<Address>,
        rows: u64,
        writer: Writer<'_>,
        _structure: &Structure<'_>,
    ) -> Result<()> {
        let old = reference.home();
        let written = match writer {
            Writer::Eviction => old.written,
            Writer::Checkpoint { number, .. } => number,
        };
        reference.set_home(old.written_by(written, address, rows));
        match (old.address, writer) {
            (Some(replaced), Writer::Checkpoint { .. }) => {
                self.shared.blocks.free_in_checkpoint(&replaced)
            }
            (Some(replaced), Writer::Eviction) => self.shared.blocks.free_page(&replaced),
            (None, _) => Ok(()),
        }
    }

    /// Marks every reference on the way to `key` that has more than `level` levels below dirty: an
    /// address down there changed.
    pub(super) fn mark_above_dirty(
        &self,
        level: u8,
        key: &[u8],
        _structure: &Structure<'_>,
        guard: &Guard,
    ) {
        let mut reference: &PageRef = &self.root;
        while reference.level() > level
            && let State::Index(index) = reference.state(guard)
        {
            reference.set_dirty(true);
            reference = index.child(index.find(key));
        }
    }

    /// The first key, from `from` on, of a page that `writer` has to write below the internal page
    /// with `level` levels below on the way to `key`. None when there is no such page, when `from`
    /// lies behind that internal page, or when it is not in memory.
    pub fn next_unwritten(
        &self,
        level: u8,
        key: &[u8],
        from: &[u8],
        writer: Writer<'_>,
    ) -> Option<Vec<u8>> {
        let guard = epoch::pin();
        let reference = self.reference_at(level, key, &guard)?;
        // The last page below may have been prepared and not be installed yet: it still has to be
        // written, and what lies behind it is another internal page's.
        if !std::ptr::eq(reference, self.reference_at(level, from, &guard)?) {
            return None;
        }
        let State::Index(index) = reference.state(&guard) else { return None };
        let slot = (index.find(from)..index.child_count())
            .find(|slot| writer.wants(index.child(*slot)))?;
        let mut low = Vec::new();
        index.separator_into(slot, &mut low);
        if low.as_slice() < from {
            low = from.to_vec();
        }
        Some(low)
    }

    /// Whether `writer` has to write the page with `level` levels below on the way to `key`.
    pub fn is_unwritten(&self, level: u8, key: &[u8], writer: Writer<'_>) -> bool {
        let guard = epoch::pin();
        self.reference_at(level, key, &guard).is_some_and(|reference| writer.wants(reference))
    }

    /// Writes the internal page with `level` levels below on the way to `key`. False when a child has
    /// to be written first, or the page changed meanwhile.
    ///
    /// # Errors
    /// What writing a block gives.
    pub fn write_index(&self, level: u8, key: &[u8], writer: Writer<'_>) -> Result<bool> {
        let Some((serial, children)) = self.children_at(level, key, writer) else {
            return Ok(false);
        };
        let rows = children.iter().filter_map(|(_, child)| child.map(|child| child.rows));
        let rows = rows.fold(0, u64::saturating_add);
        let address = if children.is_empty() {
            None
        } else {
            let image = index_image(&children);
            let compression = self.options.compression;
            let block =
                NewBlock::from_image(BlockKind::Internal, self.id, compression, image.as_bytes());
            self.shared.blocks.write(&[block])?.pop()
        };
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let mut is_current = false;
        let reference = self.reference_at(level, key, &guard).filter(|reference| {
            is_current = self.children_of(reference, writer, &guard).as_ref() == Some(&children);
            // A checkpoint installs what was true under its snapshot, eviction what still is.
            reference.home().serial == serial
                && writer.wants(reference)
                && (is_current || matches!(writer, Writer::Checkpoint { .. }))
        });
        let Some(reference) = reference else {
            self.forget_block(address);
            return Ok(false);
        };
        self.set_place(reference, address, rows, writer, &structure)?;
        if let State::Index(index) = reference.state(&guard) {
            // A child that was evicted meanwhile is clean and lies elsewhere than we have written.
            let is_dirty = (0..index.child_count()).any(|slot| index.child(slot).is_dirty());
            reference.set_dirty(is_dirty || !is_current);
        }
        if matches!(writer, Writer::Eviction) {
            self.mark_above_dirty(level, key, &structure, &guard);
        }
        Ok(true)
    }

    fn children_at(&self, level: u8, key: &[u8], writer: Writer<'_>) -> Option<(u32, Children)> {
        let _structure = self.structure.lock();
        let guard = epoch::pin();
        let reference = self.reference_at(level, key, &guard)?;
        if !writer.wants(reference) {
            return None;
        }
        let children = self.children_of(reference, writer, &guard)?;
        Some((reference.home().serial, children))
    }

    /// What an internal page's image says of each child that has rows; none while a child has to be
    /// written first (for eviction: is in memory).
    fn children_of(
        &self,
        reference: &PageRef,
        writer: Writer<'_>,
        guard: &Guard,
    ) -> Option<Children> {
        let State::Index(index) = reference.state(guard) else { return None };
        let mut children = Vec::with_capacity(index.child_count());
        for slot in 0..index.child_count() {
            let child = index.child(slot);
            let in_the_way = match writer {
                Writer::Checkpoint { .. } => writer.wants(child),
                Writer::Eviction => child.is_dirty() || !matches!(child.state(guard), State::Disk),
            };
            if in_the_way {
                return None;
            }
            let home = child.home();
            if let Some(address) = home.address {
                let mut separator = Vec::new();
                index.image().key_into(slot, &mut separator);
                children.push((separator, Some(ChildCell { address, rows: home.rows })));
            }
        }
        Some(children)
    }

    /// Drops the internal page with `level` levels below on the way to `key` from memory, if nothing
    /// below it is there and all of it is on disk.
    pub fn evict_index(&self, level: u8, key: &[u8]) -> bool {
        let _structure = self.structure.lock();
        let guard = epoch::pin();
        let Some(reference) = self.reference_at(level, key, &guard) else { return false };
        let State::Index(index) = reference.state(&guard) else { return false };
        // One without rows has no block to be read from, and stays: it takes next to nothing.
        let is_on_disk = !reference.is_dirty() && reference.home().address.is_some();
        if level == self.root.level() || !is_on_disk {
            return false;
        }
        let killed =
            (0..index.child_count()).take_while(|slot| index.child(*slot).kill_on_disk()).count();
        if killed < index.child_count() {
            (0..killed).for_each(|slot| index.child(slot).revive_on_disk());
            self.shared.loads.ended();
            return false;
        }
        evict_index(reference, &guard);
        true
    }
}

/// Where each child's keys begin, and what is known of it.
type Children = Vec<(Vec<u8>, Option<ChildCell>)>;
