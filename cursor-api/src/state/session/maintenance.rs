//! A session's work on the whole database: checkpoints, verification, compaction.

use std::ops::ControlFlow;

use rshelve_core::engine::CompactReport;

use super::SessionState;
#[cfg(doc)]
use crate::Error;
use crate::{CheckpointInfo, Result, VerifyReport};

impl SessionState {
    /// Brings the one file up to date, durably, and resets the session's cursors.
    ///
    #[doc = state_example!(r#"session.checkpoint()?;
assert!(session.verify()?.is_clean());"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as
    /// [`Connection::checkpoint`](crate::Connection::checkpoint).
    pub fn checkpoint(&mut self) -> Result<()> {
        self.outside_transaction("a checkpoint")?;
        self.reset_cursors();
        self.engine.checkpoint()
    }

    /// The same, and afterwards the checkpoint is kept under `name`, if one is given, in place of any of
    /// that name; those in `drop` are dropped, all of them or none.
    ///
    #[doc = state_example!(r#"session.checkpoint_with(Some("monday"), &[])?;
session.checkpoint_with(Some("tuesday"), &["monday"])?;
assert_eq!(session.checkpoints().len(), 1);"#)]
    ///
    /// # Errors
    /// [`Error::Busy`] when a cursor reads one that is to go; [`Error::Missing`]; [`Error::Invalid`]
    /// for a name that cannot be one; as [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_with(&mut self, name: Option<&str>, drop: &[&str]) -> Result<()> {
        self.outside_transaction("a checkpoint")?;
        self.reset_cursors();
        if !drop.is_empty() {
            self.engine.drop_checkpoints(drop)?;
        }
        match name {
            Some(name) => self.engine.checkpoint_named(name),
            None if drop.is_empty() => self.engine.checkpoint(),
            None => Ok(()),
        }
    }

    /// The named checkpoints, in the order in which they were taken.
    ///
    #[doc = state_example!(r#"session.checkpoint_with(Some("monday"), &[])?;
assert_eq!(session.checkpoints()[0].name, "monday");"#)]
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.engine.checkpoints()
    }

    /// Takes a checkpoint, and verifies all that it reaches. What is damaged is in the report, by table.
    ///
    #[doc = state_example!(r#"let report = session.verify()?;
assert!(report.is_clean(), "{report}");"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as [`checkpoint`](Self::checkpoint) and
    /// [`Connection::verify`](crate::Connection::verify).
    pub fn verify(&mut self) -> Result<VerifyReport> {
        self.outside_transaction("a verification")?;
        self.engine.checkpoint()?;
        self.engine.verify(&mut |_| Ok(()))
    }

    /// Makes everything committed so far durable.
    ///
    #[doc = state_example!(r#"stock.insert(b"d", b"4")?;
session.log_flush()?; // from here on a power cut does not lose it"#)]
    ///
    /// # Errors
    /// As [`Connection::sync`](crate::Connection::sync).
    pub fn log_flush(&mut self) -> Result<()> {
        self.engine.sync()
    }

    /// Compacts the whole database, which is one file.
    ///
    #[doc = state_example!(r#"assert!(session.compact()?.is_complete);"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as [`Connection::compact`](crate::Connection::compact).
    pub fn compact(&mut self) -> Result<CompactReport> {
        self.outside_transaction("a compaction")?;
        self.engine.compact(&mut |_| ControlFlow::Continue(()))
    }
}
