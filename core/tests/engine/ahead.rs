//! Reading ahead: a walk on a disk that takes its time announces the leaves that it comes to.

use std::collections::BTreeSet;
use std::io::{IoSlice, Result};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};

use crate::harness::{NAME, database, read_all, table, value_of};

/// What each read of the data file takes; more than the system's cache would.
const READ_TAKES: Duration = Duration::from_micros(100);
const ROWS: u64 = 3000;

/// What was asked of the data file, in order.
#[derive(Clone, Copy, Debug)]
enum Call {
    Announced { from: u64, to: u64 },
    Read(u64),
}

/// A storage in memory whose data file is slow to read, and notes what it is asked.
#[derive(Clone, Debug)]
struct SlowDisk {
    inside: MemoryStorage,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Debug)]
struct SlowFile {
    inside: Arc<dyn File>,
    calls: Arc<Mutex<Vec<Call>>>,
    is_data: bool,
}

impl SlowFile {
    fn note(&self, call: Call) {
        self.calls.lock().expect("no thread died").push(call);
    }
}

impl Storage for SlowDisk {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let inside = self.inside.open(name, how)?;
        let calls = Arc::clone(&self.calls);
        Ok(Arc::new(SlowFile { inside, calls, is_data: !name.contains("-wal") }))
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inside.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inside.remove(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.inside.list(prefix)
    }
    fn sync_folder(&self, point: SyncPoint) -> Result<()> {
        self.inside.sync_folder(point)
    }
    fn display(&self, name: &str) -> String {
        self.inside.display(name)
    }
}

impl File for SlowFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.is_data {
            thread::sleep(READ_TAKES);
            self.note(Call::Read(offset));
        }
        self.inside.read_exact_at(buffer, offset)
    }
    fn will_read(&self, offset: u64, len_bytes: u64) {
        self.note(Call::Announced { from: offset, to: offset + len_bytes });
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.inside.write_all_at(parts, offset)
    }
    fn len(&self) -> Result<u64> {
        self.inside.len()
    }
    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.inside.set_len(len_bytes)
    }
    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        self.inside.allocate(offset, len_bytes)
    }
    fn sync_data(&self, point: SyncPoint) -> Result<()> {
        self.inside.sync_data(point)
    }
    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        self.inside.map(offset, len_bytes)
    }
    fn identity(&self) -> Result<FileIdentity> {
        self.inside.identity()
    }
    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        self.inside.try_lock(kind)
    }
    fn unlock(&self) -> Result<()> {
        self.inside.unlock()
    }
}

impl SlowDisk {
    /// A database of [`ROWS`] rows, none of them in memory.
    fn filled() -> (Self, Engine) {
        let disk = Self { inside: MemoryStorage::new(), calls: Arc::default() };
        let engine = disk.open_engine();
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
        let engine = disk.open_engine();
        (disk, engine)
    }

    fn open_engine(&self) -> Engine {
        let options =
            DatabaseOptions { cache_bytes_max: 64 << 20, ..database(Durability::Process, false) };
        Engine::open_on(Arc::new(self.clone()), NAME, options).expect("a database")
    }

    /// What was asked since this was called last.
    fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().expect("no thread died"))
    }
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
    let (disk, engine) = SlowDisk::filled();
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    session.begin().expect("a begin");
    disk.take_calls();
    assert_eq!(read_all(&mut session, &main, backward).len() as u64, ROWS);
    let (foreseen, met) = check_calls(&disk.take_calls());
    // The parents, the first leaves of the walk and of each parent, and no more.
    assert!(foreseen > 100 && met < foreseen / 4, "{foreseen} announced, {met} not");
    // All is in memory now.
    assert_eq!(read_all(&mut session, &main, backward).len() as u64, ROWS);
    let calls = disk.take_calls();
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
    let (disk, engine) = SlowDisk::filled();
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    disk.take_calls();
    let (mut at, mut ranges) = (session.position(), 0);
    for number in (0..ROWS).step_by(97) {
        session.seek(&main, &mut at, &number.to_be_bytes()).expect("a seek");
        for _ in 0..9 {
            session.next(&main, &mut at).expect("a next");
        }
        ranges += 1;
    }
    let calls = disk.take_calls();
    let announced = calls.iter().filter(|call| matches!(call, Call::Announced { .. })).count();
    // A range of ten rows ends on the leaf where it began, or on the next: then two more are announced.
    assert!(announced <= 2 * ranges, "{announced} announced for {ranges} ranges");
    let read = calls.iter().filter(|call| matches!(call, Call::Read(_))).count();
    assert!(announced < read, "{announced} announced, {read} read");
}
