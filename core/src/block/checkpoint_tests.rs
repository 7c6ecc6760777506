//! Checkpoints: what they release and when, across crashes, faults and reopening.
//!
//! The catalog's root of these tests is a block that lists the addresses of all others, so that
//! what a reopened file holds can be compared with what its generation held.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::base::codec::Reader;
use crate::base::ids::TableId;
use crate::base::options::Compression;
use crate::block::testing::{Step, TestStorage, new_database, reopen};
use crate::block::{Address, BLOCK_HEADER_BYTES, BlockKind, Extent, Grain, NewBlock};

/// A database whose live blocks are listed in its root.
struct World {
    storage: Arc<TestStorage>,
    blocks: Arc<Blocks>,
    live: Vec<Address>,
    root: Option<Address>,
    /// Makes every payload another one.
    written: u64,
    /// The live blocks of each generation, and how many steps had been taken when it was whole.
    history: BTreeMap<u64, (Vec<Address>, usize)>,
}

impl World {
    fn new() -> Self {
        let (storage, blocks) = new_database();
        let history = BTreeMap::from([(1, (Vec::new(), 0))]);
        let (live, root) = (Vec::new(), None);
        Self { storage, blocks: Arc::new(blocks), live, root, written: 0, history }
    }

    fn payload(&mut self, len_bytes: usize) -> Vec<u8> {
        self.written += 1;
        self.written.to_le_bytes().iter().copied().cycle().take(len_bytes).collect()
    }

    fn write(&mut self, lens_bytes: &[usize]) -> Result<()> {
        let payloads: Vec<_> = lens_bytes.iter().map(|&len| self.payload(len)).collect();
        self.live.extend(self.blocks.write(&leaves(&payloads))?);
        Ok(())
    }

    fn free(&mut self, which: usize) {
        if !self.live.is_empty() {
            let address = self.live.swap_remove(which % self.live.len());
            self.blocks.free(&address).unwrap();
        }
    }

    /// A whole checkpoint; on failure the old root stays.
    fn checkpoint(&mut self) -> Result<()> {
        self.blocks.begin_checkpoint()?;
        let mut list = Vec::new();
        self.live.iter().for_each(|address| address.encode(&mut list));
        let root = self.blocks.write(&leaves(&[list]))?[0];
        let info = CheckpointRoot {
            catalog_root: Some(root),
            catalog_rows: self.live.len() as u64,
            ..Default::default()
        };
        match self.blocks.finish_checkpoint(info) {
            Ok(superblock) => {
                let steps = self.storage.steps().len();
                self.history.insert(superblock.generation.0, (self.live.clone(), steps));
                if let Some(old) = self.root.replace(root) {
                    self.blocks.free(&old).unwrap();
                }
                Ok(())
            }
            Err(error) => {
                self.blocks.free(&root).unwrap();
                Err(error)
            }
        }
    }

    /// Everything in use is known, and reads.
    fn check(&self) {
        let audit = check_content(&self.blocks, &self.live, self.root);
        assert_eq!(audit, 0, "bytes that nobody knows");
    }
}

/// Of a table that asks for compression where they are small: then they take units, the others frames.
fn leaves(payloads: &[Vec<u8>]) -> Vec<NewBlock<'_>> {
    fn leaf(payload: &[u8]) -> NewBlock<'_> {
        let compression =
            if payload.len() <= 480 { Compression::Snappy } else { Compression::None };
        NewBlock::new(BlockKind::Leaf, TableId(1), compression, payload)
    }
    payloads.iter().map(|payload| leaf(payload)).collect()
}

/// Reads every block and returns how many bytes are in use and not reached.
fn check_content(blocks: &Blocks, live: &[Address], root: Option<Address>) -> u64 {
    for address in live.iter().chain(&root) {
        blocks.read(address, BlockKind::Leaf).unwrap();
    }
    let unreached = blocks.audit(live.iter().copied().chain(root)).unwrap();
    unreached.iter().map(|extent| extent.len).sum()
}

