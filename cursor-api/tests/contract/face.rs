//! The Rust face beyond the contract: tables, ranges, typed tables, transactions as closures.

use std::time::Duration;

use rshelve::config::{CursorSettings, OpenSettings, TableSettings, TransactionSettings};
use rshelve::packing::{Format, Value};
use rshelve::typed::TypedTable;
use rshelve::{
    Code, Connection, ConnectionOptions, CursorOptions, DatabaseOptions, Durability, Error,
    EventHandler, Isolation, OpenMode, Result, TableOptions, TransactionOptions,
};

use crate::fixture::{TABLE, World, assert_invalid};

fn keys(rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> Vec<String> {
    rows.map(|row| String::from_utf8(row.unwrap().0).unwrap()).collect()
}

#[test]
fn table_range_goes_from_both_ends_until_they_meet() {
    let world = World::new();
    let table = world.connection.table(TABLE).unwrap();
    let all: Vec<String> = (0..3_000).map(|number| format!("{number:05}")).collect();
    for key in &all {
        table.insert(key.as_bytes(), b"v").unwrap();
    }
    assert_eq!(keys(table.iter()), all);
    assert_eq!(keys(table.iter().rev()), all.iter().rev().cloned().collect::<Vec<_>>());
    let mut rows = table.range(&b"00100"[..]..=&b"02900"[..]);
    let (mut low, mut high) = (100, 2_900);
    let mut turn = 0;
    loop {
        let row = if turn % 3 == 0 { rows.next_back() } else { rows.next() };
        let Some(row) = row else { break };
        let key = String::from_utf8(row.unwrap().0).unwrap();
        let wanted = if turn % 3 == 0 { &mut high } else { &mut low };
        assert_eq!(key, format!("{wanted:05}"));
        *wanted = if turn % 3 == 0 { *wanted - 1 } else { *wanted + 1 };
        turn += 1;
    }
    assert_eq!((turn, low), (2_801, high + 1));
    assert!(rows.next().is_none() && rows.next_back().is_none());
}

#[test]
fn table_range_goes_on_beside_writers() {
    let world = World::holding(&["a", "b", "c"]);
    let table = world.connection.table(TABLE).unwrap();
    let mut rows = table.iter();
    rows.next().unwrap().unwrap();
    table.clear().unwrap();
    for number in 0..100 {
        table.insert(format!("z{number:03}").as_bytes(), b"v").unwrap();
    }
    let rest = keys(rows);
    assert!(rest.is_sorted() && rest.iter().all(|key| key.as_str() > "a"), "{rest:?}");
}

#[test]
fn typed_table_keeps_the_order_of_its_keys() {
    let world = World::new();
    let typed: TypedTable<(&str, i32), String> = world.connection.table(TABLE).unwrap().typed();
    let mut wanted = Vec::new();
    for name in ["", "a", "a\0b", "ab"] {
        for number in [i32::MIN, -1, 0, 77] {
            typed.insert(&(name, number), &format!("{name}{number}")).unwrap();
            wanted.push((name.to_owned(), number));
        }
    }
    wanted.sort();
    let found: Vec<_> = typed.iter().map(|row| row.unwrap().0).collect();
    assert_eq!(found, wanted);
    assert_eq!(typed.get(&("a", -1)).unwrap().as_deref(), Some("a-1"));
    assert!(typed.remove(&("a", -1)).unwrap());
    assert_eq!(typed.get(&("a", -1)).unwrap(), None);
    assert!(!typed.insert_new(&("a", 0), &String::new()).unwrap());
    let some: Vec<_> = typed.range(("a", 0)..("ab", 0)).rev().map(|row| row.unwrap().0.1).collect();
    assert_eq!(some, [-1, i32::MIN, 77, 0, -1, i32::MIN, 77, 0]);
    assert_eq!(typed.len().unwrap(), 15);
}

/// Many threads move amounts between accounts; the sum stays, whatever conflicts.
#[test]
fn transaction_runs_again_until_it_commits() {
    let world = World::new();
    let accounts: TypedTable<u32, i64> = world.connection.table(TABLE).unwrap().typed();
    for account in 0..4 {
        accounts.insert(&account, &100).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (connection, table) = (&world.connection, &accounts);
            scope.spawn(move || {
                for round in 0..100_u32 {
                    let (from, to) = ((thread + round) % 4, (thread + round * 7 + 1) % 4);
                    if from == to {
                        continue;
                    }
                    connection
                        .transaction(|transaction| {
                            for (account, change) in [(from, -1), (to, 1)] {
                                let had = transaction.typed(table).get(&account)?.unwrap();
                                transaction.typed(table).insert(&account, &(had + change))?;
                            }
                            Ok::<_, Error>(())
                        })
                        .unwrap();
                }
            });
        }
    });
    let sum: i64 = accounts.iter().map(|row| row.unwrap().1).sum();
    assert_eq!(sum, 400);
}

