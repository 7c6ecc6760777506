//! Salvage: from a damaged file every record that can still be read, into a new database.
//!
//! 1. The trees are walked as far as they go. What a page that cannot be read had below it is a *gap*:
//!    a range of keys of which nothing is known yet.
//! 2. If there are gaps, the whole file is searched for blocks, tree or no tree. A leaf of the table with
//!    keys in a gap fills it, the newest first; what an older one says of keys between the first and
//!    the last of a newer one counts for nothing. Leaves in free space come last: they are what was
//!    there before.
//! 3. What the log has, as far as it goes.
//!
//! The damaged file is not changed. What was lost is in the [`Report`]. A row that was deleted may come
//! back, and an old value may, where only an old leaf was left; the report counts the rows of such leaves.
#![forbid(unsafe_code)]

mod gaps;
mod log;
mod report;
mod scan;
mod target;
mod walk;

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::{DatabaseOptions, OpenMode};
use crate::block::{Damaged, FIRST_EXTENT};
use crate::engine::Entry;
use crate::io::real::RealStorage;
use crate::io::{OpenHow, Storage};
use crate::sync::Arc;
use crate::verify::OnProgress;

pub use report::{LostRange, LostValue, Report, SalvagedTable};

use gaps::Gaps;
use target::Target;
use walk::Walk;

/// Salvages the database in the file at `path` into a new one at `new_path`, where nothing may be yet.
/// `progress` is called now and then.
///
/// # Errors
/// [`Error::Exists`] for `new_path`; [`Error::Foreign`] when the file is no database at all;
/// [`Error::Busy`] while another process writes to it; [`Error::Io`]; what writing the new one gives, and
/// what `progress` returns. Damage is no error: it is in the report.
///
/// ```
/// use rshelve_core::engine::Engine;
/// use rshelve_core::salvage::salvage_file;
/// # let folder = tempfile::tempdir()?;
/// # let (path, new_path) = (folder.path().join("spam"), folder.path().join("new"));
/// let engine = Engine::open(&path, Default::default())?;
/// let table = engine.create_table("eggs", &Default::default())?;
/// engine.session()?.put(&table, b"key", b"value")?;
/// # drop(table);
/// engine.close()?;
/// let report = salvage_file(&path, &new_path, &mut |_| Ok(()))?;
/// assert!(report.is_whole(), "{report}");
/// assert_eq!(report.rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn salvage_file(path: &Path, new_path: &Path, progress: &mut OnProgress<'_>) -> Result<Report> {
    let locate = |path: &Path| -> Result<(Arc<dyn Storage>, String)> {
        let label: Arc<str> = path.display().to_string().into();
        let (storage, name) =
            RealStorage::locate(path).map_err(|error| Error::io("find", &label, error))?;
        Ok((Arc::new(storage), name))
    };
    let (storage, name) = locate(path)?;
    let (new_storage, new_name) = locate(new_path)?;
    salvage_on(&storage, &name, &new_storage, &new_name, progress)
}

/// Salvages the database `name` in `storage` into `new_name` in `new_storage`; see [`salvage_file`].
///
/// # Errors
/// As [`salvage_file`].
pub fn salvage_on(
    storage: &Arc<dyn Storage>,
    name: &str,
    new_storage: &Arc<dyn Storage>,
    new_name: &str,
    progress: &mut OnProgress<'_>,
) -> Result<Report> {
    let label: Arc<str> = storage.display(name).into();
    let opened = storage.open(name, OpenHow::ReadOnly);
    let file = opened.map_err(|error| Error::io("open", &label, error))?;
    if file.is_written().unwrap_or(false) {
        return Err(Error::Busy {
            path: name.into(),
            holder: "a process that writes to it".into(),
        });
    }
    let damaged = Damaged::open(file, Arc::clone(&label))?;
    if new_storage.open(new_name, OpenHow::ReadOnly).is_ok() {
        return Err(Error::Exists { what: new_storage.display(new_name) });
    }
    let options = DatabaseOptions { mode: OpenMode::Create, ..target::options() };
    let mut target = Target::create(Arc::clone(new_storage), new_name, options)?;
    let mut report = Report::new(label, new_storage.display(new_name).into());
    run(&damaged, &mut target, &mut report, progress)?;
    log::apply(&**storage, name, &damaged, &mut target, &mut report)?;
    target.close(&mut report)?;
    Ok(report)
}

