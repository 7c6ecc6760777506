//! A thread that waits sleeps: whatever it waits for inside the engine, it uses next to no processor time.
//!
//! Each test puts a thread into one kind of wait for a known time, and asks the system how much of a processor
//! the thread had meanwhile. In a file of its own, so that the background threads that it looks at are its own.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::SyncPoint;

#[path = "shared/hooked.rs"]
mod hooked;

use hooked::{Hook, Hooked};

/// How long every wait lasts at least.
const WAIT: Duration = Duration::from_millis(500);
/// The most processor time that it may take: what comes before the wait and after it, the microseconds that a
/// lock spins before it sleeps, and the tick of the system's clock. Who spins takes all of the wait, or its
/// share of it where others want the processor too.
const SPENT_MAX: Duration = Duration::from_millis(25);

/// Longer than anything here takes.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The processor time so far of the thread that /proc calls `task`; none where the system does not say.
fn processor_time(task: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{task}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The calling thread, as /proc calls it.
const OWN: &str = "thread-self";

/// What threads have had of a processor since some moment.
struct Watch<'t> {
    tasks: &'t [&'t str],
    before: Vec<Option<Duration>>,
    start: Instant,
}

impl<'t> Watch<'t> {
    fn start(tasks: &'t [&'t str]) -> Self {
        let before = tasks.iter().map(|task| processor_time(task)).collect();
        Self { tasks, before, start: Instant::now() }
    }

    /// Checks that it was long ago, and that the threads had next to nothing.
    fn check(self, what: &str) {
        let took = self.start.elapsed();
        assert!(took >= WAIT, "{what} waited for {took:?} only");
        // A wait that ends late on a busy machine may have cost more.
        let most = SPENT_MAX * (took.as_millis() / WAIT.as_millis()) as u32;
        for (task, before) in self.tasks.iter().zip(self.before) {
            let (Some(before), Some(after)) = (before, processor_time(task)) else {
                return println!("skipped: the system keeps no account of threads' time");
            };
            let spent = after.saturating_sub(before);
            println!("{what}, {task}: {spent:?} of {took:?}");
            assert!(spent <= most, "{what}: {task} took {spent:?} of a processor in {took:?}");
        }
    }
}

/// Runs `wait` on this thread, and checks that it took long and cost nothing.
fn check_waits<R>(what: &str, wait: impl FnOnce() -> R) -> R {
    let watch = Watch::start(&[OWN]);
    let result = wait();
    watch.check(what);
    result
}

/// What a file is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A read of the data file.
    Read,
    /// A copy into the log's map.
    Copy,
    Sync(SyncPoint),
}

/// A gate before the disk: calls of one kind wait in front of it while it is closed.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: Option<Call>,
    standing: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&GateState) -> bool) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| condition(state)));
    }

    fn set(&self, closed: Option<Call>) {
        self.state().closed = closed;
        self.changed.notify_all();
    }

    fn pass(&self, call: Call) {
        if self.state().closed != Some(call) {
            return;
        }
        self.state().standing += 1;
        self.changed.notify_all();
        self.wait_while(|state| state.closed == Some(call));
        self.state().standing -= 1;
    }

    /// Runs `first`, whose `call` meets the closed gate, and then `waiter`, which has to wait for `first`. The
    /// gate opens when `waiter` has waited for long enough.
    fn check_waits_behind(
        &self,
        what: &str,
        call: Call,
        first: impl FnOnce() + Send,
        waiter: impl FnOnce() + Send,
    ) {
        self.set(Some(call));
        std::thread::scope(|scope| {
            scope.spawn(first);
            self.wait_while(|state| state.standing == 0);
            let (begin, begun) = mpsc::channel();
            scope.spawn(move || {
                check_waits(what, || {
                    begin.send(()).expect("somebody listens");
                    waiter();
                });
            });
            begun.recv().expect("the waiter begins");
            let ended = begun.recv_timeout(WAIT);
            self.set(None);
            assert_eq!(ended, Err(RecvTimeoutError::Timeout), "{what} did not wait");
        });
    }
}

impl Hook for Gate {
    fn before_read(&self, _offset: u64) {
        self.pass(Call::Read);
    }
    fn before_sync(&self, point: SyncPoint) {
        self.pass(Call::Sync(point));
    }
    fn before_copy(&self) {
        self.pass(Call::Copy);
    }
}

fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions { durability, background: false, timeout: WAIT, ..DatabaseOptions::default() }
}

/// Puts one row with a session of its own.
fn put(engine: &Engine, key: &[u8], value: &[u8]) {
    let table = engine.table("main").expect("the table");
    engine.session().expect("a session").put(&table, key, value).expect("a put");
}

fn get(engine: &Engine, key: &[u8]) {
    let table = engine.table("main").expect("the table");
    let mut session = engine.session().expect("a session");
    assert!(session.get(&table, key, |_| ()).expect("a get").is_some());
}

/// A database behind a gate with a table and a row in it.
fn prepared(options: &DatabaseOptions) -> (Hooked<Gate>, Engine) {
    let storage = Hooked::new(Gate::default());
    let engine = storage.open_engine(options);
    drop(engine.create_table("main", &Default::default()).expect("a table"));
    put(&engine, b"a", b"1");
    (storage, engine)
}

