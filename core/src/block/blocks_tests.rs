//! Reading, opening and damage.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::base::ids::TableId;
use crate::block::testing::{TestStorage, new_database, reopen};
use crate::block::{CheckpointRoot, Grain, NewBlock, UNIT_BYTES};

const TABLE: TableId = TableId(7);

fn text(len_bytes: usize) -> Vec<u8> {
    b"spam, eggs and spam; ".iter().copied().cycle().take(len_bytes).collect()
}

/// Bytes that no compression makes shorter.
fn noise(len_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len_bytes).map(|_| next()).collect()
}

fn write_one(blocks: &Blocks, kind: BlockKind, payload: &[u8]) -> Address {
    let batch = [NewBlock::new(kind, TABLE, Compression::None, payload)];
    blocks.write(&batch).unwrap()[0]
}

#[test]
fn blocks_of_every_size_and_compression_read_back() {
    let (_, blocks) = new_database();
    for compression in [Compression::None, Compression::Snappy] {
        for len_bytes in [0, 1, 479, 480, 481, 512, 4064, 16 << 10, 1 << 20] {
            for payload in [text(len_bytes), noise(len_bytes)] {
                let new = NewBlock::new(BlockKind::Leaf, TABLE, compression, &payload);
                let address = blocks.write(&[new.with_flags(3)]).unwrap()[0];
                let block = blocks.read(&address, BlockKind::Leaf).unwrap();
                assert!(block[BLOCK_HEADER_BYTES..] == payload, "{compression:?} {len_bytes}");
                let header = BlockHeader::decode(&block).unwrap();
                assert_eq!((header.table, header.flags), (TABLE, 3));
            }
        }
    }
}

#[test]
fn image_with_room_for_the_header_is_written_without_it() {
    let (_, blocks) = new_database();
    let mut image = vec![0xee; BLOCK_HEADER_BYTES];
    image.extend_from_slice(b"a page");
    let new = NewBlock::from_image(BlockKind::Leaf, TABLE, Compression::None, &image);
    let address = blocks.write(&[new]).unwrap()[0];
    let block = blocks.read(&address, BlockKind::Leaf).unwrap();
    assert_eq!(block.len(), image.len());
    assert_eq!(&block[BLOCK_HEADER_BYTES..], b"a page");
}

#[test]
fn compression_is_kept_only_when_it_saves_a_unit() {
    let (_, blocks) = new_database();
    for (payload, compressed) in [(text(4000), true), (noise(4000), false), (text(480), false)] {
        let new = NewBlock::new(BlockKind::Leaf, TABLE, Compression::Snappy, &payload);
        let address = blocks.write(&[new]).unwrap()[0];
        let block = blocks.read(&address, BlockKind::Leaf).unwrap();
        let header = BlockHeader::decode(&block).unwrap();
        assert_eq!(header.compression == Compression::Snappy, compressed);
        assert_eq!(
            address.extent().len < 4032_u64.next_multiple_of(UNIT_BYTES),
            payload.len() < 4000 || compressed
        );
    }
}

#[test]
fn pages_of_tables_without_compression_lie_in_frames_and_everything_else_in_units() {
    let (storage, blocks) = new_database();
    let payload = noise(5000);
    let new = |kind, compression| NewBlock::new(kind, TABLE, compression, &payload);
    let (leaf, none, snappy) = (BlockKind::Leaf, Compression::None, Compression::Snappy);
    let batch = [none, snappy, snappy, none, none].map(|compression| new(leaf, compression));
    let value = [new(BlockKind::Overflow, none)];
    let addresses = [blocks.write(&batch).unwrap(), blocks.write(&value).unwrap()].concat();
    let spaces: Vec<_> = addresses.iter().map(|address| address.extent().len).collect();
    assert_eq!(spaces, [8192, 5120, 5120, 8192, 8192, 5120]);
    for (at, address) in addresses.iter().enumerate() {
        let kind = if at < batch.len() { leaf } else { BlockKind::Overflow };
        assert!(blocks.read(address, kind).unwrap()[BLOCK_HEADER_BYTES..] == payload);
    }
    let used_bytes = blocks.space_use().used_bytes;
    assert_eq!(used_bytes, spaces.iter().sum::<u64>());
    // The first run of one grain finds its place, the second does not.
    let payload = noise(200 << 10);
    let batch = [none, snappy].map(|compression| NewBlock::new(leaf, TABLE, compression, &payload));
    storage.fail_at(1, ErrorKind::StorageFull);
    assert!(matches!(blocks.write(&batch), Err(Error::Full { .. })));
    assert_eq!(blocks.space_use().used_bytes, used_bytes, "nothing is taken");
}

