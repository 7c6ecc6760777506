//! Telling somebody of what goes wrong without a caller to tell.

use super::{Engine, Inner};
use crate::base::error::Error;
use crate::sync::{Arc, RwLock};

/// Is told what failed, and why. It should return soon, and leave the database alone.
pub type Listener = Arc<dyn Fn(&str, &Error) + Send + Sync>;

/// Who listens, if anybody does.
#[derive(Default)]
pub(super) struct Events(RwLock<Option<Listener>>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Events").field(&self.0.read().is_some()).finish()
    }
}

impl Engine {
    /// From now on `listener` is told of failures in the background, and of what is
    /// [`report`](Self::report)ed.
    pub fn listen(&self, listener: Listener) {
        *self.inner.events.0.write() = Some(listener);
    }

    /// Tells of a failure that no caller gets.
    pub fn report(&self, what: &str, error: &Error) {
        self.inner.report(what, error);
    }
}

impl Inner {
    pub(super) fn report(&self, what: &str, error: &Error) {
        tracing::error!(database = %self.label, %error, "{what} failed");
        // Out of the lock first: a listener may replace itself.
        let listener = self.events.0.read().clone();
        if let Some(listener) = listener {
            listener(what, error);
        }
    }
}