#[test]
fn write_that_meets_an_open_transaction_sleeps() {
    let (_storage, engine) = prepared(&options(Durability::Process));
    let table = engine.table("main").expect("the table");
    let mut holder = engine.session().expect("a session");
    holder.begin().expect("a begin");
    holder.put(&table, b"a", b"2").expect("a put");
    let mut other = engine.session().expect("a session");
    let refused = check_waits("a write", || other.put(&table, b"a", b"3"));
    assert!(matches!(refused, Err(Error::Rollback { .. })), "{refused:?}");
}

#[test]
fn reader_of_a_page_that_another_reads_in_sleeps() {
    let (storage, engine) = prepared(&options(Durability::Process));
    engine.close().expect("a close");
    let engine = storage.open_engine(&options(Durability::Process));
    drop(engine.table("main").expect("the table"));
    storage.hook.check_waits_behind(
        "a get",
        Call::Read,
        || get(&engine, b"a"),
        || get(&engine, b"a"),
    );
}

#[test]
fn commit_behind_anothers_sync_sleeps() {
    let (storage, engine) = prepared(&options(Durability::Sync));
    let sync = Call::Sync(SyncPoint::Commit);
    let (first, second) = (|| put(&engine, b"b", b"1"), || put(&engine, b"c", b"1"));
    storage.hook.check_waits_behind("a commit", sync, first, second);
}

#[test]
fn commit_behind_anothers_record_sleeps() {
    let (storage, engine) = prepared(&options(Durability::Process));
    // A short record is copied under a lock, a long one beside others.
    for length in [100, 64 << 10] {
        let value = vec![1; length];
        let (first, second) = (|| put(&engine, b"b", &value), || put(&engine, b"c", b"1"));
        storage.hook.check_waits_behind("a commit", Call::Copy, first, second);
    }
}

#[test]
fn checkpoint_and_new_table_behind_a_checkpoint_sleep() {
    let (storage, engine) = prepared(&options(Durability::Process));
    let sync = Call::Sync(SyncPoint::CheckpointData);
    let first = || engine.checkpoint().expect("a checkpoint");
    storage
        .hook
        .check_waits_behind("a checkpoint", sync, first, || engine.checkpoint().expect("another"));
    put(&engine, b"b", b"1");
    let second = || drop(engine.create_table("other", &Default::default()).expect("a table"));
    storage.hook.check_waits_behind("a new table", sync, first, second);
}

#[test]
fn close_behind_a_commit_sleeps() {
    let (storage, engine) = prepared(&options(Durability::Sync));
    let first = || put(&engine, b"b", b"1");
    let close = || engine.close().expect("a close");
    storage.hook.check_waits_behind("a close", Call::Sync(SyncPoint::Commit), first, close);
}

/// The background threads of this process, as /proc calls them.
fn background_tasks() -> BTreeSet<String> {
    let name = |task: &str| std::fs::read_to_string(format!("/proc/{task}/comm"));
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    tasks
        .flatten()
        .map(|task| format!("self/task/{}", task.file_name().to_string_lossy()))
        .filter(|task| name(task).is_ok_and(|name| name.starts_with("rshelve-")))
        .collect()
}

/// Opens a database with background threads, and calls `work` with their names.
fn beside_background_threads(options: DatabaseOptions, work: impl FnOnce(&Engine, &[&str])) {
    // One at a time, or the threads of another test would be taken for this one's.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_storage, engine) = prepared(&DatabaseOptions { background: true, ..options });
    let start = Instant::now();
    let tasks = loop {
        let tasks = background_tasks();
        // A thread gives itself its name.
        if tasks.len() == 2 {
            break tasks;
        }
        assert!(start.elapsed() < TOO_LONG, "{tasks:?} are the background threads");
        std::thread::yield_now();
    };
    let tasks: Vec<_> = tasks.iter().map(String::as_str).collect();
    work(&engine, &tasks);
}

#[test]
fn background_threads_of_an_idle_database_sleep() {
    let options = options(Durability::Process);
    // Longer than the bounds that they put on their sleep.
    let time = options.log_sync_interval * 2 + WAIT;
    beside_background_threads(options, |_, tasks| {
        let watch = Watch::start(tasks);
        std::thread::sleep(time);
        watch.check("an idle database");
    });
}

/// Fills the cache with what one transaction writes, and checks that the write which waits in vain for room
/// costs none of `tasks` anything.
fn fill_the_cache(engine: &Engine, tasks: &[&str]) {
    let table = engine.table("main").expect("the table");
    let mut session = engine.session().expect("a session");
    session.begin().expect("a begin");
    for number in 0_u64.. {
        let watch = Watch::start(tasks);
        if let Err(refused) = session.put(&table, &number.to_be_bytes(), &[1; 1000]) {
            assert!(matches!(refused, Error::Rollback { .. }), "{refused}");
            watch.check("a full cache");
            break;
        }
    }
    session.rollback().expect("a rollback");
}

fn small(durability: Durability) -> DatabaseOptions {
    DatabaseOptions { cache_bytes_max: 32 << 20, ..options(durability) }
}

#[test]
fn write_that_waits_for_room_sleeps() {
    let (_storage, engine) = prepared(&small(Durability::Process));
    fill_the_cache(&engine, &[OWN]);
}

#[test]
fn write_that_waits_for_room_lets_background_threads_sleep() {
    beside_background_threads(small(Durability::Process), |engine, tasks| {
        fill_the_cache(engine, &[tasks, &[OWN]].concat());
    });
}
