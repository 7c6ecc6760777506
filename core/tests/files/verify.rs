//! `verify`: what is whole is clean, and each thing that is not is named with its place.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::codec::Reader;
use rshelve_core::base::options::{Compression, Durability};
use rshelve_core::block::{BlockKind, Extent};
use rshelve_core::engine::verify_on;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::verify::{Progress, Report};

use crate::harness::{NAME, key, open, open_existing, sample, small_pages, value};
use crate::surgery::{Patient, compact, fixed, replace};

fn verified(storage: &MemoryStorage) -> Report {
    let report = verify_on(Arc::new(storage.clone()), NAME, &mut |_| Ok(()));
    report.unwrap_or_else(|error| panic!("the file cannot be verified: {error}"))
}

/// Verifies the patient, which must be found damaged at one of `offsets`, by one of the words in `what`.
fn check_finding(patient: &Patient, offsets: &[u64], what: &str) {
    let report = verified(&patient.storage());
    assert!(!report.is_clean(), "{what}: nothing was found");
    let named = report.problems.iter().any(|problem| match &problem.error {
        Error::Corrupt(corruption) => {
            offsets.contains(&corruption.offset) && corruption.what.contains(what)
        }
        _ => false,
    });
    assert!(named, "{what} at {offsets:?} is not what was found:\n{report}");
}

#[test]
fn verify_finds_a_whole_database_clean() {
    let (storage, tables) = sample();
    let mut calls = Vec::new();
    let report = verify_on(Arc::new(storage), NAME, &mut |progress: &Progress| {
        calls.push(progress.clone());
        Ok(())
    })
    .expect("it can be read");
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.remarks, [""; 0]);
    assert_eq!(report.unreached, []);
    let counted: Vec<_> = report.tables.iter().map(|table| (&table.name, table.rows)).collect();
    let expected: Vec<_> = tables.iter().map(|(name, rows)| (name, rows.len() as u64)).collect();
    assert_eq!(counted, expected);
    let long = report.tables.iter().find(|table| table.name == "long").expect("it is there");
    assert_eq!(long.long_values, 4, "two of one piece, two of two pieces and their lists");
    assert_eq!(long.blocks, 1 + 2 + 2 * 3);
    let last = calls.last().expect("at least one call");
    assert_eq!(last.blocks, report.blocks);
    assert!(last.bytes <= last.bytes_total, "{last:?}");
}

#[test]
fn verify_stops_when_progress_says_so() {
    let (storage, _) = sample();
    let stopped = verify_on(Arc::new(storage), NAME, &mut |_| Err(Error::invalid("enough")));
    assert!(matches!(stopped, Err(Error::Invalid { what }) if what == "enough"));
}

#[test]
fn verify_runs_beside_a_writer() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Process).expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..500 {
        session.put(&table, &key(number), &value("eggs", number, 60)).expect("room");
    }
    engine.checkpoint().expect("room");
    let mut written = 500;
    let report = engine
        .verify(&mut |_| {
            // What it reads is replaced, and checkpoints go by, while it reads.
            for number in 0..500 {
                session.put(&table, &key(number), &value("eggs", written, 61))?;
                written += 1;
            }
            engine.checkpoint()
        })
        .expect("it can be read");
    assert!(report.is_clean() && written > 500, "{report}");
    assert_eq!(report.rows(), 500);
    // From outside, as another process would.
    let report = verified(&storage);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.log_records, 0, "a writer's log is its own");
}

#[test]
fn verify_reads_the_log_that_a_crash_left() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Process).expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..20 {
        session.put(&table, &key(number), b"boiled").expect("room");
    }
    let killed = storage.duplicate();
    let names = killed.names();
    let report = verified(&killed);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.log_records, 21, "the table and its rows");
    assert_eq!(killed.names(), names, "nothing is created or removed");
    // A record that was synced is damaged.
    engine.sync().expect("a sync");
    session.put(&table, b"after", b"").expect("room");
    engine.sync().expect("a sync");
    session.put(&table, b"witness", b"").expect("room");
    let killed = storage.duplicate();
    let segment = format!("{NAME}-wal00000001");
    let mut bytes = killed.peek(&segment).expect("a segment");
    let at = bytes.windows(6).position(|window| window == b"boiled").expect("a record");
    bytes[at] ^= 1;
    killed.plant(&segment, &bytes);
    let report = verified(&killed);
    let Some(Error::Corrupt(corruption)) = report.problems.first().map(|p| &p.error) else {
        panic!("nothing was found: {report}")
    };
    assert!(corruption.file.contains("wal"), "{corruption}");
}

