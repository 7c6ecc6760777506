//! Giving up a whole tree's space, when its table is dropped.

use hashbrown::HashSet;

use super::{Target, Tree};
use crate::base::error::Result;
use crate::base::ids::TxnId;
use crate::block::{Address, BlockKind, UNIT_BYTES};
use crate::format::{PageImage, Tag};
use crate::page::{PageRef, State};
use crate::reconcile::ChildCell;
use crate::sync::epoch::{self, Guard};

impl Tree {
    /// Frees every block of the tree but those of long values. Nobody else uses the tree any more.
    ///
    /// # Errors
    /// What reading its internal pages gives; [`crate::Error::Corrupt`] when they name free space.
    pub fn free_blocks(&self) -> Result<()> {
        let mut addresses = Vec::new();
        self.collect(&self.root, &mut addresses, &epoch::pin())?;
        addresses.iter().try_for_each(|address| self.shared.blocks.free(address))
    }

    /// Adds the references of all long values in the leaf of `key`, whoever sees them, to `out`, and
    /// says where the next leaf begins. The leaf leaves memory, with all that it has: a tree of any size
    /// can be gone through. Nobody else uses the tree any more.
    ///
    /// # Errors
    /// What reading the leaf gives.
    pub fn collect_long_values(
        &self,
        key: &[u8],
        out: &mut HashSet<Vec<u8>>,
    ) -> Result<Option<Box<[u8]>>> {
        let mut pin = self.shared.new_pin();
        self.find_leaf(Target::At(key), &mut pin)?;
        let Some(leaf) = pin.leaf() else { return Ok(Some(key.into())) };
        let latched = leaf.latch();
        if latched.home().is_none() {
            return Ok(Some(key.into()));
        }
        let cells = (0..leaf.image().len()).map(|slot| leaf.image().cell(slot));
        out.extend(cells.filter(|cell| cell.tag == Tag::Overflow).map(|cell| cell.bytes.to_vec()));
        for entry in (0..leaf.entry_count()).filter_map(|number| leaf.entry(number)) {
            let chain = std::iter::successors(Some(entry.newest()), |update| update.older());
            // A rollback has freed what it marked.
            let long =
                chain.filter(|update| update.kind().is_long() && update.txn() != TxnId::ABORTED);
            out.extend(long.map(|update| update.bytes().to_vec()));
        }
        latched.evict(&self.shared.hazards);
        Ok(leaf.range().high.clone())
    }

    /// Frees the space of long values, given their references.
    ///
    /// # Errors
    /// As [`free_blocks`](Self::free_blocks).
    pub fn free_long_values(&self, references: HashSet<Vec<u8>>) -> Result<()> {
        self.free_overflow(&Vec::from_iter(references))
    }

    fn collect(&self, reference: &PageRef, out: &mut Vec<Address>, guard: &Guard) -> Result<()> {
        let address = reference.home().address;
        out.extend(address);
        match (reference.state(guard), address) {
            (State::Index(index), _) => (0..index.child_count())
                .try_for_each(|slot| self.collect(index.child(slot), out, guard)),
            (State::Disk, Some(address)) => self.collect_on_disk(&address, reference.level(), out),
            _ => Ok(()),
        }
    }

    /// Adds the blocks below an internal page on disk. The depth is bounded by `level`.
    fn collect_on_disk(&self, address: &Address, level: u8, out: &mut Vec<Address>) -> Result<()> {
        if level == 0 {
            return Ok(());
        }
        let bytes = self.shared.blocks.read(address, BlockKind::Internal)?;
        let image = PageImage::parse(bytes.into())
            .map_err(|error| error.into_corruption(self.shared.blocks.label(), address.offset()))?;
        for slot in 0..image.len() {
            let child = ChildCell::decode(image.cell(slot).bytes).ok_or_else(|| {
                self.corrupt(address, "child of an internal page", "an address", "none")
            })?;
            out.push(child.address);
            // Pages that name each other in a circle would go on for ever.
            if out.len() as u64 > self.shared.blocks.file_bytes() / UNIT_BYTES {
                return Err(self.corrupt(address, "pages of a tree", "fewer", "a circle"));
            }
            self.collect_on_disk(&child.address, level - 1, out)?;
        }
        Ok(())
    }
}
