//! Whom a version is visible to, as a leaf asks it.

use crate::base::ids::TxnId;
use crate::mvcc::{ReadView, Snapshot};

/// What a view says of a version's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Visible.
    Seen,
    /// Not visible; look at the next older version.
    Unseen,
    /// The view cannot tell; take a snapshot and look again.
    Unknown,
}

/// Decides which versions a reader sees.
pub trait View {
    /// The verdict on a version written by `id`.
    fn verdict(&self, id: TxnId) -> Verdict;
}

impl View for Snapshot {
    #[inline]
    fn verdict(&self, id: TxnId) -> Verdict {
        if self.sees(id) { Verdict::Seen } else { Verdict::Unseen }
    }
}

impl View for ReadView<'_> {
    #[inline]
    fn verdict(&self, id: TxnId) -> Verdict {
        if self.sees(id) { Verdict::Seen } else { Verdict::Unseen }
    }
}

/// The newest committed version, without a snapshot: every id below had ended before the page was
/// looked at, so what is not marked aborted is committed.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// From `Transactions::all_ended_below`, loaded before the page was read.
    pub below: TxnId,
}

impl View for Settled {
    #[inline]
    fn verdict(&self, id: TxnId) -> Verdict {
        if id < self.below {
            Verdict::Seen
        } else if id == TxnId::ABORTED {
            Verdict::Unseen
        } else {
            Verdict::Unknown
        }
    }
}

/// Every version that was not rolled back: what a writer that holds the latch looks at.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl View for Everything {
    #[inline]
    fn verdict(&self, id: TxnId) -> Verdict {
        if id == TxnId::ABORTED { Verdict::Unseen } else { Verdict::Seen }
    }
}
