//! Options of connections.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, group, refused};
use super::{
    DEBUGGING, MOST, NO_ENCRYPTION, NO_EXTENSIONS, NO_TIERS, ONE_FILE, OWN_EVICTION, STATISTICS,
    TEN_TERABYTES, TUNING,
};

const CACHE_BYTES: Kind = Kind::Bytes(1 << 20, TEN_TERABYTES);
const PERCENT: Kind = Kind::Number(10, 99);
const PERCENT_OR_BYTES: Kind = Kind::Bytes(0, TEN_TERABYTES);

const CACHE_SIZE: Spec = applies(
    "cache_size",
    CACHE_BYTES,
    "128MB",
    "The most that pages, changes, log buffers and snapshots may hold in memory.",
);

const EVICTION_TARGET: Spec = applies(
    "eviction_target",
    PERCENT,
    "80",
    "Eviction works in the background above this percentage of the cache's size.",
);

const EVICTION_TRIGGER: Spec = applies(
    "eviction_trigger",
    PERCENT,
    "90",
    "Above this percentage the threads that use the database evict as well; not below eviction_target. WiredTiger's default is 95.",
);

const CHECKPOINT: Spec = group(
    "checkpoint",
    &[
        applies(
            "log_size",
            Kind::Bytes(0, 2 << 30),
            "48MB",
            "Take a checkpoint whenever the log has grown by this much; 0 is never.",
        ),
        applies(
            "wait",
            Kind::Number(0, 100_000),
            "60",
            "Take a checkpoint this many seconds after the last one if anything was written; 0 is never.",
        ),
    ],
    "Checkpoints in the background.",
);

const ERROR_PREFIX: Spec =
    applies("error_prefix", Kind::Text, "", "What every message of an error begins with.");

const TIMEOUT: Spec = applies(
    "operation_timeout_ms",
    Kind::Number(0, MOST),
    "5000",
    "How long an operation waits, in milliseconds, for a conflicting transaction or for room in the cache. Here 0 is not to wait at all.",
);

const STATISTICS_OPTION: Spec = accepted(
    "statistics",
    Kind::Words(&["all", "cache_walk", "fast", "none", "clear", "tree_walk"]),
    "fast",
    STATISTICS,
);

const STATISTICS_LOG: Spec = accepted(
    "statistics_log",
    Kind::Group(&[
        accepted("json", FLAG, "false", STATISTICS),
        accepted("on_close", FLAG, "false", STATISTICS),
        accepted("path", Kind::Text, ".", STATISTICS),
        accepted("sources", Kind::List, "", STATISTICS),
        accepted("timestamp", Kind::Text, "%b %d %H:%M:%S", STATISTICS),
        accepted("wait", Kind::Number(0, 100_000), "0", STATISTICS),
    ]),
    "",
    "no statistics are written to a file; read them with a statistics: cursor",
);

const VERBOSE: Spec = accepted("verbose", Kind::List, "", "there are no messages but of errors");
const JSON_OUTPUT: Spec =
    refused("json_output", Kind::Words(&["error", "message"]), "", "messages are plain text");
const EVICTION: Spec = accepted(
    "eviction",
    Kind::Group(&[
        accepted("threads_max", Kind::Number(1, 20), "8", OWN_EVICTION),
        accepted("threads_min", Kind::Number(1, 20), "1", OWN_EVICTION),
        accepted("evict_sample_inmem", FLAG, "true", OWN_EVICTION),
    ]),
    "",
    OWN_EVICTION,
);

