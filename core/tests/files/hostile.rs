//! Hostile files: edits by somebody who makes every checksum right again. Whatever such a file says, it
//! is an error or an answer: never a panic, an abort, an endless loop, or memory out of proportion.

use std::sync::Arc;

use rshelve_core::base::checksum::crc32;
use rshelve_core::base::codec::put_varint;
use rshelve_core::base::options::{Compression, DatabaseOptions, Durability};
use rshelve_core::block::BlockKind;
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;

use crate::exercise::{Figures, use_it_all};
use crate::harness::{NAME, Random, database, key, open, sample, scaled, seed, small_pages, value};
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
    engine.checkpoint_named("before").expect("room");
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
        for at in front.chain((100 + random.index(step)..len).step_by(step)) {
            let mut edited = patient.clone();
            let now = edited.bytes[node.range().start + at];
            let byte = [now ^ 1, now ^ 0x80, 0, 0xff, now.wrapping_add(1), random.next() as u8]
                [random.index(6)];
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
        for _ in 0..1 + random.index(3) {
            let index = random.index(patient.nodes.len());
            let len = patient.nodes[index].range().len();
            let width = [1, 2, 4, 8][random.index(4)];
            // Most of what is to be broken lies in front.
            let end = if random.index(2) == 0 { len.min(120) } else { len };
            let at = 4 + random.index(end - 4 - width);
            let number = match random.index(3) {
                0 => random.next(),
                _ => NUMBERS[random.index(NUMBERS.len())],
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
        let (child, other) = pairs.swap_remove(random.index(pairs.len()));
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

/// Where the records of a segment are, whole: header and payload.
fn records_of(segment: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut records = Vec::new();
    let mut at = 1024;
    while let Some(header) = segment.get(at..at + 32) {
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if header[28] == 0 || header[28] == 255 {
            break;
        }
        records.push(at..at + 32 + len);
        at += (32 + len).next_multiple_of(8);
    }
    records
}

/// Makes a record's checksum right.
fn reseal_record(segment: &mut [u8], record: std::ops::Range<usize>, id: &[u8]) {
    let (header, payload) = segment[record.clone()].split_at(32);
    let checksum = crc32(&[id, payload, &header[4..]].concat());
    segment[record.start..record.start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// A log of everything that logs have, of a process that was killed: tables made and dropped, short and
/// long values, a large transaction that committed and one that did not.
fn killed() -> (MemoryStorage, Vec<String>) {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Process) };
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options).expect("new");
    let pages = small_pages(Compression::None);
    let eggs = engine.create_table("eggs", &pages).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..40 {
        session.put(&eggs, &key(number), &value("eggs", number, 100)).expect("room");
    }
    engine.checkpoint().expect("room");
    drop(engine.create_table("ham", &pages).expect("a table"));
    engine.drop_table("ham").expect("nobody has it");
    for number in 20..60 {
        session.put(&eggs, &key(number), &value("eggs", number, 90)).expect("room");
    }
    session.put(&eggs, b"long", &value("eggs", 1, 3000)).expect("room");
    session.put(&eggs, b"long", &value("eggs", 2, 3000)).expect("room");
    session.remove(&eggs, &key(3)).expect("room");
    for _ in 0..2 {
        session.begin().expect("none is open");
        for number in 0..300 {
            session.put(&eggs, &key(number), &value("eggs", number, 1000)).expect("room");
        }
        session.put(&eggs, b"longer", &value("eggs", 3, 3000)).expect("room");
        if session.get(&eggs, b"done", |_| ()).expect("all of it").is_none() {
            session.put(&eggs, b"done", b"").expect("room");
            session.commit().expect("room");
        }
    }
    let killed = storage.duplicate();
    session.rollback().expect("one is open");
    let mut names = killed.names();
    names.retain(|name| name.contains("-wal"));
    (killed, names)
}

#[test]
fn log_records_may_say_anything_with_right_checksums() {
    let (storage, segments) = killed();
    let id = storage.peek(NAME).expect("it is there")[32..48].to_vec();
    let whole: Vec<_> =
        segments.iter().map(|name| storage.peek(name).expect("a segment")).collect();
    let mut random = Random::new(seed());
    let mut figures = Figures::default();
    for round in 0..scaled(500, 30_000) {
        let mut what = format!("round {round}:");
        let edited = storage.duplicate();
        let number = random.index(whole.len());
        let mut bytes = whole[number].clone();
        let records = records_of(&bytes);
        if records.is_empty() {
            continue;
        }
        for _ in 0..1 + random.index(2) {
            let record = records[random.index(records.len())].clone();
            let payload = record.start + 32..record.end;
            if payload.is_empty() {
                continue;
            }
            // Heads of payloads and changes tell the most.
            let front = payload.len().min([16, 200, usize::MAX][random.index(3)]);
            let at = payload.start + random.index(front);
            let width = [1, 1, 2, 4][random.index(4)].min(payload.end - at);
            let new = NUMBERS[random.index(NUMBERS.len())].to_le_bytes();
            let new = if random.index(2) == 0 { random.next().to_le_bytes() } else { new };
            bytes[at..at + width].copy_from_slice(&new[..width]);
            if random.index(4) == 0 {
                bytes[record.start + 28] = random.index(6) as u8;
            }
            reseal_record(&mut bytes, record.clone(), &id);
            what += &format!(" {} at {at}: {width} of {new:?}", segments[number]);
        }
        edited.plant(&segments[number], &bytes);
        figures.case(&|| what.clone(), bytes.len(), || use_it_all(&edited));
    }
    figures.print("resealed log records");
}

/// Keys and values longer than any that a session takes, in a record that is whole.
#[test]
fn log_records_may_name_keys_and_values_of_any_length() {
    let (storage, segments) = killed();
    let id = storage.peek(NAME).expect("it is there")[32..48].to_vec();
    let first = storage.peek(&segments[0]).expect("a segment");
    let records = records_of(&first);
    let mut figures = Figures::default();
    for (key_len, value_len) in
        [(100_000, 10), (10, 100_000), (70_000, 2000), (0, 0), (10, 500_000)]
    {
        let mut payload = vec![0, 1, 1];
        put_varint(&mut payload, key_len);
        payload.resize(payload.len() + key_len as usize, b'k');
        put_varint(&mut payload, value_len);
        payload.resize(payload.len() + value_len as usize, b'v');
        let mut bytes = first.clone();
        // In place of the log's end, where there is room.
        let last = records.last().expect("records").clone();
        let at = last.end.next_multiple_of(8);
        let position =
            u64::from_le_bytes(bytes[last.start + 8..last.start + 16].try_into().expect("8"));
        let header = bytes[last.start..last.start + 32].to_vec();
        if at + 32 + payload.len() + 32 > bytes.len() {
            continue;
        }
        bytes[at..at + 32].copy_from_slice(&header);
        bytes[at + 4..at + 8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        let position = position + (at - last.start) as u64;
        bytes[at + 8..at + 16].copy_from_slice(&position.to_le_bytes());
        bytes[at + 28] = 1;
        bytes[at + 32..at + 32 + payload.len()].copy_from_slice(&payload);
        reseal_record(&mut bytes, at..at + 32 + payload.len(), &id);
        let edited = storage.duplicate();
        edited.plant(&segments[0], &bytes);
        let what = format!("a key of {key_len} and a value of {value_len} bytes");
        figures.case(&|| what.clone(), bytes.len(), || use_it_all(&edited));
    }
    figures.print("long keys and values in the log");
    assert!(figures.files > 2 && figures.errors > 1, "{figures:?}");
}