/// The first run reads a key that somebody else then writes: it must not commit, and the second run
/// sees the new value.
#[test]
fn transaction_that_lost_sees_the_winners_value() {
    let world = World::holding(&["a"]);
    let table = world.connection.table(TABLE).unwrap();
    let mut runs = 0;
    let seen = world.connection.transaction(|transaction| {
        runs += 1;
        let seen = transaction.get(&table, b"a")?.unwrap();
        if runs == 1 {
            world.session().put("a", "winner")?;
        }
        transaction.insert(&table, b"a", b"mine")?;
        Ok::<_, Error>(seen)
    });
    assert_eq!((seen.unwrap(), runs), (b"winner".to_vec(), 2));
    assert_eq!(table.get(b"a").unwrap().unwrap(), b"mine");
}

#[test]
fn transaction_gives_the_bodys_error_and_rolls_back() {
    #[derive(Debug)]
    enum Mine {
        Poor,
        Engine,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self::Engine
        }
    }
    let world = World::holding(&["a"]);
    let table = world.connection.table(TABLE).unwrap();
    let mut runs = 0;
    let outcome = world.connection.transaction(|transaction| {
        runs += 1;
        transaction.insert(&table, b"b", b"b")?;
        transaction.remove_range(&table, ..&b"b"[..])?;
        assert_eq!(transaction.len(&table), 1);
        Err::<(), _>(Mine::Poor)
    });
    assert!(matches!(outcome, Err(Mine::Poor)) && runs == 1);
    assert_eq!(keys(table.iter()), ["a"]);
    let outcome = world.connection.transaction(|transaction| {
        transaction.insert(&table, &vec![0; 1 << 20], b"the key is too long")?;
        Ok::<_, Mine>(())
    });
    assert!(matches!(outcome, Err(Mine::Engine)));
}

#[test]
fn transaction_that_never_gets_through_ends_with_the_conflict() {
    let world = World::with(DatabaseOptions {
        timeout: Duration::from_millis(30),
        ..DatabaseOptions::default()
    });
    let (holder, table) = (&mut world.session(), world.connection.table(TABLE).unwrap());
    holder.begin();
    holder.put("a", "held").unwrap();
    let mut runs = 0;
    let outcome = world.connection.transaction(|transaction| {
        runs += 1;
        transaction.insert(&table, b"a", b"mine")
    });
    assert!(outcome.unwrap_err().is_rollback() && runs > 1);
}

#[test]
fn get_for_update_prevents_write_skew() {
    let world = World::holding(&["a", "b"]);
    let table = &world.connection.table(TABLE).unwrap();
    // Both read two rows and remove one, if two are left: one must stay.
    std::thread::scope(|scope| {
        for mine in ["a", "b"] {
            let connection = &world.connection;
            scope.spawn(move || {
                let run = connection.transaction(|transaction| {
                    let both = [b"a", b"b"].map(|key| transaction.get_for_update(table, key));
                    if both.into_iter().collect::<Result<Vec<_>>>()?.iter().all(Option::is_some) {
                        transaction.remove(table, mine.as_bytes())?;
                    }
                    Ok::<_, Error>(())
                });
                run.unwrap();
            });
        }
    });
    assert_eq!(table.len().unwrap(), 1);
}

