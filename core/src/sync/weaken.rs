//! Negative controls for the models in `loom-tests/`: one step of a protocol left out, on request.
//!
//! A model that has never failed proves nothing. Each protocol asks [`is`] at the step that a
//! model claims to need; the model's control calls [`set`] and must then fail. Compiled under
//! loom and shuttle only, so that no shipped build can be weakened.

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
    /// A version gets its id after the transaction with that id became visible.
    StampBehindCommit,
    /// Whoever ends a transaction looks for waiters before it ends it, not after.
    WaitersLookedForEarly,
    /// A leaf is used although its word was not read again after the hazard was published.
    PinWithoutSecondLook,
    /// The store of a reference's word releases nothing: neither leaf nor index is published.
    WordRelaxed,
    /// A leaf is marked dead after its word, or its parent's index, leads past it.
    KillAfterWord,
    /// An index that was replaced is freed at once.
    IndexFreedInline,
    /// A page on disk is claimed by a load and a store.
    ClaimWithoutExchange,
    /// Who waits for another's read draws its ticket after its second look.
    LoadTicketLate,
    /// The insert list counts an entry before it is in its slot.
    AppendCountFirst,
    /// The store of the insert list's count releases nothing.
    AppendRelaxed,
    /// The store of the insert list's longer arrays releases nothing.
    GrowRelaxed,
    /// The store of the insert list's order releases nothing.
    OrderRelaxed,
    /// The store of an update chain's head releases nothing.
    PrependRelaxed,
    /// A fold takes every version that has a newer one for superseded.
    FoldForgetsSnapshots,
    /// A leaf is called clean although it changed while it was written.
    CleanWithoutRecount,
    /// Eviction writes what a checkpoint's snapshot may not see.
    EvictionWritesAll,
    /// A write does not mark its leaf dirty.
    WriteWithoutMark,
    /// Who waits for room reads the sum by a plain load.
    WaiterLooksWithoutExchange,
    /// Who releases bytes wakes waiters without their lock.
    ReleaseWithoutRoomLock,
    /// A reservation releases nothing.
    ReserveRelaxed,
    /// The log's end is loaded without acquiring.
    EndRelaxed,
    /// A registration's end releases nothing.
    DeregisterRelaxed,
    /// The registered bounds are loaded without acquiring.
    BoundRelaxed,
    /// The lowest registered position looks at the log's end last.
    EndReadLast,
    /// A registration's bound is not read before the reservation.
    BoundTooHigh,
    /// The store of the filled position releases nothing.
    FilledStoreRelaxed,
    /// The filled position is loaded without acquiring.
    FilledLoadRelaxed,
    /// Who filled early, or waits, looks at the filled position by a plain load.
    FilledReadPlainly,
    /// A filled position wakes nobody.
    FillWithoutWake,
    /// A failure wakes nobody.
    FailWithoutWake,
    /// A leader does not say that it leads.
    LeaderUnannounced,
    /// What was filled early is forgotten.
    EarlyForgotten,
    /// The end of a sync wakes nobody.
    SyncWithoutWake,
    /// The background threads are woken before they are told to end.
    EndAfterWake,
    /// A step into the next leaf begins at its near end, whatever keys it has.
    EnterWithoutBorder,
    /// A leaf whose range becomes wider stays clean.
    WidenWithoutMark,
}

thread_local! {
    // Loom, like shuttle, runs every thread of a model on the system thread that called it, so one cell per
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
