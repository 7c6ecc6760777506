//! Identities and positions, each a type of its own so that none is taken for another.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A transaction that writes. Ids grow by one per writing transaction and are never reused
    /// while the database is open; they are not stored on disk.
    TxnId(u64)
}

impl TxnId {
    /// Of versions that every snapshot sees: what was read from disk.
    pub const VISIBLE: TxnId = TxnId(0);
    /// Of versions that nobody sees: what was rolled back.
    pub const ABORTED: TxnId = TxnId(u64::MAX);
    /// Of versions in the making: their transaction gets its id and commits in one step.
    pub const PENDING: TxnId = TxnId(u64::MAX - 1);
    /// The first id handed out.
    pub const FIRST: TxnId = TxnId(1);
}

id! {
    /// A byte position in the log. Positions grow without end; segments hold ranges of them.
    Lsn(u64)
}

id! {
    /// A table. Never reused, not even after a drop, because log records name it.
    TableId(u32)
}

impl TableId {
    /// The catalog, which is a table too.
    pub const CATALOG: TableId = TableId(0);
    /// The first id of a user's table.
    pub const FIRST: TableId = TableId(1);
    /// What no id that a file may claim reaches: whoever counts on from one need not fear the type's end.
    pub const CLAIMED_MAX: TableId = TableId(1 << 31);
}

id! {
    /// A checkpoint: one more than the one before. The superblock's generation.
    Generation(u64)
}

/// The random identity of a database file, fixed when it is created. Log segments carry it, so
/// that a segment of another database is never replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub [u8; 16]);