/// The addresses that the root of an opened file lists.
fn listed(blocks: &Blocks) -> (Vec<Address>, Option<Address>) {
    let superblock = blocks.superblock();
    let Some(root) = superblock.root.catalog_root else { return (Vec::new(), None) };
    let block = blocks.read(&root, BlockKind::Leaf).unwrap();
    let mut reader = Reader::new(&block[BLOCK_HEADER_BYTES..]);
    let live: Vec<_> =
        (0..superblock.root.catalog_rows).map(|_| Address::decode(&mut reader).unwrap()).collect();
    (live, Some(root))
}

/// Three checkpoints with writes and frees between them, small enough for every crash point.
fn busy_world() -> World {
    let mut world = World::new();
    world.write(&[100, 2000, 700, 700, 9000]).unwrap();
    world.checkpoint().unwrap();
    for round in 0..4 {
        world.free(round);
        world.free(round * 3);
        world.write(&[500 * (round + 1), 40]).unwrap();
        world.checkpoint().unwrap();
        world.check();
        world.write(&[3000]).unwrap();
    }
    world
}

#[test]
fn checkpoint_syncs_data_then_one_slot_then_its_twin() {
    let mut world = World::new();
    world.write(&[100]).unwrap();
    world.checkpoint().unwrap();
    let slot = |step: &Step| matches!(step, Step::Write { offset, .. } if *offset < 12288);
    let kinds: Vec<_> = world
        .storage
        .steps()
        .iter()
        .map(|step| if slot(step) { "slot".to_owned() } else { step.kind() })
        .collect();
    let end =
        ["sync CheckpointData", "slot", "sync SuperblockFirst", "slot", "sync SuperblockSecond"];
    assert!(kinds.ends_with(&end.map(str::to_owned)), "{kinds:?}");
    let content = world.storage.content("spam");
    assert_eq!(content[4096..4608], content[8192..8704]);
}

#[test]
fn freed_space_is_not_reused_before_both_slots_are_durable() {
    let mut world = World::new();
    world.write(&[4000; 4]).unwrap();
    world.checkpoint().unwrap();
    let freed: Vec<Extent> = world.live.iter().map(Address::extent).collect();
    (0..4).for_each(|_| world.free(0));
    // A writer that runs into every step of the checkpoint, right before it happens.
    let intruder = Arc::clone(&world.blocks);
    let written = Arc::new(Mutex::new(Vec::new()));
    let busy = Mutex::new(());
    let (log, payloads) = (Arc::clone(&written), [vec![0xab; 4000]]);
    world.storage.set_hook(Some(Arc::new(move |step: &Step| {
        let Ok(_once) = busy.try_lock() else { return };
        if let Step::Sync(_) | Step::Write { .. } = step {
            let address = intruder.write(&leaves(&payloads)).unwrap()[0];
            log.lock().unwrap().push((step.kind(), address));
        }
    })));
    world.checkpoint().unwrap();
    world.storage.set_hook(None);
    let written = std::mem::take(&mut *written.lock().unwrap());
    assert!(written.iter().any(|(kind, _)| kind == "sync SuperblockSecond"));
    let reuses = |address: &Address| {
        freed
            .iter()
            .any(|freed| freed.offset < address.extent().end() && address.offset() < freed.end())
    };
    for (kind, address) in &written {
        assert!(!reuses(address), "reused before: {kind}");
        world.live.push(*address);
    }
    world.check();
    let after = world.blocks.write(&leaves(&[vec![1; 4000]])).unwrap()[0];
    assert!(reuses(&after), "and reused after");
}

#[test]
fn space_that_another_process_reads_is_kept_until_it_moves_on() {
    let mut world = World::new();
    world.write(&[4000; 8]).unwrap();
    world.checkpoint().unwrap();
    let read = world.live.clone();
    let pinned = world.blocks.superblock().generation;
    let overlaps = |address: &Address| {
        let extent = address.extent();
        read.iter()
            .map(Address::extent)
            .any(|read| read.offset < extent.end() && extent.offset < read.end())
    };
    world.storage.set_reader(Some(pinned));
    (0..8).for_each(|_| world.free(0));
    for reopen_now in [false, true, true] {
        world.checkpoint().unwrap();
        world.checkpoint().unwrap();
        world.blocks.trim();
        if reopen_now {
            // The writer goes, and another one comes; the reader stays.
            world.blocks = Arc::new(reopen(&world.storage).unwrap());
        }
        world.write(&[1000; 20]).unwrap();
        assert!(!world.live.iter().any(overlaps));
        for address in &read {
            world.blocks.read(address, BlockKind::Leaf).unwrap();
        }
    }
    world.storage.set_reader(None);
    world.checkpoint().unwrap();
    let state = world.blocks.state.lock();
    let is_available =
        |address: &Address| state.allocator.available().overlap(address.extent()).is_some();
    assert!(read.iter().all(is_available), "released at last");
}

