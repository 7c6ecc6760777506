//! What a verification found.

use std::fmt;

use crate::base::error::Error;
use crate::base::ids::TableId;
use crate::block::{Extent, Superblock};
use crate::sync::Arc;

/// How many findings a report keeps; more are counted.
const PROBLEMS_MAX: usize = 1000;

/// How far a verification is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The named checkpoint that is gone through; none for the newest one.
    pub checkpoint: Option<String>,
    /// The table that is gone through; none for the catalog.
    pub table: Option<String>,
    /// Blocks read so far.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes of the file that are in use, by each checkpoint: what `bytes` comes to, more or less.
    pub bytes_total: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The named checkpoint that it is in; none for the newest one.
    pub checkpoint: Option<String>,
    /// The table that it is in; none for the catalog, the superblocks and the free list.
    pub table: Option<String>,
    /// What is wrong, and where.
    pub error: Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(checkpoint) = &self.checkpoint {
            write!(f, "checkpoint {checkpoint:?}: ")?;
        }
        if let Some(table) = &self.table {
            write!(f, "table {table:?}: ")?;
        }
        self.error.fmt(f)
    }
}

/// What was found in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableReport {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TableId,
    /// The rows that the catalog counts.
    pub rows: u64,
    /// The rows that were found.
    pub rows_found: u64,
    /// Its blocks that were read, long values' included.
    pub blocks: u64,
    /// Of these, leaves.
    pub leaves: u64,
    /// Long values.
    pub long_values: u64,
    /// Bytes of its blocks as stored.
    pub bytes: u64,
    /// The levels of pages, the leaves included; 0 without rows.
    pub levels: u8,
}

/// What was found in a named checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Its name.
    pub name: String,
    /// Its number.
    pub generation: u64,
    /// Each table as it was then.
    pub tables: Vec<TableReport>,
    /// Bytes of the file that it reaches, those that it shares with others included.
    pub reached_bytes: u64,
}

impl CheckpointReport {
    /// The rows of all tables.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// let engine = Engine::open(&folder.path().join("spam"), Default::default())?;
    /// engine.checkpoint_named("monday")?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// assert_eq!(report.checkpoints[0].rows(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_found).sum()
    }
}

/// What a verification found. [`is_clean`](Self::is_clean) is the short answer, `Display` the long one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The file.
    pub file: Arc<str>,
    /// The newest checkpoint's number.
    pub generation: u64,
    /// Each of its tables, in order of the catalog.
    pub tables: Vec<TableReport>,
    /// The named checkpoints, in the order in which they were named.
    pub checkpoints: Vec<CheckpointReport>,
    /// Blocks that were read, again for each checkpoint that reaches them.
    pub blocks: u64,
    /// Bytes of the file that the checkpoint reaches, rounded up to allocation units.
    pub reached_bytes: u64,
    /// Bytes that are free, the free list's own blocks included.
    pub free_bytes: u64,
    /// In use and not reached: lost until somebody frees it, and harmless. A crash leaves such space,
    /// and so does, for a while, an open database. Only looked for where nothing else is wrong.
    pub unreached: Vec<Extent>,
    /// Records of the log behind the checkpoint that the next open replays; only of a closed file.
    pub log_records: u64,
    /// The first thousand findings.
    pub problems: Vec<Problem>,
    /// How many findings there are.
    pub problem_count: u64,
    /// What is odd and harmless.
    pub remarks: Vec<String>,
}

impl Report {
    pub(super) fn new(file: &Arc<str>, superblock: &Superblock) -> Self {
        Self {
            file: Arc::clone(file),
            generation: superblock.generation.0,
            tables: Vec::new(),
            checkpoints: Vec::new(),
            blocks: 0,
            reached_bytes: 0,
            free_bytes: 0,
            unreached: Vec::new(),
            log_records: 0,
            problems: Vec::new(),
            problem_count: 0,
            remarks: Vec::new(),
        }
    }

    /// Whether nothing is wrong.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_clean(&self) -> bool {
        self.problem_count == 0
    }

    /// The rows of all tables.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// assert_eq!(report.rows(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_found).sum()
    }

    /// Bytes in use that nothing reaches.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// assert_eq!(report.unreached_bytes(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unreached_bytes(&self) -> u64 {
        self.unreached.iter().map(|extent| extent.len).sum()
    }

    /// The first finding as an error, if there is one.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// report.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// That finding.
    pub fn check(&self) -> crate::Result<()> {
        self.problems.first().map_or(Ok(()), |problem| Err(problem.error.clone()))
    }

    pub(super) fn problem(&mut self, table: Option<&str>, error: Error) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            let table = table.map(str::to_owned);
            self.problems.push(Problem { checkpoint: None, table, error });
        }
    }

    /// Adds what was found in a named checkpoint.
    pub(super) fn add_checkpoint(&mut self, name: &str, found: Self) {
        self.blocks += found.blocks;
        self.problem_count += found.problem_count;
        let room = PROBLEMS_MAX - self.problems.len();
        self.problems.extend(
            found
                .problems
                .into_iter()
                .take(room)
                .map(|problem| Problem { checkpoint: Some(name.to_owned()), ..problem }),
        );
        self.checkpoints.push(CheckpointReport {
            name: name.to_owned(),
            generation: found.generation,
            tables: found.tables,
            reached_bytes: found.reached_bytes,
        });
    }

    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_clean() { "clean" } else { "DAMAGED" };
        writeln!(f, "{}: {verdict}, checkpoint {}", self.file, self.generation)?;
        for table in &self.tables {
            writeln!(
                f,
                "  table {:?}: {} rows, {} levels, {} leaves, {} long values, {} bytes",
                table.name,
                table.rows_found,
                table.levels,
                table.leaves,
                table.long_values,
                table.bytes
            )?;
        }
        for checkpoint in &self.checkpoints {
            writeln!(
                f,
                "  checkpoint {:?}, {}: {} tables, {} rows, {} bytes reached",
                checkpoint.name,
                checkpoint.generation,
                checkpoint.tables.len(),
                checkpoint.rows(),
                checkpoint.reached_bytes
            )?;
        }
        writeln!(
            f,
            "  {} blocks read; {} bytes reached, {} free, {} in use and not reached",
            self.blocks,
            self.reached_bytes,
            self.free_bytes,
            self.unreached_bytes()
        )?;
        if self.log_records > 0 {
            writeln!(f, "  {} log records, replayed by the next open", self.log_records)?;
        }
        for remark in &self.remarks {
            writeln!(f, "  remark: {remark}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        let left_out = self.problem_count - self.problems.len() as u64;
        if left_out > 0 {
            writeln!(f, "  and {left_out} more problems")?;
        }
        Ok(())
    }
}
