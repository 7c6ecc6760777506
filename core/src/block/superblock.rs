//! The two slots that say where everything else is.
//!
//! Both hold the same superblock, except between the two syncs of a checkpoint. A slot is 512
//! bytes at a fixed place, checksummed; the newest slot that verifies is the database.

use std::sync::Arc;

use super::{Address, FILE_BYTES_MAX, FIRST_EXTENT, UNIT_BYTES};
use crate::base::checksum::crc32;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Generation, Lsn, TableId};
use crate::base::options::ROWS_MAX;

/// The length of a slot in bytes.
pub(super) const SLOT_BYTES: usize = 512;

/// What generations and log positions stay below.
const COUNT_MAX: u64 = 1 << 61;

const SLOT_MAGIC: [u8; 8] = *b"\x89rshSB\r\n";

/// A checkpoint, as the file records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The database that it belongs to.
    pub id: DatabaseId,
    /// One more than the checkpoint before.
    pub generation: Generation,
    /// The end of the allocated part of the file, in bytes. The file is at least that long.
    pub end: u64,
    /// The first block of the free list; without one, no space below `end` is free.
    pub free_list: Option<Address>,
    /// The list of named checkpoints, if there are any.
    pub names: Option<Address>,
    /// What the layers above keep in it.
    pub root: CheckpointRoot,
}

/// The part of a superblock that the layers above fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRoot {
    /// The root page of the catalog; a new database has none.
    pub catalog_root: Option<Address>,
    /// How many rows the catalog has.
    pub catalog_rows: u64,
    /// Where replaying the log starts.
    pub log_start: Lsn,
    /// The log's epoch, raised by each recovery.
    pub log_epoch: u32,
    /// The id of the next table.
    pub next_table: TableId,
    /// The levels of pages below the catalog's root.
    pub catalog_level: u32,
    /// Records before this position may name long values whose space the checkpoint released:
    /// such a record was overtaken by a later one.
    pub log_through: Lsn,
}

impl Default for CheckpointRoot {
    /// Of a new, empty database.
    fn default() -> Self {
        Self {
            catalog_root: None,
            catalog_rows: 0,
            log_start: Lsn(0),
            log_epoch: 0,
            next_table: TableId::FIRST,
            catalog_level: 0,
            log_through: Lsn(0),
        }
    }
}

/// One of the two places of a superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    A,
    B,
}

impl Slot {
    /// Its first byte in the file.
    pub(super) const fn offset(self) -> u64 {
        match self {
            Self::A => 4096,
            Self::B => 8192,
        }
    }

    /// Its twin.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The slot's bytes in `head`, the bytes of the file up to the first extent.
    fn bytes(self, head: &[u8]) -> Option<&[u8]> {
        let offset = self.offset() as usize;
        head.get(offset..offset + SLOT_BYTES)
    }
}

/// Whether either slot of `head` starts like one of ours.
pub(super) fn looks_like_slot(head: &[u8]) -> bool {
    [Slot::A, Slot::B]
        .into_iter()
        .filter_map(|slot| slot.bytes(head))
        .any(|bytes| bytes.starts_with(&SLOT_MAGIC))
}

/// What [`choose`] found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    /// The newest superblock that verifies.
    pub(super) superblock: Superblock,
    /// Where it is.
    pub(super) slot: Slot,
    /// Whether the other slot holds the same.
    pub(super) twins: bool,
}

/// Chooses the newest superblock of `head`, the bytes of `file` up to the first extent.
///
/// # Errors
/// [`Error::Corrupt`] when neither slot verifies.
pub(super) fn choose(head: &[u8], id: DatabaseId, file: &Arc<str>) -> Result<Chosen> {
    let read =
        |slot: Slot| Superblock::decode(slot.bytes(head).unwrap_or_default(), id, slot, file);
    let newest = |superblock, slot, twins| Ok(Chosen { superblock, slot, twins });
    match (read(Slot::A), read(Slot::B)) {
        (Ok(a), Ok(b)) if a.generation >= b.generation => newest(a, Slot::A, a == b),
        (Ok(a), Err(_)) => newest(a, Slot::A, false),
        (_, Ok(b)) => newest(b, Slot::B, false),
        (Err(error), Err(_)) => Err(error),
    }
}