/// Of `wiredtiger_open`.
pub(super) const OPEN: &[Spec] = &[
    applies("create", FLAG, "false", "Make the database if there is none. The folder must exist."),
    applies("exclusive", FLAG, "false", "Fail if the database exists, with `create`."),
    applies("readonly", FLAG, "false", "Open for reading only, beside other readers."),
    CACHE_SIZE,
    CHECKPOINT,
    group(
        "log",
        &[
            applies(
                "enabled",
                FLAG,
                "true",
                "Keep a log, so that a commit survives a killed process. Without one, what came after the last checkpoint is lost in a crash. WiredTiger's default is false.",
            ),
            accepted("archive", FLAG, "true", "segments of the log are recycled"),
            accepted("remove", FLAG, "true", "segments of the log are recycled"),
            accepted("prealloc", FLAG, "true", "segments of the log are recycled"),
            accepted("zero_fill", FLAG, "false", "segments are never sparse"),
            accepted("os_cache_dirty_pct", Kind::Number(0, 100), "0", TUNING),
            accepted(
                "file_max",
                Kind::Bytes(100 << 10, 2 << 30),
                "100MB",
                "the engine sizes its segments itself",
            ),
            accepted("force_write_wait", Kind::Number(1, 60), "1", TUNING),
            refused("compressor", Kind::Text, "", "the log is not compressed"),
            refused("path", Kind::Text, ".", ONE_FILE),
            accepted(
                "recover",
                Kind::Choice(&["error", "on"]),
                "on",
                "a crashed database is recovered when it is opened",
            ),
        ],
        "The write-ahead log.",
    ),
    group(
        "transaction_sync",
        &[
            applies("enabled", FLAG, "false", "A commit returns when it is on stable storage."),
            accepted(
                "method",
                Kind::Choice(&["dsync", "fsync", "none"]),
                "fsync",
                "a sync is always a whole one",
            ),
        ],
        "What a commit waits for.",
    ),
    ERROR_PREFIX,
    TIMEOUT,
    applies(
        "create_mode",
        Kind::Number(0, 0o777),
        "438",
        "Not WiredTiger's: permission bits of the new file, before the umask (438 is `0o666`).",
    ),
    STATISTICS_OPTION,
    STATISTICS_LOG,
    VERBOSE,
    JSON_OUTPUT,
    EVICTION,
    accepted("backup_restore_target", Kind::List, "", "there is no partial backup to restore"),
    accepted("buffer_alignment", Kind::Bytes(-1, 1 << 20), "-1", ONE_FILE),
    accepted("builtin_extension_config", Kind::Text, "", "compressors need no configuration"),
    accepted("cache_cursors", FLAG, "true", "cursors are cheap to open"),
    accepted(
        "cache_max_wait_ms",
        Kind::Number(0, MOST),
        "0",
        "operation_timeout_ms bounds every wait",
    ),
    accepted("cache_overhead", Kind::Number(0, 30), "8", "cache_size counts what is allocated"),
    accepted(
        "cache_stuck_timeout_ms",
        Kind::Number(0, MOST),
        "300000",
        "operation_timeout_ms bounds every wait",
    ),
    accepted("checkpoint_cleanup", Kind::Text, "", TUNING),
    accepted("checkpoint_sync", FLAG, "true", "a checkpoint is always synced"),
    accepted("compatibility", Kind::List, "", "the file format is this engine's own"),
    accepted("compile_configuration_count", Kind::Number(500, MOST), "1000", TUNING),
    accepted("config_base", FLAG, "true", "no configuration is kept in files"),
    accepted("debug_mode", Kind::List, "", DEBUGGING),
    accepted(
        "direct_io",
        Kind::Words(&["checkpoint", "data", "log"]),
        "",
        "reads and writes go through the system's cache",
    ),
    refused("encryption", Kind::List, "", NO_ENCRYPTION),
    accepted("eviction_checkpoint_target", PERCENT_OR_BYTES, "1", OWN_EVICTION),
    accepted("eviction_dirty_target", PERCENT_OR_BYTES, "5", OWN_EVICTION),
    accepted("eviction_dirty_trigger", PERCENT_OR_BYTES, "20", OWN_EVICTION),
    EVICTION_TARGET,
    EVICTION_TRIGGER,
    accepted("eviction_updates_target", PERCENT_OR_BYTES, "0", OWN_EVICTION),
    accepted("eviction_updates_trigger", PERCENT_OR_BYTES, "0", OWN_EVICTION),
    refused("extensions", Kind::List, "", NO_EXTENSIONS),
    accepted("extra_diagnostics", Kind::List, "", DEBUGGING),
    accepted("file_extend", Kind::List, "", ONE_FILE),
    accepted("file_manager", Kind::List, "", ONE_FILE),
    accepted("generation_drain_timeout_ms", Kind::Number(0, MOST), "240000", DEBUGGING),
    refused("hash", Kind::List, "", TUNING),
    accepted(
        "hazard_max",
        Kind::Number(15, MOST),
        "1000",
        "a session has as many hazard pointers as it needs",
    ),
    accepted("history_store", Kind::List, "", ONE_FILE),
    refused("in_memory", FLAG, "false", "a database is a file"),
    accepted("io_capacity", Kind::List, "", TUNING),
    accepted("lsm_manager", Kind::List, "", "there are no LSM trees"),
    accepted("mmap", FLAG, "true", "data is read into the cache, never mapped"),
    accepted("mmap_all", FLAG, "false", "data is read into the cache, never mapped"),
    accepted("multiprocess", FLAG, "false", "other processes may always read"),
    accepted("operation_tracking", Kind::List, "", DEBUGGING),
    refused("prefetch", Kind::List, "", "there is no prefetch"),
    refused("salvage", FLAG, "false", "there is no salvage; restore a copy of the file"),
    accepted("session_max", Kind::Number(1, MOST), "100", "there may be any number of sessions"),
    accepted("session_scratch_max", Kind::Bytes(0, MOST), "2MB", TUNING),
    accepted("session_table_cache", FLAG, "true", TUNING),
    refused("shared_cache", Kind::List, "", "each database has its own cache"),
    refused("tiered_storage", Kind::List, "", NO_TIERS),
    accepted("timing_stress_for_test", Kind::List, "", DEBUGGING),
    accepted("use_environment", FLAG, "true", "no environment variable is read"),
    accepted("use_environment_priv", FLAG, "false", "no environment variable is read"),
    accepted("verify_metadata", FLAG, "false", "the catalog is verified whenever it is read"),
    accepted(
        "write_through",
        Kind::Words(&["data", "log"]),
        "",
        "transaction_sync says what is synced",
    ),
    refused("block_cache", Kind::List, "", "the cache is the only one"),
    refused("chunk_cache", Kind::List, "", NO_TIERS),
];

