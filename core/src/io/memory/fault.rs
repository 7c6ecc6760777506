//! Failing on purpose: which call, and how.
#![forbid(unsafe_code)]

use std::io;

/// What a storage call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `Storage::open`.
    Open,
    /// `Storage::rename`.
    Rename,
    /// `Storage::remove`.
    Remove,
    /// `Storage::list`.
    List,
    /// `Storage::sync_folder`.
    SyncFolder,
    /// `File::read_exact_at`.
    Read,
    /// `File::write_all_at`.
    Write,
    /// `File::len` and `File::identity`.
    Metadata,
    /// `File::set_len`.
    SetLen,
    /// `File::allocate`.
    Allocate,
    /// `File::sync_data`.
    SyncData,
    /// `File::map`.
    Map,
    /// `File::try_lock`, `unlock`, `pin_generation` and `is_pinned`.
    Lock,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [CallKind; 13] = [
        Self::Open,
        Self::Rename,
        Self::Remove,
        Self::List,
        Self::SyncFolder,
        Self::Read,
        Self::Write,
        Self::Metadata,
        Self::SetLen,
        Self::Allocate,
        Self::SyncData,
        Self::Map,
        Self::Lock,
    ];
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With an I/O error, nothing done.
    Eio,
    /// For lack of space, nothing done.
    Enospc,
    /// A write puts down the first half of its bytes and then fails with an I/O error; any other
    /// call fails as with [`Fault::Eio`].
    ShortWrite,
    /// A read fills the first half of its buffer and then meets the end of the file; any other
    /// call fails as with [`Fault::Eio`].
    ShortRead,
}

impl Fault {
    /// The error that a call of `kind` reports.
    pub(super) fn error(self, kind: CallKind) -> io::Error {
        match self {
            Self::Enospc => io::Error::from_raw_os_error(libc::ENOSPC),
            Self::ShortRead if kind == CallKind::Read => io::ErrorKind::UnexpectedEof.into(),
            _ => io::Error::from_raw_os_error(libc::EIO),
        }
    }
}

/// Counts calls and says which of them fail.
#[derive(Debug, Default)]
pub(super) struct Faults {
    counts: [u64; CallKind::ALL.len()],
    plans: Vec<Plan>,
    hits: u64,
}

#[derive(Debug)]
struct Plan {
    /// Which calls count; none means all of them.
    kinds: Vec<CallKind>,
    /// How many more calls of these kinds until it strikes; 1 is the next.
    left: u64,
    fault: Fault,
    forever: bool,
}

impl Faults {
    /// Counts a call; the fault that strikes it, if any.
    pub(super) fn strike(&mut self, kind: CallKind) -> Option<Fault> {
        self.counts[kind as usize] += 1;
        let mut struck = None;
        self.plans.retain_mut(|plan| {
            if !plan.kinds.is_empty() && !plan.kinds.contains(&kind) {
                return true;
            }
            plan.left = plan.left.saturating_sub(1);
            if plan.left > 0 {
                return true;
            }
            struck = struck.or(Some(plan.fault));
            plan.forever
        });
        self.hits += u64::from(struck.is_some());
        struck
    }

    pub(super) fn plan(&mut self, kinds: &[CallKind], nth: u64, fault: Fault, forever: bool) {
        self.plans.push(Plan { kinds: kinds.to_vec(), left: nth.max(1), fault, forever });
    }

    pub(super) fn clear(&mut self) {
        self.plans.clear();
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    pub(super) fn calls(&self, kind: Option<CallKind>) -> u64 {
        match kind {
            Some(kind) => self.counts[kind as usize],
            None => self.counts.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nth_fault_strikes_once_or_forever() {
        let mut faults = Faults::default();
        faults.plan(&[], 2, Fault::Eio, false);
        faults.plan(&[CallKind::Write], 2, Fault::Enospc, true);
        let struck: Vec<_> =
            [CallKind::Write, CallKind::Read, CallKind::Write, CallKind::Read, CallKind::Write]
                .map(|kind| faults.strike(kind))
                .into();
        assert_eq!(
            struck,
            [None, Some(Fault::Eio), Some(Fault::Enospc), None, Some(Fault::Enospc)]
        );
        assert_eq!(faults.hits(), 3);
        assert_eq!((faults.calls(None), faults.calls(Some(CallKind::Write))), (5, 3));
    }
}
