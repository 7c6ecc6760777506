//! The model: what a database with snapshot isolation must say, kept in maps.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use rshelve_core::base::options::TableOptions;

use crate::harness::Rows;

/// A table that exists or existed: the same name created again is another.
pub type Instance = u32;
/// Every table's rows.
pub type State = BTreeMap<Instance, Rows>;

/// A table under its name.
#[derive(Clone, Debug)]
pub struct Named {
    pub instance: Instance,
    pub options: TableOptions,
}

/// The whole database, as the model has it.
#[derive(Default)]
pub struct World {
    pub tables: BTreeMap<usize, Named>,
    pub committed: State,
    /// As of the last checkpoint.
    pub checkpointed: (BTreeMap<usize, Named>, State),
    pub sessions: Vec<ModelSession>,
    commits: u64,
    /// The commit that last wrote a key.
    modified: HashMap<(Instance, Vec<u8>), u64>,
    next_instance: Instance,
}

/// One session.
#[derive(Default)]
pub struct ModelSession {
    pub transaction: Option<ModelTransaction>,
    /// What cursors see outside a transaction.
    pub snapshot: Option<State>,
    /// Where the cursor is: a table, and a key or nowhere.
    pub cursor: Option<(Instance, Option<Vec<u8>>)>,
}

/// What a transaction wrote: no value is a deletion.
type Writes = BTreeMap<(Instance, Vec<u8>), Option<Arc<[u8]>>>;

/// An open transaction.
pub struct ModelTransaction {
    snapshot: State,
    begun: u64,
    writes: Writes,
    enlisted: Vec<Instance>,
    /// Whether what it wrote to is logged.
    logged: Option<bool>,
    pub has_written: bool,
    pub failed: bool,
}

/// What a write must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is done; this was there before.
    Done(Option<Arc<[u8]>>),
    /// The key was there, or was not, against what was wanted.
    Unwanted,
    /// Somebody else wrote the key.
    Conflict,
    /// The transaction mixes logged and unlogged tables.
    Refused,
}

/// Which state of the key a write wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    Either,
    Present,
    Absent,
}

impl World {
    pub fn new(sessions: usize) -> Self {
        let mut world = Self { next_instance: 1, ..Self::default() };
        world.forget_sessions(sessions);
        world
    }

    /// Sessions are new, as after an open.
    pub fn forget_sessions(&mut self, count: usize) {
        self.sessions = (0..count).map(|_| ModelSession::default()).collect();
    }

    pub fn create(&mut self, table: usize, options: &TableOptions) {
        let instance = self.next_instance;
        self.next_instance += 1;
        self.tables.insert(table, Named { instance, options: options.clone() });
        self.committed.insert(instance, Rows::new());
    }

    /// Whether an open transaction has written to the table, or tried to.
    pub fn is_enlisted(&self, instance: Instance) -> bool {
        let has = |transaction: &ModelTransaction| transaction.enlisted.contains(&instance);
        self.sessions.iter().filter_map(|session| session.transaction.as_ref()).any(has)
    }

    pub fn drop_table(&mut self, table: usize) {
        let Some(named) = self.tables.remove(&table) else { return };
        self.committed.remove(&named.instance);
        for session in &mut self.sessions {
            if session.cursor.as_ref().is_some_and(|(at, _)| *at == named.instance) {
                session.cursor = None;
            }
        }
    }

    pub fn checkpoint(&mut self) {
        self.checkpointed = (self.tables.clone(), self.committed.clone());
    }

    /// The process died, and what was acknowledged is there; tables that are not logged, or all without
    /// a log, are as of the last checkpoint.
    pub fn crash(&mut self, has_log: bool) {
        let (tables, state) = self.checkpointed.clone();
        if has_log {
            for named in self.tables.values().filter(|named| !named.options.logged) {
                let rows = state.get(&named.instance).cloned().unwrap_or_default();
                self.committed.insert(named.instance, rows);
            }
        } else {
            self.tables = tables;
            self.committed = state;
        }
        // Recovery ends in a checkpoint.
        self.checkpoint();
    }

    /// What `session` sees of a table now, by reads that take their own snapshot.
    pub fn view(&self, session: usize, instance: Instance) -> Rows {
        match &self.sessions[session].transaction {
            Some(transaction) => transaction.view(instance),
            None => self.committed.get(&instance).cloned().unwrap_or_default(),
        }
    }

