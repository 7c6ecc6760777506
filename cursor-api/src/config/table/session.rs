//! Options of sessions and transactions.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, group, refused};
use super::shared::{CACHE_CURSORS, CACHE_MAX_WAIT, DEBUG, PREFETCH};
use super::{MOST, NO_TIERS, NO_TIMESTAMPS, TUNING};

const ISOLATION: Kind = Kind::Choice(&["read-uncommitted", "read-committed", "snapshot"]);

/// Of `Connection.open_session` and `Session.reconfigure`.
pub(super) const OPEN: &[Spec] = &[
    applies(
        "isolation",
        ISOLATION,
        "snapshot",
        "What transactions see if they do not say. The two weaker ones read only.",
    ),
    CACHE_CURSORS,
    CACHE_MAX_WAIT,
    DEBUG,
    accepted("ignore_cache_size", FLAG, "false", "cache_size bounds every session"),
    PREFETCH,
];

/// Of `Session.begin_transaction`.
pub(super) const BEGIN: &[Spec] = &[
    applies(
        "isolation",
        Kind::Choice(&["", "read-uncommitted", "read-committed", "snapshot"]),
        "",
        help!(isolation),
    ),
    applies("sync", Kind::Choice(&["", "on", "off", "true", "false", "1", "0"]), "", help!(sync)),
    applies("operation_timeout_ms", Kind::Number(0, MOST), "0", help!(timeout)),
    accepted("name", Kind::Text, "", "names of transactions are not shown"),
    accepted("no_timestamp", FLAG, "false", "there are no timestamps"),
    accepted("priority", Kind::Number(-100, 100), "0", TUNING),
    accepted(
        "ignore_prepare",
        Kind::Choice(&["false", "force", "true"]),
        "false",
        "there are no prepared transactions",
    ),
    refused("read_timestamp", Kind::Text, "", NO_TIMESTAMPS),
    accepted("roundup_timestamps", Kind::List, "", "there are no timestamps"),
];

/// Of `Session.commit_transaction`.
pub(super) const COMMIT: &[Spec] = &[
    applies(
        "sync",
        Kind::Choice(&["", "on", "off"]),
        "",
        "Whether the commit returns only when it is on stable storage; without it, as the transaction was begun.",
    ),
    accepted(
        "operation_timeout_ms",
        Kind::Number(0, MOST),
        "0",
        "a commit waits for the disk alone",
    ),
    refused("commit_timestamp", Kind::Text, "", NO_TIMESTAMPS),
    refused("durable_timestamp", Kind::Text, "", NO_TIMESTAMPS),
];

/// Of `Session.rollback_transaction`.
pub(super) const ROLLBACK: &[Spec] =
    &[accepted("operation_timeout_ms", Kind::Number(0, MOST), "0", "a rollback waits for nobody")];

/// Of `Session.checkpoint`.
pub(super) const CHECKPOINT: &[Spec] = &[
    applies(
        "name",
        Kind::Text,
        "",
        "Keep the checkpoint under this name, until it is dropped or the name is used again.",
    ),
    applies("drop", Kind::List, "", "Names of checkpoints to drop."),
    accepted("force", FLAG, "false", "a checkpoint of what has not changed would be the last one"),
    group(
        "flush_tier",
        &[
            refused("enabled", FLAG, "false", NO_TIERS),
            accepted("force", FLAG, "false", NO_TIERS),
            accepted("sync", FLAG, "true", NO_TIERS),
            accepted("timeout", Kind::Number(0, MOST), "0", NO_TIERS),
        ],
        "There is no tiered storage.",
    ),
    refused("target", Kind::List, "", "a checkpoint is of the whole database"),
    accepted("use_timestamp", FLAG, "true", "there are no timestamps"),
    accepted("debug", Kind::List, "", "for WiredTiger's own tests"),
];

/// Of `Session.log_flush`.
pub(super) const LOG_FLUSH: &[Spec] = &[applies(
    "sync",
    Kind::Choice(&["on", "off"]),
    "on",
    "Whether to return only when the log is on stable storage. A process that is killed loses nothing that was committed, whatever this says.",
)];
