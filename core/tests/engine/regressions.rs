//! Bugs that were found once, each told by its test.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::ids::TxnId;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::cache::Cache;
use rshelve_core::engine::Engine;
use rshelve_core::format::{BuilderCapacity, PageBuilder, PageKind, Tag};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::page::{Leaf, LeafRange, PageRef, UpdateKind, ValueRef};

use crate::audit::unreached_bytes;
use crate::harness::{Rows, check_rows, database, open, read_all, table, value_of};

fn new(durability: Durability) -> (MemoryStorage, Engine) {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions { cache_bytes_max: 4 << 20, ..database(durability, false) };
    let engine = open(&storage, &options);
    engine.create_table("eggs", &table()).expect("a table");
    (storage, engine)
}

/// The drop was in the log before it was refused, so that the table was gone after a crash.
#[test]
fn drop_that_is_refused_is_not_replayed() {
    let (storage, engine) = new(Durability::Process);
    let eggs = engine.table("eggs").expect("a table");
    engine.session().expect("a session").put(&eggs, b"k", b"v").expect("a put");
    let refused = engine.drop_table("eggs");
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    let engine = open(&storage.duplicate(), engine.options());
    let eggs = engine.table("eggs").expect("the table is still there");
    assert_eq!(engine.session().expect("a session").rows(&eggs), 1);
}

/// A transaction rolled back after its table was dropped freed blocks that were others' by then.
#[test]
fn drop_is_refused_while_a_transaction_has_written() {
    let (_storage, engine) = new(Durability::Process);
    let mut session = engine.session().expect("a session");
    session.begin().expect("a begin");
    session.put(&engine.table("eggs").expect("a table"), b"k", b"v").expect("a put");
    let refused = engine.drop_table("eggs");
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    session.rollback().expect("a rollback");
    engine.drop_table("eggs").expect("a drop");
}

/// A dropped table left the space behind of long values that had been replaced or deleted, but were
/// not folded away yet.
#[test]
fn drop_frees_long_values_that_were_replaced() {
    let (storage, engine) = new(Durability::Process);
    let mut session = engine.session().expect("a session");
    {
        let eggs = engine.table("eggs").expect("a table");
        for fill in 0..3 {
            session.put(&eggs, b"spam", &value_of(5000, fill)).expect("a put");
        }
        session.put(&eggs, b"gone", &value_of(5000, 9)).expect("a put");
        session.remove(&eggs, b"gone").expect("a removal");
    }
    engine.drop_table("eggs").expect("a drop");
    drop(session);
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
}

/// A table was dropped by reading all of it into the cache at once.
#[test]
fn drop_of_a_table_larger_than_the_cache_stays_within_it() {
    let (storage, engine) = new(Durability::Process);
    let mut session = engine.session().expect("a session");
    {
        let eggs = engine.table("eggs").expect("a table");
        for number in 0..6000_u32 {
            session.put(&eggs, &number.to_be_bytes(), &value_of(900, 1)).expect("a put");
        }
    }
    drop(session);
    let options = engine.options().clone();
    engine.close().expect("a close");
    let engine = open(&storage, &options);
    engine.drop_table("eggs").expect("a drop");
    let evicted = engine.stats().cache_bytes;
    assert!(evicted <= options.cache_bytes_max, "{evicted} bytes in the cache");
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
}

/// The rollback freed the value, and the rebuild that took it out of the image freed it again, which
/// made the next checkpoint fail for good.
#[test]
fn rollback_frees_a_long_value_in_an_image_once() {
    let (storage, engine) = new(Durability::Process);
    let mut session = engine.session().expect("a session");
    let eggs = engine.table("eggs").expect("a table");
    session.begin().expect("a begin");
    session.put(&eggs, b"spam", &value_of(5000, 1)).expect("a put");
    // Folds the leaf: the value moves into its image.
    engine.checkpoint().expect("a checkpoint");
    session.put(&eggs, b"spam", &value_of(6000, 1)).expect("a put");
    session.rollback().expect("a rollback");
    engine.checkpoint().expect("a checkpoint");
    drop(session);
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
}

/// A transaction that wrote a key twice marks it twice when it is rolled back; the second time hid
/// what another had written in between.
#[test]
fn abort_leaves_what_another_wrote_after_it() {
    let cache = Arc::new(Cache::new(1 << 20));
    let home = PageRef::new_dirty(0, 0);
    let mut builder = PageBuilder::new(PageKind::Leaf, b"", BuilderCapacity::default());
    builder.push(b"k", Tag::Inline, b"mine");
    let writers = Some(vec![TxnId(5)].into_boxed_slice());
    let image = builder.finish_image();
    let leaf = Leaf::new(image, writers, LeafRange::default(), &home, &cache, 32);
    let mut latched = leaf.latch();
    assert_eq!(latched.abort(b"k", TxnId(5)), Some(ValueRef::Inline(b"mine")));
    assert_eq!(latched.newest(b"k").value, None);
    latched.put(b"k", TxnId(6), UpdateKind::Inline, b"another's");
    assert_eq!(latched.abort(b"k", TxnId(5)), None);
    assert_eq!(latched.newest(b"k").value, Some(ValueRef::Inline(b"another's")));
}