/// Of `Connection.reconfigure`.
pub(super) const RECONFIGURE: &[Spec] = &[
    CACHE_SIZE,
    ERROR_PREFIX,
    STATISTICS_OPTION,
    STATISTICS_LOG,
    VERBOSE,
    JSON_OUTPUT,
    EVICTION,
    accepted(
        "cache_max_wait_ms",
        Kind::Number(0, MOST),
        "0",
        "operation_timeout_ms bounds every wait",
    ),
    accepted("cache_overhead", Kind::Number(0, 30), "8", "cache_size counts what is allocated"),
    accepted(
        "cache_stuck_timeout_ms",
        Kind::Number(0, MOST),
        "300000",
        "operation_timeout_ms bounds every wait",
    ),
    accepted("checkpoint_cleanup", Kind::Text, "", TUNING),
    accepted("compatibility", Kind::List, "", "the file format is this engine's own"),
    accepted("debug_mode", Kind::List, "", DEBUGGING),
    accepted("eviction_checkpoint_target", PERCENT_OR_BYTES, "1", OWN_EVICTION),
    accepted("eviction_dirty_target", PERCENT_OR_BYTES, "5", OWN_EVICTION),
    accepted("eviction_dirty_trigger", PERCENT_OR_BYTES, "20", OWN_EVICTION),
    EVICTION_TARGET,
    EVICTION_TRIGGER,
    accepted("eviction_updates_target", PERCENT_OR_BYTES, "0", OWN_EVICTION),
    accepted("eviction_updates_trigger", PERCENT_OR_BYTES, "0", OWN_EVICTION),
    accepted("extra_diagnostics", Kind::List, "", DEBUGGING),
    accepted("file_manager", Kind::List, "", ONE_FILE),
    accepted("generation_drain_timeout_ms", Kind::Number(0, MOST), "240000", DEBUGGING),
    accepted("history_store", Kind::List, "", ONE_FILE),
    accepted("io_capacity", Kind::List, "", TUNING),
    accepted("log", Kind::List, "", "segments of the log are recycled"),
    accepted("lsm_manager", Kind::List, "", "there are no LSM trees"),
    accepted("operation_tracking", Kind::List, "", DEBUGGING),
    refused(
        "checkpoint",
        Kind::List,
        "",
        "the times of checkpoints are fixed when the database is opened",
    ),
    refused(
        "operation_timeout_ms",
        Kind::Number(0, MOST),
        "0",
        "give it to a transaction or a session",
    ),
    refused("block_cache", Kind::List, "", "the cache is the only one"),
    refused("chunk_cache", Kind::List, "", NO_TIERS),
    refused("shared_cache", Kind::List, "", "each database has its own cache"),
    refused("tiered_storage", Kind::List, "", NO_TIERS),
    accepted("timing_stress_for_test", Kind::List, "", DEBUGGING),
];

/// Of `Connection.close`.
pub(super) const CLOSE: &[Spec] = &[
    accepted("leak_memory", FLAG, "false", "memory is given back at once"),
    accepted("final_flush", FLAG, "false", NO_TIERS),
    accepted(
        "use_timestamp",
        FLAG,
        "true",
        "there are no timestamps, so that everything is in the last checkpoint",
    ),
];
