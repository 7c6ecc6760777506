//! A handle: one table of a shared engine, closed once, refused after a fork.
//!
//! What Python calls goes through here, so this is where detaching is decided.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rshelve::{
    Compression, DatabaseOptions, Error, ForkGuard, InCache, OpenMode, Table, TableOptions,
};

use crate::errors::Refusal;
use crate::registry::{self, Engine};

/// What to open in a database.
pub struct TableChoice {
    /// The table's name.
    pub name: String,
    /// How a new table is compressed, and what an existing one must be; `None` leaves it open.
    pub compression: Option<Compression>,
    /// What to keep with a new table.
    pub metadata: String,
}

/// One table of a shared engine.
pub struct Handle {
    /// What is there while the handle is open. Emptied once, by whoever closes, so that a closed handle that
    /// somebody keeps holds no memory and no file; an operation that loaded it before goes on, and the engine
    /// waits for it or refuses it.
    open: ArcSwapOption<Open>,
    /// The database's.
    path: PathBuf,
    /// Whether this handle may write; the engine may be open for writing all the same.
    read_only: bool,
    guard: ForkGuard,
}

struct Open {
    engine: Arc<Engine>,
    table: Table,
}

/// A handle's table, for the length of one operation.
pub struct Opened(Guard<Option<Arc<Open>>>);

impl Opened {
    /// The engine that the handle shares.
    pub fn engine(&self) -> &Engine {
        &self.open().engine
    }

    fn open(&self) -> &Open {
        self.0.as_ref().expect("checked when it was loaded")
    }
}

impl std::ops::Deref for Opened {
    type Target = Table;

    #[inline]
    fn deref(&self) -> &Table {
        &self.open().table
    }
}

impl Handle {
    /// Opens a table of the database at `path`. Run it detached.
    ///
    /// # Errors
    /// What [`registry::acquire`] says; a table that is missing and may not be made; a table
    /// whose compression is another.
    pub fn open(
        path: &Path,
        options: DatabaseOptions,
        choice: &TableChoice,
    ) -> Result<Self, Refusal> {
        let mode = options.mode;
        let guard = registry::watch_forks(path)?;
        let engine = registry::acquire(path, options)?;
        let table = match open_table(&engine, mode, choice) {
            Ok(table) => table,
            Err(refusal) => {
                // The first failure is the one to tell.
                let _ = registry::release(&engine);
                return Err(refusal);
            }
        };
        Ok(Self {
            path: engine.connection.path().to_path_buf(),
            open: ArcSwapOption::from_pointee(Open { engine, table }),
            read_only: mode == OpenMode::ReadOnly,
            guard,
        })
    }

    /// The table, for reading.
    ///
    /// # Errors
    /// When the handle is closed, or belongs to the parent of this process.
    #[inline]
    pub fn table(&self) -> Result<Opened, Refusal> {
        if self.is_foreign() {
            return Err(Refusal::Forked);
        }
        let guard = self.open.load();
        if guard.is_none() { Err(Refusal::Closed) } else { Ok(Opened(guard)) }
    }

    /// The table, for writing.
    ///
    /// # Errors
    /// The same, and when the handle is for reading only.
    #[inline]
    pub fn table_to_write(&self) -> Result<Opened, Refusal> {
        let table = self.table()?;
        if self.read_only { Err(Refusal::ReadOnly) } else { Ok(table) }
    }

    /// Whether the handle belongs to the parent of this process.
    #[inline]
    pub fn is_foreign(&self) -> bool {
        !self.guard.is_ours()
    }

    /// Whether the handle may not write.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the handle was closed.
    pub fn is_closed(&self) -> bool {
        self.open.load().is_none()
    }

    /// The database's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value at `key`. A page in memory is read without detaching.
    ///
    /// # Errors
    /// See [`Handle::table`], and the engine's.
    #[inline]
    pub fn get<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> Result<Option<Bound<'py, PyBytes>>, Refusal> {
        let table = self.table()?;
        match table.get_in_cache(key, |value| PyBytes::new(py, value))? {
            InCache::Found(value) => Ok(Some(value)),
            InCache::Missing => Ok(None),
            InCache::NeedsDisk => {
                let table: &Table = &table;
                let value = py.detach(|| table.get(key))?;
                Ok(value.map(|value| PyBytes::new(py, &value)))
            }
        }
    }

    /// Whether there is a value at `key`.
    ///
    /// # Errors
    /// See [`Handle::get`].
    #[inline]
    pub fn contains(&self, py: Python<'_>, key: &[u8]) -> Result<bool, Refusal> {
        let table = self.table()?;
        match table.get_in_cache(key, |_| ())? {
            InCache::Found(()) => Ok(true),
            InCache::Missing => Ok(false),
            InCache::NeedsDisk => {
                let table: &Table = &table;
                Ok(py.detach(|| table.contains(key))?)
            }
        }
    }

    /// Runs `operation` on the table, detached.
    ///
    /// # Errors
    /// See [`Handle::table`], and the operation's.
    pub fn read<R: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&Table) -> rshelve::Result<R> + Send,
    ) -> Result<R, Refusal> {
        let table = self.table()?;
        let table: &Table = &table;
        Ok(py.detach(|| operation(table))?)
    }

    /// Runs `operation`, which writes, on the table, detached.
    ///
    /// # Errors
    /// See [`Handle::table_to_write`], and the operation's.
    #[inline]
    pub fn write<R: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&Table) -> rshelve::Result<R> + Send,
    ) -> Result<R, Refusal> {
        let table = self.table_to_write()?;
        let table: &Table = &table;
        Ok(py.detach(|| operation(table))?)
    }

    /// Closes the handle; the last one on a file closes the engine. Again is fine. Run it
    /// detached.
    ///
    /// # Errors
    /// What the engine says to its last checkpoint. The handle is closed all the same.
    pub fn close(&self) -> Result<(), Refusal> {
        let Some(open) = self.open.swap(None) else { return Ok(()) };
        if self.is_foreign() {
            // The parent's: dropping it here might write, or unlock, in the parent's name.
            let _parents = mem::ManuallyDrop::new(open);
            return Ok(());
        }
        registry::release(&open.engine)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_closed() {
            return;
        }
        // A destructor has nobody to tell; whoever wants to know calls close.
        let _ = match Python::try_attach(|py| py.detach(|| self.close())) {
            Some(closed) => closed,
            None => self.close(),
        };
    }
}

fn open_table(engine: &Engine, mode: OpenMode, choice: &TableChoice) -> Result<Table, Refusal> {
    let connection = &engine.connection;
    let table = match connection.table(&choice.name) {
        Err(Error::Missing { .. }) if matches!(mode, OpenMode::Create | OpenMode::Replace) => {
            let options = TableOptions {
                compression: choice.compression.unwrap_or_default(),
                metadata: choice.metadata.clone(),
                ..TableOptions::default()
            };
            connection.create_table(&choice.name, &options)?
        }
        found => found?,
    };
    let have = table.options().compression;
    match choice.compression {
        Some(wanted) if wanted != have => Err(Refusal::Conflict(format!(
            "table {:?} was made with compression={}, which conflicts with compression={}; leave the option out",
            choice.name,
            compression_name(have),
            compression_name(wanted),
        ))),
        _ => Ok(table),
    }
}

/// How Python writes it.
pub fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "None",
        Compression::Snappy => "'snappy'",
    }
}