#[test]
fn verify_names_the_block_of_every_flipped_byte() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    assert!(patient.nodes.len() > 30, "{} blocks", patient.nodes.len());
    // For the list of named checkpoints see below.
    for kind in BlockKind::ALL.into_iter().filter(|kind| *kind != BlockKind::CheckpointList) {
        assert!(!patient.of_kind(kind).is_empty(), "no {kind:?}");
    }
    for node in &patient.nodes {
        for at in [0, 5, 9, 20, 32, node.range().len() - 1] {
            let mut damaged = patient.clone();
            damaged.bytes[node.range().start + at] ^= 0x10;
            check_finding(&damaged, &[node.address.offset()], "checksum");
        }
    }
}

#[test]
fn verify_remarks_on_a_damaged_superblock_slot() {
    let (storage, _) = sample();
    let mut bytes = storage.peek(NAME).expect("it is there");
    bytes[8192 + 100] ^= 1;
    storage.plant(NAME, &bytes);
    let report = verified(&storage);
    assert!(report.is_clean(), "{report}");
    assert!(report.remarks.iter().any(|remark| remark.contains("superblock")), "{report}");
}

/// The first leaf and the first internal page of "ham", which has two levels.
fn ham(patient: &Patient) -> (usize, Vec<usize>) {
    let of_ham = |index: &usize| patient.nodes[*index].table.as_deref() == Some("ham");
    let internal = patient.of_kind(BlockKind::Internal).into_iter().find(of_ham).expect("levels");
    let leaves = patient.of_kind(BlockKind::Leaf).into_iter().filter(of_ham).collect();
    (internal, leaves)
}

/// Where in the block of node `parent` the cookie of node `child` ends: its row count follows.
fn behind_cookie(patient: &Patient, parent: usize, child: usize) -> usize {
    let cookie = compact(&patient.nodes[child].address);
    let block = &patient.bytes[patient.nodes[parent].range()];
    block.windows(cookie.len()).position(|w| w == cookie).expect("a cookie") + cookie.len()
}

#[test]
fn verify_names_wrong_row_counts() {
    let (storage, _) = sample();
    let mut patient = Patient::of(&storage);
    let (internal, leaves) = ham(&patient);
    let at = behind_cookie(&patient, internal, leaves[1]);
    patient.edit(internal, |block| block[at] += 1);
    let leaf = patient.nodes[leaves[1]].address.offset();
    check_finding(&patient, &[leaf], "rows of a leaf page");
    check_finding(&patient, &[patient.nodes[internal].address.offset()], "rows of an internal");
}

#[test]
fn verify_names_children_in_the_wrong_place() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    let (internal, leaves) = ham(&patient);
    // The cookies of two leaves, as long as each other, change places.
    let cookies: Vec<_> =
        leaves.iter().map(|leaf| compact(&patient.nodes[*leaf].address)).collect();
    let other = (1..leaves.len()).find(|other| cookies[*other].len() == cookies[0].len());
    let other = other.expect("two cookies of a length");
    let mut swapped = patient.clone();
    swapped.edit(internal, |block| {
        let nothing = vec![0xff; cookies[0].len()];
        assert!(replace(block, &cookies[0], &nothing));
        assert!(replace(block, &cookies[other], &cookies[0]));
        assert!(replace(block, &nothing, &cookies[other]));
    });
    let offsets = [leaves[0], leaves[other]].map(|leaf| patient.nodes[leaf].address.offset());
    check_finding(&swapped, &offsets, "key of a page");
    // One of them twice.
    let mut twice = patient.clone();
    twice.edit(internal, |block| assert!(replace(block, &cookies[other], &cookies[0])));
    check_finding(&twice, &offsets[..1], "place of a block");
}

