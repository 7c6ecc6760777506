//! Crash images hold what a crash may leave: never more, never less.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::Arc;

use proptest::prelude::*;

use crate::io::memory::{
    CallKind, Choice, Fate, Fault, FileNumber, History, MemoryStorage, Sectors, Step, Walk,
};
use crate::io::{File, OpenHow, Storage, SyncPoint};

const NEW: OpenHow = OpenHow::CreateNew { mode: 0o600 };
const POINT: SyncPoint = SyncPoint::CheckpointData;

/// A recording storage in which `spam` holds 2 KiB of ones, durably; and `spam`.
fn setup() -> (MemoryStorage, Arc<dyn File>) {
    let storage = MemoryStorage::new();
    storage.plant("spam", &[1; 2048]);
    storage.record(true);
    let file = storage.open("spam", OpenHow::Existing).unwrap();
    (storage, file)
}

fn write(file: &dyn File, byte: u8, range: std::ops::Range<usize>) {
    let bytes = vec![byte; range.len()];
    file.write_all_at(&[IoSlice::new(&bytes)], range.start as u64).unwrap();
}

/// Every way for a power loss at the end to go, as the content of `spam` in each; the number of
/// pending steps must be small enough to list them all.
fn ways(history: &History) -> BTreeSet<Option<Vec<u8>>> {
    let walk = history.walk_to(usize::MAX);
    assert!(walk.pending() < 10, "too many to list");
    let choices = walk.choices(1 << walk.pending(), 0);
    choices.into_iter().map(|choice| walk.image(choice).peek("spam")).collect()
}

/// Contents made of runs of bytes.
fn runs(runs: &[(u8, usize)]) -> Option<Vec<u8>> {
    Some(runs.iter().flat_map(|&(byte, count)| std::iter::repeat_n(byte, count)).collect())
}

/// The image at the end in which the pending steps have these fates, in their order.
fn with_fates(walk: &Walk<'_>, fates: &[Fate]) -> MemoryStorage {
    assert_eq!(walk.pending(), fates.len());
    walk.power_loss(|pending| fates[pending.index].clone())
}

#[test]
fn unsynced_write_may_vanish_and_synced_never() {
    let (storage, file) = setup();
    write(&*file, 2, 0..512);
    file.sync_data(POINT).unwrap();
    write(&*file, 3, 512..1024);
    let expected = [runs(&[(2, 512), (1, 1536)]), runs(&[(2, 512), (3, 512), (1, 1024)])];
    assert_eq!(ways(&storage.history()), expected.into());
    let before_sync = storage.history().walk_to(1).image(Choice::Nothing);
    assert_eq!(before_sync.peek("spam"), runs(&[(1, 2048)]));
}

#[test]
fn ignored_sync_loses_what_it_covered() {
    let (storage, file) = setup();
    storage.ignore_sync(POINT);
    write(&*file, 2, 0..512);
    file.sync_data(POINT).unwrap();
    assert_eq!(storage.calls_of(CallKind::SyncData), 1);
    assert!(ways(&storage.history()).contains(&runs(&[(1, 2048)])));
    // Another point's sync covers it after all.
    file.sync_data(SyncPoint::Commit).unwrap();
    let history = storage.history();
    assert_eq!(ways(&history), [runs(&[(2, 512), (1, 1536)])].into());
    // The same by hindsight.
    assert_eq!(ways(&history.without_sync(SyncPoint::Commit)).len(), 2);
    assert_eq!(ways(&history.without_sync(SyncPoint::Background)).len(), 1);
}

