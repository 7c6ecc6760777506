//! Threads that die: with a transaction open, while they look at a value, and inside a call to the disk,
//! the database's own threads among them.
//!
//! Afterwards the database is usable, or says why it is not; nobody waits for ever, and what was
//! acknowledged is there when it is opened again.

use std::io::{IoSlice, Result};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};

use crate::harness::{NAME, database, open, table, value_of};

/// Longer than anything here takes; a test that waits so long has found a thread that nobody wakes.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Runs `work` on a thread, and panics there afterwards.
fn die_after(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            work();
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
    });
}

fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions { timeout: Duration::from_millis(50), ..database(durability, true) }
}

#[test]
fn thread_that_dies_in_a_transaction_leaves_nothing_of_it() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options(Durability::Process));
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, b"a", b"1").expect("a put");
    die_after(|| {
        let mut session = engine.session().expect("a session");
        session.begin().expect("a begin");
        session.put(&main, b"a", b"2").expect("a put");
        session.put(&main, b"b", b"2").expect("a put");
        // Dropped while the thread unwinds.
        let _kept = session;
    });
    let seen = session.get(&main, b"a", <[u8]>::to_vec).expect("a get");
    assert_eq!(seen.as_deref(), Some(&b"1"[..]));
    session.put(&main, b"a", b"3").expect("a put to a key of the dead transaction");
    assert_eq!(session.rows(&main), 1);
    engine.checkpoint().expect("a checkpoint");
}

#[test]
fn session_that_is_never_dropped_holds_up_nobody_for_ever() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options(Durability::Process));
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, b"a", b"1").expect("a put");
    // Nobody ever drops it.
    let mut lost = ManuallyDrop::new(engine.session().expect("a session"));
    lost.begin().expect("a begin");
    lost.put(&main, b"a", b"2").expect("a put");
    let refused = session.put(&main, b"a", b"3").expect_err("the key is held");
    assert!(matches!(refused, Error::Rollback { .. }), "{refused}");
    session.put(&main, b"b", b"1").expect("a put to another key");
    engine.checkpoint().expect("a checkpoint");
    drop((session, main));
    engine.close().expect("a close");
    let engine = open(&storage, &options(Durability::Process));
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    let seen = session.get(&main, b"a", <[u8]>::to_vec).expect("a get");
    assert_eq!(seen.as_deref(), Some(&b"1"[..]));
    assert_eq!(session.rows(&main), 2);
}

#[test]
fn panic_while_a_value_is_looked_at_lets_go_of_its_page() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options(Durability::Process));
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, b"a", b"1").expect("a put");
    let looked = catch_unwind(AssertUnwindSafe(|| {
        session.get(&main, b"a", |_| panic!("on purpose")).map(|_: Option<()>| ())
    }));
    assert!(looked.is_err());
    // The same session goes on, on the same page.
    session.put(&main, b"a", b"2").expect("a put");
    let seen = session.get(&main, b"a", <[u8]>::to_vec).expect("a get");
    assert_eq!(seen.as_deref(), Some(&b"2"[..]));
    drop((session, main));
    engine.close().expect("a close");
}

/// A storage in memory whose calls panic when it is told to: writes to the data file, and syncs.
#[derive(Clone, Debug)]
struct Trap {
    inside: MemoryStorage,
    armed: Arc<AtomicBool>,
    /// Syncs at this point panic; else writes to the data file.
    at: Option<SyncPoint>,
}

#[derive(Debug)]
struct TrapFile {
    inside: Arc<dyn File>,
    trap: Trap,
    is_data: bool,
}

impl Trap {
    fn new(at: Option<SyncPoint>) -> Self {
        Self { inside: MemoryStorage::new(), armed: Arc::default(), at }
    }

    fn open(&self, options: &DatabaseOptions) -> Engine {
        Engine::open_on(Arc::new(self.clone()), NAME, options.clone()).expect("a database")
    }

    /// Panics once.
    fn spring(&self) {
        assert!(!self.armed.swap(false, SeqCst), "the disk's driver has a bug, on purpose");
    }
}

