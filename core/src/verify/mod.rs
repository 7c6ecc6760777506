//! Verifying a checkpoint: that everything it reaches is there, once, whole and in order.
//!
//! [`verify`] goes through a checkpoint on the disk and the named ones that it keeps, page by page, past
//! the cache and beside readers and writers (its caller pins the checkpoint, which keeps the named ones). It follows an address only after it has noted the
//! block's space as reached, so that pages in a circle, or shared, end in a finding; and it goes on
//! behind each finding with whatever does not depend on it.
//!
//! This layer knows blocks, page images, and what tables are; it changes nothing, and knows neither
//! pages in memory nor transactions.
#![forbid(unsafe_code)]

mod log;
mod report;
mod walk;

use hashbrown::HashSet;

use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::block::{Address, Blocks, FIRST_EXTENT, SpaceMap, Superblock};

pub use log::check_log;
pub use report::{CheckpointReport, Problem, Progress, Report, TableReport};

use walk::Walk;

/// The most levels of internal pages that a file may claim for a tree; no tree grows so high.
pub use crate::btree::LEVELS_MAX;

/// What the catalog says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TableId,
    /// The block of its root and the levels below; none when it has no rows.
    pub root: Option<(Address, u8)>,
    /// Its rows.
    pub rows: u64,
}

/// What is verified.
pub struct Subject<'s> {
    /// The open file.
    pub blocks: &'s Blocks,
    /// The checkpoint; it must be pinned, or nobody writes.
    pub superblock: Superblock,
    /// Decodes an entry of the catalog; none when it makes no sense.
    pub decode: &'s dyn Fn(&[u8]) -> Option<TableEntry>,
}

/// Called now and then with how far it is; an error ends the verification with it.
pub type OnProgress<'p> = dyn FnMut(&Progress) -> Result<()> + 'p;

/// Verifies the checkpoint of `subject` and the named ones that it keeps: superblocks, free lists,
/// catalogs, every table's pages and long values, and that what nothing reaches is free.
///
/// # Errors
/// What `progress` returns. Damage is no error here: it is in the report.
pub fn verify(subject: &Subject<'_>, progress: &mut OnProgress<'_>) -> Result<Report> {
    let Subject { blocks, superblock, decode } = *subject;
    let mut report = Report::new(blocks.label(), &superblock);
    // 1. The fixed places.
    blocks.slot_complaints(&superblock)?.into_iter().for_each(|remark| report.remark(remark));
    // 2. The named checkpoints.
    let names = match blocks.read_names(&superblock) {
        Ok(names) => names,
        Err(error) => {
            report.problem(None, finding(error)?);
            Vec::new()
        }
    };
    let mut so_far = Progress::default();
    let all = names.iter().map(|named| &named.superblock).chain([&superblock]);
    so_far.bytes_total = all.map(|superblock| bytes_in_use(blocks, superblock)).sum();
    // 3. What the newest reaches.
    checkpoint(subject, &mut report, progress, &mut so_far)?;
    // 4. What each named one reaches, by its own free list.
    for named in &names {
        let subject = Subject { blocks, superblock: named.superblock, decode };
        let mut found = Report::new(blocks.label(), &named.superblock);
        so_far.checkpoint = Some(named.name.clone());
        checkpoint(&subject, &mut found, progress, &mut so_far)?;
        report.add_checkpoint(&named.name, found);
    }
    Ok(report)
}

/// What a walk through the checkpoint of `superblock` comes to, more or less.
fn bytes_in_use(blocks: &Blocks, superblock: &Superblock) -> u64 {
    let free = blocks.space_of(superblock).map_or(0, |space| space.free_bytes());
    (superblock.end.saturating_sub(FIRST_EXTENT)).saturating_sub(free)
}

