//! Damaged files: bytes flipped, ends cut off, blocks swapped, parts of two databases mixed, noise. Each
//! is an error that names where, or a right answer.
//!
//! Of other engines one is told to answer wrongly and silently on more than 80 % of such files.

use rshelve_core::base::options::{Compression, Durability};
use rshelve_core::block::MAGIC;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};

use crate::exercise::{Figures, read_and_compare};
use crate::harness::{
    NAME, Random, Tables, key, open, open_existing, read_everything, sample, scaled, seed,
    small_pages, value,
};
use crate::surgery::Patient;

/// A small closed database of 40 KiB or so: three tables, one with a long value, one compressed.
fn small() -> (MemoryStorage, Tables) {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Checkpoint).expect("a new database");
    for (name, compression, count, len) in [
        ("eggs", Compression::None, 90, 120),
        ("long", Compression::None, 3, 3000),
        ("snappy", Compression::Snappy, 60, 100),
    ] {
        let table = engine.create_table(name, &small_pages(compression)).expect("a table");
        let mut session = engine.session().expect("open");
        for number in 0..count {
            session.put(&table, &key(number), &value(name, number, len)).expect("room");
        }
        for number in 0..count / 10 {
            session.remove(&table, &key(number * 5)).expect("room");
        }
    }
    engine.checkpoint().expect("room");
    let tables = read_everything(&engine).expect("all of it");
    engine.close().expect("room");
    (storage, tables)
}

fn planted(bytes: &[u8]) -> MemoryStorage {
    let storage = MemoryStorage::new();
    storage.plant(NAME, bytes);
    storage
}

#[test]
fn every_flipped_byte_is_an_error_or_a_right_answer() {
    let (storage, tables) = small();
    let bytes = storage.peek(NAME).expect("it is there");
    let nodes = Patient::of(&storage).nodes;
    let block_bytes: u64 = nodes.iter().map(|node| u64::from(node.address.len_bytes())).sum();
    let mut figures = Figures::default();
    let step = scaled(5, 1);
    let first = Random::new(seed()).index(step);
    for mask in scaled(&[0x01_u8][..], &[0x01, 0x80, 0xff]) {
        for at in (first..bytes.len()).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            let storage = planted(&damaged);
            figures.case(&|| format!("byte {at} ^ {mask}"), bytes.len(), || {
                read_and_compare(&storage, &[&tables])
            });
        }
    }
    figures.print("flipped bytes");
    let in_blocks = figures.files * block_bytes / bytes.len() as u64;
    assert!(figures.errors > in_blocks * 9 / 10, "nearly all bytes of blocks matter");
}

#[test]
fn every_length_cut_is_an_error_or_a_right_answer() {
    let (storage, tables) = small();
    let bytes = storage.peek(NAME).expect("it is there");
    let mut figures = Figures::default();
    // Of a file without a byte nothing tells that it ever was a database: it opens as a new one.
    for len in (1..bytes.len()).step_by(scaled(3, 1)) {
        let storage = planted(&bytes[..len]);
        figures.case(&|| format!("cut to {len}"), bytes.len(), || {
            read_and_compare(&storage, &[&tables])
        });
    }
    figures.print("cut files");
    assert_eq!(figures.right, 0, "no byte at the end is to spare");
}

#[test]
fn zeroed_sectors_and_pages_are_errors_or_right_answers() {
    let (storage, tables) = sample();
    let bytes = storage.peek(NAME).expect("it is there");
    let mut figures = Figures::default();
    for len in [512, 4096] {
        for start in (0..bytes.len()).step_by(len * scaled(5, 1)) {
            let mut damaged = bytes.clone();
            let end = (start + len).min(bytes.len());
            damaged[start..end].fill(0);
            let storage = planted(&damaged);
            figures.case(&|| format!("{len} zeros at {start}"), bytes.len(), || {
                read_and_compare(&storage, &[&tables])
            });
        }
    }
    figures.print("zeroed sectors");
}

#[test]
fn swapped_blocks_are_errors() {
    let (storage, tables) = small();
    let patient = Patient::of(&storage);
    let mut figures = Figures::default();
    for one in 0..patient.nodes.len() {
        for other in one + 1..patient.nodes.len() {
            let (a, b) = (patient.nodes[one].range(), patient.nodes[other].range());
            let len = a.len().min(b.len());
            let mut damaged = patient.bytes.clone();
            let (first, second) = (damaged[a.clone()].to_vec(), damaged[b.clone()].to_vec());
            damaged[a.start..a.start + len].copy_from_slice(&second[..len]);
            damaged[b.start..b.start + len].copy_from_slice(&first[..len]);
            let storage = planted(&damaged);
            figures.case(&|| format!("blocks {one} and {other}"), damaged.len(), || {
                read_and_compare(&storage, &[&tables])
            });
        }
    }
    figures.print("swapped blocks");
    assert_eq!(figures.right, 0, "every block matters");
}

