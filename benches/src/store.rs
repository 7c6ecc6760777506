//! What every engine under test can do, in the shape that a user of it would write.
//!
//! The workloads know this trait only. A phase of work takes a [`Writer`] or a [`Reader`] once and
//! uses it many times, as each engine's own documentation advises, so that what is timed is the
//! engine and not the opening of handles; a dynamic call costs every engine the same nanosecond.

use std::error::Error;
use std::path::Path;

/// What an operation gives, whatever the engine's own error.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What must hold when [`Store::write`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// On stable storage.
    Synced,
    /// Nothing waits for the disk. What each engine then promises differs; `docs/performance.md`
    /// has the table.
    Unsynced,
}

/// What a transaction does, so that an engine with a cheaper way for writes alone can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Inserts and removes only.
    Blind,
    /// Reads its own writes: pops, retains.
    ReadWrite,
}

/// One end of the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The smallest key.
    First,
    /// The largest key.
    Last,
}

/// Gets a row that was found.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]);

/// Takes rows in key order, one by one.
pub type Feed<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Outcome<()>;

/// An open store of byte keys and values in key order.
pub trait Store: Sync {
    /// Runs `body` as one transaction.
    fn write(
        &self,
        commit: Commit,
        access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()>;

    /// Runs `body` with a reader that sees one state throughout; called from any thread.
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()>;

    /// Runs `body` with a client that is one thread's own, and whose every call is a transaction of
    /// its own; called from any thread.
    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        body(&mut EachByItself(self))
    }

    /// Inserts one row as a transaction of its own, without a sync; called from any thread.
    fn put(&self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.write(Commit::Unsynced, Access::Blind, &mut |writer| writer.insert(key, value))
    }

    /// Fills an empty store with rows that `body` feeds in key order, the way that the engine
    /// advises for it; synced when it returns.
    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        self.write(Commit::Synced, Access::Blind, &mut |writer| {
            body(&mut |key, value| writer.insert(key, value))
        })
    }

    /// How many rows there are, exactly.
    fn len(&self) -> Outcome<u64>;

    /// Makes everything durable.
    fn sync(&self) -> Outcome<()>;

    /// Takes a checkpoint beside whatever goes on, and returns when it is complete; false when the
    /// engine has no such thing.
    fn checkpoint(&self) -> Outcome<bool> {
        Ok(false)
    }

    /// Gives back what space can be given back; false when the engine has no such call.
    fn compact(&mut self) -> Outcome<bool>;

    /// Closes cleanly.
    fn close(self: Box<Self>) -> Outcome<()>;
}

/// A transaction that writes.
pub trait Writer {
    /// Inserts or replaces.
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()>;

    /// Removes a key that is there.
    fn remove(&mut self, key: &[u8]) -> Outcome<()>;

    /// Removes the row at one end and shows it; false when there is none.
    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool>;

    /// Removes every row for which `keep` is false.
    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()>;
}

/// A view of one state.
pub trait Reader {
    /// Shows the value of `key`; false when there is none.
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool>;

    /// Shows up to `rows_max` rows from `start` on, in key order.
    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()>;
}

/// What a program that serves requests does with a store: each call is a transaction of its own.
pub trait Client {
    /// Shows the value of `key`; false when there is none.
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool>;

    /// Inserts or replaces.
    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()>;

    /// Shows up to `rows_max` rows from `start` on, in key order.
    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()>;
}

/// The client of a store whose transactions are cheap to begin: it begins one for each call.
struct EachByItself<'s, S: ?Sized>(&'s S);

impl<S: Store + ?Sized> Client for EachByItself<'_, S> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let mut there = false;
        self.0.read(&mut |reader| {
            there = reader.get(key, &mut *visit)?;
            Ok(())
        })?;
        Ok(there)
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.0.write(commit, Access::Blind, &mut |writer| writer.insert(key, value))
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        self.0.read(&mut |reader| reader.range(start, rows_max, &mut *visit))
    }
}

/// How a store is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The folder that is the store's own; it exists.
    pub folder: &'a Path,
    /// What the engine may use for caching, in bytes.
    pub cache_bytes: u64,
    /// Whether commits are to be synced, in an engine that has to know beforehand.
    #[cfg_attr(not(feature = "wiredtiger"), expect(dead_code, reason = "WiredTiger alone has to"))]
    pub synced: bool,
    /// Whether the rows will not fit in memory.
    #[cfg_attr(
        not(any(feature = "heed", feature = "rusqlite")),
        expect(dead_code, reason = "only engines that map their file are told")
    )]
    pub memory_is_short: bool,
    /// Bytes of a leaf page, in an engine where that is a choice: less than its own default where rows are read
    /// at random, and the cache holds a small part of them.
    pub leaf_bytes: Option<u32>,
}

/// An engine that can be put under test.
#[derive(Clone, Copy)]
pub struct Engine {
    /// The name on the command line and in the table.
    pub name: &'static str,
    /// The engine's own version, as well as can be told.
    pub version: fn() -> String,
    /// Whether a run without `--engines` includes it.
    pub by_default: bool,
    /// Opens a store, made when missing.
    pub open: fn(Setup<'_>) -> Outcome<Box<dyn Store>>,
}
