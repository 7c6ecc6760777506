//! Opening a database: lock, file, superblock, catalog, recovery, threads.

use std::path::Path;
use std::time::Duration;

use super::background;
use super::bell::Bell;
use super::catalog::Catalog;
use super::check::{LostSpace, lost_space};
use super::gate::Gate;
use super::replay::Replay;
use super::{Closer, Engine, Inner};
use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId};
use crate::base::options::{DatabaseOptions, Durability, OpenMode, TableOptions};
use crate::base::stats::Stats;
use crate::block::{self, Blocks, Superblock};
use crate::btree::{LEVELS_MAX, Loads, Replaced, Shared, Tree};
use crate::cache::Cache;
use crate::evict::Clock;
use crate::io::lock::{DatabaseLock, LockRequest};
use crate::io::real::RealStorage;
use crate::io::sticky::{Failure, StickyStorage};
use crate::io::{LockKind, Storage};
use crate::mvcc::Transactions;
use crate::page::Home;
use crate::reclaim::{Fences, HazardDomain};
use crate::recovery::{self, Origin, Survey};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::sync::{Arc, Mutex, RwLock};
use crate::txn::{Committer, OverflowSyncs};
use crate::wal::{BeforeSync, Hook, Log, LogOptions, remove_segments};

impl Engine {
    /// Opens the database in the file at `path`.
    ///
    /// # Errors
    /// [`Error::Busy`] when it is open elsewhere, [`Error::Foreign`] when the file is something
    /// else, [`Error::Corrupt`] when it is damaged, [`Error::Io`] of the kind `NotFound` when it does
    /// not exist and is not to be created ([`Error::Missing`] when it is there and empty),
    /// [`Error::Invalid`] for options out of range, [`Error::Io`].
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let table = engine.create_table("eggs", &Default::default())?;
    /// let mut session = engine.session()?;
    /// session.put(&table, b"key", b"value")?;
    /// assert_eq!(session.get(&table, b"key", |value| value.to_vec())?, Some(b"value".to_vec()));
    /// engine.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: &Path, options: DatabaseOptions) -> Result<Self> {
        let label: Arc<str> = path.display().to_string().into();
        let (storage, name) =
            RealStorage::locate(path).map_err(|error| Error::io("find", &label, error))?;
        let storage = if options.map_data { storage.reading_by_map(&name) } else { storage };
        Self::open_on(Arc::new(storage), &name, options)
    }

    /// Opens the database `name` in `storage`.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
    ) -> Result<Self> {
        options.check()?;
        if options.mode == OpenMode::ReadOnly {
            return Self::open_read_only(storage, name, options);
        }
        Self::open_searching(storage, name, options, &mut LostSpace::after_a_crash())
    }

    /// Opens the database `name` in `storage` for writing, and looks for lost space as `lost` says.
    pub(super) fn open_searching(
        storage: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
        lost: &mut LostSpace,
    ) -> Result<Self> {
        let lock = lock(&storage, name, &options, LockKind::Exclusive)?;
        Self::open_locked(storage, name, options, lock, lost)
    }

    /// A reader takes a shared lock and creates nothing. What a crash left is recovered first,
    /// briefly as a writer; beside a live writer it sees the last checkpoint.
    fn open_read_only(
        storage: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
    ) -> Result<Self> {
        let reader = lock(&storage, name, &options, LockKind::Shared)?;
        let nothing = &mut LostSpace::after_a_crash();
        if !has_log(&*storage, name)? {
            return Self::open_locked(storage, name, options, reader, nothing);
        }
        reader.release()?;
        let as_writer = DatabaseOptions {
            mode: OpenMode::Existing,
            timeout: Duration::ZERO,
            background: false,
            ..options.clone()
        };
        match Self::open_on(Arc::clone(&storage), name, as_writer) {
            Ok(recovered) => recovered.close()?,
            Err(Error::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        let reader = lock(&storage, name, &options, LockKind::Shared)?;
        Self::open_locked(storage, name, options, reader, nothing)
    }

    fn open_locked(
        bare: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
        mut lock: DatabaseLock,
        lost: &mut LostSpace,
    ) -> Result<Self> {
        let failure = Arc::new(Failure::new());
        let storage: Arc<dyn Storage> =
            Arc::new(StickyStorage::new(Arc::clone(&bare), Arc::clone(&failure)));
        let writable = options.mode != OpenMode::ReadOnly;
        refuse_empty(&*bare, name, &options, &lock)?;
        if writable {
            block::remove_leftovers(&*storage, name)?;
            create_if_new(&bare, name, &options, &mut lock)?;
        }
        let label: Arc<str> = storage.display(name).into();
        let sticky = StickyStorage::new(bare, Arc::clone(&failure));
        let file = Arc::new(sticky.wrap(name, Arc::clone(lock.file())));
        let stats = Arc::new(Stats::default());
        let blocks =
            Arc::new(Blocks::open(file, Arc::clone(&label), writable, Arc::clone(&stats))?);
        let superblock = blocks.superblock();
        let tuning = options.tuning();
        let cache = Arc::new(Cache::new(tuning.cache_bytes_max));
        cache.resize(
            tuning.cache_bytes_max,
            tuning.eviction_target_percent,
            tuning.eviction_trigger_percent,
        );
        let scan_bytes = cache.batch_bytes() as usize;
        let shared = Shared {
            blocks: Arc::clone(&blocks),
            hazards: HazardDomain::scanning_every(Fences::fastest(), scan_bytes),
            transactions: Arc::new(Transactions::new()),
            cache,
            stats,
            loads: Arc::new(Loads::default()),
            replaced: Arc::new(Replaced::default()),
        };
        let catalog = Catalog::new(catalog_tree(&superblock, &shared)?);
        let greatest = catalog.load(&shared, superblock.root.next_table, &label)?;
        let next_table = superblock.root.next_table.0.max(greatest.0.saturating_add(1));
        let origin = origin(&*storage, name, &superblock, &blocks);
        let survey = match writable {
            true => recovery::survey(origin, catalog.counts_from(), &blocks)?,
            false => Survey::nothing(origin),
        };
        // Without a log, only what its writer left behind tells that it was killed.
        let was_killed = survey.log_is_there() || lock.was_left();
        if writable {
            lost_space(&blocks, &survey, was_killed, lost)?;
        }
        let needs_recovery = !survey.is_empty();
        // Of a log that ended before what was in it reached the disk, or was taken away.
        let counts_late = catalog.counts_from().values().any(|position| *position > survey.end());
        let epoch = survey.next_epoch();
        let bell = Arc::new(Bell::default());
        let inner = Inner {
            label,
            committer: committer(&storage, name, &options, &shared, &survey, &bell)?,
            guard: lock.guard(),
            lock: Mutex::new(Some(lock)),
            shared,
            catalog,
            log_epoch: epoch,
            log_end: survey.end(),
            clock: Clock::default(),
            used_by_readers: AtomicU64::new(0),
            failure,
            next_table: AtomicU32::new(next_table),
            gate: Gate::default(),
            closed: AtomicBool::new(false),
            turn: super::turn::Turn::default(),
            compacting: Mutex::new(()),
            checkpoint_uses: Mutex::default(),
            unfinished: AtomicBool::new(false),
            bell,
            events: super::events::Events::default(),
            tuning: RwLock::new(tuning),
            options,
        };
        if needs_recovery && writable {
            inner.shared.replaced.hold_back();
            let mut hands = Replay::new(&inner, survey.log_bytes(origin));
            recovery::replay(origin, &survey, &mut hands)?;
            let replaced = inner.shared.replaced.let_go();
            inner.catalog.tree().free_long_values(replaced)?;
            recovery::free_abandoned(&survey, &blocks)?;
        }
        if !lost.found.is_empty() {
            blocks.free_unreached(&lost.found)?;
        }
        inner.catalog.count_all();
        if writable && (survey.log_is_there() || !lost.found.is_empty() || counts_late) {
            // The checkpoint makes what was replayed durable, and what was freed, and names the new
            // epoch, in which all changes count; only then the old segments go.
            inner.checkpoint_now()?;
        }
        if writable && survey.log_is_there() {
            remove_segments(&*storage, name, blocks.id(), epoch)?;
        }
        Self::start(inner)
    }

    fn start(inner: Inner) -> Result<Self> {
        let inner = Arc::new(inner);
        let threads = if inner.options.background && inner.options.mode != OpenMode::ReadOnly {
            background::start(&inner)?
        } else {
            Vec::new()
        };
        let closer = Arc::new(Closer { inner: Arc::clone(&inner), threads: Mutex::new(threads) });
        Ok(Self { inner, _closer: closer })
    }
}

pub(super) fn lock(
    storage: &Arc<dyn Storage>,
    name: &str,
    options: &DatabaseOptions,
    kind: LockKind,
) -> Result<DatabaseLock> {
    let creates = matches!(options.mode, OpenMode::Create | OpenMode::Replace);
    let create_mode = creates.then_some(options.file_mode);
    let request = LockRequest { name, kind, create_mode, timeout: options.timeout };
    DatabaseLock::take(storage, &request)
}

/// Refuses a file without a byte, unless it may become a database: it is what somebody made in passing, or
/// what a killed creation left, and whoever said that the database exists learns that it does not.
fn refuse_empty(
    storage: &dyn Storage,
    name: &str,
    options: &DatabaseOptions,
    lock: &DatabaseLock,
) -> Result<()> {
    if matches!(options.mode, OpenMode::Create | OpenMode::Replace) {
        return Ok(());
    }
    let label: Arc<str> = storage.display(name).into();
    if lock.file().len().map_err(|error| Error::io("measure", &label, error))? > 0 {
        return Ok(());
    }
    let what =
        format!("database in {label}: the file is empty; open it to create, to make one there");
    Err(Error::Missing { what })
}

/// Puts an empty database where there is none, or where it is to be replaced. The lock goes over to the
/// new file before its name does. Give it the bare storage: its file is wrapped under the user's name
/// later, and until then nothing was promised.
fn create_if_new(
    storage: &Arc<dyn Storage>,
    name: &str,
    options: &DatabaseOptions,
    lock: &mut DatabaseLock,
) -> Result<()> {
    let label: Arc<str> = storage.display(name).into();
    let is_empty = lock.file().len().map_err(|error| Error::io("measure", &label, error))? == 0;
    if !is_empty && options.mode != OpenMode::Replace {
        return Ok(());
    }
    // An old database's log must not outlive it.
    for segment in segments(&**storage, name)? {
        storage.remove(&segment).map_err(|error| Error::io("remove", &label, error))?;
    }
    let mut new = block::prepare(&**storage, name, options.file_mode)?;
    lock.hand_over(Arc::clone(new.file()), || new.give_name())?;
    new.sync_name()
}

/// The names of the files that look like segments of the log.
fn segments(storage: &dyn Storage, name: &str) -> Result<Vec<String>> {
    let prefix = format!("{name}-wal");
    let label: Arc<str> = storage.display(name).into();
    let mut names =
        storage.list(&prefix).map_err(|error| Error::io("list the log of", &label, error))?;
    names.retain(|segment| segment[prefix.len()..].bytes().all(|byte| byte.is_ascii_digit()));
    Ok(names)
}

pub(super) fn has_log(storage: &dyn Storage, name: &str) -> Result<bool> {
    Ok(!segments(storage, name)?.is_empty())
}

/// The catalog of the checkpoint that `superblock` was written for.
pub(super) fn catalog_tree(superblock: &Superblock, shared: &Shared) -> Result<Tree> {
    let root = superblock.root;
    let level = u8::try_from(root.catalog_level).ok().filter(|level| *level <= LEVELS_MAX);
    let level = level.ok_or_else(|| {
        let (label, most) = (shared.blocks.label(), format!("at most {LEVELS_MAX}"));
        Error::corrupt(label, 0, "levels of the catalog", most, root.catalog_level)
    })?;
    let home = root.catalog_root.map(|address| (Home::at(address, root.catalog_rows), level));
    let options = TableOptions { logged: false, ..TableOptions::default() };
    Ok(Tree::open(TableId::CATALOG, options, shared.clone(), home))
}

pub(super) fn origin<'s>(
    storage: &'s dyn Storage,
    name: &'s str,
    superblock: &Superblock,
    blocks: &Blocks,
) -> Origin<'s> {
    Origin {
        storage,
        name,
        id: blocks.id(),
        from: superblock.root.log_start,
        epoch: superblock.root.log_epoch,
        through: superblock.root.log_through,
    }
}

