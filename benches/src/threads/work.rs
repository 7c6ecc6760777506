//! What a thread does while it is measured.

use std::ops::Bound;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rshelve::{Connection, Table};

use crate::data::{Random, Rows, belongs};
use crate::histogram::Histogram;
use crate::store::Outcome;

/// Rows that a scan visits.
const SCAN_ROWS: usize = 100;
/// Rows that writers of the same leaves share.
const SHARED_ROWS: u64 = 2_000;
/// Operations between two looks at the clock, where latencies are of no interest.
const BATCH: u64 = 64;

/// A mix of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Reads of any row.
    Reads,
    /// Writes, each thread's to leaves of its own.
    WritesApart,
    /// Writes, all threads' to the same few leaves.
    WritesTogether,
    /// Reads of any row, and writes of any row to so many percent.
    Mixed(u64),
    /// Half of the threads scan a hundred rows, the others write any row.
    ScansBesideWrites,
}

impl Mix {
    /// All that are measured.
    pub const ALL: [Self; 6] = [
        Self::Reads,
        Self::WritesApart,
        Self::WritesTogether,
        Self::Mixed(5),
        Self::Mixed(50),
        Self::ScansBesideWrites,
    ];

    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Self::Reads => "reads".into(),
            Self::WritesApart => "writes, leaves apart".into(),
            Self::WritesTogether => "writes, same leaves".into(),
            Self::Mixed(writes) => format!("{} reads, {writes} writes", 100 - writes),
            Self::ScansBesideWrites => "scans of 100 rows beside writes".into(),
        }
    }
}

/// One thread among others.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which, from 0.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

/// A table full of rows, in order of their index.
#[derive(Clone)]
pub struct Field {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: Rows,
    /// How many.
    pub records: u64,
}

impl Field {
    /// Fills a table called `name` of `connection` with `records` rows.
    ///
    /// # Errors
    /// What writing gives.
    pub fn fill(connection: &Connection, name: &str, records: u64) -> Outcome<Self> {
        let table = connection.create_table(name, &Default::default())?;
        let rows = Rows { seed: 1 };
        for start in (0..records).step_by(1000) {
            let batch: Vec<_> = (start..records.min(start + 1000))
                .map(|index| rows.sorted_key(index))
                .map(|key| (key, Some(rows.value(&key))))
                .collect();
            table.apply(&batch)?;
        }
        connection.checkpoint()?;
        Ok(Self { table, rows, records })
    }

    /// One operation of the mix.
    ///
    /// # Errors
    /// The engine's, or a row that was not what it must be.
    #[inline]
    pub fn step(&self, mix: Mix, place: Place, random: &mut Random) -> Outcome<()> {
        let any = random.next() % self.records;
        match mix {
            Mix::Reads => self.read(any),
            Mix::WritesApart => {
                let own = self.records / place.of;
                self.write(place.number * own + any % own)
            }
            Mix::WritesTogether => {
                let own = SHARED_ROWS / place.of;
                self.write((any % own) * place.of + place.number)
            }
            Mix::Mixed(writes) if random.next() % 100 < writes => self.write(any),
            Mix::Mixed(_) => self.read(any),
            Mix::ScansBesideWrites if place.number.is_multiple_of(2) => self.scan(any),
            Mix::ScansBesideWrites => self.write(any),
        }
    }

    fn read(&self, index: u64) -> Outcome<()> {
        let key = self.rows.sorted_key(index);
        match self.table.get_with(&key, |value| belongs(&key, value))? {
            Some(true) => Ok(()),
            found => Err(format!("row {index}: {found:?}").into()),
        }
    }

    fn write(&self, index: u64) -> Outcome<()> {
        let key = self.rows.sorted_key(index);
        Ok(self.table.insert(&key, &self.rows.value(&key))?)
    }

    fn scan(&self, index: u64) -> Outcome<()> {
        let start = self.rows.sorted_key(index);
        let (mut visited, mut right) = (0, true);
        let (start, stop) = (Bound::Included(&start[..]), Bound::Unbounded);
        self.table.scan_with(start, stop, false, SCAN_ROWS, 0, |key, value| {
            visited += 1;
            right &= belongs(key, value);
        })?;
        let expected = SCAN_ROWS.min((self.records - index) as usize);
        if right && visited == expected {
            return Ok(());
        }
        Err(format!("{visited} of {expected} rows from {index} on").into())
    }
}

/// What several threads did.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// How long each operation took.
    pub took: Histogram,
    /// How long of that it waited for other threads inside the engine.
    pub waited: Histogram,
}

/// Runs the mix on `count` threads for `time`, and times each operation.
///
/// # Errors
/// As [`Field::step`].
pub fn run(field: &Field, mix: Mix, count: u64, time: Duration) -> Outcome<Done> {
    let start = Barrier::new(count as usize);
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (field, start) = (field.clone(), &start);
                scope.spawn(move || {
                    start.wait();
                    run_one(&field, mix, Place { number, of: count }, time)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut done = Done::default();
    for one in all {
        let one = one?;
        done.took.merge(&one.took);
        done.waited.merge(&one.waited);
    }
    Ok(done)
}

fn run_one(field: &Field, mix: Mix, place: Place, time: Duration) -> Outcome<Done> {
    let mut random = Random(place.number + 1);
    let mut done = Done::default();
    let start = Instant::now();
    let (mut last, mut waited) = (start, waited_so_far());
    while last.duration_since(start) < time {
        field.step(mix, place, &mut random)?;
        let (now, waited_now) = (Instant::now(), waited_so_far());
        done.took.add(now - last);
        done.waited.add(waited_now - waited);
        (last, waited) = (now, waited_now);
    }
    Ok(done)
}

fn waited_so_far() -> Duration {
    #[cfg(feature = "waits")]
    return rshelve::waited();
    #[cfg(not(feature = "waits"))]
    Duration::ZERO
}

/// How many operations one thread does in `time`.
///
/// # Errors
/// As [`Field::step`].
pub fn count(field: &Field, mix: Mix, place: Place, time: Duration) -> Outcome<u64> {
    let mut random = Random(place.number + 1);
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < time {
        for _ in 0..BATCH {
            field.step(mix, place, &mut random)?;
        }
        done += BATCH;
    }
    Ok(done)
}

/// Writes a row of every leaf or so.
///
/// # Errors
/// The engine's.
pub fn make_dirty(field: &Field) -> Outcome<()> {
    for index in (0..field.records).step_by(50) {
        let key = field.rows.sorted_key(index);
        field.table.insert(&key, &field.rows.value(&key))?;
    }
    Ok(())
}