#[test]
fn torn_write_keeps_any_of_its_sectors() {
    let (storage, file) = setup();
    // Sectors 0 (its end), 1 and 2 (its start).
    write(&*file, 2, 500..1100);
    let history = storage.history();
    let walk = history.walk_to(1);
    let torn = |keep: [bool; 3]| {
        let mut asked = 0;
        let image = walk.power_loss(|pending| {
            asked += 1;
            assert_eq!((pending.sectors, pending.name), (3, Some("spam")));
            Fate::Torn(Sectors::of(3, |index| keep[index]))
        });
        assert_eq!(asked, 1);
        image.peek("spam")
    };
    let whole = runs(&[(1, 500), (2, 600), (1, 948)]);
    assert_eq!(torn([true; 3]), whole);
    assert_eq!(torn([true, false, true]), runs(&[(1, 500), (2, 12), (1, 512), (2, 76), (1, 948)]));
    assert_eq!(torn([false, true, false]), runs(&[(1, 512), (2, 512), (1, 1024)]));
    assert_eq!(torn([false; 3]), runs(&[(1, 2048)]));
}

#[test]
fn copy_into_a_map_outlives_a_kill_but_not_a_power_loss() {
    let (storage, file) = setup();
    let map = file.map(1000, 1000).unwrap();
    drop(file);
    map.copy_at(24, &[2; 512]);
    let history = storage.history();
    let written = runs(&[(1, 1024), (2, 512), (1, 512)]);
    assert!(matches!(history.steps(), [Step::Write { mapped: true, offset: 1024, .. }]));
    assert_eq!(history.killed(1).peek("spam"), written);
    assert_eq!(ways(&history), [runs(&[(1, 2048)]), written].into());
}

#[test]
fn killed_process_leaves_part_of_its_last_write() {
    let (storage, file) = setup();
    write(&*file, 2, 0..100);
    write(&*file, 3, 100..200);
    let history = storage.history();
    let spam = |storage: MemoryStorage| storage.peek("spam");
    assert_eq!(spam(history.killed(1)), runs(&[(2, 100), (1, 1948)]));
    assert_eq!(spam(history.killed_within(2, 7)), runs(&[(2, 100), (3, 7), (1, 1941)]));
    assert_eq!(spam(history.killed_within(2, 0)), spam(history.killed(1)));
    assert_eq!(spam(history.walk_to(2).killed()), spam(history.killed(2)));
}

#[test]
fn file_length_may_be_old_or_new() {
    let (storage, file) = setup();
    file.set_len(512).unwrap();
    assert_eq!(ways(&storage.history()), [runs(&[(1, 2048)]), runs(&[(1, 512)])].into());
    file.set_len(1024).unwrap();
    // Never 1024 bytes of ones: the second step builds on the first.
    let expected = [runs(&[(1, 2048)]), runs(&[(1, 512)]), runs(&[(1, 512), (0, 512)])];
    assert_eq!(ways(&storage.history()), expected.into());
    file.sync_data(POINT).unwrap();
    assert_eq!(ways(&storage.history()), [runs(&[(1, 512), (0, 512)])].into());
}

#[test]
fn write_beyond_the_end_brings_its_length() {
    let (storage, file) = setup();
    file.set_len(4096).unwrap();
    write(&*file, 2, 3072..4096);
    let history = storage.history();
    let walk = history.walk_to(2);
    let spam = |fates: [Fate; 2]| with_fates(&walk, &fates).peek("spam");
    let gap = |two| runs(&[(1, 2048), (0, 1024), (two, 1024)]);
    assert_eq!(spam([Fate::Absent, Fate::Present]), gap(2));
    assert_eq!(spam([Fate::Present, Fate::Absent]), gap(0));
    assert_eq!(spam([Fate::Absent, Fate::LengthOnly]), gap(0));
    assert_eq!(spam([Fate::Absent, Fate::Absent]), runs(&[(1, 2048)]));
    let first = Fate::Torn(Sectors::of(2, |index| index == 0));
    assert_eq!(spam([Fate::Absent, first]), runs(&[(1, 2048), (0, 1024), (2, 512)]));
}

#[test]
fn overlapping_writes_survive_independently_and_in_order() {
    let (storage, file) = setup();
    write(&*file, 2, 0..300);
    write(&*file, 3, 100..200);
    let expected = [
        runs(&[(1, 2048)]),
        runs(&[(2, 300), (1, 1748)]),
        runs(&[(1, 100), (3, 100), (1, 1848)]),
        runs(&[(2, 100), (3, 100), (2, 100), (1, 1748)]),
    ];
    assert_eq!(ways(&storage.history()), expected.into());
}

