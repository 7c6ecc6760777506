//! Reading ahead: a walk on a disk that takes its time announces the leaves that it comes to.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;

use crate::harness::{Hook, Hooked, database, read_all, table, value_of};

/// What each read of the data file takes; more than the system's cache would.
const READ_TAKES: Duration = Duration::from_micros(100);
const ROWS: u64 = 3000;

/// What was asked of the data file, in order.
#[derive(Clone, Copy, Debug)]
enum Call {
    Announced { from: u64, to: u64 },
    Read(u64),
}

/// A data file that is slow to read, and notes what it is asked.
#[derive(Debug, Default)]
struct SlowDisk {
    calls: Mutex<Vec<Call>>,
}

impl Hook for SlowDisk {
    fn before_read(&self, offset: u64) {
        thread::sleep(READ_TAKES);
        self.note(Call::Read(offset));
    }
    fn before_will_read(&self, offset: u64, len_bytes: u64) {
        self.note(Call::Announced { from: offset, to: offset + len_bytes });
    }
}

impl SlowDisk {
    fn note(&self, call: Call) {
        self.calls.lock().expect("no thread died").push(call);
    }

    /// What was asked since this was called last.
    fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().expect("no thread died"))
    }
}

/// A database of [`ROWS`] rows, none of them in memory.
fn filled() -> (Hooked<SlowDisk>, Engine) {
    let options =
        DatabaseOptions { cache_bytes_max: 64 << 20, ..database(Durability::Process, false) };
    let storage = Hooked::new(SlowDisk::default());
    let engine = storage.open_engine(&options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..ROWS {
        // In no order, so that neighbours in the tree are none in the file.
        let key = (number * 1_000_003 % ROWS).to_be_bytes();
        session.put(&main, &key, &value_of(200, number)).expect("a put");
    }
    drop((session, main));
    engine.close().expect("a close");
    drop(engine);
    let engine = storage.open_engine(&options);
    (storage, engine)
}

/// How many reads were announced before, and how many were not. Nothing is announced twice, nor for nothing.
fn check_calls(calls: &[Call]) -> (usize, usize) {
    let (mut announced, mut read) = (Vec::new(), BTreeSet::new());
    let (mut foreseen, mut met) = (0, 0);
    for call in calls {
        match *call {
            Call::Announced { from, to } => {
                let twice = announced.iter().any(|(start, end)| from < *end && *start < to);
                assert!(!twice, "{from}..{to} is announced twice");
                announced.push((from, to));
            }
            Call::Read(offset) => {
                read.insert(offset);
                match announced.iter().any(|(from, to)| (*from..*to).contains(&offset)) {
                    true => foreseen += 1,
                    false => met += 1,
                }
            }
        }
    }
    for (from, to) in announced {
        assert!(read.range(from..to).next().is_some(), "{from}..{to} is announced and never read");
    }
    (foreseen, met)
}

fn walk_announces_what_it_reads(backward: bool) {
    let (storage, engine) = filled();
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    session.begin().expect("a begin");
    storage.hook.take_calls();
    assert_eq!(read_all(&mut session, &main, backward).len() as u64, ROWS);
    let (foreseen, met) = check_calls(&storage.hook.take_calls());
    // The parents, the first leaves of the walk and of each parent, and no more.
    assert!(foreseen > 100 && met < foreseen / 4, "{foreseen} announced, {met} not");
    // All is in memory now.
    assert_eq!(read_all(&mut session, &main, backward).len() as u64, ROWS);
    let calls = storage.hook.take_calls();
    assert!(calls.is_empty(), "{calls:?}");
}

#[test]
fn walk_forward_announces_what_it_reads() {
    walk_announces_what_it_reads(false);
}

#[test]
fn walk_backward_announces_what_it_reads() {
    walk_announces_what_it_reads(true);
}

#[test]
fn point_reads_and_short_ranges_announce_next_to_nothing() {
    let (storage, engine) = filled();
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    storage.hook.take_calls();
    let (mut at, mut ranges) = (session.position(), 0);
    for number in (0..ROWS).step_by(97) {
        session.seek(&main, &mut at, &number.to_be_bytes()).expect("a seek");
        for _ in 0..9 {
            session.next(&main, &mut at).expect("a next");
        }
        ranges += 1;
    }
    let calls = storage.hook.take_calls();
    let announced = calls.iter().filter(|call| matches!(call, Call::Announced { .. })).count();
    // A range of ten rows ends on the leaf where it began, or on the next: then two more are announced.
    assert!(announced <= 2 * ranges, "{announced} announced for {ranges} ranges");
    let read = calls.iter().filter(|call| matches!(call, Call::Read(_))).count();
    assert!(announced < read, "{announced} announced, {read} read");
}

#[test]
fn batch_announces_what_it_will_read() {
    let (storage, engine) = filled();
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    let batch: Vec<_> = (0..ROWS).step_by(7).map(|key| (key.to_be_bytes(), Some([1]))).collect();
    let rows = session.rows(&main);
    storage.hook.take_calls();
    session.apply(&main, &batch).expect("it is applied");
    let (foreseen, met) = check_calls(&storage.hook.take_calls());
    // The parents are met, and leaves that keys wanted which came up with the parent still on disk, or alone.
    assert!(foreseen > 100 && met < foreseen / 4, "{foreseen} announced, {met} not");
    session.apply(&main, &batch).expect("it is applied");
    let calls = storage.hook.take_calls();
    assert!(calls.is_empty(), "{calls:?}");
    assert_eq!(session.rows(&main), rows);
}
