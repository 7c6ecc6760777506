//! Cutting into a database file: where its blocks are, who names them, and sealing an edited block again
//! so that every checksum above it is right.

use std::sync::Arc;

use rshelve_core::base::checksum::crc32;
use rshelve_core::base::codec::Reader;
use rshelve_core::base::stats::Stats;
use rshelve_core::block::overflow::{OverflowRef, addresses};
use rshelve_core::block::{Address, BlockKind, Blocks, Grain, Superblock};
use rshelve_core::format::{PageImage, Tag};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{LockKind, OpenHow, Storage};
use rshelve_core::reconcile::ChildCell;

use crate::harness::NAME;

const SLOTS: [usize; 2] = [4096, 8192];
const SLOT_BYTES: usize = 512;

/// A block of the file.
#[derive(Clone, Debug)]
pub struct Node {
    pub address: Address,
    pub kind: BlockKind,
    /// The table, by its name; the catalog and the free list have none.
    pub table: Option<String>,
    /// The node that names it; none for what the superblock names.
    pub parent: Option<usize>,
}

impl Node {
    /// Its bytes in the file, header included.
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = self.address.offset() as usize;
        start..start + self.address.len_bytes() as usize
    }
}

/// A file's bytes and its blocks.
#[derive(Clone, Debug)]
pub struct Patient {
    pub bytes: Vec<u8>,
    pub nodes: Vec<Node>,
}

impl Patient {
    /// Takes the database in `storage`, which is whole, apart.
    pub fn of(storage: &MemoryStorage) -> Self {
        let bytes = storage.peek(NAME).expect("the database is there");
        let blocks = open_blocks(storage);
        let mut nodes = Vec::new();
        let superblock = blocks.superblock();
        let root = superblock.root;
        let mut entries = Vec::new();
        if let Some(address) = root.catalog_root {
            let place =
                Place { table: None, parent: None, address, level: root.catalog_level as u8 };
            walk(&blocks, &place, &mut nodes, &mut entries);
        }
        for (leaf, entry) in entries {
            let Some((name, address, level)) = root_of(&entry) else { continue };
            let place = Place { table: Some(name), parent: Some(leaf), address, level };
            walk(&blocks, &place, &mut nodes, &mut Vec::new());
        }
        free_list(&blocks, &superblock, &mut nodes);
        if let Some(address) = superblock.names {
            let kind = BlockKind::CheckpointList;
            nodes.push(Node { address, kind, table: None, parent: None });
        }
        Self { bytes, nodes }
    }

    /// The nodes of a kind.
    pub fn of_kind(&self, kind: BlockKind) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].kind == kind).collect()
    }

    /// The file in a folder of its own.
    pub fn storage(&self) -> MemoryStorage {
        let storage = MemoryStorage::new();
        storage.plant(NAME, &self.bytes);
        storage
    }

    /// Makes the checksum of node `index` right, and those of all that lead to it. False where an
    /// earlier edit took a name on the way.
    #[must_use]
    pub fn reseal(&mut self, index: usize) -> bool {
        let node = self.nodes[index].clone();
        let old = node.address;
        let block = &mut self.bytes[node.range()];
        let checksum = crc32(&block[4..]);
        block[..4].copy_from_slice(&checksum.to_le_bytes());
        let new = Address::new(old.grain(), old.offset(), old.len_bytes(), checksum)
            .expect("as good as the old");
        self.nodes[index].address = new;
        match node.parent {
            Some(parent) => {
                let range = self.nodes[parent].range();
                let (old, new) = match node.kind {
                    BlockKind::FreeList => (fixed(&old), fixed(&new)),
                    _ => (compact(&old), compact(&new)),
                };
                replace(&mut self.bytes[range], &old, &new) && self.reseal(parent)
            }
            None => {
                for slot in SLOTS {
                    let slot = &mut self.bytes[slot..slot + SLOT_BYTES];
                    replace(slot, &fixed(&old), &fixed(&new));
                }
                self.reseal_superblocks();
                true
            }
        }
    }

    /// Makes the checksums of the header and both superblocks right.
    pub fn reseal_superblocks(&mut self) {
        for start in [0, SLOTS[0], SLOTS[1]] {
            let part = &mut self.bytes[start..start + SLOT_BYTES];
            let checksum = crc32(&part[..SLOT_BYTES - 4]);
            part[SLOT_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        }
    }

    /// Edits node `index` and seals it again.
    pub fn edit(&mut self, index: usize, edit: impl FnOnce(&mut [u8])) {
        let range = self.nodes[index].range();
        edit(&mut self.bytes[range]);
        assert!(self.reseal(index), "nobody names {:?}", self.nodes[index]);
    }

    /// Edits both superblocks and seals them again.
    pub fn edit_superblocks(&mut self, edit: impl Fn(&mut [u8])) {
        for slot in SLOTS {
            edit(&mut self.bytes[slot..slot + SLOT_BYTES]);
        }
        self.reseal_superblocks();
    }
}

