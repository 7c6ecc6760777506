//! Two threads of one database beside two processes with a database each, in turn, and one reader beside
//! checkpoints.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::crew::{Crew, Order};
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

/// Runs every comparison that is planned, and shows each.
///
/// # Errors
/// The engine's; what starting a process gives.
pub fn all(plan: &Plan, mut show: impl FnMut(Compared)) -> Outcome<()> {
    let (reads, writes) = (Mix::Reads, Mix::WritesApart);
    for (name, mix, together, wanted) in [
        ("two readers, one table", reads, Order::Whole(reads), 0.93),
        ("two readers, two tables", reads, Order::WholeApart(reads), 0.93),
        ("two writers, two tables", writes, Order::WholeApart(writes), 0.85),
        ("two writers, one table", writes, Order::Whole(writes), 0.75),
    ] {
        if plan.has(name) {
            let ratio = threads_to_processes(plan, Order::Half(mix), together)?;
            show(Compared { name, wanted: Some(wanted), ratio });
        }
    }
    let names =
        ["one reader beside a checkpoint", "one reader beside another process's checkpoint"];
    if names.iter().any(|name| plan.has(name)) {
        let [own, foreign] = reader_beside_checkpoints(plan)?;
        show(Compared { name: names[0], wanted: Some(0.9), ratio: own });
        show(Compared { name: names[1], wanted: None, ratio: foreign });
    }
    Ok(())
}

fn threads_to_processes(plan: &Plan, half: Order, together: Order) -> Outcome<Option<Ratio>> {
    let mut apart = Crew::start(plan, 0..2)?;
    let mut threads = Crew::start(plan, 2..3)?;
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

/// The rate of one reader while checkpoints are written, to its rate just before, when nobody else works:
/// of checkpoints of its own database, and of another process's, which shares no more with it than the machine.
fn reader_beside_checkpoints(plan: &Plan) -> Outcome<[Option<Ratio>; 2]> {
    let path = plan.folder.join("reader");
    let connection = open(&path)?;
    let field = Field::fill(&connection, "table", plan.records)?;
    let mut other = Crew::start(plan, 0..1)?;
    let (done, end) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut ratios = [const { Vec::new() }; 2];
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
                make_dirty(&field)?;
                let quiet = quiet_rate(&done)?;
                let busy = rate_during(&done, || Ok(connection.checkpoint()?))?;
                ratios[0].push(busy / quiet);
                other.run(Order::MakeDirty)?;
                let quiet = quiet_rate(&done)?;
                let busy = rate_during(&done, || other.run(Order::Checkpoint).map(drop))?;
                ratios[1].push(busy / quiet);
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
