//! Values of every length class, round trips and damage.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::block::testing::new_database;

const TABLE: TableId = TableId(3);

fn value(len_bytes: usize) -> Vec<u8> {
    (0..len_bytes as u32).map(|at| (at ^ (at >> 9)) as u8).collect()
}

#[test]
fn values_of_every_length_read_back_whole_and_in_pieces() {
    let (_, blocks) = new_database();
    let lengths = [0, 1, 5000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 9 * PIECE_BYTES + 7];
    for len_bytes in lengths {
        for compression in [Compression::None, Compression::Snappy] {
            let value = value(len_bytes);
            let stored = write_value(&blocks, TABLE, compression, &value).unwrap();
            assert_eq!(stored.len_bytes(), len_bytes as u64);
            assert!(read_value(&blocks, &stored).unwrap() == value, "{len_bytes}");
            let mut pieces = Vec::new();
            read_value_in_pieces(&blocks, &stored, |piece| {
                assert!(piece.len() <= PIECE_BYTES);
                pieces.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
            assert!(pieces == value);
        }
    }
}

#[test]
fn free_value_gives_up_every_block() {
    let (_, blocks) = new_database();
    for len_bytes in [100, 3 * PIECE_BYTES + 5] {
        let before = blocks.pending_free_bytes();
        let used = blocks.space_use().used_bytes;
        let stored = write_value(&blocks, TABLE, Compression::None, &value(len_bytes)).unwrap();
        let taken: u64 =
            addresses(&blocks, &stored).unwrap().iter().map(|address| address.extent().len).sum();
        assert_eq!(blocks.space_use().used_bytes, used + taken);
        free_value(&blocks, &stored).unwrap();
        assert_eq!(blocks.pending_free_bytes(), before + taken);
        assert_eq!(blocks.space_use().used_bytes, used);
    }
}

#[test]
fn write_value_that_fails_midway_takes_no_space() {
    let value = value(20 * PIECE_BYTES);
    for step in 0.. {
        let (storage, blocks) = new_database();
        storage.fail_at(step, ErrorKind::StorageFull);
        let written = write_value(&blocks, TABLE, Compression::None, &value);
        if storage.forget_failure() {
            assert!(step > 4, "the value takes several steps to write");
            return;
        }
        // A growth that fails is tried again in a smaller step.
        if let Err(error) = written {
            assert!(matches!(error, Error::Full { .. }), "{error}");
            assert_eq!(blocks.space_use().used_bytes, 0, "step {step}");
        }
    }
}

#[test]
fn list_that_disagrees_with_the_length_is_damage() {
    let (_, blocks) = new_database();
    let stored =
        write_value(&blocks, TABLE, Compression::None, &value(2 * PIECE_BYTES + 9)).unwrap();
    for len_bytes in [2 * PIECE_BYTES + 8, 3 * PIECE_BYTES, 3 * PIECE_BYTES + 1, 2 * PIECE_BYTES] {
        let lie = OverflowRef { len_bytes: len_bytes as u64, ..stored };
        let error = read_value(&blocks, &lie).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{len_bytes}: {error}");
    }
    let huge = OverflowRef { len_bytes: VALUE_BYTES_MAX, ..stored };
    assert!(matches!(read_value(&blocks, &huge), Err(Error::Corrupt(_))));
}

proptest! {
    #[test]
    fn reference_round_trips_and_stays_short(
        len_bytes in 0..=VALUE_BYTES_MAX,
        unit in 24_u64..1 << 51,
        checksum: u32,
    ) {
        let shape = if len_bytes <= PIECE_BYTES as u64 { Shape::Whole } else { Shape::Pieces };
        let address = Address::new(crate::block::Grain::Unit, unit * 512, 777, checksum).unwrap();
        let stored = OverflowRef { len_bytes, shape, address };
        let mut cell = Vec::new();
        stored.encode(&mut cell);
        prop_assert!(cell.len() <= OVERFLOW_REF_BYTES_MAX && OVERFLOW_REF_BYTES_MAX <= 40);
        prop_assert_eq!(OverflowRef::decode(&mut Reader::new(&cell)), Some(stored));
        cell.pop();
        prop_assert_eq!(OverflowRef::decode(&mut Reader::new(&cell)), None);
    }

    #[test]
    fn decode_of_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = OverflowRef::decode(&mut Reader::new(&bytes));
        let _ = decode_list(&bytes, 3);
    }
}
