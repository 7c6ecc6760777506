//! How long an open takes behind a log as large as it gets by default, after a kill.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rshelve_core::base::options::DatabaseOptions;
use rshelve_core::engine::{Engine, verify_file};

use rshelve_core::base::options::TableOptions;

/// Rows of this size and what an open may take of a processor behind a log full of them. The clock on the
/// wall is not held to it: others may want the processor, too. Very short rows under random keys are the
/// most work that a log can make.
const CASES: [(usize, f64); 3] = [(1000, 1.0), (300, 1.0), (100, 2.5)];

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

fn check(value_bytes: usize, cpu_seconds_max: f64) {
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
        // Far apart, so that the replay meets pages all over.
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        session.put(&eggs, &key, &value).expect("room");
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
        "{} log records of {value_bytes} bytes: open in {took:.3} s, {cpu:?} s of a processor",
        report.log_records
    );
    let eggs = engine.table("eggs").expect("it is there");
    assert_eq!(engine.session().expect("a session").rows(&eggs), count);
    assert!(cpu.is_none_or(|cpu| cpu < cpu_seconds_max), "{cpu:?} s");
}

#[test]
fn open_behind_a_log_of_default_size_takes_less_than_a_second() {
    for (value_bytes, cpu_seconds_max) in CASES {
        check(value_bytes, cpu_seconds_max);
    }
}