#[test]
fn cursor_of_the_rust_face_has_bounds_reserve_and_modify() {
    let world = World::holding(&["a", "b", "c", "d"]);
    let session = world.connection.open_session().unwrap();
    let mut cursor = session.open_cursor(TABLE).unwrap();
    cursor.set_bounds(&b"b"[..]..&b"d"[..]).unwrap();
    assert!(cursor.set_bounds(&b"x"[..]..&b"d"[..]).is_err());
    assert!(cursor.prev().unwrap());
    assert_eq!(cursor.key().unwrap(), b"c");
    assert!(!cursor.search(b"d").unwrap());
    cursor.reset();
    assert_eq!(cursor.largest_key().unwrap().as_deref(), Some(&b"d"[..]));
    session.begin_with(&TransactionOptions::new().sync(true)).unwrap();
    assert!(cursor.reserve(b"b").unwrap());
    let change = rshelve::state::Modify { data: b"!".to_vec(), offset: 3, size: 0 };
    assert!(cursor.modify(b"b", &[change]).unwrap());
    assert_eq!(cursor.value().unwrap(), b"b\0\0!");
    let twin = cursor.duplicate().unwrap();
    assert_eq!(twin.compare(&cursor).unwrap(), std::cmp::Ordering::Equal);
    drop(twin);
    session.commit().unwrap();
    assert_eq!(cursor.value().unwrap(), b"b\0\0!");
    session.truncate(TABLE, ..&b"c"[..]).unwrap();
    assert_eq!(session.len(TABLE).unwrap(), 2);
}

/// A commit with `sync` returns when it is on stable storage, whatever the database promises.
#[test]
fn commit_with_sync_syncs_the_log() {
    let world = World::new();
    let session = world.connection.open_session().unwrap();
    let write = |key: &[u8]| session.open_cursor(TABLE).unwrap().insert(key, b"v").unwrap();
    for (begun, asked, wanted) in
        [(None, None, false), (Some(true), None, true), (Some(true), Some(true), true)]
    {
        let before = world.connection.stats().log_syncs;
        let options = TransactionOptions::new();
        let options = begun.map_or(options.clone(), |sync| options.sync(sync));
        session.begin_with(&options).unwrap();
        write(b"a");
        match asked {
            Some(sync) => session.commit_with(sync).unwrap(),
            None => session.commit().unwrap(),
        }
        if wanted {
            assert!(world.connection.stats().log_syncs > before);
        }
    }
}

#[test]
fn statistics_and_metadata_are_cursors_too() {
    let world = World::holding(&["a"]);
    let session = world.connection.open_session().unwrap();
    let mut cursor = session.open_uri("statistics:", &CursorOptions::new()).unwrap();
    let (key, value): (Format, Format) = ("i".parse().unwrap(), "SSq".parse().unwrap());
    let mut commits = None;
    let mut rows = 0;
    while cursor.next().unwrap() {
        let row = value.unpack(cursor.value().unwrap()).unwrap();
        if row[0] == Value::Text("commits") {
            let Value::Signed(count) = row[2] else { panic!("a number") };
            commits = Some(count as u64);
            let number = key.unpack(cursor.key().unwrap()).unwrap();
            assert!(matches!(number[..], [Value::Signed(number)] if number >= 1000));
        }
        rows += 1;
    }
    assert_eq!(rows, world.connection.stats().named().count());
    assert_eq!(commits, Some(world.connection.stats().commits));
    assert!(cursor.insert(b"a", b"b").is_err());

    let text: Format = "S".parse().unwrap();
    let mut cursor = session.open_uri("metadata:", &CursorOptions::new()).unwrap();
    let table = text.pack(&[Value::Text("table:stock")]).unwrap();
    assert!(cursor.search(&table).unwrap());
    let made = text.unpack(cursor.value().unwrap()).unwrap();
    let [Value::Text(made)] = made[..] else { panic!("one text") };
    assert!(made.contains("leaf_page_max=16384"), "{made}");
    assert!(!cursor.search(b"table:none\0").unwrap());
    assert!(cursor.search_near(b"table:none\0").unwrap().is_some());
    assert!(session.open_uri("log:", &CursorOptions::new()).is_err());
}