#[test]
fn verify_names_blocks_in_free_space_and_outside() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    let list = patient.of_kind(BlockKind::FreeList)[0];
    let (free, at) = first_free(&patient, list);
    // The free list says that there is more free than there is: a block of somebody's.
    let victims: Vec<_> = patient
        .nodes
        .iter()
        .filter(|node| node.address.offset() == free.end())
        .map(|node| node.address.offset())
        .collect();
    assert!(!victims.is_empty(), "a block behind the first free extent");
    let mut more = patient.clone();
    more.edit(list, |block| block[at] += 1);
    check_finding(&more, &victims, "place of a block");
    // The allocated part ends before its last block.
    let last = patient.nodes.iter().max_by_key(|node| node.address.offset()).expect("blocks");
    let mut shorter = patient.clone();
    let end = last.address.offset();
    shorter.edit_superblocks(|slot| slot[32..40].copy_from_slice(&end.to_le_bytes()));
    let report = verify_on(Arc::new(shorter.storage()), NAME, &mut |_| Ok(()));
    let refused = match report {
        Ok(report) => report.check().is_err(),
        Err(error) => matches!(error, Error::Corrupt(_)),
    };
    assert!(refused, "a block outside of the file");
}

/// The first extent that the free list names, and where in the list's block its length is: one byte.
fn first_free(patient: &Patient, list: usize) -> (Extent, usize) {
    let block = &patient.bytes[patient.nodes[list].range()];
    let mut reader = Reader::new(&block[32 + 16 + 4..]);
    let gap = reader.varint().expect("an entry");
    let at = block.len() - reader.rest().len();
    let len = reader.varint().expect("an entry");
    assert!(len < 127, "a length of more than a byte: {len}");
    (Extent { offset: 12288 + gap * 512, len: len * 512 }, at)
}

#[test]
fn verify_names_space_that_is_lost() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    let list = patient.of_kind(BlockKind::FreeList)[0];
    let (free, at) = first_free(&patient, list);
    // An unit less is free than was.
    assert!(free.len > 512, "an extent of more than one unit");
    let mut less = patient.clone();
    less.edit(list, |block| {
        block[at] -= 1;
        // The gap behind it is one longer.
        assert_ne!(block[at + 1] & 0x7f, 0x7f, "a carry");
        block[at + 1] += 1;
    });
    let report = verified(&less.storage());
    assert!(report.is_clean(), "{report}");
    assert!(report.unreached_bytes() >= 512, "{report}");
}

#[test]
fn verify_names_a_catalog_that_makes_no_sense() {
    let (storage, _) = sample();
    let patient = Patient::of(&storage);
    let leaf = (0..patient.nodes.len())
        .find(|i| patient.nodes[*i].kind == BlockKind::Leaf && patient.nodes[*i].table.is_none())
        .expect("a leaf of the catalog");
    let offset = patient.nodes[leaf].address.offset();
    // An entry under another name than its own.
    let mut renamed = patient.clone();
    renamed.edit(leaf, |block| assert!(replace(block, b"\x01\x04eggs", b"\x01\x04eggz")));
    check_finding(&renamed, &[offset], "entry of the catalog");
    // A version that nobody knows.
    let mut later = patient.clone();
    later.edit(leaf, |block| assert!(replace(block, b"\x01\x04eggs", b"\x02\x04eggs")));
    check_finding(&later, &[offset], "entry of the catalog");
    // More rows than there are.
    let mut more = patient.clone();
    let slot_rows = 72..80;
    more.edit_superblocks(|slot| slot[slot_rows.clone()].copy_from_slice(&77_u64.to_le_bytes()));
    check_finding(&more, &[offset], "rows of a leaf page");
    // A root that is the free list's first block.
    let list = patient.of_kind(BlockKind::FreeList)[0];
    let root = patient.nodes.iter().find(|node| node.parent.is_none()).expect("a root");
    let (old, new) = (fixed(&root.address), fixed(&patient.nodes[list].address));
    let mut crossed = patient.clone();
    crossed.edit_superblocks(|slot| {
        // The second of the two addresses is the root's.
        let at = slot.windows(16).position(|window| window == old).expect("the root's address");
        slot[at..at + 16].copy_from_slice(&new);
    });
    let report = verify_on(Arc::new(crossed.storage()), NAME, &mut |_| Ok(()));
    assert!(report.is_ok_and(|report| !report.is_clean()), "a root that is no page");
}