impl Storage for Trap {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let inside = self.inside.open(name, how)?;
        // The data file is created under another name than it gets.
        Ok(Arc::new(TrapFile { inside, trap: self.clone(), is_data: !name.contains("-wal") }))
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

impl File for TrapFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.inside.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        if self.is_data && self.trap.at.is_none() {
            self.trap.spring();
        }
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
        if self.trap.at == Some(point) {
            self.trap.spring();
        }
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

/// Writes enough for a checkpoint, waits until that has met the trap, and writes until a write is refused.
/// Returns how many were not, and why the last one was.
fn write_until_refused(engine: &Engine, armed: &AtomicBool) -> (u64, Error) {
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, &0_u64.to_be_bytes(), &value_of(500, 0)).expect("a put");
    armed.store(true, SeqCst);
    let start = Instant::now();
    for number in 1_u64.. {
        if let Err(error) = session.put(&main, &number.to_be_bytes(), &value_of(500, number)) {
            return (number, error);
        }
        while number > 2000 && armed.load(SeqCst) && start.elapsed() < TOO_LONG {
            std::thread::yield_now();
        }
        assert!(start.elapsed() < TOO_LONG, "{number} writes, and nobody noticed the dead thread");
    }
    unreachable!("the loop does not end by itself");
}

/// Opens what is left, and checks that the first `count` rows are there.
fn check_recovered(trap: &Trap, options: &DatabaseOptions, count: u64) {
    let engine = trap.open(options);
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..count {
        let found = session.get(&main, &number.to_be_bytes(), <[u8]>::to_vec).expect("a get");
        assert!(found == Some(value_of(500, number)), "row {number} of {count}");
    }
}

#[test]
fn background_thread_that_dies_poisons_the_database_with_its_reason() {
    let trap = Trap::new(None);
    // Nothing has to leave the cache, so that it is the keeper's checkpoint that writes to the data file.
    let options = DatabaseOptions {
        cache_bytes_max: 64 << 20,
        checkpoint_log_bytes: 256 << 10,
        timeout: Duration::from_secs(5),
        ..database(Durability::Process, true)
    };
    let engine = trap.open(&options);
    let (count, error) = write_until_refused(&engine, &trap.armed);
    let text = error.to_string();
    assert!(text.contains("on purpose") && text.contains("open it again"), "{text}");
    let refused = engine.checkpoint().expect_err("a checkpoint of a poisoned database");
    assert!(refused.to_string().contains("on purpose"), "{refused}");
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    assert!(session.get(&main, &0_u64.to_be_bytes(), |_| ()).expect("reads go on").is_some());
    drop((session, main));
    engine.close().expect_err("a close of a poisoned database");
    drop(engine);
    check_recovered(&trap, &options, count);
}

#[test]
fn thread_that_dies_in_a_sync_of_the_log_hangs_nobody() {
    let trap = Trap::new(Some(SyncPoint::Commit));
    let options = options(Durability::Sync);
    let engine = trap.open(&options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, &0_u64.to_be_bytes(), &value_of(500, 0)).expect("a put");
    trap.armed.store(true, SeqCst);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..4_u64)
            .map(|number| {
                let (engine, main) = (&engine, &main);
                scope.spawn(move || {
                    let mut session = engine.session().expect("a session");
                    session.put(main, &number.to_be_bytes(), &value_of(500, number))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let panicked = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    assert_eq!(panicked, 1, "the thread that synced panics, and no other");
    let later = session.put(&main, b"later", b"1").expect_err("a write after that");
    assert!(later.to_string().contains("panicked"), "{later}");
    assert!(session.get(&main, &0_u64.to_be_bytes(), |_| ()).expect("reads go on").is_some());
    drop((session, main));
    engine.close().expect_err("a close after that");
    drop(engine);
    check_recovered(&trap, &options, 1);
}

#[test]
fn thread_that_dies_in_a_checkpoint_of_its_own_leaves_the_rest_usable() {
    let trap = Trap::new(Some(SyncPoint::CheckpointData));
    let options = DatabaseOptions { background: false, ..options(Durability::Process) };
    let engine = trap.open(&options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..200_u64 {
        session.put(&main, &number.to_be_bytes(), &value_of(500, number)).expect("a put");
    }
    trap.armed.store(true, SeqCst);
    die_after(|| {
        let checkpoint = catch_unwind(AssertUnwindSafe(|| engine.checkpoint()));
        assert!(checkpoint.is_err(), "the checkpoint panics");
    });
    // Usable, or a clear error; then as after a crash.
    let outcome = session.put(&main, &200_u64.to_be_bytes(), &value_of(500, 200));
    let count = if outcome.is_ok() { 201 } else { 200 };
    let closed = engine.checkpoint().and_then(|()| {
        drop((session, main));
        engine.close()
    });
    println!("a write: {outcome:?}; a checkpoint and a close: {closed:?}");
    drop(engine);
    check_recovered(&trap, &options, count);
}
