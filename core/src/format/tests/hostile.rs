//! Bytes that nobody built: damaged, cut, and made up. Either `parse` says what is wrong, or
//! the image answers every question from inside its buffer.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::codec::BLOCK_HEADER_BYTES;
use crate::base::error::Error;

/// Parses `bytes` and, if that works, asks the image everything: nothing panics, all borrows lie
/// in the buffer by construction, and the answers do not contradict each other.
fn check(bytes: &[u8]) -> bool {
    let Ok(image) = PageImage::parse(bytes.into()) else { return false };
    assert_eq!(image.as_bytes(), bytes);
    let mut key = Vec::new();
    let mut before: Option<Vec<u8>> = None;
    for slot in 0..image.len() {
        image.key_into(slot, &mut key);
        assert_eq!(image.key_len(slot), key.len());
        assert!(image.kind().allows(image.cell(slot).tag));
        assert!(image.compare(slot, &key).is_eq());
        assert_eq!(image.search(&key), Ok(slot));
        assert!(before.is_none_or(|before| before < key), "keys ascend");
        before = Some(key.clone());
    }
    for probe in [&b""[..], b"\0", b"key", &[0xff; 40]] {
        let (Ok(slot) | Err(slot)) = image.search(probe);
        assert!(slot <= image.len());
        assert!(image.search_child(probe) <= slot);
    }
    // What was accepted can be built again, and is then the same page.
    let mut builder = PageBuilder::new(image.kind(), image.prefix(), BuilderCapacity::default());
    builder.push_run(&image, 0..image.len());
    assert_eq!(builder.finish_image().len(), image.len());
    true
}

/// Images of both kinds with everything in them: short rests, suffixes, equal heads, no prefix
/// and a prefix, narrow offsets and wide ones.
fn samples() -> Vec<Vec<u8>> {
    let entry = |key: &[u8], tag, len: usize| (key.to_vec(), tag, vec![0xee; len]);
    let leaf = |prefix: &[u8]| {
        vec![
            entry(prefix, Tag::Inline, 0),
            entry(&[prefix, b"\0"].concat(), Tag::Inline, 3),
            entry(&[prefix, b"abcdefg"].concat(), Tag::Overflow, 9),
            entry(&[prefix, b"abcdefgh"].concat(), Tag::Inline, 1),
            entry(&[prefix, b"abcdefghi"].concat(), Tag::Inline, 70),
            entry(&[prefix, b"abcdefgi"].concat(), Tag::Inline, 2),
        ]
    };
    let mut wide = leaf(b"");
    wide.push(entry(b"wide", Tag::Inline, 1 << 16));
    let internal: Vec<Entry> =
        (b'k'..b'q').map(|byte| entry(&[b'k', byte, byte], Tag::Child, 12)).collect();
    vec![
        build(PageKind::Leaf, &[]).as_bytes().into(),
        build(PageKind::Leaf, &leaf(b"")).as_bytes().into(),
        build(PageKind::Leaf, &leaf(b"some/long/prefix")).as_bytes().into(),
        build(PageKind::Leaf, &wide).as_bytes().into(),
        build(PageKind::Internal, &internal).as_bytes().into(),
    ]
}

#[test]
fn parse_survives_every_flipped_byte() {
    for sample in samples() {
        let mut bytes = sample.clone();
        // Of a value of 64 KiB, the first bytes are as good as all.
        for at in 0..bytes.len().min(2048) {
            for flip in (0..8).map(|bit| 1 << bit).chain([0xff, 0x7f, 0x0f]) {
                bytes[at] ^= flip;
                check(&bytes);
                bytes[at] = sample[at];
            }
        }
        assert!(check(&bytes));
    }
}

#[test]
fn parse_refuses_every_truncation_and_ignores_what_follows_the_end() {
    for sample in samples() {
        for len in (0..sample.len().min(2048)).chain([sample.len() - 1]) {
            assert!(!check(&sample[..len]), "{len} of {}", sample.len());
        }
        let mut longer = sample;
        longer.resize(longer.len().next_multiple_of(512) + 512, 0);
        assert!(check(&longer));
    }
}

/// `sample` with the little-endian `value` at `at`, refused for the reason `what`.
#[track_caller]
fn check_refused(sample: &[u8], at: usize, value: &[u8], what: &str) {
    let mut bytes = sample.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let error = PageImage::parse(bytes.into()).unwrap_err();
    assert!(error.what.contains(what), "{error}");
    assert!(error.at <= sample.len());
}

