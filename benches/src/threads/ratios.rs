//! Two threads of one database beside two processes with a database each, in turn, and one reader beside
//! checkpoints.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rshelve::{Connection, Tuning};

use super::crew::{Crew, Order, TOGETHER, TOGETHER_IN_LESS};
use super::work::{Field, Mix, Place, make_dirty};
use super::{Plan, open};
use crate::data::Random;
use crate::statistics::Ratio;
use crate::store::Outcome;

/// A comparison: what it is called, what it should come to at least, and what it came to.
pub struct Compared {
    /// What was compared.
    pub name: &'static str,
    /// The least that is wanted; none for what says only what the machine allows.
    pub wanted: Option<f64>,
    /// The ratio, of as many pairs as there were rounds.
    pub ratio: Option<Ratio>,
}

/// Who works beside a reader, and what is wanted of it.
const NEIGHBOURS: [(&str, Option<f64>); 5] = [
    ("one reader beside a checkpoint", Some(0.9)),
    ("one reader beside a checkpoint that somebody waits for", None),
    ("one reader beside another process's checkpoint", None),
    ("one reader beside a process that computes", None),
    ("one reader beside a process that copies memory", None),
];

/// Runs every comparison that is planned, and shows each.
///
/// # Errors
/// The engine's; what starting a process gives.
pub fn all(plan: &Plan, mut show: impl FnMut(Compared)) -> Outcome<()> {
    let (reads, writes) = (Mix::Reads, Mix::WritesApart);
    let (whole, apart) = (Order::Whole, Order::WholeApart);
    for (name, mix, together, process, wanted) in [
        ("two readers, one table", reads, whole(reads), TOGETHER, Some(0.93)),
        ("two readers, two tables", reads, apart(reads), TOGETHER, Some(0.93)),
        ("two writers, two tables", writes, apart(writes), TOGETHER, Some(0.85)),
        ("two writers, one table", writes, whole(writes), TOGETHER, Some(0.75)),
        ("two writers, two tables, one log's room", writes, apart(writes), TOGETHER_IN_LESS, None),
        ("two writers, one table, one log's room", writes, whole(writes), TOGETHER_IN_LESS, None),
    ] {
        if plan.has(name) {
            let ratio = threads_to_processes(plan, Order::Half(mix), together, process)?;
            show(Compared { name, wanted, ratio });
        }
    }
    if NEIGHBOURS.iter().any(|(name, _)| plan.has(name)) {
        let ratios = reader_beside(plan)?;
        for ((name, wanted), ratio) in NEIGHBOURS.into_iter().zip(ratios) {
            show(Compared { name, wanted, ratio });
        }
    }
    Ok(())
}

fn threads_to_processes(
    plan: &Plan,
    half: Order,
    together: Order,
    process: u64,
) -> Outcome<Option<Ratio>> {
    let mut apart = Crew::start(plan, 0..2)?;
    let mut threads = Crew::start(plan, process..process + 1)?;
    let mut ratios = Vec::new();
    for round in 0..plan.rounds {
        // Each kind comes first in turn.
        let (of_threads, of_processes) = if round % 2 == 0 {
            let of_threads = threads.run(together)?;
            (of_threads, apart.run(half)?)
        } else {
            let of_processes = apart.run(half)?;
            (threads.run(together)?, of_processes)
        };
        ratios.push(of_threads as f64 / of_processes as f64);
    }
    Ok(Ratio::of_pairs(&ratios))
}

/// The rate of one reader beside each of [`NEIGHBOURS`], to its rate just before, when nobody else works:
/// beside checkpoints of its own database, by the background thread and by whoever asked for one, and beside
/// another process, which shares no more with it than the machine.
fn reader_beside(plan: &Plan) -> Outcome<[Option<Ratio>; NEIGHBOURS.len()]> {
    let path = plan.folder.join("reader");
    let connection = open(&path, 1)?;
    let field = Field::fill(&connection, "table", plan.records)?;
    let mut other = Crew::start(plan, 0..1)?;
    let (done, end) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut ratios = [const { Vec::new() }; NEIGHBOURS.len()];
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut random = Random(1);
            while !end.load(Relaxed) {
                field.step(Mix::Reads, Place { number: 0, of: 1 }, &mut random)?;
                done.fetch_add(1, Relaxed);
            }
            Outcome::Ok(())
        });
        let outcome = (|| {
            for _ in 0..plan.rounds * 4 {
                let own: [&dyn Fn() -> Outcome<()>; 2] =
                    [&|| background_checkpoint(&connection), &|| Ok(connection.checkpoint()?)];
                for (checkpoint, ratios) in own.into_iter().zip(&mut ratios) {
                    make_dirty(&field)?;
                    let quiet = quiet_rate(&done)?;
                    let busy = rate_during(&done, checkpoint)?;
                    ratios.push(busy / quiet);
                }
                other.run(Order::MakeDirty)?;
                for (order, ratios) in [Order::Checkpoint, Order::Compute, Order::Copy]
                    .into_iter()
                    .zip(&mut ratios[2..])
                {
                    let quiet = quiet_rate(&done)?;
                    let busy = rate_during(&done, || other.run(order).map(drop))?;
                    ratios.push(busy / quiet);
                }
            }
            Outcome::Ok(())
        })();
        end.store(true, Relaxed);
        reader.join().expect("no panic")?;
        outcome
    })?;
    connection.close()?;
    std::fs::remove_file(path)?;
    Ok(ratios.map(|ratios| Ratio::of_pairs(&ratios)))
}

/// Lets the background thread take a checkpoint, and looks now and then whether it has.
fn background_checkpoint(connection: &Connection) -> Outcome<()> {
    let (before, tuning) = (connection.stats().checkpoints, connection.tuning());
    connection.retune(Tuning { checkpoint_interval: Duration::from_millis(1), ..tuning })?;
    while connection.stats().checkpoints == before {
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(connection.retune(tuning)?)
}

fn quiet_rate(done: &AtomicU64) -> Outcome<f64> {
    rate_during(done, || {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    })
}

fn rate_during(done: &AtomicU64, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let (before, start) = (done.load(Relaxed), Instant::now());
    work()?;
    Ok((done.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64())
}
