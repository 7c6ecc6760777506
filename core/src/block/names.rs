//! Named checkpoints: superblocks that are kept, in a list of their own that the newest one leads to.
//!
//! What a named checkpoint reaches is what its own free list does not have. So nothing more is
//! recorded on disk: at open, and when a later checkpoint frees something, those free lists say which
//! of it is kept. The list changes with a checkpoint, and with its superblock at once.

use hashbrown::HashSet;

use super::allocator::Reach;
use super::block_header::{BLOCK_HEADER_BYTES, BlockKind};
use super::blocks::Blocks;
use super::extent::Extent;
use super::superblock::{SLOT_BYTES, Slot, Superblock};
use super::write::NewBlock;
use super::{Address, PAYLOAD_BYTES_MAX};
use crate::base::codec::{Reader, put_prefixed};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::Compression;

/// The longest name of a checkpoint, in bytes.
pub const CHECKPOINT_NAME_BYTES_MAX: usize = 1024;

/// A checkpoint that is kept until its name is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCheckpoint {
    /// Its name.
    pub name: String,
    /// The superblock that was written for it.
    pub superblock: Superblock,
}

/// A list that was written, and is not durable yet.
#[derive(Debug)]
pub(super) struct WrittenNames {
    pub(super) address: Option<Address>,
    pub(super) names: Vec<NamedCheckpoint>,
    pub(super) reaches: Vec<Reach>,
}

impl Blocks {
    /// The named checkpoints of the newest durable superblock, in the order in which they were named.
    pub fn named_checkpoints(&self) -> Vec<NamedCheckpoint> {
        self.state.lock().names.clone()
    }

    /// Lets the next checkpoint that is finished have these named checkpoints and no others. Each must
    /// be in the list now, or be the newest durable one, and none freed yet. If that checkpoint
    /// fails, this is forgotten.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are too many; [`Error::ReadOnly`].
    pub fn want_names(&self, names: Vec<NamedCheckpoint>) -> Result<()> {
        self.check_writable("name a checkpoint")?;
        if encode(&names).len() > PAYLOAD_BYTES_MAX {
            let count = names.len();
            return Err(Error::invalid(format!(
                "{count} named checkpoints are too many; drop some"
            )));
        }
        self.newest.lock().wanted_names = Some(names);
        Ok(())
    }

    /// Takes [`Blocks::want_names`] back.
    pub fn forget_wanted_names(&self) {
        self.newest.lock().wanted_names = None;
    }

    /// Whether a named checkpoint reaches some of the block at `address`.
    pub fn is_kept(&self, address: &Address) -> bool {
        self.state.lock().allocator.is_kept(address.extent())
    }

    /// Writes the list of `names` for the checkpoint that is being made, and makes sure that it frees
    /// nothing that they reach.
    pub(super) fn write_names(&self, names: Vec<NamedCheckpoint>) -> Result<WrittenNames> {
        let mut reaches = Vec::with_capacity(names.len());
        for named in &names {
            reaches.push(self.reach_of(named)?);
        }
        let payload = encode(&names);
        let address = match names.is_empty() {
            true => None,
            false => {
                let (kind, table) = (BlockKind::CheckpointList, TableId::CATALOG);
                let block = NewBlock::new(kind, table, Compression::None, &payload);
                self.write(&[block])?.pop()
            }
        };
        self.state.lock().allocator.add_reaches(&reaches);
        Ok(WrittenNames { address, names, reaches })
    }

    /// The checkpoint failed before any slot was written: its list was never named.
    pub(super) fn undo_names(&self, written: &WrittenNames) {
        let extents: Vec<Extent> = written.address.iter().map(Address::extent).collect();
        let mut state = self.state.lock();
        state.allocator.give_back(&extents);
        let names: Vec<_> = state.names.iter().map(|named| named.superblock.generation).collect();
        state.allocator.forget_reaches_but(&names);
    }

    /// What a named checkpoint reaches, from its own free list.
    pub(super) fn reach_of(&self, named: &NamedCheckpoint) -> Result<Reach> {
        let superblock = &named.superblock;
        let free = self.read_free_list(superblock)?.extents;
        Ok(Reach { generation: superblock.generation, free, end: superblock.end })
    }

    /// The list that `superblock` leads to; its checkpoint must be pinned, or the newest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it makes no sense; [`Error::Io`].
    pub fn read_names(&self, superblock: &Superblock) -> Result<Vec<NamedCheckpoint>> {
        let Some(address) = superblock.names else { return Ok(Vec::new()) };
        let block = self.read(&address, BlockKind::CheckpointList)?;
        let payload = block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
        let names = self.decode_names(payload).filter(|names| {
            let mut seen = HashSet::with_capacity(names.len());
            names.iter().all(|named| {
                named.superblock.generation < superblock.generation && seen.insert(&*named.name)
            })
        });
        names.ok_or_else(|| {
            self.corrupt(
                address.offset(),
                "list of named checkpoints",
                "older superblocks, each by a name of its own",
                "nonsense",
            )
        })
    }

    fn decode_names(&self, payload: &[u8]) -> Option<Vec<NamedCheckpoint>> {
        let mut reader = Reader::new(payload);
        let mut names = Vec::new();
        for _ in 0..reader.u32()? {
            let name = String::from_utf8(reader.prefixed()?.to_vec()).ok()?;
            let slot: [u8; SLOT_BYTES] = reader.array()?;
            let superblock = Superblock::decode(&slot, self.id(), Slot::A, &self.label).ok()?;
            names.push(NamedCheckpoint { name, superblock });
        }
        reader.rest().is_empty().then_some(names)
    }
}

fn encode(names: &[NamedCheckpoint]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(4 + names.len() * (SLOT_BYTES + 32));
    payload.extend_from_slice(&(names.len() as u32).to_le_bytes());
    for named in names {
        put_prefixed(&mut payload, named.name.as_bytes());
        payload.extend_from_slice(&named.superblock.encode());
    }
    payload
}
