//! Giving up a whole tree's space, when its table is dropped.

use super::Tree;
use crate::base::error::Result;
use crate::block::{Address, BlockKind, UNIT_BYTES};
use crate::format::PageImage;
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

    /// Frees the space of long values, given their references.
    ///
    /// # Errors
    /// As [`free_blocks`](Self::free_blocks).
    pub fn free_long_values(&self, references: &[Vec<u8>]) -> Result<()> {
        self.free_overflow(references)
    }

    fn collect(&self, reference: &PageRef, out: &mut Vec<Address>, guard: &Guard) -> Result<()> {
        let address = reference.home().address;
        out.extend(address);
        match (reference.state(guard), address) {
            (State::Index(index), _) => {
                (0..index.len()).try_for_each(|slot| self.collect(index.child(slot), out, guard))
            }
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
        let image = PageImage::parse(bytes)
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