/// One table of options: what a string means without a word is what the builders mean by default.
#[test]
fn configuration_strings_and_builders_have_the_same_defaults() {
    let open = OpenSettings::read("create").unwrap().options;
    let default = DatabaseOptions::default();
    assert_eq!(format!("{open:?}"), format!("{default:?}"));
    let made = TableSettings::read("").unwrap().options;
    assert_eq!(TableOptions { metadata: String::new(), ..made }, TableOptions::default());
    // One option that is its default, so that the string is read and not passed by.
    let cursor = CursorSettings::read("readonly=false").unwrap();
    assert_eq!(cursor, CursorOptions::new().settings().unwrap());
    let begun = TransactionSettings::read("isolation=").unwrap();
    assert_eq!(begun, TransactionOptions::new().settings().unwrap());
    assert_eq!(begun.isolation.unwrap_or_default(), Isolation::default());
}

/// The cache shrinks and grows while the database is in use.
#[test]
fn cache_is_resized_at_run_time() {
    let world = World::new();
    let table = world.connection.table(TABLE).unwrap();
    for number in 0..20_000_u32 {
        table.insert(&number.to_be_bytes(), &[7; 300]).unwrap();
    }
    assert!(world.connection.stats().cache_bytes > 4 << 20);
    world.connection.resize_cache(2 << 20, 50, 80).unwrap();
    for number in 0..20_000_u32 {
        assert_eq!(table.get(&number.to_be_bytes()).unwrap().unwrap(), [7; 300]);
    }
    let held = world.connection.stats().cache_bytes;
    assert!(held <= (2 << 20) / 10 * 11, "{held}");
    assert_eq!(world.connection.cache_bytes_max(), 2 << 20);
    for (bytes, target, trigger) in [(1, 80, 90), (2 << 20, 0, 90), (2 << 20, 90, 80)] {
        let refused = world.connection.resize_cache(bytes, target, trigger);
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }
}

/// What a bulk cursor loaded is there after a crash, once it is closed.
#[test]
fn bulk_load_is_durable_when_it_is_closed() {
    let world = World::new();
    let session = world.connection.open_session().unwrap();
    let mut bulk = session.open_cursor_with(TABLE, &CursorOptions::new().bulk(true)).unwrap();
    let long = vec![7; 100_000];
    for number in 0..5_000_u32 {
        let value = if number % 1_000 == 0 { &long[..] } else { b"v" };
        bulk.insert(&number.to_be_bytes(), value).unwrap();
    }
    let log = world.connection.stats().log_bytes;
    bulk.close().unwrap();
    assert!(world.connection.stats().log_bytes - log < 10_000, "the log was spared");
    // As after a crash: the file as it is now, without its log.
    let copy = world.folder.path().join("copy");
    std::fs::copy(world.folder.path().join("spam"), &copy).unwrap();
    let again = Connection::open(&copy, DatabaseOptions::default()).unwrap();
    let table = again.table(TABLE).unwrap();
    assert_eq!(table.len().unwrap(), 5_000);
    assert_eq!(table.get(&4_000_u32.to_be_bytes()).unwrap().unwrap(), long);
}

