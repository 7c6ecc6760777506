//! Two threads of one database beside two processes with a database each, in turn, and one reader beside
//! checkpoints.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rshelve::Connection;

use super::work::{Field, Mix, Place, count};
use super::{Plan, open};
use crate::data::Random;
use crate::statistics::Ratio;
use crate::store::Outcome;

/// A comparison: what it is called, what it should come to at least, and what it came to.
pub struct Compared {
    /// What was compared.
    pub name: &'static str,
    /// The least that is wanted.
    pub wanted: f64,
    /// The ratio, of as many pairs as there were rounds.
    pub ratio: Option<Ratio>,
}

/// Where the two threads work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    SameTable,
    OtherTables,
}

/// Runs every comparison.
///
/// # Errors
/// The engine's; what starting a process gives.
pub fn all(plan: &Plan, connection: &Connection, field: &Field) -> Outcome<Vec<Compared>> {
    let other = Field::fill(connection, "other", plan.records)?;
    let fields = [field, &other];
    let mut compared = Vec::new();
    for (name, mix, place, wanted) in [
        ("two readers, one table", Mix::Reads, Where::SameTable, 0.93),
        ("two writers, two tables", Mix::WritesApart, Where::OtherTables, 0.85),
        ("two writers, one table", Mix::WritesApart, Where::SameTable, 0.75),
    ] {
        let ratio = threads_to_processes(plan, fields, mix, place)?;
        compared.push(Compared { name, wanted, ratio });
    }
    let ratio = reader_beside_checkpoints(plan, connection, field)?;
    compared.push(Compared { name: "one reader beside a checkpoint", wanted: 0.9, ratio });
    Ok(compared)
}

fn threads_to_processes(
    plan: &Plan,
    fields: [&Field; 2],
    mix: Mix,
    place: Where,
) -> Outcome<Option<Ratio>> {
    let mut ratios = Vec::new();
    let mut processes = Processes::start(plan)?;
    for round in 0..plan.rounds {
        // Each kind comes first in turn.
        let (threads, apart) = if round % 2 == 0 {
            let threads = two_threads(plan, fields, mix, place)?;
            (threads, processes.run(mix)?)
        } else {
            let apart = processes.run(mix)?;
            (two_threads(plan, fields, mix, place)?, apart)
        };
        ratios.push(threads as f64 / apart as f64);
    }
    Ok(Ratio::of_pairs(&ratios))
}

fn two_threads(plan: &Plan, fields: [&Field; 2], mix: Mix, place: Where) -> Outcome<u64> {
    let counts = std::thread::scope(|scope| {
        let threads = [0, 1].map(|number| {
            let field = fields[if place == Where::OtherTables { number } else { 0 }].clone();
            let place = Place { number: number as u64, of: 2 };
            scope.spawn(move || count(&field, mix, place, plan.time))
        });
        threads.map(|thread| thread.join().expect("no panic"))
    });
    let [one, two] = counts;
    Ok(one? + two?)
}

/// Two children, each with a database of its own, that work at a word.
struct Processes(Vec<(Child, BufReader<std::process::ChildStdout>)>);

impl Processes {
    fn start(plan: &Plan) -> Outcome<Self> {
        let mut children = Vec::new();
        for number in ["0", "1"] {
            let mut child = Command::new("/proc/self/exe")
                .args(["threads", "--child", number])
                .args(["--records", &plan.records.to_string()])
                .args(["--milliseconds", &plan.time.as_millis().to_string()])
                .arg("--folder")
                .arg(&plan.folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let output = child.stdout.take().ok_or("a child without an output")?;
            children.push((child, BufReader::new(output)));
        }
        let mut processes = Self(children);
        processes.answers()?;
        Ok(processes)
    }

    fn run(&mut self, mix: Mix) -> Outcome<u64> {
        for (child, _) in &mut self.0 {
            let input = child.stdin.as_mut().ok_or("a child without an input")?;
            writeln!(input, "{}", if mix == Mix::Reads { "reads" } else { "writes" })?;
            input.flush()?;
        }
        Ok(self.answers()?.into_iter().sum())
    }

    fn answers(&mut self) -> Outcome<Vec<u64>> {
        let mut answers = Vec::new();
        for (_, output) in &mut self.0 {
            let mut line = String::new();
            output.read_line(&mut line)?;
            answers.push(line.trim().parse()?);
        }
        Ok(answers)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            // The end of its input ends a child.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// A child's life: it fills a database, says 0, and answers each word with how much it did.
///
/// # Errors
/// The engine's.
pub fn child(plan: &Plan, number: u64) -> Outcome<()> {
    let connection = open(&plan.folder.join(format!("child-{number}")))?;
    let field = Field::fill(&connection, "table", plan.records)?;
    println!("0");
    for word in std::io::stdin().lines() {
        let mix = if word?.trim() == "reads" { Mix::Reads } else { Mix::WritesApart };
        // As much of the table as a thread of two has.
        let place = match mix {
            Mix::Reads => Place { number, of: 2 },
            _ => Place { number: number % 2, of: 2 },
        };
        println!("{}", count(&field, mix, place, plan.time)?);
    }
    connection.close()?;
    Ok(())
}

/// The rate of one reader while checkpoints are written, to its rate just before, when nobody else works.
fn reader_beside_checkpoints(
    plan: &Plan,
    connection: &Connection,
    field: &Field,
) -> Outcome<Option<Ratio>> {
    let (done, end) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut ratios = Vec::new();
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
                make_dirty(field)?;
                let quiet = rate_during(&done, || {
                    std::thread::sleep(Duration::from_millis(100));
                    Ok(())
                })?;
                let busy = rate_during(&done, || Ok(connection.checkpoint()?))?;
                ratios.push(busy / quiet);
            }
            Outcome::Ok(())
        })();
        end.store(true, Relaxed);
        reader.join().expect("no panic")?;
        outcome
    })?;
    Ok(Ratio::of_pairs(&ratios))
}

/// Writes a row of every leaf or so.
fn make_dirty(field: &Field) -> Outcome<()> {
    for index in (0..field.records).step_by(50) {
        let key = field.rows.sorted_key(index);
        field.table.insert(&key, &field.rows.value(&key))?;
    }
    Ok(())
}

fn rate_during(done: &AtomicU64, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let (before, start) = (done.load(Relaxed), Instant::now());
    work()?;
    Ok((done.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64())
}

/// Removes what a child left.
pub fn clean(folder: &Path) {
    for number in 0..2 {
        let _ = std::fs::remove_file(folder.join(format!("child-{number}")));
    }
}