#[test]
fn batch_is_one_vectored_write() {
    let (storage, blocks) = new_database();
    let payloads: Vec<_> = (0..64).map(|at| noise(16_000 + at)).collect();
    let batch: Vec<_> = payloads
        .iter()
        .map(|payload| NewBlock::new(BlockKind::Leaf, TABLE, Compression::None, payload))
        .collect();
    let addresses = blocks.write(&batch).unwrap();
    let kinds: Vec<_> = storage.steps().iter().map(|step| step.kind()).collect();
    assert_eq!(kinds, ["allocate", "write"]);
    for (address, payload) in addresses.iter().zip(&payloads) {
        assert!(
            blocks.read(address, BlockKind::Leaf).unwrap()[BLOCK_HEADER_BYTES..] == payload[..]
        );
    }
}

#[test]
fn damage_at_every_byte_of_a_block_is_found_and_located() {
    let (storage, blocks) = new_database();
    let compressible = text(2000);
    for (kind, compression) in
        BlockKind::ALL.iter().zip([Compression::None, Compression::Snappy].iter().cycle())
    {
        let new = NewBlock::new(*kind, TABLE, *compression, &compressible);
        let address = blocks.write(&[new]).unwrap()[0];
        for at in 0..address.len_bytes() as usize {
            for bits in [0x01, 0x80, 0xff] {
                storage.flip("spam", address.offset() as usize + at, bits);
                let error = blocks.read(&address, *kind).unwrap_err();
                let Error::Corrupt(corruption) = &error else { panic!("{error}") };
                assert_eq!((&*corruption.file, corruption.offset), ("spam", address.offset()));
                storage.flip("spam", address.offset() as usize + at, bits);
            }
        }
        assert!(blocks.read(&address, *kind).is_ok());
    }
}

#[test]
fn stale_misplaced_or_missing_block_is_found() {
    let (_, blocks) = new_database();
    let first = write_one(&blocks, BlockKind::Leaf, &text(100));
    let second = write_one(&blocks, BlockKind::Leaf, &noise(100));
    let at = |offset| first.moved_to(offset).unwrap();
    for wrong in [at(second.offset()), at(1 << 30), at(super::super::FILE_BYTES_MAX - 4096)] {
        let error = blocks.read(&wrong, BlockKind::Leaf).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
    }
    assert!(matches!(blocks.read(&first, BlockKind::Internal), Err(Error::Corrupt(_))));
}

#[test]
fn free_refuses_what_is_not_in_use() {
    let (_, blocks) = new_database();
    let address = write_one(&blocks, BlockKind::Leaf, &text(1000));
    let within = Address::new(Grain::Unit, address.offset() + 512, 100, 0).unwrap();
    blocks.free(&within).unwrap();
    assert!(matches!(blocks.free(&address), Err(Error::Corrupt(_))), "a part is free");
    let beyond = Address::new(Grain::Unit, 1 << 30, 100, 0).unwrap();
    assert!(matches!(blocks.free(&beyond), Err(Error::Corrupt(_))));
    assert_eq!(blocks.pending_free_bytes(), 512);
}

#[test]
fn full_disk_is_an_error_that_does_not_stick() {
    let (storage, blocks) = new_database();
    let payload = noise(100 << 10);
    let new = [NewBlock::new(BlockKind::Leaf, TABLE, Compression::None, &payload)];
    for step in 0..2 {
        storage.fail_at(step, ErrorKind::StorageFull);
        let error = blocks.write(&new).unwrap_err();
        let Error::Full { needed_bytes, .. } = error else { panic!("{error}") };
        assert!(needed_bytes >= 100 << 10);
        assert_eq!(blocks.space_use().used_bytes, 0, "step {step}");
    }
    let address = blocks.write(&new).unwrap()[0];
    assert!(blocks.read(&address, BlockKind::Leaf).is_ok());
}