#[test]
fn space_behind_the_end_that_another_process_reads_is_kept_by_the_next_writer() {
    let mut world = World::new();
    world.write(&[60_000]).unwrap();
    world.write(&[4000; 8]).unwrap();
    let read = world.live.split_off(1);
    world.free(0);
    world.checkpoint().unwrap();
    world.checkpoint().unwrap();
    world.storage.set_reader(Some(world.blocks.superblock().generation));
    for address in &read {
        world.blocks.free(address).unwrap();
    }
    // These go into the hole at the front, so that the allocated part ends before what is read.
    for _ in 0..3 {
        world.checkpoint().unwrap();
    }
    assert!(world.blocks.superblock().end <= read[0].offset(), "the scene is set");
    world.blocks = Arc::new(reopen(&world.storage).unwrap());
    world.write(&[4000; 30]).unwrap();
    for address in &read {
        world.blocks.read(address, BlockKind::Leaf).unwrap();
    }
}

#[test]
fn frees_during_a_checkpoint_wait_for_the_next_unless_they_are_its_own() {
    let mut world = World::new();
    world.write(&[1000, 2000, 4000]).unwrap();
    world.checkpoint().unwrap();
    let [early, own, late] = world.live[..] else { panic!() };
    let is_free = |address: &Address| {
        let mut state = world.blocks.state.lock();
        let taken = state.allocator.claim(address.extent()).unwrap() > 0;
        if taken {
            state.allocator.give_back(&[address.extent()]);
        }
        taken
    };
    world.blocks.free(&early).unwrap();
    world.blocks.begin_checkpoint().unwrap();
    world.blocks.free_in_checkpoint(&own).unwrap();
    world.blocks.free(&late).unwrap();
    world.blocks.finish_checkpoint(CheckpointRoot::default()).unwrap();
    assert_eq!([&early, &own, &late].map(is_free), [true, true, false]);
    world.blocks.begin_checkpoint().unwrap();
    world.blocks.finish_checkpoint(CheckpointRoot::default()).unwrap();
    let space = world.blocks.space_use();
    assert_eq!(space.pending_bytes, 0);
}

#[test]
fn reopen_after_checkpoint_gives_the_same_free_space() {
    let mut world = busy_world();
    world.checkpoint().unwrap();
    // The root of the checkpoint before is freed after this one, and waits for the next.
    world.blocks.begin_checkpoint().unwrap();
    let info = world.blocks.superblock().root;
    world.blocks.finish_checkpoint(info).unwrap();
    let reopened = reopen(&world.storage).unwrap();
    let extents = |blocks: &Blocks| -> Vec<Extent> {
        blocks.state.lock().allocator.available().iter().collect()
    };
    assert!(!extents(&reopened).is_empty());
    assert_eq!(extents(&reopened), extents(&world.blocks));
    let (was, is) = (world.blocks.space_use(), reopened.space_use());
    assert_eq!((is.used_bytes, is.end), (was.used_bytes, was.end));
    assert_eq!(check_content(&reopened, &world.live, world.root), 0);
}

#[test]
fn free_list_of_many_blocks_survives_reopening() {
    let mut world = World::new();
    world.write(&vec![100; 50_000]).unwrap();
    world.checkpoint().unwrap();
    let (kept, freed): (Vec<_>, Vec<_>) =
        world.live.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    freed.iter().for_each(|(_, address)| world.blocks.free(address).unwrap());
    world.live = kept.iter().map(|(_, address)| **address).collect();
    world.checkpoint().unwrap();
    assert!(world.blocks.state.lock().allocator.list_blocks().bytes() > 100 << 10);
    let reopened = reopen(&world.storage).unwrap();
    assert!(reopened.space_use().available_bytes >= 25_000 * 512);
    let (live, root) = listed(&reopened);
    assert_eq!(live, world.live);
    // Only the root of the checkpoint before, which was freed after this one, is left over.
    let unreached = check_content(&reopened, &live, root);
    assert!(unreached > 0 && unreached < 1 << 20);
}

