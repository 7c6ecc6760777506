//! Walks of many records in one call, compared with a `BTreeMap`: rows in images and beside them, long values,
//! what the own transaction wrote, places that were just written or removed.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::ControlFlow;

use proptest::prelude::*;
use rshelve::{Connection, Cursor, DatabaseOptions, TableOptions};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u16, usize),
    Remove(u16),
    Checkpoint,
    Begin,
    Commit,
    Rollback,
    /// The record that the cursor is on.
    RemoveHere,
    /// So many of the first records are removed, or of the last, each from nowhere.
    Pop(usize, bool),
    Search(u16),
    /// So many records, forward or not.
    Walk(usize, bool),
    One(bool),
    /// Those whose key's last byte, in so many parts, is not this.
    Retain(u8, u8),
}

fn key_of(number: u16) -> Vec<u8> {
    format!("{:04}", number % 400).into_bytes()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![8 => 0..100_usize, 1 => 5000..20_000_usize];
    let step = prop_oneof![
        12 => (any::<u16>(), len).prop_map(|(key, len)| Step::Put(key, len)),
        4 => any::<u16>().prop_map(Step::Remove),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        2 => Just(Step::RemoveHere),
        2 => (1..20_usize, any::<bool>()).prop_map(|(count, first)| Step::Pop(count, first)),
        3 => any::<u16>().prop_map(Step::Search),
        4 => (1..300_usize, any::<bool>()).prop_map(|(count, forward)| Step::Walk(count, forward)),
        2 => any::<bool>().prop_map(Step::One),
        1 => (2..9_u8, 0..9_u8).prop_map(|(parts, part)| Step::Retain(parts, part)),
    ];
    prop::collection::vec(step, 1..300)
}

/// What `count` steps from `place` lead to, and where they end.
fn expected(rows: &Rows, place: Option<&Vec<u8>>, count: usize, forward: bool) -> Rows2 {
    let behind = place.map_or(Unbounded, |place| Excluded(place.clone()));
    let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    match forward {
        true => rows.range((behind, Unbounded)).take(count).map(copy).collect(),
        false => rows.range((Unbounded, behind)).rev().take(count).map(copy).collect(),
    }
}

type Rows2 = Vec<(Vec<u8>, Vec<u8>)>;

fn walk(cursor: &mut Cursor<'_>, count: usize, forward: bool) -> (Rows2, bool) {
    let mut seen = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        seen.push((key.to_vec(), value.to_vec()));
        if seen.len() == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let broke = if forward { cursor.walk(visit) } else { cursor.walk_back(visit) };
    let broke = broke.expect("it walks").is_some();
    (seen, broke)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn walks_are_steps(steps in steps()) {
        let folder = tempfile::tempdir().expect("a folder");
        let options = DatabaseOptions { background: false, ..DatabaseOptions::default() };
        let connection = Connection::open(folder.path().join("spam"), options).expect("it opens");
        let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
        connection.create_table("rows", &small).expect("it is created");
        let session = connection.open_session().expect("it opens");
        let mut cursor = session.open_cursor("rows").expect("it opens");
        let (mut rows, mut place, mut is_open) = (Rows::new(), None::<Vec<u8>>, false);
        let mut begun = Rows::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(key, len) => {
                    let (key, value) = (key_of(key), vec![number as u8; len]);
                    let mut writer = session.open_cursor("rows").expect("it opens");
                    writer.insert(&key, &value).expect("it is put");
                    rows.insert(key, value);
                }
                Step::Remove(key) => {
                    let key = key_of(key);
                    let mut writer = session.open_cursor("rows").expect("it opens");
                    let removed = writer.remove_key(&key).expect("it is removed");
                    prop_assert_eq!(removed, rows.remove(&key).is_some());
                }
                Step::Checkpoint if !is_open => connection.checkpoint().expect("it is taken"),
                Step::Begin if !is_open => {
                    session.begin().expect("it begins");
                    is_open = true;
                    begun = rows.clone();
                }
                Step::Commit if is_open => {
                    session.commit().expect("it commits");
                    is_open = false;
                }
                Step::Rollback if is_open => {
                    session.rollback().expect("it rolls back");
                    (is_open, place) = (false, None);
                    rows = begun.clone();
                }
                Step::Checkpoint | Step::Begin | Step::Commit | Step::Rollback => {}
                Step::RemoveHere => {
                    if let Some(key) = place.as_ref().filter(|key| rows.contains_key(*key)) {
                        prop_assert!(cursor.remove().expect("it is removed"));
                        rows.remove(key);
                    }
                }
                Step::Pop(count, first) => {
                    for _ in 0..count {
                        cursor.reset();
                        let there = if first { cursor.next() } else { cursor.prev() };
                        let popped = if first { rows.pop_first() } else { rows.pop_last() };
                        prop_assert_eq!(there.expect("it steps"), popped.is_some());
                        place = popped.map(|(key, _)| key);
                        if let Some(key) = &place {
                            prop_assert_eq!(cursor.key().expect("a key"), &key[..]);
                            prop_assert!(cursor.remove().expect("it is removed"));
                        }
                    }
                }
                Step::Search(key) => {
                    let key = key_of(key);
                    let found = cursor.search(&key).expect("it searches");
                    prop_assert_eq!(found, rows.contains_key(&key));
                    place = found.then_some(key);
                }
                Step::Walk(count, forward) => {
                    let (seen, broke) = walk(&mut cursor, count, forward);
                    let expected = expected(&rows, place.as_ref(), count, forward);
                    prop_assert_eq!(broke, expected.len() == count);
                    place = expected.last().filter(|_| broke).map(|(key, _)| key.clone());
                    prop_assert_eq!(seen, expected);
                }
                Step::One(forward) => {
                    let there = if forward { cursor.next() } else { cursor.prev() };
                    let expected = expected(&rows, place.as_ref(), 1, forward).pop();
                    prop_assert_eq!(there.expect("it steps"), expected.is_some());
                    place = expected.map(|(key, _)| key);
                }
                Step::Retain(parts, part) => {
                    let keep = |key: &[u8]| key.last().is_none_or(|byte| byte % parts != part);
                    let removed = cursor.retain(|key, _| keep(key));
                    let before = rows.len();
                    if is_open {
                        rows.retain(|key, _| {
                            place.as_ref().is_some_and(|place| key <= place) || keep(key)
                        });
                        prop_assert_eq!(removed.expect("it removes"), (before - rows.len()) as u64);
                        place = None;
                    } else {
                        prop_assert!(removed.is_err(), "it needs a transaction");
                    }
                }
            }
            match &place {
                Some(key) if rows.contains_key(key) => {
                    prop_assert_eq!(cursor.key().expect("a key"), &key[..]);
                }
                Some(_) => {}
                None => prop_assert!(cursor.key().is_err()),
            }
        }
    }
}

