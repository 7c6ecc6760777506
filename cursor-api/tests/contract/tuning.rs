//! What may be changed while the database is open, and iterators beside writers.

use std::time::{Duration, Instant};

use rshelve::{DatabaseOptions, Error, OpenMode, Tuning};

use crate::fixture::{TABLE, World};

/// Waits for the keeper, who is rung for, to have taken more than `before` checkpoints.
fn wait_for_checkpoint(world: &World, before: u64) -> u64 {
    let begun = Instant::now();
    loop {
        let now = world.connection.stats().checkpoints;
        if now > before {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint is taken");
        std::thread::yield_now();
    }
}

/// Checkpoints follow the times that the database is given while it is open, by types and by a string.
#[test]
fn checkpoint_times_change_at_run_time() {
    let never = Duration::from_secs(1 << 30);
    let world = World::with(DatabaseOptions {
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: never,
        ..DatabaseOptions::default()
    });
    let table = world.connection.table(TABLE).unwrap();
    let fill = || (0..200_u32).try_for_each(|key| table.insert(&key.to_be_bytes(), &[7; 1000]));
    fill().unwrap();
    let before = world.connection.stats().checkpoints;
    // Rings for the keeper, who must find that nothing is due; it once could not multiply "never".
    world.connection.reconfigure("checkpoint=(wait=0,log_size=0)").unwrap();
    assert_eq!(world.connection.tuning().checkpoint_log_bytes, u64::MAX);
    world.connection.reconfigure("checkpoint=(log_size=100KB)").unwrap();
    assert_eq!(world.connection.tuning().checkpoint_log_bytes, 100 << 10);
    assert!(world.connection.tuning().checkpoint_interval > Duration::from_secs(1 << 24), "kept");
    let before = wait_for_checkpoint(&world, before);

    let timely = Tuning {
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: Duration::from_millis(1),
        ..world.connection.tuning()
    };
    world.connection.retune(Tuning { checkpoint_interval: never, ..timely }).unwrap();
    fill().unwrap();
    world.connection.retune(timely).unwrap();
    wait_for_checkpoint(&world, before);

    for config in ["checkpoint=(wait=-1)", "checkpoint=(log_size=3GB)", "cache_size=2MB,nonsense"] {
        let refused = world.connection.reconfigure(config);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{config}");
    }
    assert!(world.connection.retune(Tuning { checkpoint_log_bytes: 1, ..timely }).is_err());
    assert_eq!(world.connection.tuning(), timely, "what is refused changes nothing");
}

/// What a string says of eviction counts from the start; a Rust program's was once passed by.
#[test]
fn eviction_options_count_when_the_database_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let options = rshelve::ConnectionOptions::new().create(true);
    let options = options.config("eviction_target=20,eviction_trigger=30,error_prefix=me");
    let connection = options.open(folder.path().join("spam")).unwrap();
    let tuning = connection.tuning();
    assert_eq!((tuning.eviction_target_percent, tuning.eviction_trigger_percent), (20, 30));
    assert_eq!(connection.error_prefix(), "me");
    connection.reconfigure("cache_size=2MB").unwrap();
    assert_eq!(connection.tuning().eviction_target_percent, 20, "what is not given stays");
    let table = connection.create_table(TABLE, &Default::default()).unwrap();
    table.insert(b"a", b"b").unwrap();
    connection.close().unwrap();
    let refused = options.config("eviction_target=90,eviction_trigger=80");
    assert!(matches!(refused.open(folder.path().join("spam")), Err(Error::Invalid { .. })));
}

/// A file without a byte is no database for who would open an existing one.
#[test]
fn empty_file_is_missing_unless_it_is_to_be_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spam");
    std::fs::write(&path, b"").unwrap();
    for mode in [OpenMode::Existing, OpenMode::ReadOnly] {
        let options = DatabaseOptions { mode, ..DatabaseOptions::default() };
        let refused = rshelve::Connection::open(&path, options).unwrap_err();
        assert!(matches!(refused, Error::Missing { .. }), "{mode:?}: {refused:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
    rshelve::ConnectionOptions::new().create(true).config("exclusive").open(&path).unwrap();
}

/// What a table's range promises beside writers: keys ascend, a row that is always there is given
/// exactly once, what is written far ahead is met, and from both ends nothing is given twice.
#[test]
fn table_range_gives_each_lasting_row_once() {
    let world = World::new();
    let table = world.connection.table(TABLE).unwrap();
    let key = |number: u32| number.to_be_bytes();
    for number in (0..6_000).step_by(2) {
        table.insert(&key(number), b"old").unwrap();
    }
    let mut rows = table.iter();
    let (mut given, mut turn) = (Vec::new(), 0_u32);
    while let Some(row) = if turn % 3 == 2 { rows.next_back() } else { rows.next() } {
        given.push(u32::from_be_bytes(row.unwrap().0.try_into().unwrap()));
        // Odd rows come and go; each even one is rewritten again and again, and stays.
        table.insert(&key(turn * 37 % 6_000 / 2 * 2), b"new").unwrap();
        table.insert(&key(turn * 41 % 6_000 / 2 * 2 + 1), b"odd").unwrap();
        table.remove(&key(turn * 43 % 6_000 / 2 * 2 + 1)).unwrap();
        turn += 1;
    }
    assert!(rows.next().is_none() && rows.next_back().is_none(), "it stays at its end");
    given.sort_unstable();
    assert!(given.windows(2).all(|pair| pair[0] < pair[1]), "nothing is given twice");
    assert_eq!(given.iter().filter(|number| *number % 2 == 0).count(), 3_000);
    assert!(given.iter().any(|number| number % 2 == 1), "what came ahead is met");
}

/// A loop that rewrites a table far larger than the cache goes through: an iterator over one snapshot
/// would keep every old version, and end with an error, or end the writes with one.
#[test]
fn table_range_keeps_nothing_from_being_discarded() {
    let world = World::with(DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        ..DatabaseOptions::default()
    });
    let table = world.connection.table(TABLE).unwrap();
    for number in 0..8_000_u32 {
        table.insert(&number.to_be_bytes(), &[7; 500]).unwrap();
    }
    let mut count = 0;
    for row in &table {
        let (key, value) = row.unwrap();
        assert_eq!(value, [7; 500]);
        table.insert(&key, &[8; 500]).unwrap();
        count += 1;
    }
    assert_eq!(count, 8_000);
}
