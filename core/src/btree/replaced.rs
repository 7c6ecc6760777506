//! Long values that were replaced, and whose space is to be given up.
//!
//! Usually at once. While a log is replayed not before its end: a record may name a value that the
//! checkpoint holds already and that an older record, applied again, has replaced for the moment.

use hashbrown::HashSet;

use crate::sync::Mutex;

/// See the module. Shared by all trees of a database.
#[derive(Debug, Default)]
pub struct Replaced {
    /// The references that wait, while they do.
    waiting: Mutex<Option<HashSet<Vec<u8>>>>,
}

impl Replaced {
    /// From now on the space of replaced values is kept.
    pub fn hold_back(&self) {
        self.waiting.lock().get_or_insert_default();
    }

    /// The value is in use again.
    pub fn revive(&self, reference: &[u8]) {
        if let Some(waiting) = &mut *self.waiting.lock() {
            waiting.remove(reference);
        }
    }

    /// Ends the waiting; these are the references of the values that nobody revived.
    pub fn let_go(&self) -> HashSet<Vec<u8>> {
        self.waiting.lock().take().unwrap_or_default()
    }

    /// Takes the references over if they have to wait; false if their space can be given up now.
    pub(super) fn take_over(&self, references: &[Vec<u8>]) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(waiting) = &mut *waiting else { return false };
        waiting.extend(references.iter().cloned());
        true
    }
}
