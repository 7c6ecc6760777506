//! Threads that die: with a transaction open, while they look at a value, and inside a call to the disk,
//! the database's own threads among them.
//!
//! Afterwards the database is usable, or says why it is not; nobody waits for ever, and what was
//! acknowledged is there when it is opened again.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::SyncPoint;
use rshelve_core::io::memory::MemoryStorage;

use crate::harness::{Hook, Hooked, database, open, table, value_of};

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

/// Calls to the disk that panic when they are told to: writes to the data file, or syncs.
#[derive(Debug)]
struct Trap {
    armed: AtomicBool,
    /// Syncs at this point panic; else writes to the data file.
    at: Option<SyncPoint>,
}

impl Trap {
    fn storage(at: Option<SyncPoint>) -> Hooked<Self> {
        Hooked::new(Self { armed: AtomicBool::new(false), at })
    }

    /// Panics once.
    fn spring(&self) {
        assert!(!self.armed.swap(false, SeqCst), "the disk's driver has a bug, on purpose");
    }
}

impl Hook for Trap {
    fn before_write(&self) {
        if self.at.is_none() {
            self.spring();
        }
    }
    fn before_sync(&self, point: SyncPoint) {
        if self.at == Some(point) {
            self.spring();
        }
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
fn check_recovered(storage: &Hooked<Trap>, options: &DatabaseOptions, count: u64) {
    let engine = storage.open_engine(options);
    let main = engine.table("main").expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..count {
        let found = session.get(&main, &number.to_be_bytes(), <[u8]>::to_vec).expect("a get");
        assert!(found == Some(value_of(500, number)), "row {number} of {count}");
    }
}

#[test]
fn background_thread_that_dies_poisons_the_database_with_its_reason() {
    let storage = Trap::storage(None);
    // Nothing has to leave the cache, so that it is the keeper's checkpoint that writes to the data file.
    let options = DatabaseOptions {
        cache_bytes_max: 64 << 20,
        checkpoint_log_bytes: 256 << 10,
        timeout: Duration::from_secs(5),
        ..database(Durability::Process, true)
    };
    let engine = storage.open_engine(&options);
    let (count, error) = write_until_refused(&engine, &storage.hook.armed);
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
    check_recovered(&storage, &options, count);
}

#[test]
fn thread_that_dies_in_a_sync_of_the_log_hangs_nobody() {
    let storage = Trap::storage(Some(SyncPoint::Commit));
    let options = options(Durability::Sync);
    let engine = storage.open_engine(&options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&main, &0_u64.to_be_bytes(), &value_of(500, 0)).expect("a put");
    storage.hook.armed.store(true, SeqCst);
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
    check_recovered(&storage, &options, 1);
}

#[test]
fn thread_that_dies_in_a_checkpoint_of_its_own_leaves_the_rest_usable() {
    let storage = Trap::storage(Some(SyncPoint::CheckpointData));
    let options = DatabaseOptions { background: false, ..options(Durability::Process) };
    let engine = storage.open_engine(&options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..200_u64 {
        session.put(&main, &number.to_be_bytes(), &value_of(500, number)).expect("a put");
    }
    storage.hook.armed.store(true, SeqCst);
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
    check_recovered(&storage, &options, count);
}
