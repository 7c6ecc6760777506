//! A thread that waits sleeps: whatever it waits for inside the engine, it uses next to no processor time.
//!
//! Each test puts a thread into one kind of wait for a known time, and asks the system how much of a processor
//! the thread had meanwhile. In a file of its own, so that the background threads that it looks at are its own.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{IoSlice, Result};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};

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

/// A storage in memory with a gate: calls of one kind wait in front of it while it is closed.
#[derive(Clone, Debug, Default)]
struct Gate {
    inside: MemoryStorage,
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug, Default)]
struct GateState {
    closed: Option<Call>,
    standing: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&GateState) -> bool) {
        let state = self.state();
        drop(self.state.1.wait_while(state, |state| condition(state)));
    }

    fn set(&self, closed: Option<Call>) {
        self.state().closed = closed;
        self.state.1.notify_all();
    }

    fn pass(&self, call: Call) {
        if self.state().closed != Some(call) {
            return;
        }
        self.state().standing += 1;
        self.state.1.notify_all();
        self.wait_while(|state| state.closed == Some(call));
        self.state().standing -= 1;
    }

    fn open(&self, options: &DatabaseOptions) -> Engine {
        Engine::open_on(Arc::new(self.clone()), "spam", options.clone()).expect("it opens")
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

impl Storage for Gate {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let inside = self.inside.open(name, how)?;
        Ok(Arc::new(GateFile { inside, gate: self.clone(), is_data: !name.contains("-wal") }))
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

#[derive(Debug)]
struct GateFile {
    inside: Arc<dyn File>,
    gate: Gate,
    is_data: bool,
}

impl File for GateFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.is_data {
            self.gate.pass(Call::Read);
        }
        self.inside.read_exact_at(buffer, offset)
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
        self.gate.pass(Call::Sync(point));
        self.inside.sync_data(point)
    }
    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        let inside = self.inside.map(offset, len_bytes)?;
        Ok(Box::new(GateRange { inside, gate: self.gate.clone() }))
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

#[derive(Debug)]
struct GateRange {
    inside: Box<dyn MappedRange>,
    gate: Gate,
}

impl MappedRange for GateRange {
    fn copy_at(&self, offset: usize, bytes: &[u8]) {
        self.gate.pass(Call::Copy);
        self.inside.copy_at(offset, bytes);
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
fn prepared(options: &DatabaseOptions) -> (Gate, Engine) {
    let gate = Gate::default();
    let engine = gate.open(options);
    drop(engine.create_table("main", &Default::default()).expect("a table"));
    put(&engine, b"a", b"1");
    (gate, engine)
}

#[test]
fn write_that_meets_an_open_transaction_sleeps() {
    let (_gate, engine) = prepared(&options(Durability::Process));
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
    let (gate, engine) = prepared(&options(Durability::Process));
    engine.close().expect("a close");
    let engine = gate.open(&options(Durability::Process));
    drop(engine.table("main").expect("the table"));
    gate.check_waits_behind("a get", Call::Read, || get(&engine, b"a"), || get(&engine, b"a"));
}

#[test]
fn commit_behind_anothers_sync_sleeps() {
    let (gate, engine) = prepared(&options(Durability::Sync));
    let sync = Call::Sync(SyncPoint::Commit);
    let (first, second) = (|| put(&engine, b"b", b"1"), || put(&engine, b"c", b"1"));
    gate.check_waits_behind("a commit", sync, first, second);
}

#[test]
fn commit_behind_anothers_record_sleeps() {
    let (gate, engine) = prepared(&options(Durability::Process));
    // A short record is copied under a lock, a long one beside others.
    for length in [100, 64 << 10] {
        let value = vec![1; length];
        let (first, second) = (|| put(&engine, b"b", &value), || put(&engine, b"c", b"1"));
        gate.check_waits_behind("a commit", Call::Copy, first, second);
    }
}

#[test]
fn checkpoint_and_new_table_behind_a_checkpoint_sleep() {
    let (gate, engine) = prepared(&options(Durability::Process));
    let sync = Call::Sync(SyncPoint::CheckpointData);
    let first = || engine.checkpoint().expect("a checkpoint");
    gate.check_waits_behind("a checkpoint", sync, first, || engine.checkpoint().expect("another"));
    put(&engine, b"b", b"1");
    let second = || drop(engine.create_table("other", &Default::default()).expect("a table"));
    gate.check_waits_behind("a new table", sync, first, second);
}

#[test]
fn close_behind_a_commit_sleeps() {
    let (gate, engine) = prepared(&options(Durability::Sync));
    let first = || put(&engine, b"b", b"1");
    let close = || engine.close().expect("a close");
    gate.check_waits_behind("a close", Call::Sync(SyncPoint::Commit), first, close);
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
    let (_gate, engine) = prepared(&DatabaseOptions { background: true, ..options });
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
    let (_gate, engine) = prepared(&small(Durability::Process));
    fill_the_cache(&engine, &[OWN]);
}

#[test]
fn write_that_waits_for_room_lets_background_threads_sleep() {
    beside_background_threads(small(Durability::Process), |engine, tasks| {
        fill_the_cache(engine, &[tasks, &[OWN]].concat());
    });
}
