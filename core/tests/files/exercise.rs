//! Using a database that may be anything in every way there is, and watching over it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use rshelve_core::base::options::Durability;
use rshelve_core::engine::{Engine, verify_on};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};

use crate::counting::peak_of;
use crate::harness::{
    NAME, Tables, is_about_the_file, key, open_existing, read_everything, read_table, value,
};

/// A case that takes longer than this is taken for an endless loop.
const CASE_SECONDS_MAX: u64 = 60;

/// What a case may hold at once beyond eight times the file: the caches, and a read's buffers.
const FIXED_BYTES_MAX: u64 = 24 << 20;

/// How cases ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub files: u64,
    /// An error named what is wrong.
    pub errors: u64,
    /// Everything was read and was right.
    pub right: u64,
    /// The most bytes that a case held at once.
    pub peak_bytes: u64,
}

impl Figures {
    pub fn print(&self, what: &str) {
        let Self { files, errors, right, peak_bytes } = self;
        println!(
            "{what}: {files} files, {errors} errors, {right} right, 0 wrong; at most {peak_bytes} bytes held"
        );
    }

    /// Runs one case; `describe` tells it from all others.
    ///
    /// # Panics
    /// When it panics, or takes too much memory; the process ends when it takes too long.
    pub fn case(
        &mut self,
        describe: &dyn Fn() -> String,
        file_bytes: usize,
        run: impl FnOnce() -> Result<()>,
    ) {
        let watched = Watched::new(describe);
        let (outcome, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(run)));
        drop(watched);
        self.files += 1;
        self.peak_bytes = self.peak_bytes.max(peak);
        let bound = FIXED_BYTES_MAX + 8 * file_bytes as u64;
        assert!(peak <= bound, "{}: held {peak} bytes of at most {bound}", describe());
        match outcome {
            Ok(Ok(())) => self.right += 1,
            Ok(Err(error)) if is_about_the_file(&error) => self.errors += 1,
            Ok(Err(error)) => panic!("{}: an error of another kind: {error}", describe()),
            Err(_) => panic!("{}: it panicked", describe()),
        }
    }
}

/// Ends the process when a case does not end.
struct Watched;

static CASES: AtomicU64 = AtomicU64::new(0);
static RUNNING: Mutex<Vec<(std::thread::ThreadId, u64, String)>> = Mutex::new(Vec::new());

impl Watched {
    fn new(describe: &dyn Fn() -> String) -> Self {
        static WATCHDOG: Once = Once::new();
        WATCHDOG.call_once(|| drop(std::thread::spawn(watch)));
        let number = CASES.fetch_add(1, Ordering::Relaxed);
        let mut running = RUNNING.lock().expect("nobody panics under it");
        running.push((std::thread::current().id(), number, describe()));
        Self
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        RUNNING.lock().expect("nobody panics under it").retain(|(thread, ..)| *thread != me);
    }
}

fn watch() {
    let mut before = Vec::new();
    loop {
        std::thread::sleep(Duration::from_secs(CASE_SECONDS_MAX));
        let now = RUNNING.lock().expect("nobody panics under it").clone();
        if let Some((_, _, case)) = now.iter().find(|case| before.contains(*case)) {
            eprintln!("{case}: does not end");
            std::process::exit(101);
        }
        before = now;
    }
}

/// Opens the database and reads all of it: what it holds must be `expected`, unless it says that it is
/// damaged.
pub fn read_and_compare(storage: &MemoryStorage, expected: &[&Tables]) -> Result<()> {
    let engine = open_existing(storage, Durability::Checkpoint)?;
    let outcome = read_everything(&engine);
    // As a crash would end it: what is damaged need not close well.
    let found = outcome?;
    if !expected.contains(&&found) {
        for (name, rows) in &found {
            let wanted = expected.first().and_then(|tables| tables.get(name));
            eprintln!("{name}: {} rows, wanted {:?}", rows.len(), wanted.map(|rows| rows.len()));
        }
        panic!("a wrong answer");
    }
    Ok(())
}

/// Does everything that there is to be done to the database in `storage`, one thing after the other,
/// whatever the one before said. Returns the first error.
pub fn use_it_all(storage: &MemoryStorage) -> Result<()> {
    let verified = verify_on(Arc::new(storage.clone()), NAME, &mut |_| Ok(()));
    let engine = open_existing(storage, Durability::Checkpoint)?;
    let mut first = None;
    let mut note = |result: Result<()>| {
        if let Err(error) = result {
            first.get_or_insert(error);
        }
    };
    note(read_everything(&engine).map(drop));
    for name in engine.table_names() {
        note(use_table(&engine, &name));
    }
    for named in engine.checkpoints() {
        note(read_checkpoint(&engine, &named.name));
    }
    note(engine.checkpoint());
    note(read_everything(&engine).map(drop));
    note(engine.verify(&mut |_| Ok(())).map(drop));
    for name in engine.table_names().iter().step_by(2) {
        note(drop_table(&engine, name));
    }
    note(engine.create_table("new", &Default::default()).map(drop));
    note(engine.checkpoint());
    note(engine.close());
    drop(engine);
    // Whatever that left, it opens or says why not.
    note(open_existing(storage, Durability::Process).and_then(|engine| {
        read_everything(&engine)?;
        engine.close()
    }));
    note(verified.and_then(|report| report.check()));
    first.map_or(Ok(()), Err)
}

fn read_checkpoint(engine: &Engine, name: &str) -> Result<()> {
    let checkpoint = engine.open_checkpoint(name)?;
    for table in checkpoint.table_names() {
        let table = checkpoint.table(&table)?;
        let mut at = table.position();
        while table.next(&mut at)? {}
    }
    Ok(())
}

fn use_table(engine: &Engine, name: &str) -> Result<()> {
    let table = engine.table(name)?;
    let mut session = engine.session()?;
    let mut outcome = Ok(());
    let mut note = |result: Result<()>| {
        if outcome.is_ok() {
            outcome = result;
        }
    };
    let mut at = session.position();
    loop {
        match session.prev(&table, &mut at) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                note(Err(error));
                break;
            }
        }
    }
    drop(at);
    for number in [0, 2, 7, 50, 133, 259, 400] {
        note(session.get(&table, &key(number), |_| ()).map(drop));
        note(session.put(&table, &key(number), &value(name, number, 150)));
        note(session.take(&table, &key(number + 1)).map(drop));
    }
    note(session.put(&table, &key(1000), &value(name, 1000, 9000)));
    note(session.put(&table, b"a", b""));
    note(session.begin());
    note(session.put(&table, &key(11), b"never"));
    note(session.rollback());
    note(read_table(&mut session, &table).map(drop));
    outcome
}

fn drop_table(engine: &Engine, name: &str) -> Result<()> {
    match engine.drop_table(name) {
        Err(Error::Missing { .. }) => Ok(()),
        other => other,
    }
}
