//! A disk that is full, and has room again.

use std::collections::BTreeMap;
use std::fs;

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;

use super::mount::{Kind, Mount};
use crate::harness::{Random, check_rows, read_all, seed, table, value_of};

const SIZE_BYTES: u64 = 48 << 20;

/// Leaves so much of the disk.
const ROOM_BYTES: u64 = 6 << 20;

#[test]
fn full_disk_is_an_error_that_passes() {
    let Some(mount) = Mount::new(Kind::Ext4, SIZE_BYTES) else { return };
    let seed = seed();
    for (round, durability) in
        [Durability::Sync, Durability::Process, Durability::Checkpoint].into_iter().enumerate()
    {
        for map_log in [true, false] {
            let path = mount.path().join(format!("spam-{round}-{map_log}"));
            let options = DatabaseOptions {
                durability,
                map_log,
                cache_bytes_max: 2 << 20,
                log_segment_bytes: 1 << 20,
                checkpoint_log_bytes: 1 << 20,
                ..DatabaseOptions::default()
            };
            fill_and_free(&mount, &path, &options, seed);
            fs::remove_file(&path).expect("a removal");
        }
    }
}

fn fill_and_free(mount: &Mount, path: &std::path::Path, options: &DatabaseOptions, seed: u64) {
    let what = format!("{:?}, map_log: {}, seed {seed}", options.durability, options.map_log);
    let ballast = mount.path().join("ballast");
    let engine = Engine::open(path, options.clone()).expect("it opens");
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    leave_room(mount, &ballast);
    let mut random = Random::new(seed);
    let mut expected = BTreeMap::new();
    let mut full = None;
    for number in 0..100_000_u64 {
        let len = if random.chance(5) { 9000 } else { 800 };
        let (key, value) = (number.to_be_bytes().to_vec(), value_of(len, random.next()));
        match session.put(&eggs, &key, &value) {
            Ok(()) => drop(expected.insert(key, value.into())),
            Err(error) => {
                full = Some((number, error));
                break;
            }
        }
        if number % 500 == 0
            && let Err(error) = engine.checkpoint()
        {
            full = Some((number, error));
            break;
        }
    }
    let (number, error) = full.unwrap_or_else(|| panic!("{what}: the disk is never full"));
    println!("{what}: full after {number} rows: {error}");
    let told = error.to_string().contains("space") || matches!(error, Error::Full { .. });
    assert!(told, "{what}: an error that does not say so: {error}");
    // Reads go on.
    check_rows("on a full disk", &read_all(&mut session, &eggs, false), &expected);
    session.release_snapshot();
    // No room for a last checkpoint: that is an error, and what follows is a recovery.
    drop((session, eggs));
    if let Err(error) = engine.close() {
        println!("{what}: it does not close: {error}");
    }
    drop(engine);
    fs::remove_file(&ballast).expect("room again");
    let engine = Engine::open(path, options.clone())
        .unwrap_or_else(|error| panic!("{what}: it does not open with room again: {error}"));
    let eggs = engine.table("eggs").expect("the table");
    let mut session = engine.session().expect("a session");
    let found = read_all(&mut session, &eggs, false);
    session.release_snapshot();
    if options.durability == Durability::Checkpoint {
        let is_prefix = found.iter().zip(&expected).all(|(a, b)| a == b);
        assert!(is_prefix && found.len() <= expected.len(), "{what}: no state of a checkpoint");
    } else {
        check_rows(&what, &found, &expected);
    }
    for number in 0..200_u64 {
        let key = (number << 32).to_be_bytes();
        session.put(&eggs, &key, &value_of(5000, number)).expect("room again");
    }
    engine.checkpoint().expect("room again");
    drop((session, eggs));
    engine.close().expect("room again");
}

/// Fills the disk but for [`ROOM_BYTES`].
fn leave_room(mount: &Mount, ballast: &std::path::Path) {
    let free = free_bytes(mount);
    let file = fs::File::create(ballast).expect("a file");
    let chunk = vec![7; 1 << 20];
    let mut left = free.saturating_sub(ROOM_BYTES);
    while left > 0 {
        let now = left.min(chunk.len() as u64) as usize;
        std::io::Write::write_all(&mut &file, &chunk[..now]).expect("room");
        left -= now as u64;
    }
    file.sync_all().expect("a sync");
}

fn free_bytes(mount: &Mount) -> u64 {
    let path = mount.path();
    let output = std::process::Command::new("stat")
        .args(["-f", "-c", "%a %S", path.to_str().expect("a path in UTF-8")])
        .output()
        .expect("stat");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|word| word.parse::<u64>().expect("a number")).product()
}