/// The first child's separator counts as less than every key, but a split of that child kept it as it
/// was and put smaller ones behind it: a panic.
#[test]
fn first_child_splits_below_its_separator() {
    let (_storage, engine) = new(Durability::Process);
    let eggs = engine.table("eggs").expect("a table");
    let mut session = engine.session().expect("a session");
    let key = |number: u32| format!("k{number:06}").into_bytes();
    let mut expected = Rows::new();
    for number in 1000..2000 {
        session.put(&eggs, &key(number), &value_of(100, 1)).expect("a put");
        expected.insert(key(number), value_of(100, 1).into());
    }
    // Empties the first leaves, which are then removed.
    for number in 1000..1300 {
        session.remove(&eggs, &key(number)).expect("a removal");
        expected.remove(&key(number));
    }
    engine.checkpoint().expect("a checkpoint");
    for number in 0..500 {
        session.put(&eggs, &key(number), &value_of(100, 2)).expect("a put");
        expected.insert(key(number), value_of(100, 2).into());
    }
    check_rows("a scan", &read_all(&mut session, &eggs, false), &expected);
    check_rows("a scan", &read_all(&mut session, &eggs, true), &expected);
}

/// What the last checkpoint's own folding freed was in use for ever.
#[test]
fn close_leaves_no_space_behind() {
    let (storage, engine) = new(Durability::Process);
    let eggs = engine.table("eggs").expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&eggs, b"spam", &value_of(5000, 1)).expect("a put");
    engine.checkpoint().expect("a checkpoint");
    session.put(&eggs, b"spam", b"short").expect("a put");
    drop(session);
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
}

/// Replay began before commits that the checkpoint held already (a large transaction was under way),
/// and freed long values once too often, or while the image had them: the next open failed, or another
/// value took their place.
#[test]
fn replay_over_what_the_checkpoint_has_keeps_long_values() {
    let (storage, engine) = new(Durability::Process);
    let eggs = engine.table("eggs").expect("a table");
    let (mut large, mut small) =
        (engine.session().expect("a session"), engine.session().expect("a session"));
    large.begin().expect("a begin");
    for number in 0..400_u32 {
        let key = [b"x", &number.to_be_bytes()[..]].concat();
        large.put(&eggs, &key, &value_of(1000, 1)).expect("a put");
    }
    let mut expected = Rows::new();
    for round in 0..3 {
        for number in 0..40_u32 {
            let key = number.to_be_bytes();
            if round == 1 && number % 3 == 0 {
                small.remove(&eggs, &key).expect("a removal");
                continue;
            }
            let value = value_of(3000, u64::from(number * 3 + round));
            small.put(&eggs, &key, &value).expect("a put");
            expected.insert(key.to_vec(), value.into());
        }
    }
    engine.checkpoint().expect("a checkpoint");
    for number in (0..40_u32).step_by(4) {
        small.remove(&eggs, &number.to_be_bytes()).expect("a removal");
        expected.remove(&number.to_be_bytes()[..]);
    }
    for _ in 0..2 {
        let storage = storage.duplicate();
        let engine = open(&storage, engine.options());
        let eggs = engine.table("eggs").expect("a table");
        let mut session = engine.session().expect("a session");
        engine.checkpoint().expect("a checkpoint");
        for number in 100..200_u32 {
            session.put(&eggs, &number.to_be_bytes(), &value_of(3000, 7)).expect("a put");
            expected.insert(number.to_be_bytes().to_vec(), value_of(3000, 7).into());
        }
        engine.checkpoint().expect("a checkpoint");
        check_rows("a scan", &read_all(&mut session, &eggs, false), &expected);
        drop((session, eggs));
        engine.close().expect("a close");
        unreached_bytes(&storage);
    }
}

/// Of a leaf that took over an emptied neighbour's keys, all but the last part was lost where it had to be split first:
/// where the prefix of its rows, each of which would be written out, had two mebibytes in all.
#[test]
fn leaf_with_a_huge_prefix_keeps_its_rows_when_its_neighbour_goes() {
    let (_storage, engine) = new(Durability::Process);
    let eggs = engine.table("eggs").expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&eggs, b"", b"").expect("a put");
    // A leaf of its own, whose prefix is the whole key.
    session.put(&eggs, &vec![b'h'; 64 << 10], b"").expect("a put");
    for number in 0..40_u8 {
        session.put(&eggs, &[b'k', number], b"").expect("a put");
    }
    session.remove(&eggs, b"").expect("a remove");
    engine.checkpoint().expect("a checkpoint");
    assert_eq!(session.rows(&eggs), 41);
    assert_eq!(read_all(&mut session, &eggs, false).len(), 41);
}
