//! Options that methods of more than one object have.

use super::super::spec::{FLAG, Kind, Spec, accepted, refused};
use super::{DEBUGGING, MOST, NO_ENCRYPTION, NO_TIERS};

pub(super) const CACHE_CURSORS: Spec =
    accepted("cache_cursors", FLAG, "true", "cursors are cheap to open");
pub(super) const ENCRYPTION: Spec = refused("encryption", Kind::List, "", NO_ENCRYPTION);
pub(super) const PREFETCH: Spec = refused("prefetch", Kind::List, "", "there is no prefetch");
pub(super) const VERBOSE: Spec =
    accepted("verbose", Kind::List, "", "there are no messages but of errors");
pub(super) const CACHE_MAX_WAIT: Spec = accepted(
    "cache_max_wait_ms",
    Kind::Number(0, MOST),
    "0",
    "operation_timeout_ms bounds every wait",
);
pub(super) const TIERED_STORAGE: Spec = refused("tiered_storage", Kind::List, "", NO_TIERS);
pub(super) const DEBUG: Spec = refused("debug", Kind::List, "", DEBUGGING);
