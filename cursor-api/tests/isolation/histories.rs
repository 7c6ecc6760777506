//! Histories of concurrent transactions, judged by a checker that nobody here wrote: the crate `adya`.
//!
//! Clients append to lists, or write registers, under few hot keys, at a cache that is smaller than the
//! table, with a checkpoint every 50 ms. The judge infers from what they read which transaction came
//! before which, and looks for cycles that strong snapshot isolation forbids. That it does not know is a
//! failure too. As a control the engine's conflict check is left out: such a history must be rejected. So
//! that this does not depend on how many processors there are, a control's clients begin their transactions
//! together.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use adya::r#gen::{GenOpts, Kind, TxnOp};
use adya::run::{Client, Outcome, RunOpts};
use adya::{History, Opts, Report, Valid, Workload};
use rshelve::{Cursor, Durability, Error, Result, Session};

use crate::database::{Database, TABLE};
use crate::random::{scaled, seed};

/// The checker's name for what the engine promises.
const MODEL: &str = "strong-snapshot-isolation";

/// Between two kills.
const TRANSACTIONS_PER_LIFE: u64 = 4_000;

/// Where a control's clients meet after they have begun a transaction each. All of them see the same, and go
/// on from there: whoever writes over what another has read and written by then has lost an update.
#[derive(Default)]
struct Meeting {
    state: Mutex<Met>,
    is_over: Condvar,
}

#[derive(Default)]
struct Met {
    arrived: usize,
    round: u64,
}

impl Meeting {
    /// How long one waits for the others. At the end of a history they do not come any more.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Returns when `count` have come.
    fn attend(&self, count: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.arrived += 1;
        let round = state.round;
        if state.arrived < count {
            let wait = self
                .is_over
                .wait_timeout_while(state, Self::PATIENCE, |state| state.round == round);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.round == round {
            *state = Met { arrived: 0, round: round + 1 };
            self.is_over.notify_all();
        }
    }
}

/// One client of the database: a session of the life that it last found.
struct OneClient {
    database: Arc<Database>,
    meeting: Arc<Meeting>,
    session: Session,
    life: u64,
    plan: Plan,
    seed: u64,
}

impl OneClient {
    fn new(database: &Arc<Database>, meeting: &Arc<Meeting>, plan: Plan, seed: u64) -> Self {
        let (session, life) = database.session();
        let (database, meeting) = (Arc::clone(database), Arc::clone(meeting));
        Self { database, meeting, session, life, plan, seed }
    }

    fn run(&self, ops: &[TxnOp]) -> Result<Vec<Option<Vec<i64>>>> {
        let mut cursor = self.session.open_cursor(TABLE)?;
        self.session.begin()?;
        if !self.plan.checks_conflicts {
            self.meeting.attend(self.plan.threads);
        }
        let outcome = ops.iter().map(|op| self.step(&mut cursor, *op)).collect();
        match outcome {
            Ok(reads) => self.session.commit().map(|()| reads),
            Err(error) => {
                self.session.rollback()?;
                Err(error)
            }
        }
    }