/// What goes wrong where nobody is there to be told, the event handler is told.
#[test]
fn event_handler_is_told_of_what_no_caller_gets() {
    #[derive(Clone, Debug, Default)]
    struct Heard(std::sync::Arc<std::sync::Mutex<Vec<(Code, String)>>>);
    impl EventHandler for Heard {
        fn error(&self, code: Code, message: &str) {
            self.0.lock().unwrap().push((code, message.to_owned()));
        }
    }
    let (folder, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    let options = ConnectionOptions::new().create(true).event_handler(heard.clone());
    let connection = options.open(folder.path().join("spam")).unwrap();
    connection.create_table(TABLE, &TableOptions::default()).unwrap();
    let session = connection.open_session().unwrap();
    let mut bulk = session.open_cursor_with(TABLE, &CursorOptions::new().bulk(true)).unwrap();
    bulk.insert(b"a", b"b").unwrap();
    connection.close().unwrap();
    drop(bulk);
    let heard = heard.0.lock().unwrap();
    assert!(matches!(&heard[..], [(Code::EINVAL, text)] if text.contains("bulk")), "{heard:?}");
}

/// The builder says what a configuration string says, and is checked against the same table.
#[test]
fn connection_options_are_checked_against_the_table() {
    let options = ConnectionOptions::new()
        .create(true)
        .cache_size(3 << 20)
        .durability(Durability::Sync)
        .operation_timeout(Duration::from_millis(70))
        .checkpoint_interval(Duration::from_secs(7))
        .config("cache_size=4MB");
    let made = options.settings().unwrap().options;
    assert_eq!((made.mode, made.cache_bytes_max), (OpenMode::Create, 4 << 20));
    assert_eq!((made.durability, made.timeout), (Durability::Sync, Duration::from_millis(70)));
    assert_eq!(made.checkpoint_interval, Duration::from_secs(7));
    assert!(options.clone().cache_size(1).settings().is_err());
    assert!(options.config("nonsense=1").settings().is_err());
    assert_eq!(ConnectionOptions::new().settings().unwrap().options.mode, OpenMode::Existing);
}

/// A cursor that reads once finds what any cursor finds, and leaves the pages that others use in the
/// cache.
#[test]
fn read_once_cursor_finds_everything() {
    let world = World::new();
    let table = world.connection.table(TABLE).unwrap();
    for number in 0..2_000_u32 {
        table.insert(&number.to_be_bytes(), &[7; 200]).unwrap();
    }
    let session = world.connection.open_session().unwrap();
    let options = CursorOptions::new().read_once(true);
    let mut cursor = session.open_cursor_with(TABLE, &options).unwrap();
    let mut rows = 0;
    while cursor.next().unwrap() {
        assert_eq!(cursor.value().unwrap(), [7; 200]);
        rows += 1;
    }
    assert_eq!(rows, 2_000);
    while cursor.prev().unwrap() {
        rows -= 1;
    }
    assert_eq!(rows, 0);
    assert!(cursor.search(&77_u32.to_be_bytes()).unwrap());
}

#[test]
fn session_is_reconfigured_by_what_the_string_gives() {
    let world = World::holding(&["a"]);
    let table = world.connection.table(TABLE).unwrap();
    let session = world.connection.open_session().unwrap();
    let reads_fresh = || {
        session.begin().unwrap();
        let before = session.len(TABLE).unwrap();
        table.insert(format!("new {before}").as_bytes(), b"v").unwrap();
        let after = session.len(TABLE).unwrap();
        session.rollback().unwrap();
        after > before
    };
    assert!(!reads_fresh(), "snapshot is the default");
    session.reconfigure("isolation=read-committed").unwrap();
    assert!(reads_fresh());
    session.reconfigure("").unwrap();
    session.reconfigure("cache_cursors=false,ignore_cache_size").unwrap();
    assert!(reads_fresh(), "what is not given stays");
    for (config, code) in [
        ("isolation=perfect", Code::EINVAL),
        ("isolation=snapshot,no_such_key=1", Code::EINVAL),
        ("isolation=snapshot,prefetch=(enabled=true)", Code::ENOTSUP),
    ] {
        assert_eq!(Code::of(&session.reconfigure(config).unwrap_err()), code, "{config}");
    }
    assert!(reads_fresh(), "what is refused changes nothing");
    session.begin().unwrap();
    assert_invalid(session.reconfigure("isolation=snapshot"), "inside a transaction");
    assert_invalid(session.reconfigure("cache_cursors=true"), "inside a transaction");
    session.rollback().unwrap();
    assert!(reads_fresh());
    session.reconfigure("isolation=snapshot").unwrap();
    assert!(!reads_fresh());
}
