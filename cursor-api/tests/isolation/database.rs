//! A database that is larger than its cache, in memory, that can be killed under its users.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rshelve::{Connection, DatabaseOptions, Durability, Session, TableOptions};
use rshelve_core::io::memory::{Choice, MemoryStorage};

/// The table that histories work on.
pub const TABLE: &str = "test";
/// Rows of filler: with their values more than the cache holds.
const FILLER: u64 = 1600;
const FILLER_BYTES: usize = 900;
/// Time between checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(50);

/// What it is opened with: the smallest cache, background threads.
pub fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        durability,
        timeout: Duration::from_secs(5),
        ..DatabaseOptions::default()
    }
}

/// The database, as its users find it.
pub struct Database {
    now: RwLock<(Connection, MemoryStorage)>,
    /// Raised before each kill. Who finds it unchanged after a commit knows that the next life has the
    /// commit.
    lives: AtomicU64,
    /// What the lives before have evicted.
    evicted_before: AtomicU64,
    /// Transactions, as its users count them.
    counted: AtomicU64,
    durability: Durability,
}

impl Database {
    /// A new one, filled, with a table for whoever writes histories. `checks_conflicts` is false for a
    /// negative control.
    pub fn new(durability: Durability, checks_conflicts: bool) -> Self {
        let storage = MemoryStorage::new();
        let connection = open(&storage, durability);
        let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
        let table = connection.create_table(TABLE, &small).expect("a table");
        for number in 0..FILLER {
            let key = format!("{:04}/filler", number);
            table.insert(key.as_bytes(), &[b'f'; FILLER_BYTES]).expect("filler");
        }
        drop(table);
        connection.checkpoint().expect("a checkpoint");
        if !checks_conflicts {
            connection.leave_conflict_check_out();
        }
        // A power loss is drawn from what was written since.
        storage.record(durability == Durability::Sync);
        Self {
            now: RwLock::new((connection, storage)),
            lives: AtomicU64::new(0),
            evicted_before: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            durability,
        }
    }

    /// Counts one more transaction, and says how many there are.
    pub fn count_one(&self) -> u64 {
        self.counted.fetch_add(1, SeqCst) + 1
    }

    /// How many pages were evicted, in all lives.
    pub fn pages_evicted(&self) -> u64 {
        self.evicted_before.load(SeqCst) + self.connection().stats().pages_evicted
    }

    /// Which life this is.
    pub fn life(&self) -> u64 {
        self.lives.load(SeqCst)
    }

    /// The connection of this life.
    pub fn connection(&self) -> Connection {
        self.now.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A session of this life, and which life it is.
    pub fn session(&self) -> (Session, u64) {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        (now.0.open_session().expect("a session"), self.life())
    }

    /// Ends this life: as a killed process leaves the files, or, if commits are synced, as a power loss
    /// drawn from `seed` does.
    pub fn kill(&self, seed: u64) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let life = self.lives.fetch_add(1, SeqCst);
        self.evicted_before.fetch_add(now.0.stats().pages_evicted, SeqCst);
        let storage = match self.durability {
            Durability::Sync => {
                let history = now.1.history();
                history.walk_to(history.len()).image(Choice::Sampled(seed + life))
            }
            _ => now.1.duplicate(),
        };
        let connection = open(&storage, self.durability);
        storage.record(self.durability == Durability::Sync);
        *now = (connection, storage);
    }

    /// Runs `work` beside a thread that takes a checkpoint every 50 ms, and one that reads all of the filler
    /// again and again, so that pages have to leave the cache.
    pub fn beside<R>(&self, work: impl FnOnce() -> R) -> R {
        let end = End::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !end.wait(CHECKPOINT_INTERVAL) {
                    self.connection().checkpoint().expect("a checkpoint");
                }
            });
            scope.spawn(|| {
                while !end.has_come() {
                    self.read_filler(&end);
                }
            });
            let _end = EndAtDrop(&end);
            work()
        })
    }

    fn read_filler(&self, end: &End) {
        let (session, _) = self.session();
        let mut cursor = session.open_cursor(TABLE).expect("a cursor");
        let mut found = 0;
        for row in cursor.range(..) {
            let (key, value) = row.expect("a row");
            if key.ends_with(b"/filler") {
                assert_eq!(value.len(), FILLER_BYTES, "a row of filler");
                found += 1;
            }
            if end.has_come() {
                return;
            }
        }
        assert_eq!(found, FILLER, "rows of filler");
    }
}

fn open(storage: &MemoryStorage, durability: Durability) -> Connection {
    let storage = Arc::new(storage.clone());
    Connection::open_on(storage, "spam", options(durability)).expect("a database")
}

/// Tells threads that the work is done.
#[derive(Default)]
struct End {
    has_come: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl End {
    fn has_come(&self) -> bool {
        self.has_come.load(SeqCst)
    }

    /// Waits for the end, at most for `time`; true if it has come.
    fn wait(&self, time: Duration) -> bool {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(guard, time, |()| !self.has_come());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.has_come()
    }
}

/// The end comes when the work returns, and when it panics.
struct EndAtDrop<'e>(&'e End);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.has_come.store(true, SeqCst);
        drop(self.0.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_all();
    }
}