/// The session is free while records are visited, and a value that is read there stays right.
#[test]
fn visits_may_use_the_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection =
        Connection::open(folder.path().join("spam"), Default::default()).expect("it opens");
    let rows = connection.create_table("rows", &Default::default()).expect("it is created");
    for key in 0..50_u8 {
        rows.insert(&[key], &[key; 3]).expect("it is put");
    }
    connection.checkpoint().expect("it is taken");
    let session = connection.open_session().expect("it opens");
    let mut cursor = session.open_cursor("rows").expect("it opens");
    let mut count = 0;
    let end = cursor.walk(|key, value| {
        let mut other = session.open_cursor("rows").expect("it opens");
        assert!(other.search(key).expect("it searches"));
        assert_eq!(other.value().expect("a value"), value);
        count += 1;
        ControlFlow::Continue::<()>(())
    });
    assert_eq!((end.expect("it walks"), count), (None, 50));
}

/// Rows that others committed since are in the very page that is walked over.
#[test]
fn walks_see_what_the_snapshot_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection =
        Connection::open(folder.path().join("spam"), Default::default()).expect("it opens");
    let rows = connection.create_table("rows", &Default::default()).expect("it is created");
    let put = |number: u32| rows.insert(&number.to_be_bytes(), b"1").expect("it is put");
    (0..400).filter(|number| number % 2 == 0).for_each(put);
    let session = connection.open_session().expect("it opens");
    session.begin().expect("it begins");
    let mut cursor = session.open_cursor("rows").expect("it opens");
    (0..400).filter(|number| number % 2 == 1).for_each(put);
    for forward in [true, false] {
        let (seen, broke) = walk(&mut cursor, 1000, forward);
        assert_eq!((seen.len(), broke), (200, false));
        assert!(seen.iter().all(|(key, _)| key[3] % 2 == 0));
    }
    session.commit().expect("it commits");
    assert_eq!(walk(&mut cursor, 1000, true).0.len(), 400);
}

/// However far the next change is from where a walk begins, it is not walked past, nor met too early.
#[test]
fn walks_meet_changes_at_every_distance() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = DatabaseOptions { background: false, ..DatabaseOptions::default() };
    let connection = Connection::open(folder.path().join("spam"), options).expect("it opens");
    let table = connection.create_table("rows", &Default::default()).expect("it is created");
    let key = |number: u16| number.to_be_bytes().to_vec();
    let mut rows: Rows = (0..600).step_by(2).map(|number| (key(number), b"old".into())).collect();
    rows.iter().for_each(|(key, value)| table.insert(key, value).expect("it is put"));
    connection.checkpoint().expect("it is taken");
    for (number, change) in [(100, 0), (221, 1), (360, 2), (361, 1), (362, 0), (598, 2)] {
        let key = key(number);
        if change == 2 {
            table.remove(&key).expect("it is removed");
            rows.remove(&key);
        } else {
            table.insert(&key, b"new").expect("it is put");
            rows.insert(key, b"new".into());
        }
    }
    let session = connection.open_session().expect("it opens");
    let mut cursor = session.open_cursor("rows").expect("it opens");
    for start in rows.keys() {
        for count in [1, 10, 1000] {
            assert!(cursor.search(start).expect("it searches"));
            let (seen, _) = walk(&mut cursor, count, true);
            assert_eq!(seen, expected(&rows, Some(start), count, true), "{count} from {start:?}");
        }
    }
}
