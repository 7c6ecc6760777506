//! Fills a table and scans ranges of it, forward and backward, inside a snapshot transaction, while
//! another thread goes on writing.
//!
//! `cargo run --release --example range_scan [FILE]`

use std::error::Error;

use rshelve::{Connection, DatabaseOptions, TableOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::env::args_os().nth(1).map_or_else(|| folder.path().join("words"), Into::into);
    let connection = Connection::open(path, DatabaseOptions::default())?;
    let table = connection.create_table("squares", &TableOptions::default())?;
    for number in 0..10_000_u64 {
        table.insert(&number.to_be_bytes(), (number * number).to_string().as_bytes())?;
    }

    let session = connection.open_session()?;
    session.begin()?;
    let mut cursor = session.open_cursor("squares")?;
    let (low, high) = (100_u64.to_be_bytes(), 105_u64.to_be_bytes());
    let writer = std::thread::spawn(move || table.insert(&102_u64.to_be_bytes(), b"overwritten"));
    writer.join().map_err(|_| "the writer panicked")??;

    for row in cursor.range(&low[..]..&high[..]) {
        let (key, value) = row?;
        let number = u64::from_be_bytes(key.as_slice().try_into()?);
        println!("{number} squared is {}", String::from_utf8(value)?);
    }
    println!("and backward:");
    for row in cursor.range(&low[..]..=&high[..]).rev() {
        let (key, value) = row?;
        let number = u64::from_be_bytes(key.as_slice().try_into()?);
        println!("{number} squared is {}", String::from_utf8(value)?);
    }
    drop(cursor);
    session.commit()?;
    drop(session);
    connection.close()?;
    Ok(())
}
