//! Moves money between accounts, from several threads: a transaction that conflicts with another one
//! runs again, and the sum stays what it was.
//!
//! `cargo run --release --example transfer [FILE]`

use std::fmt;

use rshelve::typed::TypedTable;
use rshelve::{Connection, DatabaseOptions, TableOptions};

const ACCOUNTS: u32 = 8;
const THREADS: u32 = 4;
const TRANSFERS: u32 = 500;

/// Why a transfer did not happen.
#[derive(Debug)]
enum Refusal {
    /// There is not enough in the account.
    Poor,
    /// The database said no.
    Database(rshelve::Error),
}

impl From<rshelve::Error> for Refusal {
    fn from(error: rshelve::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poor => f.write_str("there is not enough in the account"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// Moves `amount` from one account to another, or leaves both as they are.
fn transfer(
    connection: &Connection,
    accounts: &TypedTable<u32, i64>,
    (from, to): (u32, u32),
    amount: i64,
) -> Result<(), Refusal> {
    connection.transaction(|transaction| {
        let accounts = transaction.typed(accounts);
        let had = accounts.get(&from)?.unwrap_or(0);
        if had < amount {
            return Err(Refusal::Poor);
        }
        accounts.insert(&from, &(had - amount))?;
        let other = accounts.get(&to)?.unwrap_or(0);
        accounts.insert(&to, &(other + amount))?;
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::env::args_os().nth(1).map_or_else(|| folder.path().join("bank"), Into::into);
    let connection = Connection::open(path, DatabaseOptions::default())?;
    let accounts: TypedTable<u32, i64> =
        connection.create_table("accounts", &TableOptions::default())?.typed();
    for account in 0..ACCOUNTS {
        accounts.insert(&account, &100)?;
    }
    let refused = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (connection, accounts) = (&connection, &accounts);
                scope.spawn(move || -> Result<u32, Refusal> {
                    let mut refused = 0;
                    for round in 0..TRANSFERS {
                        let from = (thread * 3 + round) % ACCOUNTS;
                        let to = (from + 1 + round % (ACCOUNTS - 1)) % ACCOUNTS;
                        match transfer(connection, accounts, (from, to), i64::from(round % 90)) {
                            Ok(()) => {}
                            Err(Refusal::Poor) => refused += 1,
                            Err(error) => return Err(error),
                        }
                    }
                    Ok(refused)
                })
            })
            .collect();
        workers.into_iter().try_fold(0, |sum, worker| match worker.join() {
            Ok(refused) => Ok::<_, Refusal>(sum + refused?),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut sum = 0;
    for row in accounts.iter() {
        let (account, amount) = row?;
        println!("account {account}: {amount}");
        sum += amount;
    }
    let stats = connection.stats();
    println!("together {sum}; {refused} refused, {} conflicts on the way", stats.conflicts);
    assert_eq!(sum, i64::from(ACCOUNTS) * 100);
    connection.close()?;
    Ok(())
}
