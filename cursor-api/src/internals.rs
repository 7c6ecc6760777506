//! What the suites of isolation reach. Not an interface.

use std::path::PathBuf;
use std::sync::Arc;

use rshelve_core::engine::Engine;
use rshelve_core::io::Storage;

use crate::{Connection, DatabaseOptions, Result};

impl Connection {
    /// Opens the database `name` in `storage`, as [`Connection::open`] does in the file system.
    ///
    /// # Errors
    /// As [`Connection::open`].
    #[doc(hidden)]
    pub fn open_on(
        storage: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
    ) -> Result<Self> {
        let engine = Engine::open_on(storage, name, options)?;
        Ok(Self::from_parts(engine, PathBuf::from(name)))
    }

    /// Evicts every page that can leave memory now, and says how many did.
    ///
    /// # Errors
    /// What writing pages gives.
    #[doc(hidden)]
    pub fn evict_all(&self) -> Result<usize> {
        self.engine().evict_all()
    }

    /// See [`Engine::leave_conflict_check_out`].
    #[doc(hidden)]
    pub fn leave_conflict_check_out(&self) {
        self.engine().leave_conflict_check_out();
    }
}