/// What is odd about the slots in `head`; see [`super::Blocks::slot_complaints`].
pub(super) fn slot_complaints(head: &[u8], id: DatabaseId, file: &Arc<str>) -> Vec<String> {
    let read =
        |slot: Slot| Superblock::decode(slot.bytes(head).unwrap_or_default(), id, slot, file);
    match (read(Slot::A), read(Slot::B)) {
        (Ok(a), Ok(b)) if a == b => Vec::new(),
        (Ok(a), Ok(b)) => {
            let (a, b) = (a.generation, b.generation);
            vec![format!("the superblock slots differ: checkpoints {a} and {b}")]
        }
        (a, b) => [a, b].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect(),
    }
}

impl Superblock {
    /// The slot's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&SLOT_MAGIC);
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.generation.0.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        Address::encode_fixed(self.free_list.as_ref(), &mut out);
        Address::encode_fixed(self.root.catalog_root.as_ref(), &mut out);
        out.extend_from_slice(&self.root.catalog_rows.to_le_bytes());
        out.extend_from_slice(&self.root.log_start.0.to_le_bytes());
        out.extend_from_slice(&self.root.log_epoch.to_le_bytes());
        out.extend_from_slice(&self.root.next_table.0.to_le_bytes());
        out.extend_from_slice(&self.root.catalog_level.to_le_bytes());
        out.extend_from_slice(&self.root.log_through.0.to_le_bytes());
        Address::encode_fixed(self.names.as_ref(), &mut out);
        out.resize(SLOT_BYTES - 4, 0);
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        out
    }

    /// Reads a slot's bytes.
    pub(super) fn decode(
        bytes: &[u8],
        id: DatabaseId,
        slot: Slot,
        file: &Arc<str>,
    ) -> Result<Self> {
        let corrupt = |what, expected: String, found: String| {
            Error::corrupt(file, slot.offset(), what, expected, found)
        };
        let Some((body, [a, b, c, d])) = bytes.split_last_chunk::<4>() else {
            return Err(corrupt("length of a superblock", "512".into(), bytes.len().to_string()));
        };
        let (stored, computed) = (u32::from_le_bytes([*a, *b, *c, *d]), crc32(body));
        if stored != computed {
            let (expected, found) = (format!("{stored:#010x}"), format!("{computed:#010x}"));
            return Err(corrupt("checksum of a superblock", expected, found));
        }
        let Some(superblock) = Self::decode_fields(body) else {
            return Err(corrupt("fields of a superblock", "sense".into(), "nonsense".into()));
        };
        if superblock.id != id {
            let (expected, found) = (format!("{:02x?}", id.0), format!("{:02x?}", superblock.id.0));
            return Err(corrupt("database id of a superblock", expected, found));
        }
        Ok(superblock)
    }

    fn decode_fields(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        if reader.array()? != SLOT_MAGIC {
            return None;
        }
        let mut superblock = Self {
            id: DatabaseId(reader.array()?),
            generation: Generation(reader.u64()?),
            end: reader.u64()?,
            free_list: Address::decode_fixed(&mut reader)?,
            names: None,
            root: CheckpointRoot {
                catalog_root: Address::decode_fixed(&mut reader)?,
                catalog_rows: reader.u64()?,
                log_start: Lsn(reader.u64()?),
                log_epoch: reader.u32()?,
                next_table: TableId(reader.u32()?),
                catalog_level: reader.u32()?,
                log_through: Lsn(reader.u64()?),
            },
        };
        superblock.names = Address::decode_fixed(&mut reader)?;
        let end_fits = (FIRST_EXTENT..=FILE_BYTES_MAX).contains(&superblock.end)
            && superblock.end.is_multiple_of(UNIT_BYTES)
            && superblock.generation.0 < COUNT_MAX;
        // No database lives to reach these; whoever counts on from them need not fear the type's end.
        let root = superblock.root;
        let counts_fit = root.log_start.0 < COUNT_MAX
            && root.log_through.0 < COUNT_MAX
            && root.catalog_rows <= ROWS_MAX
            && root.next_table <= TableId::CLAIMED_MAX;
        let inside = [superblock.free_list, superblock.names, superblock.root.catalog_root]
            .iter()
            .flatten()
            .all(|address| address.extent().end() <= superblock.end);
        (end_fits && counts_fit && inside).then_some(superblock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Grain;
    use proptest::prelude::*;

    const ID: DatabaseId = DatabaseId([3; 16]);

    fn superblock(generation: u64) -> Superblock {
        Superblock {
            id: ID,
            generation: Generation(generation),
            end: FIRST_EXTENT + 8192,
            free_list: Address::new(Grain::Unit, FIRST_EXTENT, 100, 1),
            names: Address::new(Grain::Unit, FIRST_EXTENT + 2048, 200, 3),
            root: CheckpointRoot {
                catalog_root: Address::new(Grain::Frame, FIRST_EXTENT + 4096, 1000, 2),
                catalog_rows: 3,
                log_start: Lsn(4),
                log_epoch: 5,
                next_table: TableId(6),
                catalog_level: 7,
                log_through: Lsn(8),
            },
        }
    }

    fn head(a: &Superblock, b: &Superblock) -> Vec<u8> {
        let mut head = vec![0; FIRST_EXTENT as usize];
        head[4096..4096 + 512].copy_from_slice(&a.encode());
        head[8192..8192 + 512].copy_from_slice(&b.encode());
        head
    }

    fn chosen(head: &[u8]) -> Result<Chosen> {
        choose(head, ID, &Arc::from("spam"))
    }

    #[test]
    fn newest_valid_slot_wins_whichever_it_is() {
        for (a, b) in [(1, 2), (2, 1), (2, 2)] {
            let found = chosen(&head(&superblock(a), &superblock(b))).unwrap();
            assert_eq!(found.superblock, superblock(2));
            assert_eq!(found.slot, if a == 2 { Slot::A } else { Slot::B });
            assert_eq!(found.twins, a == b);
        }
    }

    #[test]
    fn damage_at_every_byte_of_a_slot_leaves_the_other() {
        for (slot, a, b) in [(Slot::A, 2, 1), (Slot::B, 1, 2), (Slot::A, 1, 2)] {
            let mut head = head(&superblock(a), &superblock(b));
            for at in 0..SLOT_BYTES {
                for flip in [0x01, 0x80, 0xff] {
                    head[slot.offset() as usize + at] ^= flip;
                    let found = chosen(&head).unwrap();
                    let other = if slot == Slot::A { b } else { a };
                    assert_eq!(found.superblock, superblock(other), "{slot:?} byte {at}");
                    assert!(!found.twins);
                    head[slot.offset() as usize + at] ^= flip;
                }
            }
        }
    }

    #[test]
    fn damage_in_both_slots_is_an_error_that_says_where() {
        let mut head = head(&superblock(1), &superblock(1));
        head[4100] ^= 1;
        head[8200] ^= 1;
        let error = chosen(&head).unwrap_err();
        assert!(error.to_string().contains("spam is damaged at byte 4096"), "{error}");
    }

    #[test]
    fn slot_of_another_database_or_beyond_its_end_is_refused() {
        let other = Superblock { id: DatabaseId([4; 16]), ..superblock(9) };
        let beyond = Superblock { end: FIRST_EXTENT + 1024, ..superblock(9) };
        let unaligned = Superblock { end: FIRST_EXTENT + 4097, ..superblock(9) };
        for bad in [other, beyond, unaligned] {
            assert_eq!(chosen(&head(&bad, &superblock(1))).unwrap().superblock, superblock(1));
        }
    }

    proptest! {
        #[test]
        fn choose_never_panics(noise in prop::collection::vec(any::<u8>(), 0..600), at in 4000_usize..9000) {
            let mut head = head(&superblock(1), &superblock(1));
            for (byte, noise) in head[at..].iter_mut().zip(noise) {
                *byte = noise;
            }
            let _ = chosen(&head);
        }
    }
}
