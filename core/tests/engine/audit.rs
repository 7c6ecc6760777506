//! Walks a closed database's file from its superblock and compares what is reached with what is
//! allocated: nothing twice, nothing free, and nothing lost.

use std::sync::Arc;

use rshelve_core::base::codec::Reader;
use rshelve_core::base::stats::Stats;
use rshelve_core::block::overflow::{OverflowRef, addresses};
use rshelve_core::block::{Address, BlockKind, Blocks};
use rshelve_core::format::{PageImage, Tag};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{LockKind, OpenHow, Storage};
use rshelve_core::reconcile::ChildCell;

use crate::harness::NAME;

/// Every address that the file's last checkpoint reaches is checked; returns how many bytes are in use
/// and reached by nobody.
pub fn unreached_bytes(storage: &MemoryStorage) -> u64 {
    let file = storage.open(NAME, OpenHow::ReadOnly).expect("the database is there");
    assert!(file.try_lock(LockKind::Shared).expect("a lock"), "somebody still has the lock");
    let blocks = Blocks::open(file, NAME.into(), false, Arc::new(Stats::default()))
        .unwrap_or_else(|error| panic!("the file does not open: {error}"));
    let root = blocks.superblock().root;
    let mut reached = Vec::new();
    let mut entries = Vec::new();
    if let Some(address) = root.catalog_root {
        walk(&blocks, &address, root.catalog_level as u8, &mut reached, &mut entries);
    }
    for (root, level) in entries.iter().filter_map(|entry| root_of(entry)) {
        walk(&blocks, &root, level, &mut reached, &mut Vec::new());
    }
    match blocks.audit(reached) {
        Ok(audit) => audit.unreached_bytes(),
        Err(error) => panic!("the blocks of the file collide: {error}"),
    }
}

fn walk(
    blocks: &Blocks,
    address: &Address,
    level: u8,
    reached: &mut Vec<Address>,
    rows: &mut Vec<Vec<u8>>,
) {
    reached.push(*address);
    let kind = if level == 0 { BlockKind::Leaf } else { BlockKind::Internal };
    let bytes = blocks.read(address, kind).unwrap_or_else(|error| panic!("a page: {error}"));
    let image = PageImage::parse(bytes).expect("a page that parses");
    for slot in 0..image.len() {
        let cell = image.cell(slot);
        if level > 0 {
            let child = ChildCell::decode(cell.bytes).expect("a child");
            walk(blocks, &child.address, level - 1, reached, rows);
        } else if cell.tag == Tag::Overflow {
            let value = OverflowRef::decode(&mut Reader::new(cell.bytes)).expect("a long value");
            reached.extend(addresses(blocks, &value).expect("the pieces of a long value"));
        } else {
            rows.push(cell.bytes.to_vec());
        }
    }
}

/// The root that an entry of the catalog names.
fn root_of(entry: &[u8]) -> Option<(Address, u8)> {
    let mut reader = Reader::new(entry);
    reader.u8()?;
    reader.prefixed()?;
    reader.varint()?;
    let has_root = reader.u8()? & 2 != 0;
    reader.u8()?;
    reader.varint()?;
    reader.varint()?;
    reader.prefixed()?;
    if !has_root {
        return None;
    }
    Some((Address::decode(&mut reader)?, reader.u8()?))
}
