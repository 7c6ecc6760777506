//! Many threads at one table: writers add rows, each in a transaction of its own, while readers walk
//! all rows that there were when their transaction began.
//!
//! `cargo run --release --example many_threads [FILE]`

use std::error::Error;

use rshelve::{Connection, DatabaseOptions, Table, TableOptions};

const WRITERS: u32 = 4;
const READERS: u32 = 4;
const ROWS_EACH: u32 = 5_000;

fn write(table: &Table, writer: u32) -> rshelve::Result<()> {
    for number in 0..ROWS_EACH {
        // One call, one transaction, from any thread.
        table.insert(format!("{number:05} by {writer}").as_bytes(), &number.to_be_bytes())?;
    }
    Ok(())
}

/// Counts the rows twice; a snapshot does not change under a transaction.
fn read(connection: &Connection) -> rshelve::Result<u64> {
    let session = connection.open_session()?;
    session.begin()?;
    let mut cursor = session.open_cursor("rows")?;
    let mut counts = [0, 0];
    for count in &mut counts {
        while cursor.next()? {
            *count += 1;
        }
    }
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[0], session.len("rows")?);
    drop(cursor);
    session.commit()?;
    Ok(counts[0])
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::env::args_os().nth(1).map_or_else(|| folder.path().join("many"), Into::into);
    let connection = Connection::open(path, DatabaseOptions::default())?;
    let table = connection.create_table("rows", &TableOptions::default())?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let table = &table;
                    move || write(table, writer)
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(&connection))).collect();
        for (number, reader) in readers.into_iter().enumerate() {
            let seen = reader.join().map_err(|_| "a reader panicked")??;
            println!("reader {number} saw {seen} rows");
        }
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    println!("at the end there are {}", table.len()?);
    assert_eq!(table.len()?, u64::from(WRITERS * ROWS_EACH));
    connection.close()?;
    Ok(())
}
