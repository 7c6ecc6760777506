//! Opening what does not open, and finding blocks without the tree that leads to them: for salvage.

use std::io::ErrorKind;
use std::sync::Arc;

use super::allocator::Allocator;
use super::block_header::{BLOCK_HEADER_BYTES, BlockHeader};
use super::blocks::{Blocks, Newest, State};
use super::extent::ExtentList;
use super::file_header::FileHeader;
use super::superblock::{self, CheckpointRoot, Slot, Superblock};
use super::{Address, FIRST_EXTENT, Grain, UNIT_BYTES};
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Generation};
use crate::base::stats::Stats;
use crate::io::File;

/// Bytes read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Where a slot has the database's id.
const SLOT_ID: std::ops::Range<usize> = 8..24;

/// A damaged file, open for reading.
#[derive(Debug)]
pub struct Damaged {
    /// Its blocks; what is its superblock's when that is lost says that the file is empty.
    pub blocks: Blocks,
    /// The newest superblock that verifies, if any does.
    pub superblock: Option<Superblock>,
    /// What is wrong with the fixed places.
    pub complaints: Vec<Error>,
}

impl Damaged {
    /// Opens `file`, whatever is wrong with it.
    ///
    /// # Errors
    /// [`Error::Foreign`] when nothing in the fixed places is ours, [`Error::Io`].
    pub fn open(file: Arc<dyn File>, label: Arc<str>) -> Result<Self> {
        let len = file.len().map_err(|error| Error::io("measure", &label, error))?;
        let head_bytes = len.min(FIRST_EXTENT) as usize;
        let mut head = vec![0; FIRST_EXTENT as usize];
        if let Some(there) = head.get_mut(..head_bytes) {
            let read = file.read_exact_at(there, 0);
            read.map_err(|error| Error::io("read", &label, error))?;
        }
        let mut complaints = Vec::new();
        let there = head.get(..head_bytes).unwrap_or_default();
        let id = match FileHeader::decode(there, &label) {
            Ok(header) => Some(header.id),
            Err(error) => {
                if matches!(error, Error::Foreign { .. }) {
                    return Err(error);
                }
                complaints.push(error);
                None
            }
        };
        // Without a header the slots say whose they are.
        let ids = id.into_iter().chain([Slot::A, Slot::B].into_iter().filter_map(|slot| {
            let at = slot.offset() as usize;
            let bytes = head.get(at + SLOT_ID.start..at + SLOT_ID.end)?;
            Some(DatabaseId(bytes.try_into().ok()?))
        }));
        let mut chosen = None;
        let mut tried = Vec::new();
        for id in ids {
            if tried.contains(&id) {
                continue;
            }
            tried.push(id);
            match superblock::choose(&head, id, &label) {
                Ok(found) => {
                    chosen = Some(found.superblock);
                    break;
                }
                Err(error) => complaints.push(error),
            }
        }
        let end = chosen.map_or(0, |superblock| superblock.end);
        if end > len {
            complaints.push(Error::corrupt(&label, len, "length of the file", end, len));
        }
        let blocks = Blocks::of_damaged(file, label, chosen, len);
        Ok(Self { blocks, superblock: chosen, complaints })
    }
}

impl Blocks {
    /// For reading only, with as much of a superblock as there is.
    fn of_damaged(
        file: Arc<dyn File>,
        label: Arc<str>,
        superblock: Option<Superblock>,
        len: u64,
    ) -> Self {
        let whole = (len - len % UNIT_BYTES).max(FIRST_EXTENT);
        let superblock = superblock.unwrap_or(Superblock {
            id: DatabaseId::default(),
            generation: Generation(0),
            end: FIRST_EXTENT,
            free_list: None,
            root: CheckpointRoot::default(),
            names: None,
        });
        let allocator =
            Allocator::new(ExtentList::default(), ExtentList::default(), FIRST_EXTENT, whole);
        let newest =
            Newest { slot: Slot::A, generation: superblock.generation, wanted_names: None };
        Self::from_parts(
            file,
            label,
            superblock.id,
            Arc::new(Stats::default()),
            newest,
            State { allocator, superblock, names: Vec::new() },
        )
    }

    /// Finds every whole block that starts at an allocation unit, tree or no tree, and tells `visit` of
    /// each. What the file's blocks were before is found too, where nothing was written over it.
    ///
    /// # Errors
    /// What `visit` returns; [`Error::Io`] other than for a file that ends.
    pub fn find_blocks(
        &self,
        visit: &mut dyn FnMut(Address, &BlockHeader) -> Result<()>,
    ) -> Result<()> {
        let mut next = FIRST_EXTENT;
        let mut chunk = self.buffer(CHUNK_BYTES as usize)?;
        let mut chunk_start = FIRST_EXTENT;
        while chunk_start < self.file_bytes() {
            let len = CHUNK_BYTES.min(self.file_bytes() - chunk_start) as usize;
            chunk.truncate(len);
            match self.file.read_exact_at(&mut chunk, chunk_start) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(Error::io("read", &self.label, error)),
            }
            for (unit, bytes) in (0..).zip(chunk.chunks(UNIT_BYTES as usize)) {
                let offset = chunk_start + unit * UNIT_BYTES;
                if offset < next {
                    continue;
                }
                if let Some((address, header)) = self.block_at(offset, bytes) {
                    next = address.extent().end();
                    visit(address, &header)?;
                }
            }
            chunk_start += CHUNK_BYTES;
        }
        Ok(())
    }

    /// The block whose first bytes these are, if it is whole.
    fn block_at(&self, offset: u64, bytes: &[u8]) -> Option<(Address, BlockHeader)> {
        let header = BlockHeader::decode(bytes.get(..BLOCK_HEADER_BYTES)?)?;
        // What space it took is of no matter here.
        let address = Address::new(Grain::Unit, offset, header.len, header.checksum)?;
        self.read(&address, header.kind).ok()?;
        Some((address, header))
    }
}
