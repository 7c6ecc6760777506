//! Callers that panic while they look at rows that a table lends them, and sessions that outlive their
//! connection.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rshelve::{Connection, DatabaseOptions};

/// Rows: more than the cache holds.
const ROWS: u64 = 3000;

/// A session of the pool that a scan's visitor panicked in once kept its snapshot for good, with every version
/// that it sees: the cache filled with them until writes were refused.
#[test]
fn panic_in_a_scan_keeps_no_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        timeout: Duration::from_secs(1),
        ..DatabaseOptions::default()
    };
    let connection = Connection::open(folder.path().join("spam"), options).expect("a database");
    let table = connection.create_table("main", &Default::default()).expect("a table");
    let write_all = |fill: u8| {
        for number in 0..ROWS {
            table.insert(&number.to_be_bytes(), &[fill; 1000]).expect("a row");
        }
    };
    write_all(1);
    let visited = catch_unwind(AssertUnwindSafe(|| {
        let (start, stop) = (Bound::Unbounded, Bound::Unbounded);
        table.scan_with(start, stop, false, 10, 0, |_, _| panic!("on purpose"))
    }));
    assert!(visited.is_err());
    let looked = catch_unwind(AssertUnwindSafe(|| {
        table.get_with(&0_u64.to_be_bytes(), |_| -> () { panic!("on purpose") })
    }));
    assert!(looked.is_err());
    write_all(2);
    let found = table.get_with(&7_u64.to_be_bytes(), |value| value == [2; 1000]);
    assert_eq!(found.expect("a get"), Some(true));
}

/// Sessions keep the database open: whoever drops the last handle in front of them closes nothing.
#[test]
fn session_outlives_its_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let connection = Connection::open(&path, Default::default()).expect("a database");
    drop(connection.create_table("main", &Default::default()).expect("a table"));
    let session = connection.open_session().expect("a session");
    let (dropped, goes_on) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        goes_on.recv().expect("the connection is dropped");
        let mut cursor = session.open_cursor("main").expect("a cursor");
        cursor.insert(b"a", b"1").expect("a row");
    });
    drop(connection);
    dropped.send(()).expect("the thread waits");
    thread.join().expect("the session works");
    let again = Connection::open(&path, Default::default()).expect("the session closed it");
    assert_eq!(again.table("main").and_then(|table| table.len()).expect("a count"), 1);
}
