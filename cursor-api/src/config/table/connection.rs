//! Options of connections.

use super::super::spec::{FLAG, Kind, Spec, accepted, applies, counts, group, joined, refused};
use super::shared::{CACHE_CURSORS, CACHE_MAX_WAIT, ENCRYPTION, PREFETCH, TIERED_STORAGE, VERBOSE};
use super::{
    DEBUGGING, MOST, NO_EXTENSIONS, NO_TIERS, ONE_FILE, OWN_EVICTION, STATISTICS, TEN_TERABYTES,
    TUNING,
};
use crate::DatabaseOptions;

/// What the engine does if it is told nothing.
const ENGINE: DatabaseOptions = DatabaseOptions::DEFAULT;
const CACHE_BYTES: Kind = Kind::Bytes(DatabaseOptions::CACHE_BYTES_LEAST as i64, TEN_TERABYTES);
const PERCENT: Kind = Kind::Number(
    *DatabaseOptions::EVICTION_PERCENT.start() as i64,
    *DatabaseOptions::EVICTION_PERCENT.end() as i64,
);
const PERCENT_OR_BYTES: Kind = Kind::Bytes(0, TEN_TERABYTES);

const CACHE_SIZE: Spec =
    counts("cache_size", CACHE_BYTES, ENGINE.cache_bytes_max, help!(cache_size));

const EVICTION_TARGET: Spec = counts(
    "eviction_target",
    PERCENT,
    ENGINE.eviction_target_percent,
    "Eviction works in the background above this percentage of the cache's size.",
);

const EVICTION_TRIGGER: Spec = counts(
    "eviction_trigger",
    PERCENT,
    ENGINE.eviction_trigger_percent,
    "Above this percentage the threads that use the database evict as well; not below eviction_target. WiredTiger's default is 95.",
);

const CHECKPOINT: Spec = group(
    "checkpoint",
    &[
        counts(
            "log_size",
            Kind::Bytes(0, 2 << 30),
            ENGINE.checkpoint_log_bytes,
            "Take a checkpoint whenever the log has grown by this much; 0 is never, and less than 64KB counts as that.",
        ),
        counts(
            "wait",
            Kind::Number(0, 100_000),
            ENGINE.checkpoint_interval.as_secs(),
            help!(checkpoint_wait),
        ),
    ],
    "Checkpoints in the background.",
);

const ERROR_PREFIX: Spec =
    applies("error_prefix", Kind::Text, "", "What every message of an error begins with.");

const TIMEOUT: Spec = counts(
    "operation_timeout_ms",
    Kind::Number(0, MOST),
    ENGINE.timeout.as_millis() as u64,
    help!(connection_timeout),
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

/// Of `wiredtiger_open` and of `Connection.reconfigure`.
const BOTH: &[Spec] = &[
    CACHE_SIZE,
    CHECKPOINT,
    ERROR_PREFIX,
    STATISTICS_OPTION,
    STATISTICS_LOG,
    VERBOSE,
    JSON_OUTPUT,
    EVICTION,
    CACHE_MAX_WAIT,
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
    accepted("lsm_manager", Kind::List, "", "there are no LSM trees"),
    accepted("operation_tracking", Kind::List, "", DEBUGGING),
    refused("shared_cache", Kind::List, "", "each database has its own cache"),
    TIERED_STORAGE,
    accepted("timing_stress_for_test", Kind::List, "", DEBUGGING),
    refused("block_cache", Kind::List, "", "the cache is the only one"),
    refused("chunk_cache", Kind::List, "", NO_TIERS),
];

/// Of `wiredtiger_open` alone.
const OPEN_ALONE: &[Spec] = &[
    applies("create", FLAG, "false", help!(create)),
    applies("exclusive", FLAG, "false", "Fail if the database exists, with `create`."),
    applies("readonly", FLAG, "false", help!(connection_readonly)),
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
    TIMEOUT,
    counts(
        "create_mode",
        Kind::Number(0, 0o777),
        ENGINE.file_mode as u64,
        "Not WiredTiger's: permission bits of the new file, before the umask (438 is `0o666`).",
    ),
    accepted("backup_restore_target", Kind::List, "", "there is no partial backup to restore"),
    accepted("buffer_alignment", Kind::Bytes(-1, 1 << 20), "-1", ONE_FILE),
    accepted("builtin_extension_config", Kind::Text, "", "compressors need no configuration"),
    CACHE_CURSORS,
    accepted("checkpoint_sync", FLAG, "true", "a checkpoint is always synced"),
    accepted("compile_configuration_count", Kind::Number(500, MOST), "1000", TUNING),
    accepted("config_base", FLAG, "true", "no configuration is kept in files"),
    accepted(
        "direct_io",
        Kind::Words(&["checkpoint", "data", "log"]),
        "",
        "reads and writes go through the system's cache",
    ),
    ENCRYPTION,
    refused("extensions", Kind::List, "", NO_EXTENSIONS),
    accepted("file_extend", Kind::List, "", ONE_FILE),
    refused("hash", Kind::List, "", TUNING),
    accepted(
        "hazard_max",
        Kind::Number(15, MOST),
        "1000",
        "a session has as many hazard pointers as it needs",
    ),
    refused("in_memory", FLAG, "false", "a database is a file"),
    accepted("mmap", FLAG, "true", "data is read into the cache, never mapped"),
    accepted("mmap_all", FLAG, "false", "data is read into the cache, never mapped"),
    accepted("multiprocess", FLAG, "false", "other processes may always read"),
    PREFETCH,
    refused("salvage", FLAG, "false", "there is no salvage; restore a copy of the file"),
    accepted("session_max", Kind::Number(1, MOST), "100", "there may be any number of sessions"),
    accepted("session_scratch_max", Kind::Bytes(0, MOST), "2MB", TUNING),
    accepted("session_table_cache", FLAG, "true", TUNING),
    accepted("use_environment", FLAG, "true", "no environment variable is read"),
    accepted("use_environment_priv", FLAG, "false", "no environment variable is read"),
    accepted("verify_metadata", FLAG, "false", "the catalog is verified whenever it is read"),
    accepted(
        "write_through",
        Kind::Words(&["data", "log"]),
        "",
        "transaction_sync says what is synced",
    ),
];

/// Of `Connection.reconfigure` alone.
const RECONFIGURE_ALONE: &[Spec] = &[
    accepted("log", Kind::List, "", "segments of the log are recycled"),
    refused(
        "operation_timeout_ms",
        Kind::Number(0, MOST),
        "0",
        "give it to a transaction or a session",
    ),
];

/// Of `wiredtiger_open`.
pub(super) const OPEN: &[Spec] = &joined::<{ BOTH.len() + OPEN_ALONE.len() }>(OPEN_ALONE, BOTH);

/// Of `Connection.reconfigure`.
pub(super) const RECONFIGURE: &[Spec] =
    &joined::<{ BOTH.len() + RECONFIGURE_ALONE.len() }>(BOTH, RECONFIGURE_ALONE);

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