fn committer(
    storage: &Arc<dyn Storage>,
    name: &str,
    options: &DatabaseOptions,
    shared: &Shared,
    survey: &Survey,
    bell: &Arc<Bell>,
) -> Result<Committer> {
    let durability = options.durability;
    let overflow = Arc::new(OverflowSyncs::default());
    let has_log = durability != Durability::Checkpoint && options.mode != OpenMode::ReadOnly;
    let log = if has_log {
        let log_options = LogOptions {
            durability,
            // Every record of it is synced at once, and written by a call.
            map: options.map_log && durability != Durability::Sync,
            segment_bytes_max: options.log_segment_bytes,
            file_mode: options.file_mode,
            on_half_full: options.background.then(|| {
                let bell = Arc::clone(bell);
                // The keeper may be in the middle of a checkpoint, longer than the rest of the segment lasts.
                Hook(Arc::new(move || {
                    bell.ring_keeper();
                    bell.ring_evictor();
                }))
            }),
            before_sync: Some(BeforeSync({
                let (overflow, blocks) = (Arc::clone(&overflow), Arc::clone(&shared.blocks));
                Arc::new(move || overflow.sync(&blocks))
            })),
        };
        let (id, epoch) = (shared.blocks.id(), survey.next_epoch());
        let start = Lsn(survey.end().0.next_multiple_of(8));
        let storage = Arc::clone(storage);
        Some(Arc::new(Log::open(storage, name, id, epoch, start, log_options)?))
    } else {
        None
    };
    let (transactions, blocks) = (Arc::clone(&shared.transactions), Arc::clone(&shared.blocks));
    let stats = Arc::clone(&shared.stats);
    Ok(Committer::new(log, durability, transactions, blocks, stats, overflow))
}