/// The same database at two moments, and another one: their headers, slots and blocks mixed.
#[test]
fn mixed_superblocks_are_errors_or_right_answers() {
    let (storage, later) = small();
    let old = storage.peek(NAME).expect("it is there");
    let earlier = later.clone();
    let engine = open_existing(&storage, Durability::Checkpoint).expect("it opens");
    {
        let mut session = engine.session().expect("open");
        let eggs = engine.table("eggs").expect("it is there");
        for number in 30..60 {
            session.put(&eggs, &key(number), b"later").expect("room");
        }
    }
    engine.checkpoint().expect("room");
    let later = read_everything(&engine).expect("all of it");
    engine.close().expect("room");
    let new = storage.peek(NAME).expect("it is there");
    let (other, _) = small();
    let other = other.peek(NAME).expect("it is there");
    let mut figures = Figures::default();
    for (name, stranger) in [("the same, older", &old), ("another", &other)] {
        for mix in 1..16_u32 {
            let mut mixed = new.clone();
            for (bit, range) in
                [0..512, 4096..4608, 8192..8704, 12288..new.len().min(stranger.len())]
                    .into_iter()
                    .enumerate()
            {
                if mix & 1 << bit != 0 {
                    mixed[range.clone()].copy_from_slice(&stranger[range]);
                }
            }
            // All of a stranger is the stranger.
            if mix == 15 {
                continue;
            }
            let storage = planted(&mixed);
            figures.case(&|| format!("{name}: {mix:04b}"), new.len(), || {
                read_and_compare(&storage, &[&later, &earlier])
            });
        }
    }
    figures.print("mixed superblocks");
}

/// A killed database with a log, its name for the log's segments, and what it holds.
fn killed(fill: u8) -> (MemoryStorage, Vec<String>, Tables) {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Process).expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..40 {
        session.put(&table, &key(number), &[fill; 50]).expect("room");
        if number == 20 {
            engine.checkpoint().expect("room");
        }
    }
    engine.sync().expect("a sync");
    session.put(&table, b"last", &[fill; 50]).expect("room");
    let tables = read_everything(&engine).expect("all of it");
    let storage = storage.duplicate();
    let mut names = storage.names();
    names.retain(|name| name.contains("-wal"));
    (storage, names, tables)
}

#[test]
fn mixed_and_damaged_logs_are_errors_or_prefixes() {
    let (storage, segments, tables) = killed(1);
    let (other, other_segments, _) = killed(2);
    // The prefixes that a log cut short may leave: what the checkpoint has, and then row by row.
    let mut prefixes = vec![tables.clone()];
    for number in (21..=40).rev() {
        let mut fewer = prefixes.last().expect("one at least").clone();
        let rows = fewer.get_mut("eggs").expect("it is there");
        rows.remove(if number == 40 { &b"last"[..] } else { b"" });
        rows.remove(&key(number));
        prefixes.push(fewer);
    }
    let prefixes: Vec<&Tables> = prefixes.iter().collect();
    let mut figures = Figures::default();
    // Segments of another database beside ours, and instead of ours.
    for instead in [false, true] {
        let mixed = storage.duplicate();
        for (number, name) in other_segments.iter().enumerate() {
            let as_name = match instead {
                true => segments.get(number).cloned().unwrap_or_else(|| name.clone()),
                false => format!("{NAME}-wal{:08}", 50 + number),
            };
            mixed.plant(&as_name, &other.peek(name).expect("a segment"));
        }
        figures.case(&|| format!("mixed logs, instead: {instead}"), 1 << 20, || {
            read_and_compare(&mixed, &prefixes)
        });
    }
    for name in &segments {
        let bytes = storage.peek(name).expect("a segment");
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for at in (0..end).step_by(scaled(11, 1)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let storage = storage.duplicate();
            storage.plant(name, &damaged);
            figures.case(&|| format!("{name}, byte {at}"), bytes.len(), || {
                read_and_compare(&storage, &prefixes)
            });
        }
    }
    figures.print("logs");
}

#[test]
fn noise_is_refused() {
    let mut random = Random::new(seed());
    let (whole, _) = small();
    let bytes = whole.peek(NAME).expect("it is there");
    let mut figures = Figures::default();
    for case in 0..scaled(400, 20_000) {
        let len = random.index(60_000);
        let mut noise = random.bytes(len);
        // As much of a database in front as gets further and further.
        let keep = [0, MAGIC.len(), 512, 4608, 8704, 12288][case % 6].min(len);
        noise[..keep].copy_from_slice(&bytes[..keep]);
        let storage = planted(&noise);
        figures.case(&|| format!("noise {case} of {len} bytes behind {keep}"), len, || {
            refused(&storage)
        });
    }
    figures.print("noise");
    assert_eq!(figures.right, 0, "noise is no database");
}

fn refused(storage: &MemoryStorage) -> Result<()> {
    let engine = open_existing(storage, Durability::Process)?;
    read_everything(&engine).map(drop)
}

#[test]
fn error_says_which_file_and_where() {
    let (storage, _) = small();
    let patient = Patient::of(&storage);
    for node in &patient.nodes {
        let mut bytes = patient.bytes.clone();
        bytes[node.range().start + 40] ^= 1;
        match read_and_compare(&planted(&bytes), &[]) {
            Err(Error::Corrupt(corruption)) => {
                assert!(corruption.file.ends_with(NAME), "{corruption}");
                assert_eq!(corruption.offset, node.address.offset(), "{corruption}");
                assert_ne!(corruption.expected, corruption.found);
            }
            other => panic!("{node:?}: {other:?}"),
        }
    }
}
