//! Images against a `BTreeMap` of the same pairs.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::format::separator;

/// Keys that are hard for heads: few byte values (0 and 255 among them), long runs of one byte,
/// lengths around a head's, shared prefixes of any length, and now and then a huge one.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0_u8), Just(1), Just(b'a'), Just(0xff)];
    prop_oneof![
        4 => vec(byte.clone(), 0..4),
        4 => vec(byte.clone(), 6..11),
        4 => (0_usize..20, vec(byte, 0..11)).prop_map(|(run, tail)| {
            let mut key = vec![b'a'; run];
            key.extend(tail);
            key
        }),
        2 => vec(any::<u8>(), 0..24),
        1 => (0_usize..=1 << 16, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn entries() -> impl Strategy<Value = BTreeMap<Vec<u8>, (bool, Vec<u8>)>> {
    (prop_oneof![3 => Just(Vec::new()), 2 => key()], 0_usize..60).prop_flat_map(
        |(prefix, count)| {
            let prefixed = key().prop_map(move |key| [&prefix[..], &key].concat());
            btree_map(prefixed, (any::<bool>(), vec(any::<u8>(), 0..300)), 0..=count)
        },
    )
}

fn leaf_entries(pairs: &BTreeMap<Vec<u8>, (bool, Vec<u8>)>) -> Vec<Entry> {
    let tag = |overflow: bool| if overflow { Tag::Overflow } else { Tag::Inline };
    pairs.iter().map(|(key, (over, value))| (key.clone(), tag(*over), value.clone())).collect()
}

/// Holds `image` to `entries`, and its searches to those of the sorted keys, for each key, its
/// near neighbours and `others`.
pub(super) fn check(image: &PageImage, entries: &[Entry], others: &[Vec<u8>]) {
    assert_eq!(image.len(), entries.len());
    let mut key = vec![b'?'; 3];
    let mut probes = others.to_vec();
    for (slot, (expected, tag, value)) in entries.iter().enumerate() {
        image.key_into(slot, &mut key);
        assert_eq!(&key, expected);
        assert_eq!(image.key_len(slot), key.len());
        let cell = image.cell(slot);
        assert_eq!((cell.tag, cell.bytes), (*tag, &value[..]));
        probes.push(key.clone());
        probes.push([&key[..], &[0]].concat());
        probes.push(key[..key.len().saturating_sub(1)].to_vec());
        if let Some(last) = key.last_mut() {
            *last = last.wrapping_add(1);
            probes.push(key.clone());
        }
    }
    for probe in &probes {
        let found = entries.binary_search_by(|(key, ..)| key.cmp(probe));
        assert_eq!(image.search(probe), found, "{probe:?}");
        let (Ok(slot) | Err(slot)) = found;
        for from in [0, slot / 2, slot.saturating_sub(1), slot] {
            for reach in [1, 3, 12, entries.len() + 1] {
                let near = image.search_within(from, reach, probe);
                assert_eq!(near.unwrap_or(found), found, "{probe:?} from {from} on");
                assert!(near.is_some() || slot >= from + reach, "{probe:?} is near {from}");
            }
        }
        let child = found.unwrap_or_else(|slot| slot.saturating_sub(1));
        assert_eq!(image.search_child(probe), child);
        for slot in [child.saturating_sub(1), child, child + 1] {
            if let Some((key, ..)) = entries.get(slot) {
                assert_eq!(image.compare(slot, probe), key.cmp(probe));
            }
        }
    }
}

proptest! {
    #[test]
    fn image_answers_as_a_map_does(pairs in entries(), others in vec(key(), 0..20)) {
        let entries = leaf_entries(&pairs);
        let image = build(PageKind::Leaf, &entries);
        check(&image, &entries, &others);
        let parsed = PageImage::parse(image.as_bytes().into()).unwrap();
        check(&parsed, &entries, &others);
    }

    #[test]
    fn image_built_under_a_shorter_prefix_answers_the_same(
        pairs in entries(), cut in 0_usize..12, others in vec(key(), 0..20)
    ) {
        let entries = leaf_entries(&pairs);
        let prefix = longest_prefix(&entries);
        let prefix = &prefix[..prefix.len().saturating_sub(cut)];
        let mut builder = PageBuilder::new(PageKind::Leaf, prefix, BuilderCapacity::default());
        for (key, tag, value) in &entries {
            let (front, back) = value.split_at(value.len() / 3);
            builder.push_parts(key, *tag, &[front, &[], back]);
        }
        check(&builder.finish_image(), &entries, &others);
    }

    #[test]
    fn copied_cells_make_the_image_that_pushed_ones_make(
        pairs in entries(), range in (0_usize..60, 0_usize..60), cut in 0_usize..12
    ) {
        let entries = leaf_entries(&pairs);
        let from = build(PageKind::Leaf, &entries);
        let begin = range.0.min(entries.len());
        let part = begin..(begin + range.1).min(entries.len());
        let straight = build(PageKind::Leaf, &entries[part.clone()]);
        let mut builder =
            PageBuilder::new(PageKind::Leaf, straight.prefix(), BuilderCapacity::default());
        builder.push_run(&from, part.clone());
        prop_assert_eq!(builder.size_bytes(), straight.bytes_len());
        prop_assert_eq!(builder.finish(), straight.as_bytes());

        // One by one and in runs, under a prefix of the old length and under a shorter one.
        for prefix_len in [from.prefix().len(), from.prefix().len().saturating_sub(cut)] {
            let prefix = from.prefix()[..prefix_len].to_vec();
            builder.restart(PageKind::Leaf, &prefix);
            builder.push_run(&from, 0..part.start);
            for slot in part.clone() {
                builder.push_from(&from, slot);
            }
            builder.push_run(&from, part.end..entries.len());
            check(&builder.finish_image(), &entries, &[]);
        }
    }

    #[test]
    fn internal_image_leads_each_key_to_its_child(
        separators in btree_map(key(), vec(any::<u8>(), 1..40), 1..60), keys in vec(key(), 1..40)
    ) {
        let entries: Vec<Entry> =
            separators.into_iter().map(|(key, child)| (key, Tag::Child, child)).collect();
        let image = build(PageKind::Internal, &entries);
        check(&PageImage::parse(image.as_bytes().into()).unwrap(), &entries, &keys);
    }

    #[test]
    fn separator_is_the_shortest_key_between(a in key(), b in key()) {
        prop_assume!(a != b);
        let (left, right) = (a.clone().min(b.clone()), a.max(b));
        let between = separator(&left, &right);
        prop_assert!(&left[..] < between && between <= &right[..]);
        // Any shorter key between the two would have to share all of its bytes with both, or
        // lie on one side of both; the nearest candidates are the right key's own prefixes.
        for len in 0..between.len() {
            prop_assert!(right[..len] <= left[..]);
        }
    }
}

#[test]
fn search_finds_each_of_many_keys_with_one_head() {
    let entries: Vec<Entry> = (0..300_u32)
        .map(|i| {
            let key = [&b"0123456789"[..], &i.to_be_bytes()].concat();
            (key, Tag::Inline, i.to_le_bytes().to_vec())
        })
        .collect();
    // Under the empty prefix, all heads are "01234567".
    let mut builder = PageBuilder::new(PageKind::Leaf, b"", BuilderCapacity::default());
    for (key, tag, value) in &entries {
        builder.push(key, *tag, value);
    }
    let image = builder.finish_image();
    assert_eq!(image.head(0), image.head(299));
    check(&image, &entries, &[b"0123456".to_vec(), b"01234567".to_vec(), b"0123457".to_vec()]);
}

#[test]
fn image_past_64_kib_gets_wide_offsets() {
    let entry = |i: u8, len: usize| (vec![i], Tag::Inline, vec![i; len]);
    let fixed_bytes = 48 + 2 * (8 + 2) + 2 + 4;
    for spare_bytes in [0_usize, 1] {
        // The last of the values brings the narrow image to exactly 64 KiB, or one past.
        let entries = [entry(1, 0), entry(2, (1 << 16) - fixed_bytes + spare_bytes)];
        let image = build(PageKind::Leaf, &entries);
        assert_eq!(image.wide, spare_bytes > 0);
        assert_eq!(image.bytes_len(), (1 << 16) + spare_bytes * 5);
        check(&image, &entries, &[]);
    }
}

#[test]
fn keys_of_64_kib_are_kept_whole() {
    let entries: Vec<Entry> = (0..8_u8)
        .map(|i| {
            let mut key = vec![0xff; 1 << 16];
            key[(1 << 16) - 1 - usize::from(i)] = 7;
            (key, Tag::Overflow, vec![i])
        })
        .rev()
        .collect();
    let image = build(PageKind::Leaf, &entries);
    assert_eq!(image.prefix().len(), (1 << 16) - 8);
    check(&image, &entries, &[vec![0xff; 1 << 16], Vec::new()]);
}

#[test]
fn empty_leaf_finds_nothing() {
    let image = build(PageKind::Leaf, &[]);
    assert!(image.is_empty());
    check(
        &PageImage::parse(image.as_bytes().into()).unwrap(),
        &[],
        &[Vec::new(), vec![0], vec![0xff]],
    );
}