    /// What the cursor of `session` sees.
    pub fn cursor_view(&mut self, session: usize, instance: Instance) -> Rows {
        let committed = &self.committed;
        let session = &mut self.sessions[session];
        match &session.transaction {
            Some(transaction) => transaction.view(instance),
            None => {
                let snapshot = session.snapshot.get_or_insert_with(|| committed.clone());
                snapshot.get(&instance).cloned().unwrap_or_default()
            }
        }
    }

    pub fn begin(&mut self, session: usize) {
        let transaction = ModelTransaction {
            snapshot: self.committed.clone(),
            begun: self.commits,
            writes: BTreeMap::new(),
            enlisted: Vec::new(),
            logged: None,
            has_written: false,
            failed: false,
        };
        self.sessions[session].snapshot = None;
        self.sessions[session].transaction = Some(transaction);
    }

    /// Ends the transaction of `session`; with `keep`, its writes are there for others.
    pub fn end(&mut self, session: usize, keep: bool) {
        let Some(transaction) = self.sessions[session].transaction.take() else { return };
        if !keep || !transaction.has_written {
            return;
        }
        self.commits += 1;
        for ((instance, key), value) in transaction.writes {
            let Some(rows) = self.committed.get_mut(&instance) else { continue };
            match value {
                Some(value) => rows.insert(key.clone(), value),
                None => rows.remove(&key),
            };
            self.modified.insert((instance, key), self.commits);
        }
    }

    /// What a write must come to; nothing changes yet.
    pub fn expect(&self, session: usize, table: &Named, key: &[u8], wants: Wants) -> Expected {
        let place = (table.instance, key.to_vec());
        let own = self.sessions[session].transaction.as_ref();
        if let Some(own) = own {
            let mixes = own.logged.is_some_and(|logged| logged != table.options.logged);
            if mixes {
                return Expected::Refused;
            }
            if self.modified.get(&place).is_some_and(|commit| *commit > own.begun) {
                return Expected::Conflict;
            }
        }
        let by_other = |(number, other): (usize, &ModelSession)| {
            let open = other.transaction.as_ref();
            number != session && open.is_some_and(|open| open.writes.contains_key(&place))
        };
        if self.sessions.iter().enumerate().any(by_other) {
            return Expected::Conflict;
        }
        let was = match own {
            Some(own) => own.get(table.instance, key),
            None => self.committed.get(&table.instance).and_then(|rows| rows.get(key).cloned()),
        };
        match (wants, &was) {
            (Wants::Present, None) | (Wants::Absent, Some(_)) => Expected::Unwanted,
            _ => Expected::Done(was),
        }
    }

    /// A write of `session` came to `outcome`.
    pub fn wrote(
        &mut self,
        session: usize,
        table: &Named,
        key: &[u8],
        value: Option<Arc<[u8]>>,
        outcome: &Expected,
    ) {
        let done = matches!(outcome, Expected::Done(_));
        if let Some(own) = &mut self.sessions[session].transaction {
            if matches!(outcome, Expected::Refused) {
                own.failed = true;
                return;
            }
            if !own.enlisted.contains(&table.instance) {
                own.enlisted.push(table.instance);
            }
            own.failed |= matches!(outcome, Expected::Conflict);
            if done {
                own.has_written = true;
                own.logged = Some(table.options.logged);
                own.writes.insert((table.instance, key.to_vec()), value);
            }
            return;
        }
        if !done {
            return;
        }
        self.commits += 1;
        self.modified.insert((table.instance, key.to_vec()), self.commits);
        if let Some(rows) = self.committed.get_mut(&table.instance) {
            match value {
                Some(value) => rows.insert(key.to_vec(), value),
                None => rows.remove(key),
            };
        }
        // The next read takes a new one, which has this write.
        self.sessions[session].snapshot = None;
    }
}

impl ModelTransaction {
    fn get(&self, instance: Instance, key: &[u8]) -> Option<Arc<[u8]>> {
        match self.writes.get(&(instance, key.to_vec())) {
            Some(own) => own.clone(),
            None => self.snapshot.get(&instance).and_then(|rows| rows.get(key).cloned()),
        }
    }

    fn view(&self, instance: Instance) -> Rows {
        let mut rows = self.snapshot.get(&instance).cloned().unwrap_or_default();
        let own = (Bound::Included((instance, Vec::new())), Bound::Unbounded);
        for ((of, key), value) in self.writes.range(own) {
            if *of != instance {
                break;
            }
            match value {
                Some(value) => rows.insert(key.clone(), Arc::clone(value)),
                None => rows.remove(key),
            };
        }
        rows
    }
}