/// An address as cells have it.
pub fn compact(address: &Address) -> Vec<u8> {
    let mut out = Vec::new();
    address.encode(&mut out);
    out
}

/// An address as superblocks and free lists have it.
pub fn fixed(address: &Address) -> Vec<u8> {
    let in_frames = u64::from(address.grain() == Grain::Frame);
    let mut out = (address.offset() + in_frames).to_le_bytes().to_vec();
    out.extend_from_slice(&address.len_bytes().to_le_bytes());
    out.extend_from_slice(&address.checksum().to_le_bytes());
    out
}

/// Replaces the first `old` by `new`, which is as long; false when there is none.
pub fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) -> bool {
    let Some(at) = bytes.windows(old.len()).position(|window| window == old) else { return false };
    bytes[at..at + new.len()].copy_from_slice(new);
    true
}

pub fn open_blocks(storage: &MemoryStorage) -> Blocks {
    let file = storage.open(NAME, OpenHow::ReadOnly).expect("the database is there");
    assert!(file.try_lock(LockKind::Shared).expect("a lock"));
    Blocks::open(file, NAME.into(), false, Arc::new(Stats::default())).expect("it opens")
}

struct Place {
    table: Option<String>,
    parent: Option<usize>,
    address: Address,
    level: u8,
}

fn walk(
    blocks: &Blocks,
    place: &Place,
    nodes: &mut Vec<Node>,
    entries: &mut Vec<(usize, Vec<u8>)>,
) {
    let Place { ref table, parent, address, level } = *place;
    let kind = if level == 0 { BlockKind::Leaf } else { BlockKind::Internal };
    let this = nodes.len();
    nodes.push(Node { address, kind, table: table.clone(), parent });
    let image =
        PageImage::parse(blocks.read(&address, kind).expect("a page").into()).expect("an image");
    for slot in 0..image.len() {
        let cell = image.cell(slot);
        if level > 0 {
            let address = ChildCell::decode(cell.bytes).expect("a child").address;
            let child =
                Place { table: table.clone(), parent: Some(this), address, level: level - 1 };
            walk(blocks, &child, nodes, entries);
        } else if cell.tag == Tag::Overflow {
            long_value(blocks, cell.bytes, table, this, nodes);
        } else {
            entries.push((this, cell.bytes.to_vec()));
        }
    }
}

fn long_value(
    blocks: &Blocks,
    reference: &[u8],
    table: &Option<String>,
    leaf: usize,
    nodes: &mut Vec<Node>,
) {
    let value = OverflowRef::decode(&mut Reader::new(reference)).expect("a reference");
    let mut pieces = addresses(blocks, &value).expect("pieces");
    let mut parent = leaf;
    if pieces.len() > 1 {
        let list = pieces.pop().expect("the list comes last");
        parent = nodes.len();
        let (kind, table) = (BlockKind::OverflowList, table.clone());
        nodes.push(Node { address: list, kind, table, parent: Some(leaf) });
    }
    for address in pieces {
        let (kind, table) = (BlockKind::Overflow, table.clone());
        nodes.push(Node { address, kind, table, parent: Some(parent) });
    }
}

fn free_list(blocks: &Blocks, superblock: &Superblock, nodes: &mut Vec<Node>) {
    let mut next = superblock.free_list;
    let mut parent = None;
    while let Some(address) = next {
        let this = nodes.len();
        nodes.push(Node { address, kind: BlockKind::FreeList, table: None, parent });
        let block = blocks.read(&address, BlockKind::FreeList).expect("a free list");
        let mut reader = Reader::new(&block[32..]);
        let (offset, len) = (reader.u64().expect("whole"), reader.u32().expect("whole"));
        next = Address::new(Grain::Unit, offset, len, reader.u32().expect("whole"));
        parent = Some(this);
    }
}

/// The table and the root that an entry of the catalog names.
fn root_of(entry: &[u8]) -> Option<(String, Address, u8)> {
    let mut reader = Reader::new(entry);
    reader.u8()?;
    let name = String::from_utf8(reader.prefixed()?.to_vec()).ok()?;
    reader.varint()?;
    let has_root = reader.u8()? & 2 != 0;
    reader.u8()?;
    reader.varint()?;
    reader.varint()?;
    reader.prefixed()?;
    has_root.then_some(())?;
    Some((name, Address::decode(&mut reader)?, reader.u8()?))
}