    fn step(&self, cursor: &mut Cursor<'_>, op: TxnOp) -> Result<Option<Vec<i64>>> {
        match op {
            TxnOp::Read(key) => read(cursor, key).map(Some),
            TxnOp::Append(key, element) => {
                let mut list = read(cursor, key)?;
                list.push(element);
                cursor.insert(&row(key), &encode(&list)).map(|()| None)
            }
            TxnOp::Write(key, element) => {
                cursor.insert(&row(key), &encode(&[element])).map(|()| None)
            }
        }
    }
}

impl Client for OneClient {
    fn txn(&mut self, ops: &[TxnOp]) -> Outcome {
        if self.plan.kills && self.database.count_one().is_multiple_of(TRANSACTIONS_PER_LIFE) {
            self.database.kill(self.seed);
        }
        if self.life != self.database.life() {
            *self = Self::new(&self.database, &self.meeting, self.plan, self.seed);
        }
        let outcome = self.run(ops);
        if self.life != self.database.life() {
            return Outcome::Info("the database was killed meanwhile".into());
        }
        match outcome {
            Ok(reads) => Outcome::Ok(reads),
            Err(Error::Rollback { reason }) => Outcome::Fail(reason.to_string()),
            Err(error) => panic!("a transaction fails: {error}"),
        }
    }
}

/// The row of a key: keys that follow each other are far apart among the filler.
fn row(key: i64) -> Vec<u8> {
    format!("{:04}/key{key}", key * 619 % 1600).into_bytes()
}

fn read(cursor: &mut Cursor<'_>, key: i64) -> Result<Vec<i64>> {
    if !cursor.search(&row(key))? {
        return Ok(Vec::new());
    }
    let (elements, _) = cursor.value()?.as_chunks::<8>();
    Ok(elements.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
}

fn encode(list: &[i64]) -> Vec<u8> {
    list.iter().flat_map(|element| element.to_le_bytes()).collect()
}

/// One history, and what becomes of the database meanwhile.
#[derive(Clone, Copy)]
struct Plan {
    kind: Kind,
    threads: usize,
    durability: Durability,
    kills: bool,
    checks_conflicts: bool,
}

const PLAN: Plan = Plan {
    kind: Kind::ListAppend,
    threads: 8,
    durability: Durability::Process,
    kills: false,
    checks_conflicts: true,
};

fn judge(plan: Plan) -> Report {
    let seed = seed();
    let database = Arc::new(Database::new(plan.durability, plan.checks_conflicts));
    let options = RunOpts {
        processes: plan.threads,
        // Longer histories would take the judge minutes.
        txns: scaled(15_000, 100_000),
        r#gen: GenOpts { kind: plan.kind, ..GenOpts::default() },
        seed,
        ..RunOpts::default()
    };
    let meeting = Arc::default();
    let connect = || -> std::result::Result<Box<dyn Client>, adya::Error> {
        Ok(Box::new(OneClient::new(&database, &meeting, plan, seed)))
    };
    let before = database.pages_evicted();
    let (history, counts) =
        database.beside(|| adya::run::run(&connect, &options)).expect("a history");
    let evicted = database.pages_evicted() - before;
    println!("{counts:?}, {} lives, {evicted} pages evicted", database.life() + 1);
    assert_eq!(plan.kills, database.life() > 0, "lives of the database");
    assert!(evicted > 0, "no page was evicted");
    let registers = plan.kind == Kind::RwRegister;
    let workload = if registers { Workload::RwRegister } else { Workload::ListAppend };
    let history = History::from_json(&history).expect("a history");
    adya::check(
        &history,
        workload,
        &Opts {
            models: vec![MODEL.into()],
            timeout: Duration::from_secs(60),
            wfr_keys: registers,
            ..Opts::default()
        },
    )
}

fn check(plan: Plan) {
    let report = judge(plan);
    let explained: Vec<_> =
        report.anomalies.values().flatten().map(|found| found.explanation.as_str()).collect();
    assert_eq!(report.valid, Valid::True, "{:?}\n{}", report.anomaly_types, explained.join("\n"));
}

fn check_control(plan: Plan) {
    let report = judge(Plan { checks_conflicts: false, ..plan });
    println!("rejected for {:?}", report.anomaly_types);
    assert_eq!(report.valid, Valid::False, "a history without a conflict check is accepted");
}

#[test]
fn lists_of_two_clients_are_snapshot_isolated() {
    check(Plan { threads: 2, ..PLAN });
}

#[test]
fn lists_of_many_clients_are_snapshot_isolated() {
    check(Plan { threads: 16, ..PLAN });
}

#[test]
fn registers_of_four_clients_are_snapshot_isolated() {
    check(Plan { kind: Kind::RwRegister, threads: 4, ..PLAN });
}

#[test]
fn registers_of_many_clients_are_snapshot_isolated() {
    check(Plan { kind: Kind::RwRegister, threads: 16, ..PLAN });
}

#[test]
fn lists_are_snapshot_isolated_across_kills() {
    check(Plan { kills: true, ..PLAN });
}

#[test]
fn lists_are_snapshot_isolated_across_power_losses() {
    check(Plan { kills: true, durability: Durability::Sync, ..PLAN });
}

#[test]
fn registers_are_snapshot_isolated_across_kills() {
    check(Plan { kind: Kind::RwRegister, kills: true, ..PLAN });
}

#[test]
fn lists_without_a_conflict_check_are_rejected() {
    check_control(PLAN);
}

#[test]
fn registers_without_a_conflict_check_are_rejected() {
    check_control(Plan { kind: Kind::RwRegister, ..PLAN });
}
