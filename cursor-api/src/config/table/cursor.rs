//! Options of cursors.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, refused};
use super::{STATISTICS, TUNING};

const OVERWRITE: Spec = applies(
    "overwrite",
    FLAG,
    "true",
    "Insert and update whether or not the key has a value; otherwise an insert of one that has is WT_DUPLICATE_KEY, and an update of one that has none WT_NOTFOUND.",
);

/// Of `Session.open_cursor`.
pub(super) const OPEN: &[Spec] = &[
    OVERWRITE,
    accepted(
        "raw",
        FLAG,
        "false",
        "keys and values are packed and unpacked all the same, as by WiredTiger's binding for Python",
    ),
    applies("readonly", FLAG, "false", "Refuse every write through the cursor."),
    applies(
        "bulk",
        Kind::Choice(&["", "true", "false", "0", "1", "unordered"]),
        "false",
        "Fill an empty table with ascending keys, fast.",
    ),
    applies(
        "checkpoint",
        Kind::Text,
        "",
        "Read this checkpoint; `WiredTigerCheckpoint` is the last one.",
    ),
    applies("next_random", FLAG, "false", "`next` goes to any record, each with the same chance."),
    applies("read_once", FLAG, "false", "What the cursor reads in need not stay in the cache."),
    accepted("next_random_sample_size", Kind::Text, "0", "each record has the same chance anyway"),
    accepted(
        "statistics",
        Kind::Words(&["all", "cache_walk", "fast", "clear", "size", "tree_walk"]),
        "",
        STATISTICS,
    ),
    accepted("append", FLAG, "false", "for record numbers, which are not built yet"),
    accepted("prefix_search", FLAG, "false", TUNING),
    refused("debug", Kind::List, "", "for WiredTiger's own tests"),
    refused(
        "dump",
        Kind::Choice(&["", "hex", "json", "pretty", "pretty_hex", "print"]),
        "",
        "dump cursors are not built yet",
    ),
    refused("incremental", Kind::List, "", "backup cursors are not built yet"),
    refused("target", Kind::List, "", "backup cursors are not built yet"),
];

/// Of `Cursor.reconfigure`.
pub(super) const RECONFIGURE: &[Spec] = &[
    OVERWRITE,
    accepted("append", FLAG, "false", "for record numbers, which are not built yet"),
    accepted("prefix_search", FLAG, "false", TUNING),
];

/// Of `Cursor.bound`.
pub(super) const BOUND: &[Spec] = &[
    applies(
        "action",
        Kind::Choice(&["set", "clear"]),
        "set",
        "Set a bound at the key that is set, or clear one or both.",
    ),
    applies("bound", Kind::Choice(&["", "lower", "upper"]), "", "Which; needed to set one."),
    applies("inclusive", FLAG, "true", "Whether the key itself is inside."),
];