/// The trees, and then what no tree leads to.
fn run(
    damaged: &Damaged,
    target: &mut Target,
    report: &mut Report,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    let blocks = &damaged.blocks;
    for complaint in &damaged.complaints {
        report.remark(complaint.to_string());
    }
    let mut space = blocks.unknown_space(blocks.file_bytes().max(FIRST_EXTENT));
    let mut walk = Walk::new(blocks, &mut space, progress);
    // 1. The catalog, whose rows are the tables.
    let mut entries: Vec<Entry> = Vec::new();
    let mut catalog_gaps = match damaged.superblock {
        None => {
            report.remark("no superblock verifies; the tables are searched for".into());
            Gaps::everything()
        }
        Some(superblock) => {
            let root = superblock.root;
            let level = u8::try_from(root.catalog_level).unwrap_or(u8::MAX);
            let root = root.catalog_root.map(|address| (address, level, root.catalog_rows));
            walk.tree(TableId::CATALOG, root, &mut |row| add_entry(&mut entries, row.value))?
        }
    };
    let is_catalog_whole = catalog_gaps.is_empty();
    for gap in catalog_gaps.lost() {
        report.remark(format!("a part of the catalog is lost: {}", gap.why));
    }
    // 2. Every table that is known by then.
    let mut gaps_of = Vec::new();
    let known = entries.clone();
    for entry in &known {
        let table = target.table(entry, report)?;
        let root = entry.root.map(|(address, level)| (address, level, entry.rows));
        let gaps = walk.tree(entry.id, root, &mut |row| target.put(&table, row, report))?;
        report.tables[table.number].rows_expected = Some(entry.rows);
        gaps_of.push((entry.id, table, gaps));
    }
    let has_gaps = gaps_of.iter().any(|(_, _, gaps)| !gaps.is_empty());
    if is_catalog_whole && !has_gaps {
        return walk.finish();
    }
    // 3. What the file has besides.
    let found = scan::leaves(damaged, &mut walk)?;
    for leaf in found.of(TableId::CATALOG) {
        walk.leaf_at(leaf, &mut catalog_gaps, &mut |row| add_entry(&mut entries, row.value))?;
    }
    entries.retain(|entry| !known.iter().any(|old| old.id == entry.id || old.name == entry.name));
    if !is_catalog_whole {
        for id in found.tables() {
            let is_known = id == TableId::CATALOG
                || known.iter().any(|entry| entry.id == id)
                || entries.iter().any(|entry| entry.id == id);
            if !is_known {
                report
                    .remark(format!("of table {id} nothing is left but rows: no name, no options"));
                entries.push(Entry::nameless(id));
            }
        }
    }
    for entry in &entries {
        let table = target.table(entry, report)?;
        // Its root is as old as the entry; its leaves are found one by one.
        gaps_of.push((entry.id, table, Gaps::everything()));
    }
    for (id, table, mut gaps) in gaps_of {
        if gaps.is_empty() {
            continue;
        }
        for leaf in found.of(id) {
            let before = report.tables[table.number].rows;
            walk.leaf_at(leaf, &mut gaps, &mut |row| target.put(&table, row, report))?;
            let entry = &mut report.tables[table.number];
            let rows = entry.rows - before;
            entry.rows_found += rows;
            entry.rows_stale += if leaf.is_free { rows } else { 0 };
        }
        report.tables[table.number].lost.extend(gaps.into_lost());
    }
    walk.finish()
}

/// Adds the table that a row of the catalog describes.
fn add_entry(entries: &mut Vec<Entry>, value: Option<&[u8]>) -> Result<()> {
    let Some(entry) = value.and_then(Entry::decode) else { return Ok(()) };
    if !entries.iter().any(|old| old.id == entry.id || old.name == entry.name) {
        entries.push(entry);
    }
    Ok(())
}
