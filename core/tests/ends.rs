//! A database leaves no thread behind: not when it is closed, when its last handle is dropped, nor when it
//! is closed beside writers. One test, in a process of its own, because it counts the process's threads.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rshelve_core::base::options::DatabaseOptions;
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;

/// A thread that was joined is gone in less; one that was left behind never is.
const TOO_LONG: Duration = Duration::from_secs(60);

/// How many threads the process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("the threads of this process").count()
}

/// Waits until the process has `count` threads: the kernel may list one for a moment that was joined.
fn check_threads(count: usize, when: &str) {
    let start = Instant::now();
    while threads() != count {
        assert!(start.elapsed() < TOO_LONG, "{} threads {when}, not {count}", threads());
        std::thread::yield_now();
    }
}

fn open(storage: &MemoryStorage) -> Engine {
    Engine::open_on(Arc::new(storage.clone()), "spam", DatabaseOptions::default())
        .expect("it opens")
}

#[test]
fn database_leaves_no_thread_behind() {
    let storage = MemoryStorage::new();
    let before = threads();
    let engine = open(&storage);
    check_threads(before + 2, "while it is open");
    engine.close().expect("it closes");
    check_threads(before, "after a close");

    let engine = open(&storage);
    let session = engine.session().expect("a session opens");
    drop(engine);
    // A session is no handle: what it does from now on says that the database is closed.
    check_threads(before, "after the last handle");
    drop(session);

    let engine = open(&storage);
    let table = engine.create_table("main", &Default::default()).expect("a table");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (engine, table) = (&engine, &table);
            scope.spawn(move || {
                // The close may come first.
                let Ok(mut session) = engine.session() else { return };
                for number in 0..1000 {
                    let key = (thread << 32 | number).to_be_bytes();
                    if session.put(table, &key, &[1; 100]).is_err() {
                        break;
                    }
                }
            });
        }
        engine.close().expect("it closes beside writers");
    });
    check_threads(before, "after a close beside writers");
}
