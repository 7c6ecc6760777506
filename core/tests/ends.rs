//! A database leaves no thread behind: not when it is closed, when its last handle is dropped, when it is
//! opened in vain, nor when a thread of its own died. One test, in a process of its own, because it
//! counts the process's threads.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::sync::Arc;

use rshelve_core::base::options::DatabaseOptions;
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;

/// The names of the process's threads that belong to a database.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        // One that ends meanwhile has no name any more.
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    let mut names: Vec<_> =
        tasks.filter_map(name).filter(|name| name.starts_with("rshelve")).collect();
    names.sort();
    names
}

fn open(storage: &MemoryStorage) -> Engine {
    Engine::open_on(Arc::new(storage.clone()), "spam", DatabaseOptions::default())
        .expect("it opens")
}

#[test]
fn database_leaves_no_thread_behind() {
    let storage = MemoryStorage::new();
    assert_eq!(threads(), [""; 0]);
    let engine = open(&storage);
    let running = threads();
    // The kernel cuts names.
    assert_eq!(running.len(), 2, "{running:?}");
    engine.close().expect("it closes");
    assert_eq!(threads(), [""; 0], "after a close");

    let engine = open(&storage);
    let session = engine.session().expect("a session opens");
    drop(engine);
    // A session is no handle: what it does from now on says that the database is closed.
    assert_eq!(threads(), [""; 0], "after the last handle");
    drop(session);

    let engine = open(&storage);
    let table = engine.create_table("main", &Default::default()).expect("a table");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (engine, table) = (&engine, &table);
            scope.spawn(move || {
                let mut session = engine.session().expect("a session opens");
                for number in 0..1000 {
                    let key = (thread << 32 | number).to_be_bytes();
                    if session.put(table, &key, &[1; 100]).is_err() {
                        break;
                    }
                }
            });
        }
        engine.close().expect("it closes beside writers");
        assert_eq!(threads(), [""; 0], "after a close beside writers");
    });
}
