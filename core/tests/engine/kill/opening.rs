//! How long an open takes behind a log as large as it gets by default, after a kill.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rshelve_core::base::options::{DatabaseOptions, TableOptions};
use rshelve_core::engine::{Engine, verify_file};

/// The logs: bytes of a value, and the order of the keys. Very short rows under random keys are the most
/// work that a log can make.
const CASES: [(usize, Order); 5] = [
    (1000, Order::Random),
    (100, Order::Random),
    (100, Order::Ascending),
    (16, Order::Random),
    (16, Order::Few),
];

#[derive(Clone, Copy, Debug)]
enum Order {
    /// Far apart, so that the replay meets pages all over.
    Random,
    Ascending,
    /// A thousand keys again and again.
    Few,
}

impl Order {
    fn key(self, number: u64) -> [u8; 8] {
        match self {
            Self::Random => number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            Self::Ascending => number,
            Self::Few => number % 1000,
        }
        .to_be_bytes()
    }

    /// How many rows so many changes come to.
    fn rows(self, count: u64) -> u64 {
        if matches!(self, Self::Few) { count.min(1000) } else { count }
    }
}

/// What an open may take of a processor, in seconds. The clock on the wall is not held to it: others may want
/// the processor, too. The promise is for optimised builds; others have their assertions beside.
const CPU_SECONDS_MAX: f64 = if cfg!(debug_assertions) { 3.0 } else { 1.0 };

/// What this thread had of a processor so far, in seconds.
fn cpu_seconds() -> Option<f64> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse::<f64>().ok().map(|nanos| nanos / 1e9)
}

/// The files of a process that is killed now: as they are.
fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("room");
    }
}

fn check(value_bytes: usize, order: Order) {
    let options = DatabaseOptions { background: false, ..DatabaseOptions::default() };
    let (folder, killed) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let engine = Engine::open(&folder.path().join("spam"), options.clone()).expect("it opens");
    let eggs = engine.create_table("eggs", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let value = vec![b'v'; value_bytes];
    // A record has 32 bytes of its own, and a few for the table and the key.
    let count = options.checkpoint_log_bytes / (value_bytes as u64 + 48);
    for number in 0..count {
        session.put(&eggs, &order.key(number), &value).expect("room");
    }
    copy_files(folder.path(), killed.path());
    drop((session, eggs));
    drop(engine);
    let path = killed.path().join("spam");
    let report = verify_file(&path, &mut |_| Ok(())).expect("it can be read");
    assert!(report.log_records >= count, "{report}");
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let engine = Engine::open(&path, options).expect("it opens");
    let took = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    println!(
        "{} log records of {value_bytes} bytes, {order:?}: open in {took:.3} s, {cpu:?} s of a processor",
        report.log_records
    );
    let eggs = engine.table("eggs").expect("it is there");
    assert_eq!(engine.session().expect("a session").rows(&eggs), order.rows(count));
    assert!(cpu.is_none_or(|cpu| cpu < CPU_SECONDS_MAX), "{cpu:?} s");
}

#[test]
fn open_behind_a_log_of_default_size_takes_less_than_a_second() {
    for (value_bytes, order) in CASES {
        check(value_bytes, order);
    }
}