#[test]
fn file_shrinks_when_its_tail_is_free() {
    let mut world = World::new();
    world.write(&[1 << 20; 40]).unwrap();
    world.checkpoint().unwrap();
    let full_bytes = world.blocks.file_bytes();
    while world.live.len() > 1 {
        world.free(1);
    }
    for _ in 0..3 {
        world.checkpoint().unwrap();
    }
    assert!(full_bytes > 40 << 20);
    assert!(world.blocks.file_bytes() < 3 << 20);
    world.blocks.trim();
    assert_eq!(world.blocks.file_bytes(), world.blocks.space_use().end);
    assert_eq!(world.storage.content("spam").len() as u64, world.blocks.file_bytes());
    world.check();
    assert!(reopen(&world.storage).is_ok());
}

#[test]
fn write_below_moves_the_tail_forward_or_says_no() {
    let mut world = World::new();
    world.write(&[4000, 4000, 4000, 100]).unwrap();
    let first = world.live[0];
    world.free(0);
    world.checkpoint().unwrap();
    let tail = world.live.iter().copied().max_by_key(Address::offset).unwrap();
    let payload = [world.payload(3000)];
    assert_eq!(world.blocks.write_below(&leaves(&payload), first.offset()).unwrap(), None);
    let moved = world.blocks.write_below(&leaves(&payload), tail.offset()).unwrap().unwrap()[0];
    assert_eq!(moved.offset(), first.offset());
    world.live.push(moved);
    world.check();
}

#[test]
fn claim_takes_what_the_log_names_out_of_the_free_space() {
    let mut world = World::new();
    world.write(&[100, 5000, 300]).unwrap();
    world.free(1);
    world.checkpoint().unwrap();
    world.checkpoint().unwrap();
    // Written after the checkpoint: one in the free extent, one behind the end.
    let after =
        world.blocks.write(&leaves(&[vec![1; 3000], vec![2; 9000], vec![3; 1 << 20]])).unwrap();
    let reopened = reopen(&world.storage).unwrap();
    for address in &after {
        let claimed = reopened.claim(address).unwrap();
        assert_eq!(claimed, address.extent().len);
        assert_eq!(reopened.claim(address).unwrap(), 0, "a second time is a no-op");
    }
    let reached = after.iter().chain(&world.live).chain(&world.root).copied();
    reopened.audit(reached.clone()).unwrap();
    let new = reopened.write(&leaves(&[vec![4; 100], vec![5; 5000]])).unwrap();
    reopened.audit(reached.chain(new)).unwrap();
    let beyond = Address::new(Grain::Unit, 1 << 30, 100, 0).unwrap();
    assert!(matches!(reopened.claim(&beyond), Err(Error::Corrupt(_))));
}

#[test]
fn checkpoint_after_a_failed_one_spares_the_newest_slot() {
    let first_slots = |steps: &[Step]| -> Vec<u64> {
        let offset = |step: &Step| match step {
            Step::Write { offset, .. } if *offset < 12288 => Some(*offset),
            _ => None,
        };
        steps.iter().filter_map(offset).collect()
    };
    // There is nothing to write but the slots: sync, slot, sync, twin, sync.
    for (fails, expected) in [(1, [4096, 8192]), (3, [8192, 4096])] {
        let (storage, blocks) = new_database();
        blocks.begin_checkpoint().unwrap();
        storage.fail_at(fails, ErrorKind::Other);
        blocks.newest.lock().slot = Slot::B;
        assert!(blocks.finish_checkpoint(CheckpointRoot::default()).is_err());
        let before = storage.steps().len();
        blocks.begin_checkpoint().unwrap();
        blocks.finish_checkpoint(CheckpointRoot::default()).unwrap();
        assert_eq!(first_slots(&storage.steps()[before..]), expected, "fault at {fails}");
    }
}

