//! Fills a new table with ascending keys, past the log, and makes all of it durable at the end.
//!
//! `cargo run --release --example bulk_load [FILE [ROWS]]`

use std::error::Error;
use std::time::Instant;

use rshelve::{Connection, CursorOptions, DatabaseOptions, TableOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = tempfile::tempdir()?;
    let path = arguments.next().map_or_else(|| folder.path().join("squares"), Into::into);
    let rows =
        arguments.next().map_or(Ok(200_000), |rows| rows.to_string_lossy().parse::<u64>())?;
    let connection = Connection::open(path, DatabaseOptions::default())?;
    let table = connection.create_table("squares", &TableOptions::default())?;

    let session = connection.open_session()?;
    let start = Instant::now();
    let mut bulk = session.open_cursor_with("squares", &CursorOptions::new().bulk(true))?;
    for number in 0..rows {
        bulk.insert(&number.to_be_bytes(), number.pow(2).to_string().as_bytes())?;
    }
    // The rows are durable when this returns: it takes a checkpoint.
    bulk.close()?;
    println!("{} rows in {:.2?}", table.len()?, start.elapsed());

    let last = table.iter().next_back().transpose()?;
    if let Some((key, value)) = last {
        let number = u64::from_be_bytes(key.as_slice().try_into()?);
        println!("the last one: {number} squared is {}", String::from_utf8(value)?);
    }
    drop(session);
    connection.close()?;
    Ok(())
}