/// Goes through one checkpoint. `so_far` is moved on.
fn checkpoint(
    subject: &Subject<'_>,
    report: &mut Report,
    progress: &mut OnProgress<'_>,
    so_far: &mut Progress,
) -> Result<()> {
    let Subject { blocks, superblock, .. } = subject;
    // 1. What is free.
    let free_list = blocks.space_of(superblock);
    let knows_free = free_list.is_ok();
    let mut space = free_list.unwrap_or_else(|error| {
        report.problem(None, error);
        blocks.unknown_space(superblock.end)
    });
    report.free_bytes = space.free_bytes();
    // 2. The catalog, and 3. every table.
    let mut walk = Walk::new(blocks, &mut space, report, progress, so_far.clone());
    let entries = catalog(subject, &mut walk)?;
    for entry in &entries {
        table(entry, &mut walk)?;
    }
    let blocks_before = so_far.blocks;
    *so_far = walk.finish()?;
    report.blocks = so_far.blocks - blocks_before;
    // 4. What is left over.
    report.reached_bytes = space.reached_bytes();
    if knows_free && report.problem_count == 0 {
        report.unreached = space.unreached();
    }
    Ok(())
}

/// Goes through the catalog and returns the entries that make sense.
fn catalog(subject: &Subject<'_>, walk: &mut Walk<'_, '_>) -> Result<Vec<TableEntry>> {
    let root = subject.superblock.root;
    let (mut entries, mut ids) = (Vec::new(), HashSet::new());
    let Some(address) = root.catalog_root else {
        if root.catalog_rows != 0 {
            walk.complain_of(0, "rows of the catalog", 0, root.catalog_rows);
        }
        return Ok(entries);
    };
    let Some(level) = u8::try_from(root.catalog_level).ok().filter(|level| *level <= LEVELS_MAX)
    else {
        let most = format!("at most {LEVELS_MAX}");
        walk.complain_of(0, "levels of the catalog", most, root.catalog_level);
        return Ok(entries);
    };
    let mut complaints = Vec::new();
    walk.begin_table(None, TableId::CATALOG);
    walk.tree(address, level, root.catalog_rows, &mut |key, value, offset| {
        let complaint = match value.and_then(subject.decode) {
            None => Some("a table"),
            Some(entry) if entry.name.as_bytes() != key => Some("the name that it is found by"),
            Some(entry) if entry.id < TableId::FIRST || entry.id >= root.next_table => {
                Some("an id that was given out")
            }
            Some(entry) if !ids.insert(entry.id) => Some("an id of its own"),
            Some(entry) => {
                entries.push(entry);
                None
            }
        };
        if let Some(expected) = complaint {
            complaints.push((offset, expected, String::from_utf8_lossy(key).into_owned()));
        }
    })?;
    for (offset, expected, found) in complaints {
        walk.complain_of(offset, "entry of the catalog", expected, found);
    }
    Ok(entries)
}

fn table(entry: &TableEntry, walk: &mut Walk<'_, '_>) -> Result<()> {
    walk.begin_table(Some(&entry.name), entry.id);
    match entry.root {
        Some((address, level)) => walk.tree(address, level, entry.rows, &mut |_, _, _| {})?,
        None if entry.rows != 0 => {
            walk.complain_of(0, "rows of a table without pages", 0, entry.rows);
        }
        None => {}
    }
    walk.end_table(entry.rows);
    Ok(())
}

/// Everything that the checkpoint of `subject` reaches, noted in `space`: to find what is in use for
/// nothing. Stops at the first damage.
///
/// # Errors
/// [`Error::Corrupt`] when anything is damaged; [`Error::Io`].
pub fn reach_all(subject: &Subject<'_>, space: &mut SpaceMap) -> Result<()> {
    let mut report = Report::new(subject.blocks.label(), &subject.superblock);
    let mut nothing = |_: &Progress| Ok(());
    let start = Progress::default();
    let mut walk = Walk::new(subject.blocks, space, &mut report, &mut nothing, start);
    let entries = catalog(subject, &mut walk)?;
    for entry in &entries {
        if walk.has_complained() {
            break;
        }
        table(entry, &mut walk)?;
    }
    match report.problems.pop() {
        Some(problem) => Err(problem.error),
        None => Ok(()),
    }
}

/// An error as the finding that it is; those that say nothing of the file end the verification.
fn finding(error: Error) -> Result<Error> {
    match error {
        Error::Corrupt(_) | Error::Io { .. } => Ok(error),
        other => Err(other),
    }
}
