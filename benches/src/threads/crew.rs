//! Processes with a database each that work at a word: every side of a comparison lives in them, so that
//! each has a database of its own age, and threads that have run for as long.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rshelve::Connection;

use super::work::{Field, Mix, Place, count, make_dirty};
use super::{Plan, open};
use crate::store::Outcome;

/// What a process is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Its share of a mix that two threads do, one thread of them in this process.
    Half(Mix),
    /// Both threads of it, in one table.
    Whole(Mix),
    /// Both threads of it, each in a table of its own.
    WholeApart(Mix),
    /// A row of every leaf or so.
    MakeDirty,
    /// A checkpoint.
    Checkpoint,
    /// Nothing but arithmetic, for a moment: what a busy neighbour costs that shares no memory.
    Compute,
    /// Nothing but copies of more memory than caches hold, for a moment.
    Copy,
}

/// Each order, and the word for it.
const WORDS: [(Order, &str); 10] = [
    (Order::Half(Mix::Reads), "half of the reads"),
    (Order::Whole(Mix::Reads), "the reads"),
    (Order::WholeApart(Mix::Reads), "the reads, in two tables"),
    (Order::Half(Mix::WritesApart), "half of the writes"),
    (Order::Whole(Mix::WritesApart), "the writes"),
    (Order::WholeApart(Mix::WritesApart), "the writes, in two tables"),
    (Order::MakeDirty, "make dirty"),
    (Order::Checkpoint, "checkpoint"),
    (Order::Compute, "compute"),
    (Order::Copy, "copy"),
];

/// The number of the process that does the work of two.
pub const TOGETHER: u64 = 2;

/// The same, with the log and the cache of one.
pub const TOGETHER_IN_LESS: u64 = 3;

/// What a neighbour copies at a time.
const COPIED_BYTES: usize = 64 << 20;

/// How long a neighbour is busy.
const BUSY: Duration = Duration::from_millis(100);

/// Some such processes.
pub struct Crew(Vec<(Child, BufReader<ChildStdout>)>);

impl Crew {
    /// Starts a process for each of `numbers`, which name their databases, and waits until they are filled.
    ///
    /// # Errors
    /// What starting a process gives.
    pub fn start(plan: &Plan, numbers: std::ops::Range<u64>) -> Outcome<Self> {
        let mut crew = Self(Vec::new());
        for number in numbers {
            let mut child = Command::new("/proc/self/exe")
                .args(["threads", "--child", &number.to_string()])
                .args(["--records", &plan.records.to_string()])
                .args(["--milliseconds", &plan.time.as_millis().to_string()])
                .arg("--folder")
                .arg(&plan.folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let output = child.stdout.take().ok_or("a child without an output")?;
            crew.0.push((child, BufReader::new(output)));
            // One after the other: what they fill their databases with lies in memory alike.
            crew.answer(crew.0.len() - 1)?;
        }
        Ok(crew)
    }

    /// Gives all of them the order, and returns how much they did together.
    ///
    /// # Errors
    /// When one of them has failed.
    pub fn run(&mut self, order: Order) -> Outcome<u64> {
        let word =
            WORDS.iter().find(|(known, _)| *known == order).ok_or("an order without a word")?;
        for (child, _) in &mut self.0 {
            let input = child.stdin.as_mut().ok_or("a child without an input")?;
            writeln!(input, "{}", word.1)?;
            input.flush()?;
        }
        (0..self.0.len()).map(|index| self.answer(index)).sum()
    }

    fn answer(&mut self, index: usize) -> Outcome<u64> {
        let mut line = String::new();
        self.0[index].1.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            // The end of its input ends a child.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// A child's life: it fills a database, says 0, and answers each order with how much it did.
///
/// # Errors
/// The engine's.
pub fn child(plan: &Plan, number: u64) -> Outcome<()> {
    let path = plan.folder.join(format!("child-{number}"));
    // Two processes have two logs to fill between checkpoints, and two caches: so has the one that stands for
    // both, unless it is to have what one of them has.
    let connection = open(&path, if number == TOGETHER { 2 } else { 1 })?;
    let fields = [
        Field::fill(&connection, "table", plan.records)?,
        Field::fill(&connection, "other", plan.records)?,
    ];
    println!("0");
    for word in std::io::stdin().lines() {
        let word = word?;
        let (order, _) =
            WORDS.iter().find(|(_, known)| *known == word).ok_or("a word without an order")?;
        println!("{}", obey(plan, &connection, &fields, number, *order)?);
    }
    connection.close()?;
    std::fs::remove_file(path)?;
    Ok(())
}

fn obey(
    plan: &Plan,
    connection: &Connection,
    [one, other]: &[Field; 2],
    number: u64,
    order: Order,
) -> Outcome<u64> {
    let (mix, workers) = match order {
        // As much of the table as a thread of two has.
        Order::Half(mix) => (mix, vec![(one, number % 2)]),
        Order::Whole(mix) => (mix, vec![(one, 0), (one, 1)]),
        Order::WholeApart(mix) => (mix, vec![(one, 0), (other, 1)]),
        Order::MakeDirty => return make_dirty(one).map(|()| 0),
        Order::Checkpoint => return Ok(connection.checkpoint().map(|()| 0)?),
        Order::Compute => {
            return Ok(busy(|| (0..100_000_u64).fold(0, |sum, n| black_box(sum ^ n))));
        }
        Order::Copy => {
            let (from, mut to) = (vec![1_u8; COPIED_BYTES], vec![0_u8; COPIED_BYTES]);
            return Ok(busy(|| black_box(&mut to).copy_from_slice(black_box(&from))));
        }
    };
    let start = Barrier::new(workers.len());
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|(field, number)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let place = Place { number, of: 2 };
                    // Caches hold what the other side of the comparison has left in them.
                    count(field, mix, place, plan.time / 5)?;
                    count(field, mix, place, plan.time)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    if mix != Mix::Reads {
        // Or what is left to sync and to write would be done while the other side is measured.
        connection.checkpoint()?;
    }
    counts.into_iter().sum()
}

/// Repeats `work` for a moment.
fn busy<R>(mut work: impl FnMut() -> R) -> u64 {
    let start = Instant::now();
    while start.elapsed() < BUSY {
        work();
    }
    0
}