#[test]
fn root_that_is_free_is_never_written_into_a_superblock() {
    let mut world = World::new();
    world.write(&[100, 100]).unwrap();
    let root = world.live[0];
    world.free(0);
    world.blocks.begin_checkpoint().unwrap();
    let info = CheckpointRoot { catalog_root: Some(root), ..Default::default() };
    let before = world.storage.content("spam")[..12288].to_vec();
    assert!(matches!(world.blocks.finish_checkpoint(info), Err(Error::Corrupt(_))));
    assert_eq!(world.storage.content("spam")[..12288], before);
    world.checkpoint().unwrap();
}

#[test]
fn damage_at_every_byte_of_either_slot_opens_the_same_checkpoint() {
    let world = busy_world();
    let expected = world.blocks.superblock();
    let content = world.storage.content("spam");
    for slot in [4096, 8192] {
        for at in 0..512 {
            let damaged = TestStorage::default();
            damaged.put("spam", &content);
            damaged.flip("spam", slot + at, 0x10);
            let blocks = reopen(&damaged).unwrap();
            assert_eq!(blocks.superblock(), expected);
            let repaired = damaged.content("spam");
            assert!(repaired[..12288] == content[..12288], "slot {slot} byte {at}");
            let syncs = damaged
                .steps()
                .iter()
                .filter(|step| **step == Step::Sync(SyncPoint::SuperblockRepair))
                .count();
            assert_eq!(syncs, 2, "before the repair and after it");
        }
    }
}

/// Opens `content` and compares it with the history.
fn check_crashed(world: &World, content: &[u8], at_least: u64, what: &str) {
    let storage = TestStorage::default();
    storage.put("spam", content);
    let blocks = reopen(&storage).unwrap_or_else(|error| panic!("{what}: {error}"));
    let generation = blocks.superblock().generation.0;
    assert!(generation >= at_least, "{what}: {generation}, not {at_least}");
    let (live, root) = listed(&blocks);
    assert_eq!(live, world.history[&generation].0, "{what}");
    check_content(&blocks, &live, root);
    // And it goes on: write over everything that is free, checkpoint, and look again.
    let mut payloads = Vec::new();
    let available_bytes = blocks.space_use().available_bytes;
    payloads.resize(available_bytes as usize / 512, vec![0xcd; 400]);
    let new = blocks.write(&leaves(&payloads)).unwrap();
    let all: Vec<_> = live.iter().chain(&new).copied().collect();
    check_content(&blocks, &all, root);
    let info = blocks.superblock().root;
    blocks.begin_checkpoint().unwrap();
    blocks.finish_checkpoint(info).unwrap();
    check_content(&blocks, &all, root);
}

/// What a crash after `steps` can leave: everything synced, and of the rest what `keeps` says.
fn crashed(base: &[u8], steps: &[Step], keeps: impl Fn(usize) -> Keep) -> Vec<u8> {
    let synced = steps.iter().rposition(|step| matches!(step, Step::Sync(_))).unwrap_or(0);
    let mut content = base.to_vec();
    for (at, step) in steps.iter().enumerate() {
        match (if at < synced { Keep::All } else { keeps(at - synced) }, step) {
            (Keep::Nothing, _) => {}
            (Keep::Half, Step::Write { offset, bytes }) => {
                let bytes = bytes[..bytes.len() / 2].to_vec();
                Step::Write { offset: *offset, bytes }.apply(&mut content);
            }
            (Keep::Garbage, Step::Write { offset, bytes }) => {
                let bytes = bytes.iter().map(|byte| byte ^ 0x5a).collect();
                Step::Write { offset: *offset, bytes }.apply(&mut content);
            }
            _ => step.apply(&mut content),
        }
    }
    content
}

/// What becomes of a step that was not synced.
#[derive(Clone, Copy, Debug)]
enum Keep {
    All,
    Nothing,
    Half,
    Garbage,
}