#[test]
fn names_need_the_folders_sync() {
    let (storage, _file) = setup();
    let new = storage.open("new", NEW).unwrap();
    write(&*new, 7, 0..10);
    new.sync_data(SyncPoint::Create).unwrap();
    storage.rename("new", "spam").unwrap();
    // The old file, or the new one; never neither, never the new one without its content.
    assert_eq!(ways(&storage.history()), [runs(&[(1, 2048)]), runs(&[(7, 10)])].into());
    storage.sync_folder(SyncPoint::Folder).unwrap();
    assert_eq!(ways(&storage.history()), [runs(&[(7, 10)])].into());
    assert_eq!(ways(&storage.history().without_sync(SyncPoint::Folder)).len(), 2);
    storage.remove("spam").unwrap();
    assert_eq!(ways(&storage.history()), [None, runs(&[(7, 10)])].into());
}

#[test]
fn rename_of_an_unsynced_file_may_leave_it_empty() {
    let (storage, _file) = setup();
    let new = storage.open("new", NEW).unwrap();
    write(&*new, 7, 0..10);
    storage.rename("new", "spam").unwrap();
    storage.sync_folder(SyncPoint::Folder).unwrap();
    assert_eq!(ways(&storage.history()), [runs(&[]), runs(&[(7, 10)])].into());
}

#[test]
fn steps_of_one_name_happen_in_order_and_others_on_their_own() {
    let (storage, _file) = setup();
    storage.open("a", NEW).unwrap();
    storage.open("b", NEW).unwrap();
    storage.rename("a", "c").unwrap();
    let history = storage.history();
    let walk = history.walk_to(usize::MAX);
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    for choice in walk.choices(8, 0) {
        let names = walk.image(choice).names();
        seen.insert(names.into_iter().filter(|name| name != "spam").collect());
    }
    let expected = [&[][..], &["a"], &["b"], &["c"], &["a", "b"], &["b", "c"]];
    let owned = expected.map(|names| names.iter().map(|name| name.to_string()).collect());
    assert_eq!(seen, owned.into());
}

#[test]
fn rename_onto_a_name_comes_before_the_rename_from_it() {
    let (storage, _file) = setup();
    storage.plant("b", &[2; 3]);
    storage.record(true);
    storage.rename("spam", "b").unwrap();
    storage.rename("b", "c").unwrap();
    let history = storage.history();
    let walk = history.walk_to(2);
    let mut seen = BTreeSet::new();
    for choice in walk.choices(4, 0) {
        let image = walk.image(choice);
        let lens = image.names().into_iter().map(|name| (image.peek(&name).unwrap().len(), name));
        seen.insert(lens.map(|(len, name)| format!("{name}={len}")).collect::<Vec<_>>().join(" "));
    }
    // Never `c=3`: what was under `b` before was replaced, not renamed.
    assert_eq!(seen, ["b=3 spam=2048", "b=2048", "c=2048"].map(String::from).into());
}

#[test]
fn failed_sync_is_not_made_good_by_a_later_one() {
    let (storage, file) = setup();
    write(&*file, 2, 0..1024);
    storage.fail_nth_of(&[CallKind::SyncData], 1, Fault::Eio, false);
    assert!(file.sync_data(POINT).is_err());
    write(&*file, 3, 512..600);
    file.sync_data(POINT).unwrap();
    // The later write is durable. The lost one shows whole, in part or not at all, but not over
    // the sector that was written anew.
    let newer = |lost| runs(&[(lost, 512), (3, 88), (1, 2048 - 600)]);
    assert_eq!(ways(&storage.history()), [newer(1), newer(2)].into());
    let mut bytes = [0; 1];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [2], "as long as the machine runs, the write shows");
    write(&*file, 2, 0..512);
    file.sync_data(POINT).unwrap();
    assert_eq!(ways(&storage.history()), [newer(2)].into());
}

