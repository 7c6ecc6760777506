//! Random cursors: every record has the same chance, however skewed the tree is.

use rshelve::{Compression, Connection, CursorOptions, DatabaseOptions, TableOptions};

const BUCKETS: usize = 10;

/// Counts where draws land, by bucket of keys (their first two digits), and asks that each bucket got
/// what its rows deserve, within 10 %.
#[track_caller]
fn check_fair(connection: &Connection, rows_of: impl Fn(usize) -> usize, draws: usize, seed: u64) {
    let session = connection.open_session().unwrap();
    let options = CursorOptions::new().next_random(true).random_seed(seed);
    let mut cursor = session.open_cursor_with("skewed", &options).unwrap();
    let mut counts = [0_usize; BUCKETS];
    let draws = if std::env::var_os("RSHELVE_TEST_LONG").is_some() { draws * 20 } else { draws };
    for _ in 0..draws {
        assert!(cursor.next().unwrap());
        let key = std::str::from_utf8(cursor.key().unwrap()).unwrap();
        counts[key[..2].parse::<usize>().unwrap()] += 1;
    }
    let rows: usize = (0..BUCKETS).map(&rows_of).sum();
    for (bucket, count) in counts.iter().enumerate() {
        let wanted = draws as f64 * rows_of(bucket) as f64 / rows as f64;
        let off = (*count as f64 - wanted).abs();
        assert!(off <= wanted * 0.1, "bucket {bucket} got {count}, not {wanted}; all: {counts:?}");
    }
}

fn open(path: &std::path::Path) -> Connection {
    let options = DatabaseOptions { background: false, ..DatabaseOptions::default() };
    Connection::open(path, options).unwrap()
}

fn value_of(bucket: usize) -> Vec<u8> {
    // From hundreds of rows on a leaf to fewer than ten.
    vec![b'v'; if bucket.is_multiple_of(2) { 1 } else { 900 }]
}

/// Row 12 and the issue: each key's chance is within 10 % of uniform on a skewed tree: in memory, on
/// disk, half rewritten, with rows gone, and inside a transaction with rows of its own.
#[test]
fn next_random_is_fair_on_a_skewed_tree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spam");
    let connection = open(&path);
    let options = TableOptions {
        leaf_bytes_max: 8 << 10,
        internal_bytes_max: 4 << 10,
        compression: Compression::None,
        ..TableOptions::default()
    };
    let table = connection.create_table("skewed", &options).unwrap();
    let key = |bucket: usize, number: usize| format!("{bucket:02}{number:06}").into_bytes();
    for number in 0..600 {
        for bucket in 0..BUCKETS {
            table.insert(&key(bucket, number * 7919 % 600), &value_of(bucket)).unwrap();
        }
    }
    check_fair(&connection, |_| 600, 20_000, 1);
    drop(table);
    connection.close().unwrap();

    let connection = open(&path);
    check_fair(&connection, |_| 600, 20_000, 2);
    let table = connection.table("skewed").unwrap();
    for bucket in 0..BUCKETS / 2 {
        for number in 0..500 {
            assert!(table.remove(&key(bucket, number)).unwrap());
        }
    }
    let rows_of = |bucket| if bucket < BUCKETS / 2 { 100 } else { 600 };
    check_fair(&connection, rows_of, 25_000, 3);
    connection.checkpoint().unwrap();
    check_fair(&connection, rows_of, 25_000, 4);
}

/// Each single key has its chance: few keys, of which some fill a leaf alone.
#[test]
fn next_random_gives_every_key_its_chance() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder.path().join("spam"));
    let options = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let table = connection.create_table("skewed", &options).unwrap();
    for bucket in 0..BUCKETS {
        let value = vec![b'v'; if bucket < 7 { 1 } else { 3000 }];
        table.insert(format!("{bucket:02}").as_bytes(), &value).unwrap();
    }
    check_fair(&connection, |_| 1, 30_000, 5);
}

/// What a random cursor may not see it does not draw; and where it sees little it still finds that.
#[test]
fn next_random_draws_only_what_is_visible() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder.path().join("spam"));
    let table = connection.create_table("skewed", &TableOptions::default()).unwrap();
    table.insert(b"visible", b"1").unwrap();
    let reader = connection.open_session().unwrap();
    reader.begin().unwrap();
    for number in 0..5_000_u32 {
        table.insert(format!("new {number}").as_bytes(), b"2").unwrap();
    }
    let options = CursorOptions::new().next_random(true).random_seed(6);
    let mut cursor = reader.open_cursor_with("skewed", &options).unwrap();
    for _ in 0..3 {
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.key().unwrap(), b"visible");
    }
}