#[test]
fn crash_at_every_step_opens_a_whole_checkpoint() {
    let world = busy_world();
    let base = new_base(&world);
    let steps = world.storage.steps();
    for crash in 0..=steps.len() {
        let finished = world.history.iter().filter(|(_, (_, whole))| *whole <= crash);
        let at_least = *finished.map(|(generation, _)| generation).max().unwrap();
        for keep in [Keep::All, Keep::Nothing, Keep::Half, Keep::Garbage] {
            let what = format!("crash at step {crash}, {keep:?} of what was not synced");
            let content = crashed(&base, &steps[..crash], |_| keep);
            check_crashed(&world, &content, at_least, &what);
        }
    }
}

/// The file as it was created, before any noted step.
fn new_base(world: &World) -> Vec<u8> {
    let (storage, _) = new_database();
    let mut base = storage.content("spam");
    // The same database, with the identity of the world's.
    base[..512].copy_from_slice(&world.storage.content("spam")[..512]);
    let superblock = Superblock {
        names: None,
        id: world.blocks.id(),
        generation: Generation(1),
        end: 12288,
        free_list: None,
        root: CheckpointRoot::default(),
    };
    for slot in [4096, 8192] {
        base[slot..slot + 512].copy_from_slice(&superblock.encode());
    }
    base
}

#[test]
fn fault_at_every_step_loses_nothing_and_the_next_checkpoint_goes_on() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for fault in 0.. {
            let mut world = World::new();
            world.storage.fail_at(fault, kind);
            let mut failed = false;
            for round in 0..4 {
                failed |= world.write(&[700, 4000, 20]).is_err();
                world.free(round);
                failed |= world.checkpoint().is_err();
                let audit = check_content(&world.blocks, &world.live, world.root);
                // A failed superblock keeps its free list's blocks in use.
                assert!(audit <= 1024, "{kind:?} at {fault}: {audit}");
            }
            let past_the_end = world.storage.forget_failure();
            world.checkpoint().unwrap();
            let blocks = reopen(&world.storage).unwrap();
            let (live, root) = listed(&blocks);
            assert_eq!(live, world.live, "{kind:?} at {fault}");
            check_content(&blocks, &live, root);
            if past_the_end {
                assert!(fault > 20 && !failed);
                break;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(Vec<usize>),
    Free(usize),
    Checkpoint,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..6000, 1..6).prop_map(Op::Write),
        6 => any::<usize>().prop_map(Op::Free),
        2 => Just(Op::Checkpoint),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn content_and_space_agree_through_any_history(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in ops {
            match op {
                Op::Write(lens_bytes) => world.write(&lens_bytes).unwrap(),
                Op::Free(which) => world.free(which),
                Op::Checkpoint => world.checkpoint().unwrap(),
                Op::Reopen => {
                    // Like a crash: back to the last checkpoint.
                    let blocks = reopen(&world.storage).unwrap();
                    (world.live, world.root) = listed(&blocks);
                    let reached = world.live.iter().chain(&world.root).copied();
                    let unreached = blocks.audit(reached).unwrap();
                    blocks.free_unreached(&unreached).unwrap();
                    world.blocks = Arc::new(blocks);
                }
            }
            world.check();
        }
    }

    #[test]
    fn crash_with_any_mix_of_unsynced_steps_opens_a_whole_checkpoint(
        ops in prop::collection::vec(op(), 10..40),
        cut in any::<prop::sample::Index>(),
        keeps in prop::collection::vec(0_u8..4, 64),
    ) {
        let mut world = World::new();
        for op in ops {
            match op {
                Op::Write(lens_bytes) => world.write(&lens_bytes).unwrap(),
                Op::Free(which) => world.free(which),
                Op::Checkpoint | Op::Reopen => world.checkpoint().unwrap(),
            }
        }
        let base = new_base(&world);
        let steps = world.storage.steps();
        let crash = cut.index(steps.len() + 1);
        let finished = world.history.iter().filter(|(_, (_, whole))| *whole <= crash);
        let at_least = *finished.map(|(generation, _)| generation).max().unwrap();
        let content = crashed(&base, &steps[..crash], |at| {
            [Keep::All, Keep::Nothing, Keep::Half, Keep::Garbage][keeps[at % 64] as usize]
        });
        check_crashed(&world, &content, at_least, "mixed");
    }
}
