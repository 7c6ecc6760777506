//! A session's transactions.

use std::time::Duration;

use super::SessionState;
#[cfg(doc)]
use crate::Error;
use crate::config::{Method, Settings, TransactionSettings, isolation};
use crate::state::cursor::note_failure;
use crate::{Isolation, Result, TransactionOptions};

impl SessionState {
    /// Begins a transaction. Cursors keep their places.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new().isolation(Isolation::ReadCommitted))?;
assert!(session.in_transaction());
session.commit()?;"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] inside one, [`Error::Closed`].
    pub fn begin(&mut self, options: &TransactionOptions) -> Result<()> {
        let settings = options.settings();
        let begun = settings.and_then(|settings| self.begin_as(settings));
        self.failed.set(begun.is_err());
        begun
    }

    fn begin_as(&mut self, settings: TransactionSettings) -> Result<()> {
        self.core.begin_with(settings.isolation.unwrap_or(self.isolation))?;
        self.sync = settings.sync;
        if settings.operation_timeout.is_some() {
            self.core.set_timeout(settings.operation_timeout);
        }
        Ok(())
    }

    /// Commits the transaction, as it was begun. Cursors keep their places.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.insert_row(&mut session, b"d", b"4")?;
assert_eq!(stock.len()?, 3);
session.commit()?;
assert_eq!(stock.len()?, 4);"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] without one, or when an operation in it failed after it had written: it is
    /// rolled back then. [`Error::OutcomeUnknown`] when the log could not be synced.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_with(None)
    }

    /// The same; `sync`, if it is given, takes the place of what
    /// [`TransactionOptions::sync`] said.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.insert_row(&mut session, b"d", b"4")?;
session.commit_with(Some(true))?; // from here on a power cut does not lose it"#)]
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Unsupported`], and the transaction stays open, when `sync`
    /// is false in a database whose commits are all synced.
    pub fn commit_with(&mut self, sync: Option<bool>) -> Result<()> {
        if self.failed.get() {
            self.core.fail();
        }
        let was_open = self.in_transaction();
        let outcome = self.core.commit_with(sync.or(self.sync));
        if !self.in_transaction() {
            self.core.set_timeout(self.timeout);
        }
        if was_open && outcome.is_err() && !self.in_transaction() {
            // It was rolled back.
            self.reset_cursors();
        }
        outcome
    }

    /// The transaction sees what is committed now, from here on; outside one, the session's cursors do.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
stock.insert(b"d", b"4")?;
assert_eq!(session.rows("stock")?, 3);
session.reset_snapshot()?;
assert_eq!(session.rows("stock")?, 4);
session.commit()?;"#)]
    ///
    /// # Errors
    /// [`Error::Unsupported`] in a transaction with weaker isolation, or in one that
    /// has written.
    pub fn reset_snapshot(&mut self) -> Result<()> {
        self.core.refuse_weak()?;
        if self.in_transaction() {
            return self.core.reset_snapshot();
        }
        self.core.retake_snapshot();
        Ok(())
    }

    /// The isolation of transactions that are begun without one, and of what is done outside one.
    ///
    #[doc = state_example!(r#"session.set_isolation(Isolation::ReadCommitted)?;
session.begin(&TransactionOptions::new())?;
let refused = cursor.insert_row(&mut session, b"d", b"4");
assert!(matches!(refused, Err(Error::Unsupported { .. })), "it only reads");
session.rollback()?;"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction.
    pub fn set_isolation(&mut self, isolation: Isolation) -> Result<()> {
        self.outside_transaction("a change of the isolation")?;
        self.isolation = isolation;
        self.core.set_isolation(isolation);
        Ok(())
    }

    /// Changes the options that `config` gives, and no others, and resets the session's cursors; see
    /// `Session.reconfigure` in [`METHODS`](crate::config::METHODS).
    ///
    #[doc = state_example!(r#"session.reconfigure("isolation=read-committed")?;
assert!(session.reconfigure("isolation=perfect").is_err());"#)]
    ///
    /// # Errors
    /// As [`Settings::read`] and [`set_isolation`](Self::set_isolation); nothing is changed then.
    pub fn reconfigure(&mut self, config: &str) -> Result<()> {
        self.outside_transaction("a change of options")?;
        let settings = Settings::read(Method::SessionReconfigure, config)
            .inspect_err(|error| note_failure(self, error))?;
        match isolation(&settings.text("isolation")) {
            Some(isolation) if settings.is_given("isolation") => self.set_isolation(isolation)?,
            _ => {}
        }
        self.reset_cursors();
        Ok(())
    }

    /// How long an operation may wait for another transaction, or for room in the cache; none is the
    /// database's time-out.
    ///
    #[doc = state_example!(r#"session.set_operation_timeout(Some(std::time::Duration::from_millis(50)));"#)]
    pub fn set_operation_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
        self.core.set_timeout(timeout);
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.remove_row(&mut session, b"a")?;
session.rollback()?;
assert_eq!(stock.len()?, 3);"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] without one; what reading pages gives.
    pub fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return self.core.rollback();
        }
        let outcome = self.core.rollback();
        self.core.set_timeout(self.timeout);
        self.reset_cursors();
        outcome
    }

    /// Notes that an operation failed above this layer: an open transaction that has written cannot be
    /// committed any more.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.remove_row(&mut session, b"a")?;
session.fail(); // what the row was to be could not be packed
assert!(session.commit().is_err());
assert_eq!(stock.len()?, 3);"#)]
    pub fn fail(&mut self) {
        self.core.fail();
    }

    /// Whether a transaction is open.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
assert!(session.in_transaction());
session.rollback()?;
assert!(!session.in_transaction());"#)]
    pub fn in_transaction(&self) -> bool {
        self.core.in_transaction()
    }
}
