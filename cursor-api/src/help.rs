//! What the options of the typed builders mean: each text once, for the table of options, for
//! `docs/configuration.md` that is written from it, and for the builders' documentation.

/// The meaning of an option, as a literal.
macro_rules! help {
    (create) => {
        "Make the database if there is none. The folder must exist."
    };
    (connection_readonly) => {
        "Open for reading only, beside other readers."
    };
    (cache_size) => {
        "The most that pages, changes, log buffers and snapshots may hold in memory."
    };
    (connection_timeout) => {
        "How long an operation waits, in milliseconds, for a conflicting transaction or for room in the cache. Here 0 is not to wait at all."
    };
    (checkpoint_wait) => {
        "Take a checkpoint this many seconds after the last one if anything was written; 0 is never."
    };
    (overwrite) => {
        "Insert and update whether or not the key has a value; otherwise an insert of one that has is WT_DUPLICATE_KEY, and an update of one that has none WT_NOTFOUND."
    };
    (cursor_readonly) => {
        "Refuse every write through the cursor."
    };
    (bulk) => {
        "Fill an empty table with ascending keys, fast: only `insert` and `close`."
    };
    (checkpoint) => {
        "Read this checkpoint in place of what is there now; `WiredTigerCheckpoint` is the last one. Such a cursor only reads."
    };
    (next_random) => {
        "`next` goes to any record, each with the same chance; nothing else moves."
    };
    (next_random_seed) => {
        "Makes the choices of a random cursor repeatable; with 0 they are not."
    };
    (read_once) => {
        "What the cursor reads in need not stay in the cache."
    };
    (isolation) => {
        "What the transaction sees of others; without it, what the session was opened with. The two weaker ones read only."
    };
    (sync) => {
        "Whether its commit returns only when it is on stable storage; without it, as the database was opened."
    };
    (timeout) => {
        "How long one operation may wait, in milliseconds; 0 is as the database was opened."
    };
}
