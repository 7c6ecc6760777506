//! Times the write-ahead log by itself, on the disk that holds the given folder:
//!
//! ```text
//! cargo run --release -p rshelve-core --example wal_bench -- some/folder
//! ```
//!
//! Each line is one thread count and one way to write. A commit is register, append 200 bytes,
//! wait, deregister; segments are released as a checkpoint would.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rshelve_core::base::ids::{DatabaseId, Lsn};
use rshelve_core::base::options::Durability;
use rshelve_core::io::Storage;
use rshelve_core::io::real::RealStorage;
use rshelve_core::wal::{Hook, Log, LogOptions};

const PAYLOAD: [u8; 200] = [0x5a; 200];

fn main() {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("wal-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder to write in");
    for map in [true, false] {
        for threads in [1, 2, 4] {
            run(&folder, map, Durability::Process, threads, 2_000_000);
        }
    }
    for threads in [1, 2, 8, 32] {
        run(&folder, true, Durability::Sync, threads, 2_000);
    }
    std::fs::remove_dir_all(&folder).expect("what was made can be removed");
}

fn run(folder: &Path, map: bool, durability: Durability, threads: u64, commits: u64) {
    let storage: Arc<dyn Storage> = Arc::new(RealStorage::new(folder.to_path_buf()));
    let (wake, woken) = std::sync::mpsc::channel();
    let stop = wake.clone();
    let hook = Hook(Arc::new(move || wake.send(()).unwrap_or_default()));
    let options = LogOptions { durability, map, on_half_full: Some(hook), ..LogOptions::default() };
    let log = Log::open(storage, "bench", DatabaseId([1; 16]), 1, Lsn(0), options);
    let log = log.expect("the log opens");
    let (slowest, done) = (AtomicU64::new(0), &AtomicBool::new(false));
    let each = commits / threads;
    let log = &log;
    let (elapsed, processor) = std::thread::scope(|scope| {
        scope.spawn(move || {
            while woken.recv().is_ok() && log.failure().is_none() {
                log.release(Lsn(log.end().0.saturating_sub(48 << 20))).expect("releases");
                log.prepare_next().expect("prepares");
                if done.load(Relaxed) {
                    break;
                }
            }
        });
        commit(log, 1000, &AtomicU64::new(0));
        let begun = Instant::now();
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| commit(log, each, &slowest))).collect();
        let processor: u64 =
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum();
        let elapsed = begun.elapsed();
        done.store(true, Relaxed);
        stop.send(()).expect("the preparing thread waits");
        (elapsed, processor)
    });
    let nanos = elapsed.as_nanos() as u64 / (each * threads);
    log.close().expect("closes");
    println!(
        "{durability:?} {} {threads:2} threads: {nanos:8} ns per commit by the clock, {:5} by the \
         processor, {:8} a second, slowest {} us",
        if map { "map  " } else { "write" },
        processor / (each * threads),
        1_000_000_000 / nanos.max(1),
        slowest.load(Relaxed) / 1000,
    );
    log.remove_all().expect("removes");
}

/// Commits so often, and returns the processor's time that it took in nanoseconds. (Where the
/// system does not tell, zero. Unlike the clock's, it means something on a busy machine.)
fn commit(log: &Log, count: u64, slowest: &AtomicU64) -> u64 {
    let before = processor_ns();
    let mut worst = 0;
    for index in 0..count {
        // Reading the clock costs as much as a part of the commit.
        let begun = (index % 16 == 0).then(Instant::now);
        let registration = log.register();
        let written = registration.append(1, &[&PAYLOAD]).expect("appends");
        registration.wait_committed(written.end).expect("commits");
        drop(registration);
        worst = worst.max(begun.map_or(0, |begun| begun.elapsed().as_nanos() as u64));
    }
    slowest.fetch_max(worst, Relaxed);
    processor_ns() - before
}

fn processor_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}
