//! Options of cursors.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, refused};
use super::shared::DEBUG;
use super::{MOST, STATISTICS, TUNING};

const OVERWRITE: Spec = applies("overwrite", FLAG, "true", help!(overwrite));

const APPEND: Spec =
    accepted("append", FLAG, "false", "for record numbers, which are not built yet");
const PREFIX_SEARCH: Spec = accepted("prefix_search", FLAG, "false", TUNING);

/// Of `Session.open_cursor`.
pub(super) const OPEN: &[Spec] = &[
    OVERWRITE,
    accepted(
        "raw",
        FLAG,
        "false",
        "keys and values are packed and unpacked all the same, as by WiredTiger's binding for Python",
    ),
    applies("readonly", FLAG, "false", help!(cursor_readonly)),
    applies(
        "bulk",
        Kind::Choice(&["", "true", "false", "0", "1", "unordered"]),
        "false",
        help!(bulk),
    ),
    applies("checkpoint", Kind::Text, "", help!(checkpoint)),
    applies("next_random", FLAG, "false", help!(next_random)),
    applies("next_random_seed", Kind::Number(0, MOST), "0", help!(next_random_seed)),
    applies("read_once", FLAG, "false", help!(read_once)),
    accepted("next_random_sample_size", Kind::Text, "0", "each record has the same chance anyway"),
    accepted(
        "statistics",
        Kind::Words(&["all", "cache_walk", "fast", "clear", "size", "tree_walk"]),
        "",
        STATISTICS,
    ),
    APPEND,
    PREFIX_SEARCH,
    DEBUG,
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
pub(super) const RECONFIGURE: &[Spec] = &[OVERWRITE, APPEND, PREFIX_SEARCH];

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