#[test]
fn growth_asks_for_less_when_the_disk_has_less() {
    let (storage, blocks) = new_database();
    storage.fail_at(0, ErrorKind::StorageFull);
    let address = write_one(&blocks, BlockKind::Leaf, &text(100));
    assert_eq!(blocks.file_bytes(), FIRST_EXTENT + 4096);
    assert!(blocks.read(&address, BlockKind::Leaf).is_ok());
}

#[test]
fn read_only_blocks_refuse_to_write() {
    let (storage, _) = new_database();
    let before = storage.content("spam");
    storage.flip("spam", 4200, 1);
    let file = crate::io::Storage::open(&*storage, "spam", crate::io::OpenHow::ReadOnly).unwrap();
    let blocks = Blocks::open(file, "spam".into(), false, Arc::default()).unwrap();
    assert!(matches!(blocks.write(&[]), Err(Error::ReadOnly { .. })));
    assert!(matches!(blocks.begin_checkpoint(), Err(Error::ReadOnly { .. })));
    assert!(matches!(
        blocks.finish_checkpoint(CheckpointRoot::default()),
        Err(Error::ReadOnly { .. })
    ));
    blocks.trim();
    assert_eq!(storage.steps(), [], "not even a repair");
    storage.flip("spam", 4200, 1);
    assert_eq!(storage.content("spam"), before);
}

#[test]
fn open_refuses_what_is_not_ours() {
    for content in [&b""[..], b"SQLite format 3\0", &[0; 20_000], b"\x80\x05]\x94."] {
        let storage = TestStorage::default();
        storage.put("spam", content);
        let error = reopen(&storage).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }
}

#[test]
fn open_of_a_file_cut_anywhere_is_an_error_or_the_whole() {
    let (storage, blocks) = new_database();
    let root = write_one(&blocks, BlockKind::Leaf, &text(3000));
    blocks.begin_checkpoint().unwrap();
    let root = CheckpointRoot { catalog_root: Some(root), ..Default::default() };
    blocks.finish_checkpoint(root).unwrap();
    let content = storage.content("spam");
    let end = blocks.space_use().end as usize;
    for len_bytes in (0..content.len()).step_by(101).chain([end - 1, end, end + 1]) {
        let cut = TestStorage::default();
        cut.put("spam", &content[..len_bytes]);
        match reopen(&cut) {
            Ok(blocks) => {
                assert!(len_bytes >= end);
                let root = blocks.superblock().root.catalog_root.unwrap();
                assert!(blocks.read(&root, BlockKind::Leaf).is_ok());
            }
            Err(Error::Corrupt(_) | Error::Foreign { .. }) => assert!(len_bytes < end),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn refresh_shows_a_reader_the_newest_checkpoint() {
    let (storage, blocks) = new_database();
    let file = crate::io::Storage::open(&*storage, "spam", crate::io::OpenHow::ReadOnly).unwrap();
    let reader = Blocks::open(file, "spam".into(), false, Arc::default()).unwrap();
    blocks.begin_checkpoint().unwrap();
    let root = CheckpointRoot { catalog_rows: 9, ..Default::default() };
    let written = blocks.finish_checkpoint(root).unwrap();
    assert_ne!(reader.superblock(), written);
    assert_eq!(reader.refresh().unwrap(), written);
    assert_eq!(reader.superblock(), written);
}

proptest! {
    #[test]
    fn open_of_anything_never_panics(
        noise in prop::collection::vec(any::<u8>(), 0..2000),
        at in 0_usize..20_000,
    ) {
        let (storage, blocks) = new_database();
        let addresses: Vec<_> =
            (0..20).map(|_| write_one(&blocks, BlockKind::Leaf, b"spam")).collect();
        for address in addresses.iter().step_by(2) {
            blocks.free(address).unwrap();
        }
        blocks.begin_checkpoint().unwrap();
        blocks.finish_checkpoint(CheckpointRoot::default()).unwrap();
        let mut content = storage.content("spam");
        let at = at % content.len();
        for (byte, noise) in content[at..].iter_mut().zip(noise) {
            *byte = noise;
        }
        let damaged = TestStorage::default();
        damaged.put("spam", &content);
        if let Ok(blocks) = reopen(&damaged) {
            for address in &addresses {
                let _ = blocks.read(address, BlockKind::Leaf);
            }
        }
    }
}