#[test]
fn parse_names_what_is_wrong_with_a_crafted_header() {
    let all = samples();
    let (leaf, internal) = (&all[1], &all[4]);
    let header = |field: usize| BLOCK_HEADER_BYTES + field;
    for kind in [0, 3, 0xff] {
        check_refused(leaf, header(0), &[kind], "kind");
    }
    check_refused(leaf, header(0), &[PageKind::Internal as u8], "tag");
    check_refused(internal, header(0), &[PageKind::Leaf as u8], "tag");
    check_refused(leaf, header(1), &[2], "flags");
    check_refused(leaf, header(3), &[1], "reserved");
    for huge in [u32::MAX, u32::MAX / 8, u32::MAX / 10, u32::MAX / 12, 1 << 29, 1 << 31, 400] {
        check_refused(leaf, header(4), &huge.to_le_bytes(), "slots");
        check_refused(leaf, header(8), &huge.to_le_bytes(), "slots and prefix");
    }
    for slots in [0_u32, 5, 7] {
        let mut bytes = leaf.clone();
        bytes[header(4)..header(8)].copy_from_slice(&slots.to_le_bytes());
        assert!(!check(&bytes), "{slots} slots");
    }
    check_refused(internal, header(4), &[0; 4], "slots of an internal page");
    let len = leaf.len() as u32;
    for end in [len + 1, u32::MAX] {
        check_refused(leaf, header(12), &end.to_le_bytes(), "end of a page");
    }
    for end in [0, 47, 48, len - 1] {
        let mut bytes = leaf.clone();
        bytes[header(12)..header(16)].copy_from_slice(&u32::to_le_bytes(end));
        assert!(!check(&bytes), "end {end}");
    }
}

#[test]
fn parse_names_what_is_wrong_with_a_crafted_cell() {
    let leaf = samples().swap_remove(1);
    let image = PageImage::parse(leaf.clone().into()).unwrap();
    let (heads_at, cells_at) = (image.heads_at as usize, image.cells_at as usize);
    let head_of = |slot: usize| heads_at + 8 * slot;
    for offset in [0_u16, 47, cells_at as u16 - 1, cells_at as u16 + 1, u16::MAX] {
        check_refused(&leaf, image.offset_place(0), &offset.to_le_bytes(), "offset");
        check_refused(&leaf, image.offset_place(3), &offset.to_le_bytes(), "offset");
    }
    // The key of slot 0 is empty: a head that says otherwise would be a key out of nothing.
    check_refused(&leaf, head_of(0), &1_u64.to_le_bytes(), "head");
    check_refused(&leaf, head_of(2), &u64::from_be_bytes(*b"abcdefgh").to_le_bytes(), "head");
    check_refused(&leaf, head_of(3), &u64::from_be_bytes(*b"abcdefgi").to_le_bytes(), "key");
    check_refused(&leaf, head_of(4), &u64::from_be_bytes(*b"abcdefgi").to_le_bytes(), "key");
    // Slot 1's key is one zero byte; without it, it is slot 0's again.
    check_refused(&leaf, image.offset(1), &[0], "key");
    // A tag of no meaning, lengths past the end, an integer of more than 64 bits.
    check_refused(&leaf, image.offset(0) + 1, &[3], "tag");
    check_refused(&leaf, image.offset(0) + 1, &[2], "tag");
    check_refused(&leaf, image.offset(5), &[0x7f], "length of a cell");
    check_refused(&leaf, image.offset(2), &[0xff; 11], "length of a cell");
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    check_refused(&leaf, image.offset(4), &huge, "length of a cell");
    check_refused(&leaf, image.offset(4) + 1, &huge, "length of a cell");
}

#[test]
fn format_error_becomes_a_corruption_of_the_file() {
    let mut leaf = samples().swap_remove(1);
    leaf[BLOCK_HEADER_BYTES] = 9;
    let error = PageImage::parse(leaf.into()).unwrap_err().into_corruption(&"spam".into(), 12_288);
    let Error::Corrupt(corruption) = error else { panic!("{error}") };
    assert_eq!((&*corruption.file, corruption.offset), ("spam", 12_288 + 32));
    assert_eq!((corruption.what, &*corruption.found), ("kind of page", "9"));
}

proptest! {
    #[test]
    fn parse_survives_random_cells_under_a_plausible_header(
        kind in 0_u8..4, wide in any::<bool>(), slots in 0_u32..20, prefix_len in 0_u32..20,
        body in vec(prop_oneof![0_u8..4, any::<u8>()], 0..400)
    ) {
        let mut bytes = vec![0; BLOCK_HEADER_BYTES];
        let end = (48 + body.len()) as u32;
        bytes.extend([kind, u8::from(wide), 0, 0]);
        bytes.extend([slots, prefix_len, end].iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend(body);
        check(&bytes);
    }

    #[test]
    fn parse_survives_several_damaged_bytes(
        which in 0_usize..5, damage in vec((32_usize..400, any::<u8>()), 1..6)
    ) {
        let mut bytes = samples().swap_remove(which);
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        check(&bytes);
    }
}
