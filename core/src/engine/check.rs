//! Verifying a database: the open one's last checkpoint, or a file that nobody has open.

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

/// How much of the file may be in use for [`lost_space`] to read it all while somebody waits for the
/// database to open.
const LOOKED_THROUGH_BYTES_MAX: u64 = 64 << 20;

/// After a crash, before anything is replayed: what is in use and reached neither by the checkpoint nor
/// by the log. Transactions that were open have left their long values there, eviction its pages.
/// Nothing where the file is too large to be looked through now, or is damaged, for then what cannot be
/// reached may be all that is left.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn lost_space(blocks: &Blocks, survey: &Survey) -> Result<Vec<Extent>> {
    let superblock = blocks.superblock();
    let mut space = blocks.space_now();
    if superblock.end.saturating_sub(space.free_bytes()) > LOOKED_THROUGH_BYTES_MAX {
        return Ok(Vec::new());
    }
    match verify::reach_all(&subject(blocks, superblock), &mut space) {
        Ok(()) => {}
        Err(error @ Error::Corrupt(_)) => {
            tracing::warn!(%error, "lost space is not looked for");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    }
    named_by_the_log(survey).for_each(|address| space.keep(&address));
    Ok(space.unreached())
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
