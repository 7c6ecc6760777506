//! Hostile files: edits by somebody who makes every checksum right again. Whatever such a file says, it
//! is an error or an answer: never a panic, an abort, an endless loop, or memory out of proportion.

use rshelve_core::base::options::{Compression, Durability};
use rshelve_core::block::BlockKind;
use rshelve_core::io::memory::MemoryStorage;

use crate::exercise::{Figures, use_it_all};
use crate::harness::{Random, key, open, sample, scaled, seed, small_pages, value};
use crate::surgery::{Patient, compact, replace};

/// A database of two levels, a few leaves and a long value, small enough to be tried often.
fn small() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Checkpoint).expect("a new database");
    for (name, compression, count, len) in [
        ("eggs", Compression::None, 60, 120),
        ("long", Compression::None, 2, 2000),
        ("snappy", Compression::Snappy, 40, 60),
    ] {
        let table = engine.create_table(name, &small_pages(compression)).expect("a table");
        let mut session = engine.session().expect("open");
        for number in 0..count {
            session.put(&table, &key(number), &value(name, number, len)).expect("room");
        }
    }
    engine.checkpoint().expect("room");
    let eggs = engine.table("eggs").expect("it is there");
    engine.session().expect("open").remove(&eggs, &key(7)).expect("room");
    drop(eggs);
    engine.close().expect("room");
    storage
}

fn tried(figures: &mut Figures, what: &str, patient: &Patient) {
    let storage = patient.storage();
    figures.case(&|| what.to_owned(), patient.bytes.len(), || use_it_all(&storage));
}

/// Numbers that break what is not checked.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 31, 127, 128, 255, 0x7fff, 0xffff, 0x7fff_ffff, u32::MAX as u64, u64::MAX];

#[test]
fn every_byte_of_every_block_may_be_any_with_right_checksums() {
    let storage = small();
    let patient = Patient::of(&storage);
    let mut random = Random::new(seed());
    let mut figures = Figures::default();
    let step = scaled(7, 1);
    for (index, node) in patient.nodes.iter().enumerate() {
        // Headers and the front of a page byte by byte, the rest in steps.
        let len = node.range().len();
        let front = (4..len.min(100)).step_by(scaled(2, 1));
        for at in front.chain((100 + random.below(step)..len).step_by(step)) {
            let mut edited = patient.clone();
            let now = edited.bytes[node.range().start + at];
            let byte = [now ^ 1, now ^ 0x80, 0, 0xff, now.wrapping_add(1), random.next() as u8]
                [random.below(6)];
            edited.edit(index, |block| block[at] = byte);
            tried(&mut figures, &format!("{:?} {index}, byte {at} = {byte}", node.kind), &edited);
        }
    }
    figures.print("resealed bytes");
}

#[test]
fn every_number_of_every_block_may_be_any_with_right_checksums() {
    let storage = small();
    let patient = Patient::of(&storage);
    let mut random = Random::new(seed());
    let mut figures = Figures::default();
    for round in 0..scaled(1500, 60_000) {
        let mut edited = patient.clone();
        let mut what = format!("round {round}:");
        for _ in 0..1 + random.below(3) {
            let index = random.below(patient.nodes.len());
            let len = patient.nodes[index].range().len();
            let width = [1, 2, 4, 8][random.below(4)];
            // Most of what is to be broken lies in front.
            let end = if random.below(2) == 0 { len.min(120) } else { len };
            let at = 4 + random.below(end - 4 - width);
            let number = match random.below(3) {
                0 => random.next(),
                _ => NUMBERS[random.below(NUMBERS.len())],
            };
            what += &format!(
                " {:?} {index} at {at}: {width} of {number:#x}",
                patient.nodes[index].kind
            );
            let bytes = number.to_le_bytes();
            let start = patient.nodes[index].range().start + at;
            edited.bytes[start..start + width].copy_from_slice(&bytes[..width]);
            // Where an edit took the name by which this one is found, it stays unsealed.
            let _ = edited.reseal(index);
        }
        tried(&mut figures, &what, &edited);
    }
    figures.print("resealed numbers");
}

#[test]
fn superblocks_may_say_anything() {
    let storage = small();
    let patient = Patient::of(&storage);
    let mut figures = Figures::default();
    // Where each field is, and how wide.
    let fields = [
        (24, 8),
        (32, 8),
        (40, 8),
        (48, 4),
        (52, 4),
        (56, 8),
        (64, 4),
        (68, 4),
        (72, 8),
        (80, 8),
        (88, 4),
        (92, 4),
        (96, 4),
        (100, 8),
    ];
    for (at, width) in fields {
        for number in NUMBERS.into_iter().chain([12288, 12800, 1 << 40, 1 << 59, 1 << 60, 1 << 61])
        {
            let mut edited = patient.clone();
            let bytes = number.to_le_bytes();
            edited.edit_superblocks(|slot| slot[at..at + width].copy_from_slice(&bytes[..width]));
            tried(&mut figures, &format!("superblock at {at}: {number:#x}"), &edited);
        }
    }
    figures.print("superblocks");
}

/// Every block in the place of every other: circles, pages shared by two, leaves for internal pages.
#[test]
fn cookies_may_name_any_block() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    let mut random = Random::new(seed());
    let mut figures = Figures::default();
    let mut pairs = Vec::new();
    for child in 0..patient.nodes.len() {
        for other in 0..patient.nodes.len() {
            let (a, b) = (&patient.nodes[child].address, &patient.nodes[other].address);
            let named = patient.nodes[child].parent.is_some()
                && patient.nodes[child].kind != BlockKind::FreeList;
            if child != other && named && compact(a).len() == compact(b).len() {
                pairs.push((child, other));
            }
        }
    }
    for _ in 0..scaled(250, 20_000).min(pairs.len()) {
        let (child, other) = pairs.swap_remove(random.below(pairs.len()));
        let (from, to) =
            (compact(&patient.nodes[child].address), compact(&patient.nodes[other].address));
        let parent = patient.nodes[child].parent.expect("chosen so");
        let mut edited = patient.clone();
        edited.edit(parent, |block| assert!(replace(block, &from, &to)));
        tried(&mut figures, &format!("{child} is {other}"), &edited);
    }
    figures.print("transplanted cookies");
    assert!(figures.files > 200);
    assert_eq!(figures.right, 0, "every one of them is a lie");
}

/// A catalog that claims more levels than a tree has leads from a leaf on as if it were internal.
#[test]
fn levels_may_be_any() {
    let storage = small();
    let patient = Patient::of(&storage);
    let mut figures = Figures::default();
    for index in 0..patient.nodes.len() {
        let node = &patient.nodes[index];
        let (Some(parent), Some(_)) = (node.parent, &node.table) else { continue };
        if patient.nodes[parent].table.is_some() {
            continue;
        }
        let cookie = compact(&node.address);
        for level in [0, 1, 2, 3, 63, 64, 65, 255] {
            let mut edited = patient.clone();
            edited.edit(parent, |block| {
                let at = block.windows(cookie.len()).position(|window| window == cookie);
                block[at.expect("a cookie") + cookie.len()] = level;
            });
            tried(&mut figures, &format!("root {index} with {level} levels"), &edited);
        }
    }
    figures.print("levels");
    assert!(figures.files >= 24);
}
