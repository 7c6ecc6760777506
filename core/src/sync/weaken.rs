//! Negative controls for the models in `loom-tests/`: one step of a protocol left out, on request.
//!
//! A model that has never failed proves nothing. Each protocol asks [`is`] at the step that a
//! model claims to need; the model's control calls [`set`] and must then fail. Compiled under
//! loom only, so that no shipped build can be weakened.

use std::cell::Cell;

/// The step to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weakness {
    /// The reader's fence between publishing a hazard and reading the word again.
    HazardReaderFence,
    /// The scanner's fence between the changed word and reading the hazards.
    HazardScannerFence,
    /// The release when a hazard is cleared: the reader's last touch may come after it.
    HazardClearRelease,
    /// The scanner reads the head of the slot registry before its fence, not after.
    RegistryHeadEarly,
    /// A snapshot's `max` is read in a later critical section than its ids in flight.
    SnapshotMaxLate,
    /// A snapshot is registered in a later critical section than it is taken.
    SnapshotRegisteredLate,
    /// The store of `all_ended_below` releases nothing.
    EndedBelowRelaxed,
    /// Row counts change in a later critical section than visibility.
    RowCountsApart,
    /// Whoever ends a transaction looks for waiters before it ends it, not after.
    WaitersLookedForEarly,
}

thread_local! {
    // Loom runs every thread of a model on the system thread that called it, so one cell per
    // system thread is one cell per model, and models may run side by side.
    static WEAKNESS: Cell<Option<Weakness>> = const { Cell::new(None) };
}

/// Leaves out `weakness` in the models that this system thread runs from now on.
pub fn set(weakness: Option<Weakness>) {
    WEAKNESS.set(weakness);
}

/// True if `weakness` is what the running model leaves out.
pub fn is(weakness: Weakness) -> bool {
    WEAKNESS.get() == Some(weakness)
}