#[test]
fn lost_length_never_cuts_what_is_durable() {
    let (storage, file) = setup();
    file.set_len(10).unwrap();
    storage.fail_nth_of(&[CallKind::SyncData], 1, Fault::Eio, false);
    assert!(file.sync_data(POINT).is_err());
    assert_eq!(ways(&storage.history()), [runs(&[(1, 10)]), runs(&[(1, 2048)])].into());
    write(&*file, 4, 0..100);
    file.sync_data(POINT).unwrap();
    for way in ways(&storage.history()) {
        assert_eq!(way.unwrap()[..100], [4; 100]);
    }
}

#[test]
fn failed_folder_sync_is_not_made_good_by_a_later_one() {
    let (storage, _file) = setup();
    storage.rename("spam", "eggs").unwrap();
    storage.fail_nth(1, Fault::Eio, false);
    assert!(storage.sync_folder(SyncPoint::Folder).is_err());
    storage.open("other", NEW).unwrap();
    storage.sync_folder(SyncPoint::Folder).unwrap();
    assert_eq!(ways(&storage.history()), [None, runs(&[(1, 2048)])].into());
    let history = storage.history();
    assert!(history.walk_to(9).image(Choice::Nothing).names().contains(&"other".into()));
}

#[test]
fn short_write_leaves_its_first_half() {
    let (storage, file) = setup();
    storage.fail_nth(1, Fault::ShortWrite, false);
    let parts = [IoSlice::new(&[2; 100]), IoSlice::new(&[3; 100])];
    assert!(file.write_all_at(&parts, 0).is_err());
    assert_eq!(storage.peek("spam"), runs(&[(2, 100), (1, 1948)]));
    storage.fail_nth(1, Fault::ShortRead, true);
    let error = file.read_exact_at(&mut [0; 10], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn images_hold_no_lock_and_are_independent() {
    let (storage, file) = setup();
    assert!(file.try_lock(crate::io::LockKind::Exclusive).unwrap());
    let history = storage.history();
    let walk = history.walk();
    let (one, two) = (walk.image(Choice::Everything), walk.image(Choice::Everything));
    let opened = one.open("spam", OpenHow::Existing).unwrap();
    assert!(opened.try_lock(crate::io::LockKind::Exclusive).unwrap());
    write(&*opened, 9, 0..2048);
    assert_eq!(two.peek("spam"), runs(&[(1, 2048)]));
    assert_ne!(
        opened.identity().unwrap(),
        two.open("spam", OpenHow::ReadOnly).unwrap().identity().unwrap()
    );
}

#[test]
fn history_without_recording_is_empty_and_recording_starts_anew() {
    let (storage, file) = setup();
    write(&*file, 2, 0..10);
    storage.record(false);
    write(&*file, 3, 0..10);
    assert_eq!(storage.history().len(), 1);
    storage.record(true);
    assert!(storage.history().is_empty());
    assert_eq!(storage.history().killed(0).peek("spam"), runs(&[(3, 10), (1, 2038)]));
}

/// One call on one of two files.
#[derive(Clone, Debug)]
enum Call {
    Write(usize, u64, usize),
    SetLen(usize, u64),
    Sync(usize),
    Swap,
    SyncFolder,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        6 => (0..2_usize, 0..3000_u64, 1..1500_usize).prop_map(|(f, at, n)| Call::Write(f, at, n)),
        1 => (0..2_usize, 0..4000_u64).prop_map(|(f, len)| Call::SetLen(f, len)),
        2 => (0..2_usize).prop_map(Call::Sync),
        1 => Just(Call::Swap),
        1 => Just(Call::SyncFolder),
    ];
    prop::collection::vec(call, 1..25)
}

/// Makes the calls, each write with bytes of its own.
fn run(calls: &[Call]) -> History {
    let storage = MemoryStorage::new();
    storage.plant("a", &[1; 2000]);
    storage.plant("b", &[2; 700]);
    storage.record(true);
    let files = ["a", "b"].map(|name| storage.open(name, OpenHow::Existing).unwrap());
    for (nth, call) in calls.iter().enumerate() {
        match call {
            Call::Write(f, at, n) => {
                write(&*files[*f], nth as u8 + 10, *at as usize..*at as usize + n);
            }
            Call::SetLen(f, len) => files[*f].set_len(*len).unwrap(),
            Call::Sync(f) => files[*f].sync_data(POINT).unwrap(),
            Call::Swap => {
                storage.rename("a", "c").unwrap();
                storage.rename("b", "a").unwrap();
                storage.rename("c", "b").unwrap();
            }
            Call::SyncFolder => storage.sync_folder(SyncPoint::Folder).unwrap(),
        }
    }
    storage.history()
}

/// No file of these runs is longer.
const LEN_MAX: usize = 4600;

/// What each byte of a file may be after a power loss, and the least length that it may have.
struct Allowed {
    bytes: Vec<BTreeSet<u8>>,
    len: usize,
}

/// Worked out byte by byte without any of the code under test: what was there at the last sync,
/// or any later write, or zero where a cut or a gap may show.
fn allowed(history: &History, file: usize) -> Allowed {
    let mut len = [2000, 700][file];
    let mut live = vec![file as u8 + 1; len];
    live.resize(LEN_MAX, 0);
    let certain = |live: &[u8]| live.iter().map(|&byte| [byte].into()).collect::<Vec<_>>();
    let mut allowed = Allowed { bytes: certain(&live), len };
    let number = FileNumber(file as u64 + 1);
    for step in history.steps().iter().filter(|step| step.file() == Some(number)) {
        match step {
            Step::Write { offset, bytes, .. } => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                live[start..end].copy_from_slice(bytes);
                len = len.max(end);
            }
            Step::SetLen { len_bytes, .. } => {
                len = *len_bytes as usize;
                live[len..].fill(0);
            }
            Step::SyncData { .. } => allowed = Allowed { bytes: certain(&live), len },
            _ => {}
        }
        allowed.len = allowed.len.min(len);
        for (may, &byte) in allowed.bytes.iter_mut().zip(&live) {
            may.insert(byte);
        }
    }
    allowed
}