/// A database with two named checkpoints, and its blocks as they were when the first one was named.
fn with_names() -> (MemoryStorage, Patient) {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Checkpoint).expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..300 {
        session.put(&table, &key(number), &value("eggs", number, 60)).expect("room");
    }
    session.put(&table, b"long", &value("eggs", 1, 9000)).expect("room");
    engine.checkpoint_named("monday").expect("room");
    let monday = Patient::of(&storage);
    for number in 0..200 {
        session.remove(&table, &key(number)).expect("room");
    }
    session.remove(&table, b"long").expect("room");
    engine.checkpoint_named("friday").expect("room");
    drop(engine.create_table("later", &small_pages(Compression::None)).expect("a table"));
    drop((session, table));
    engine.close().expect("room");
    (storage, monday)
}

#[test]
fn verify_goes_through_named_checkpoints() {
    let (storage, monday) = with_names();
    let mut last = Progress::default();
    let report = verify_on(Arc::new(storage.clone()), NAME, &mut |progress: &Progress| {
        assert!(progress.bytes >= last.bytes && progress.blocks >= last.blocks);
        last = progress.clone();
        Ok(())
    })
    .expect("it can be read");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.tables.len(), report.rows()), (2, 100));
    let found: Vec<_> = report
        .checkpoints
        .iter()
        .map(|named| (&*named.name, named.tables.len(), named.rows()))
        .collect();
    assert_eq!(found, [("monday", 1, 301), ("friday", 1, 100)]);
    assert_eq!(last.checkpoint.as_deref(), Some("friday"));
    assert_eq!(last.blocks, report.blocks);
    assert!(last.bytes <= last.bytes_total, "{last:?}");
    // Damage of what monday alone reaches, and of what others reach, too.
    let now = Patient::of(&storage);
    let mut own_count = 0;
    let is_list = |kind| matches!(kind, BlockKind::FreeList | BlockKind::CheckpointList);
    for node in monday.nodes.iter().filter(|node| !is_list(node.kind)) {
        let mut damaged = now.clone();
        damaged.bytes[node.range().start + 40] ^= 0x10;
        let report = verified(&damaged.storage());
        let of = |checkpoint: Option<&str>| {
            report.problems.iter().any(|problem| {
                let at = matches!(&problem.error, Error::Corrupt(c) if c.offset == node.address.offset());
                at && problem.checkpoint.as_deref() == checkpoint
            })
        };
        assert!(of(Some("monday")), "{node:?} is not what was found:\n{report}");
        let is_shared = now.nodes.iter().any(|other| other.address == node.address);
        assert_eq!(of(None), is_shared, "{node:?}:\n{report}");
        own_count += u64::from(!is_shared);
    }
    assert!(own_count > 5, "{own_count} blocks that monday alone reaches");
}

#[test]
fn verify_names_a_damaged_list_of_named_checkpoints() {
    let (storage, _) = with_names();
    let now = Patient::of(&storage);
    let list = now.of_kind(BlockKind::CheckpointList)[0];
    let offset = now.nodes[list].address.offset();
    // A byte, and a lie: two of one name.
    let mut damaged = now.clone();
    damaged.bytes[offset as usize + 50] ^= 1;
    let mut lying = now.clone();
    lying.edit(list, |block| assert!(replace(block, b"friday", b"monday")));
    for (patient, what) in [(&damaged, "checksum"), (&lying, "list of named checkpoints")] {
        check_finding(patient, &[offset], what);
        let report = verified(&patient.storage());
        assert_eq!((report.problem_count, report.rows()), (1, 100), "the rest is gone through");
        let opened = open_existing(&patient.storage(), Durability::Checkpoint);
        assert!(
            matches!(opened, Err(Error::Corrupt(_))),
            "a writer keeps what they reach, or nothing"
        );
    }
}
