//! Options of creating, dropping and checking tables.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, counts, group, refused, spelled};
use super::shared::{ENCRYPTION, TIERED_STORAGE, VERBOSE};
use super::{NO_TIERS, NO_TIMESTAMPS, ONE_FILE, OWN_PAGES, TUNING};
use crate::TableOptions;

/// A table's options if nothing is said.
const ENGINE: &TableOptions = &TableOptions::DEFAULT;
/// What WiredTiger takes.
const PAGE_BYTES: Kind = Kind::Bytes(512, 512 << 20);
const NO_LSM: &str = "there are no LSM trees";
const NO_INDICES: &str = "indices and column groups are not built yet";

const LOG: &[Spec] = &[applies(
    "enabled",
    FLAG,
    spelled(ENGINE.logged),
    "Whether commits to the table go to the log, if the database has one. A transaction writes to logged tables or to others.",
)];

/// Of `Session.create`.
pub(super) const CREATE: &[Spec] = &[
    applies(
        "key_format",
        Kind::Text,
        "u",
        "The columns of keys, as letters. Record numbers (`r`) are not built yet.",
    ),
    applies("value_format", Kind::Text, "u", "The columns of values, as letters."),
    applies(
        "exclusive",
        FLAG,
        "false",
        "Fail if the table exists. Otherwise an existing one is fine, if its formats are these.",
    ),
    applies(
        "block_compressor",
        Kind::Choice(&["", "none", "snappy"]),
        "",
        "How blocks are compressed. Pages of a table without compression lie in whole frames of 4 KiB, which is faster to \
        write; compressed ones take multiples of 512 bytes.",
    ),
    counts(
        "leaf_page_max",
        PAGE_BYTES,
        ENGINE.leaf_bytes_max as u64,
        "The size above which a leaf page splits: 4KB to 512KB, and less or more counts as these. \
         A read that misses the cache reads a whole leaf, and a changed leaf is written whole: where rows of a kilobyte are \
         read and written at random, and the table is many times the cache, `8KB` or `4KB` is faster; \
         scans and small rows want the default. WiredTiger's default is 32KB.",
    ),
    counts(
        "internal_page_max",
        PAGE_BYTES,
        ENGINE.internal_bytes_max as u64,
        "The same for internal pages. WiredTiger's default is 4KB.",
    ),
    group("log", LOG, "The table and the log."),
    applies(
        "app_metadata",
        Kind::List,
        "",
        "Kept with the table, and shown by a `metadata:` cursor.",
    ),
    applies(
        "columns",
        Kind::List,
        "",
        "Names of the columns, those of the key first; kept and shown. Projections are not built yet.",
    ),
    accepted("type", Kind::Choice(&["file"]), "file", "a table is a tree"),
    accepted(
        "access_pattern_hint",
        Kind::Choice(&["none", "random", "sequential"]),
        "none",
        TUNING,
    ),
    accepted("allocation_size", Kind::Bytes(512, 128 << 20), "4KB", ONE_FILE),
    accepted("block_allocation", Kind::Choice(&["best", "first"]), "best", ONE_FILE),
    accepted(
        "checksum",
        Kind::Choice(&["on", "off", "uncompressed", "unencrypted"]),
        "on",
        "every block has a checksum",
    ),
    accepted("dictionary", Kind::Number(0, i64::MAX), "0", OWN_PAGES),
    accepted("format", Kind::Choice(&["btree"]), "btree", "a table is a tree"),
    accepted("huffman_key", Kind::Text, "", OWN_PAGES),
    accepted("huffman_value", Kind::Text, "", OWN_PAGES),
    accepted("ignore_in_memory_cache_size", FLAG, "false", "a database is a file"),
    accepted("internal_item_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("internal_key_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("internal_key_truncate", FLAG, "true", OWN_PAGES),
    accepted("key_gap", Kind::Number(0, i64::MAX), "10", OWN_PAGES),
    accepted("leaf_item_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("leaf_key_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("leaf_value_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("memory_page_image_max", Kind::Bytes(0, i64::MAX), "0", OWN_PAGES),
    accepted("memory_page_max", Kind::Bytes(512, 10 << 40), "5MB", OWN_PAGES),
    accepted("os_cache_dirty_max", Kind::Bytes(0, i64::MAX), "0", TUNING),
    accepted("os_cache_max", Kind::Bytes(0, i64::MAX), "0", TUNING),
    accepted("prefix_compression", FLAG, "false", "keys of a page always share their prefix"),
    accepted(
        "prefix_compression_min",
        Kind::Number(0, i64::MAX),
        "4",
        "keys of a page always share their prefix",
    ),
    accepted("split_deepen_min_child", Kind::Number(0, i64::MAX), "0", OWN_PAGES),
    accepted("split_deepen_per_child", Kind::Number(0, i64::MAX), "0", OWN_PAGES),
    accepted("split_pct", Kind::Number(50, 100), "90", OWN_PAGES),
    VERBOSE,
    refused("assert", Kind::List, "", NO_TIMESTAMPS),
    refused("cache_resident", FLAG, "false", "any page may leave the cache"),
    refused("colgroups", Kind::List, "", NO_INDICES),
    refused("collator", Kind::Text, "", "keys sort as unsigned bytes"),
    ENCRYPTION,
    refused("extractor", Kind::Text, "", NO_INDICES),
    refused("immutable", FLAG, "false", NO_INDICES),
    refused("import", Kind::List, "", ONE_FILE),
    refused("lsm", Kind::List, "", NO_LSM),
    refused("source", Kind::Text, "", ONE_FILE),
    TIERED_STORAGE,
    refused(
        "write_timestamp_usage",
        Kind::Choice(&["always", "key_consistent", "mixed_mode", "never", "none", "ordered"]),
        "none",
        NO_TIMESTAMPS,
    ),
];

/// Of `Session.drop`.
pub(super) const DROP: &[Spec] = &[
    applies("force", FLAG, "false", "A table that is not there is no error."),
    accepted("checkpoint_wait", FLAG, "true", "a drop waits for a checkpoint that is under way"),
    accepted("lock_wait", FLAG, "true", "a drop waits for a lock"),
    accepted("remove_files", FLAG, "true", ONE_FILE),
    accepted("remove_shared", FLAG, "false", NO_TIERS),
];

/// Of `Session.verify`.
pub(super) const VERIFY: &[Spec] = &[
    accepted("do_not_clear_txn_id", FLAG, "false", "there are no ids in the file"),
    refused("dump_address", FLAG, "false", "a verify prints nothing"),
    refused("dump_all_data", FLAG, "false", "a verify prints nothing"),
    refused("dump_key_data", FLAG, "false", "a verify prints nothing"),
    refused("dump_blocks", FLAG, "false", "a verify prints nothing"),
    refused("dump_layout", FLAG, "false", "a verify prints nothing"),
    refused("dump_offsets", Kind::List, "", "a verify prints nothing"),
    refused("dump_pages", FLAG, "false", "a verify prints nothing"),
    refused("dump_tree_shape", FLAG, "false", "a verify prints nothing"),
    accepted("read_corrupt", FLAG, "false", "a verify stops at the first damage"),
    accepted("stable_timestamp", FLAG, "false", NO_TIMESTAMPS),
    accepted("strict", FLAG, "false", "every check is strict"),
];

/// Of `Session.compact`.
pub(super) const COMPACT: &[Spec] = &[
    accepted(
        "timeout",
        Kind::Number(0, i64::MAX),
        "1200",
        "the file is compacted in bounded steps",
    ),
    accepted(
        "free_space_target",
        Kind::Bytes(1 << 20, i64::MAX),
        "20MB",
        "all that can be freed is",
    ),
    accepted("dryrun", FLAG, "false", TUNING),
    refused("background", Kind::Text, "", "a compact runs in the call"),
    refused("exclude", Kind::List, "", "a compact is of the whole file"),
    accepted("run_once", FLAG, "false", TUNING),
];