/// How often the two names had been swapped at the folder's last sync.
fn durable_swaps(history: &History) -> usize {
    let (mut renames, mut durable) = (0, 0);
    for step in history.steps() {
        match step {
            Step::Rename { .. } => renames += 1,
            Step::SyncFolder { .. } => durable = renames,
            _ => {}
        }
    }
    durable / 3
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// With every pending step there, a power loss is a kill; in any case each byte comes from
    /// the last sync or a later write.
    #[test]
    fn images_hold_only_what_was_written(calls in calls(), seed in any::<u64>()) {
        let history = run(&calls);
        let mut walk = history.walk();
        loop {
            let (all, killed) = (walk.image(Choice::Everything), walk.killed());
            prop_assert_eq!(all.names(), killed.names());
            for name in all.names() {
                prop_assert_eq!(all.peek(&name), killed.peek(&name));
            }
            if walk.advance().is_none() {
                break;
            }
        }
        // The names stay as the folder's last sync left them, so that we know whose bytes to
        // expect.
        let swaps = durable_swaps(&history);
        let allowed = [0, 1].map(|file| allowed(&history, file));
        for choice in walk.choices(40, seed) {
            let image = walk.power_loss(|pending| match pending.step {
                Step::Rename { .. } => Fate::Absent,
                _ => choice.fate(pending),
            });
            for (name, file) in [("a", swaps % 2), ("b", 1 - swaps % 2)] {
                let (bytes, allowed) = (image.peek(name).unwrap(), &allowed[file]);
                prop_assert!(bytes.len() >= allowed.len, "{} is too short in {:?}", name, choice);
                for (at, byte) in bytes.iter().enumerate() {
                    prop_assert!(
                        allowed.bytes[at].contains(byte),
                        "byte {} of {} is {} in {:?}", at, name, byte, choice
                    );
                }
            }
        }
    }
}
