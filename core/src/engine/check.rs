//! Verifying a database: the open one's last checkpoint, or a file that nobody has open; and freeing what a
//! verification finds to be in use for nothing.

use std::path::Path;

use super::catalog::Entry;
use super::open::{has_log, lock, origin};
use super::{Engine, Inner};
use crate::base::error::{Error, Result};
use crate::base::ids::Generation;
use crate::base::options::{DatabaseOptions, OpenMode};
use crate::base::stats::Stats;
use crate::block::{Blocks, Extent, Superblock};
use crate::io::real::RealStorage;
use crate::io::{LockKind, Storage};
use crate::recovery::{Survey, named_by_the_log};
use crate::sync::Arc;
use crate::verify::{self, OnProgress, Report, Subject, TableEntry};

impl Engine {
    /// Verifies the last checkpoint, and the named ones, beside readers and writers: what was committed
    /// since is not in it, so take a [`checkpoint`](Engine::checkpoint) first to have it looked at. `progress` is
    /// called now and then.
    ///
    /// # Errors
    /// [`Error::Closed`]; what `progress` returns, which ends the verification. Damage is no error
    /// here: it is in the report.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// let engine = Engine::open(&folder.path().join("spam"), Default::default())?;
    /// let table = engine.create_table("eggs", &Default::default())?;
    /// engine.session()?.put(&table, b"key", b"value")?;
    /// engine.checkpoint()?;
    /// let report = engine.verify(&mut |_| Ok(()))?;
    /// assert!(report.is_clean(), "{report}");
    /// assert_eq!(report.rows(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
        let inner = &*self.inner;
        inner.check_open()?;
        let pinned = Pinned::new(inner);
        let blocks = &inner.shared.blocks;
        verify::verify(&subject(blocks, pinned.superblock), progress)
    }
}

/// Verifies the database in the file at `path`, which is not changed, as of its last checkpoint and of
/// each named one; then reads the log that a crash has left, if there is one. Another process may have it open.
///
/// # Errors
/// [`Error::Foreign`] when the file is something else, [`Error::Corrupt`] when it is damaged in a way
/// that leaves nothing to verify, [`Error::Missing`] or [`Error::Io`] when it cannot be read; what
/// `progress` returns.
pub fn verify_file(path: &Path, progress: &mut OnProgress<'_>) -> Result<Report> {
    let label: Arc<str> = path.display().to_string().into();
    let (storage, name) =
        RealStorage::locate(path).map_err(|error| Error::io("find", &label, error))?;
    verify_on(Arc::new(storage), &name, progress)
}

/// Verifies the database `name` in `storage`; see [`verify_file`].
///
/// # Errors
/// As [`verify_file`].
pub fn verify_on(
    storage: Arc<dyn Storage>,
    name: &str,
    progress: &mut OnProgress<'_>,
) -> Result<Report> {
    let options = DatabaseOptions { mode: OpenMode::ReadOnly, ..DatabaseOptions::default() };
    let lock = lock(&storage, name, &options, LockKind::Shared)?;
    let label: Arc<str> = storage.display(name).into();
    let file = Arc::clone(lock.file());
    // A writer's log changes while it is read, and its last record is seldom whole.
    let is_written = file.is_written().unwrap_or(false);
    let blocks = Blocks::open_to_verify(file, label, Arc::new(Stats::default()))?;
    let superblock = blocks.superblock();
    let mut report = verify::verify(&subject(&blocks, superblock), progress)?;
    if !is_written && has_log(&*storage, name)? {
        let origin = origin(&*storage, name, &superblock, &blocks);
        verify::check_log(origin, &mut report, progress)?;
    }
    lock.release()?;
    Ok(report)
}

/// Frees what the file at `path` has in use for nothing: what writers that were killed have left, in files
/// that are too large to be looked through while somebody waits for them to open. All of the file is
/// read. Returns how many bytes that was; nobody else may have the database open.
///
/// # Errors
/// [`Error::Missing`], [`Error::Busy`], [`Error::Foreign`]; [`Error::Corrupt`] when anything is damaged,
/// for then what cannot be reached may be all that is left: [salvage](crate::salvage) it; [`Error::Io`].
///
/// ```
/// use rshelve_core::engine::{Engine, reclaim_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// Engine::open(&path, Default::default())?.close()?;
/// assert_eq!(reclaim_file(&path)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reclaim_file(path: &Path) -> Result<u64> {
    let label: Arc<str> = path.display().to_string().into();
    let (storage, name) =
        RealStorage::locate(path).map_err(|error| Error::io("find", &label, error))?;
    reclaim_on(Arc::new(storage), &name)
}

/// Frees lost space of the database `name` in `storage`; see [`reclaim_file`].
///
/// # Errors
/// As [`reclaim_file`].
pub fn reclaim_on(storage: Arc<dyn Storage>, name: &str) -> Result<u64> {
    let options = DatabaseOptions {
        mode: OpenMode::Existing,
        background: false,
        ..DatabaseOptions::default()
    };
    let mut lost = LostSpace { always: true, bytes_max: u64::MAX, found: Vec::new() };
    Engine::open_searching(storage, name, options, &mut lost)?.close()?;
    Ok(lost.found.iter().map(|extent| extent.len).sum())
}

/// When lost space is looked for, and what was found.
pub(super) struct LostSpace {
    /// Whatever the last writer's end was, and damage is an error.
    always: bool,
    /// In files with at most so many bytes in use.
    bytes_max: u64,
    /// In use, and reached neither by the checkpoint nor by the log.
    pub(super) found: Vec<Extent>,
}

impl LostSpace {
    /// What an open does by itself: it reads little enough not to keep anybody waiting.
    pub(super) fn after_a_crash() -> Self {
        Self { always: false, bytes_max: 64 << 20, found: Vec::new() }
    }
}

/// Before anything is replayed: what is in use and reached neither by the checkpoint nor by the log.
/// Transactions that were open when a process died have left their long values there, eviction its
/// pages. Nothing where the file is too large to be looked through now, or is damaged, for then what
/// cannot be reached may be all that is left.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] where `lost` was asked for.
pub(super) fn lost_space(
    blocks: &Blocks,
    survey: &Survey,
    was_killed: bool,
    lost: &mut LostSpace,
) -> Result<()> {
    let superblock = blocks.superblock();
    let mut space = blocks.space_now();
    let in_use = superblock.end.saturating_sub(space.free_bytes());
    if !(was_killed || lost.always) || in_use > lost.bytes_max {
        return Ok(());
    }
    match verify::reach_all(&subject(blocks, superblock), &mut space) {
        Ok(()) => {}
        Err(error @ Error::Corrupt(_)) if !lost.always => {
            tracing::warn!(%error, "lost space is not looked for");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    named_by_the_log(survey).for_each(|address| space.keep(&address));
    lost.found = space.unreached();
    Ok(())
}

fn subject(blocks: &Blocks, superblock: Superblock) -> Subject<'_> {
    Subject { blocks, superblock, decode: &decode }
}

fn decode(bytes: &[u8]) -> Option<TableEntry> {
    let Entry { name, id, root, rows, .. } = Entry::decode(bytes)?;
    Some(TableEntry { name, id, root, rows })
}

/// Keeps the newest checkpoint's blocks from being reused.
struct Pinned<'d> {
    inner: &'d Inner,
    superblock: Superblock,
}

impl<'d> Pinned<'d> {
    fn new(inner: &'d Inner) -> Self {
        Self { inner, superblock: inner.shared.blocks.pin() }
    }

    fn generation(&self) -> Generation {
        self.superblock.generation
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.inner.shared.blocks.unpin(self.generation());
    }
}
