//! Rows 1 to 13: where a cursor is, and what is set in it, after each operation.

use std::cmp::Ordering;

use rshelve::state::{CursorState, Edge};
use rshelve::{Code, CursorOptions, TableOptions};

use crate::fixture::{TABLE, Talk, World, assert_invalid, code};

/// Row 1: insert leaves no position, no key, no value; the next `next()` starts at the first key; a
/// second insert without `set_key` is EINVAL.
#[test]
fn row_01_insert_leaves_no_position() {
    let world = World::holding(&["a", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.search(session, "c").unwrap();
    cursor.insert(session, "b", "b").unwrap();
    assert_invalid(cursor.key(session), "requires key be set");
    assert_invalid(cursor.value(session), "requires value be set");
    cursor.set_value("x");
    assert_invalid(cursor.state.insert(&mut session.state), "requires key be set");
    assert_eq!(cursor.next(session).unwrap(), "a");
}

/// Row 2: update leaves the cursor on the record, with key and value; `next()` goes on after it; it may
/// use the key of the position.
#[test]
fn row_02_update_leaves_the_cursor_on_the_record() {
    let world = World::holding(&["a", "b", "c", "d"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.update(session, "b", "2").unwrap();
    assert_eq!(cursor.key(session).unwrap(), "b");
    assert_eq!(cursor.value(session).unwrap(), "2");
    assert_eq!(cursor.next(session).unwrap(), "c");
    cursor.set_value("3").state.update(&mut session.state).unwrap();
    assert_eq!(cursor.value(session).unwrap(), "3");
    assert_eq!(cursor.prev(session).unwrap(), "b");
    assert_eq!(cursor.value(session).unwrap(), "2");
    cursor.close(session);
    assert_eq!(session.get("c").as_deref(), Some("3"));
}

/// Row 3: a remove by a set key leaves no key and no position.
#[test]
fn row_03_remove_by_key_leaves_no_position() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.remove(session, "b").unwrap();
    assert_invalid(cursor.key(session), "requires key");
    assert_invalid(cursor.state.remove(&mut session.state), "requires key");
    assert_eq!(cursor.keys(session), "a c");
}

/// Row 3: a remove at a position keeps the position and the key, and unsets the value; `next` and `prev`
/// go on from there; removing again there is NOTFOUND.
#[test]
fn row_03_remove_at_a_position_keeps_it() {
    let world = World::holding(&["a", "b", "c", "d"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.search(session, "b").unwrap();
    cursor.state.remove(&mut session.state).unwrap();
    assert_eq!(cursor.key(session).unwrap(), "b");
    assert_invalid(cursor.value(session), "requires value");
    assert_eq!(code(cursor.state.remove(&mut session.state)), Code::NOTFOUND);
    cursor.search(session, "c").unwrap();
    cursor.state.remove(&mut session.state).unwrap();
    assert_eq!(cursor.next(session).unwrap(), "d");
    cursor.state.remove(&mut session.state).unwrap();
    assert_eq!(cursor.prev(session).unwrap(), "a");
}

/// Row 4: removing a missing key is NOTFOUND even with `overwrite`; the key stays set.
#[test]
fn row_04_remove_of_a_missing_key_is_not_found() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    assert_eq!(code(cursor.remove(session, "b")), Code::NOTFOUND);
    assert_eq!(cursor.key(session).unwrap(), "b");
}

/// Row 5: a search that misses keeps the key, unsets the value and leaves no position; `next()` starts
/// from the beginning.
#[test]
fn row_05_search_miss_keeps_the_key() {
    let world = World::holding(&["a", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.search(session, "c").unwrap();
    assert_eq!(code(cursor.search(session, "b")), Code::NOTFOUND);
    assert_eq!(cursor.key(session).unwrap(), "b");
    assert_invalid(cursor.value(session), "requires value");
    assert_eq!(cursor.next(session).unwrap(), "a");
}

/// Row 6: `search_near` lands on the key, on the smallest above, or else on the largest below; in an
/// empty table it is NOTFOUND.
#[test]
fn row_06_search_near_prefers_the_smallest_key_above() {
    let world = World::holding(&["b", "d"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    let mut near = |key| cursor.near(session, key).unwrap();
    assert_eq!(near("a"), (Ordering::Greater, "b".into()));
    assert_eq!(near("b"), (Ordering::Equal, "b".into()));
    assert_eq!(near("c"), (Ordering::Greater, "d".into()));
    assert_eq!(near("e"), (Ordering::Less, "d".into()));
    let empty = World::new();
    let session = &mut empty.session();
    assert_eq!(code(session.cursor().near(session, "a")), Code::NOTFOUND);
}

/// Row 7: `next` at the end is NOTFOUND and resets; the following one is the first record again.
#[test]
fn row_07_next_behind_the_end_starts_again() {
    let world = World::holding(&["a", "b"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    assert_eq!(cursor.keys(session), "a b");
    assert_invalid(cursor.key(session), "requires key");
    assert_eq!(cursor.keys(session), "a b");
    assert_eq!(cursor.prev(session).unwrap(), "b");
    assert_eq!(cursor.prev(session).unwrap(), "a");
    assert_eq!(code(cursor.prev(session)), Code::NOTFOUND);
    assert_eq!(cursor.prev(session).unwrap(), "b");
}

/// Row 8: after a failing operation set key and value are kept; `reset` clears bounds too, hitting the
/// end of a bound does not.
#[test]
fn row_08_failure_keeps_what_was_set_and_reset_clears_bounds() {
    let world = World::holding(&["a", "b", "c", "d"]);
    let session = &mut world.session();
    let mut cursor = session.strict();
    assert_eq!(code(cursor.insert(session, "a", "x")), Code::DUPLICATE_KEY);
    assert_eq!(cursor.key(session).unwrap(), "a");
    assert_eq!(cursor.value(session).unwrap(), "x");
    cursor.bound(session, Edge::Lower, "b", true).unwrap();
    cursor.bound(session, Edge::Upper, "c", true).unwrap();
    assert_eq!(cursor.keys(session), "b c");
    assert_eq!(cursor.keys(session), "b c");
    cursor.reset(session);
    assert_eq!(cursor.keys(session), "a b c d");
}

/// Row 9: `get_key` and `get_value` before set or position, and any operation before the `set_` that it
/// needs, are EINVAL.
#[test]
fn row_09_what_is_not_set_is_einval() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    assert_invalid(cursor.key(session), "requires key be set");
    assert_invalid(cursor.value(session), "requires value be set");
    type Call = fn(&mut CursorState, &mut Talk) -> rshelve::Result<()>;
    let calls: [Call; 4] = [
        |cursor, session| cursor.search(&mut session.state),
        |cursor, session| cursor.search_near(&mut session.state).map(|_| ()),
        |cursor, session| cursor.remove(&mut session.state),
        |cursor, session| cursor.update(&mut session.state),
    ];
    for call in calls {
        assert_invalid(call(&mut cursor.state, session), "requires key be set");
    }
    cursor.set("a");
    assert_invalid(cursor.state.update(&mut session.state), "requires value be set");
    assert_invalid(cursor.state.insert(&mut session.state), "requires value be set");
    assert_eq!(cursor.key(session).unwrap(), "a");
}

/// Row 10: bounds hold `next` and `prev`, from either end.
#[test]
fn row_10_bounds_hold_walks() {
    let world = World::holding(&["a", "b", "c", "d", "e"]);
    let session = &mut world.session();
    for (lower, upper, wanted) in [
        (Some(("b", true)), Some(("d", true)), "b c d"),
        (Some(("b", false)), Some(("d", false)), "c"),
        (Some(("bb", true)), None, "c d e"),
        (None, Some(("cc", false)), "a b c"),
        (Some(("x", true)), None, ""),
        (Some(("e", false)), None, ""),
    ] {
        let mut cursor = session.cursor();
        for (edge, bound) in [(Edge::Lower, lower), (Edge::Upper, upper)] {
            if let Some((key, inclusive)) = bound {
                cursor.bound(session, edge, key, inclusive).unwrap();
            }
        }
        assert_eq!(cursor.keys(session), wanted);
        let mut back = Vec::new();
        while let Ok(key) = cursor.prev(session) {
            back.insert(0, key);
        }
        assert_eq!(back.join(" "), wanted);
        cursor.close(session);
    }
}

/// Row 10: bounds on a positioned cursor, overlapping ones, and equal ones that are not inclusive, are
/// EINVAL; so is `largest_key` with bounds.
#[test]
fn row_10_bounds_that_make_no_sense_are_einval() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.search(session, "b").unwrap();
    let outcome = cursor.state.set_bound(&mut session.state, Edge::Lower, true);
    assert_invalid(outcome, "positioned");
    assert_invalid(cursor.bound(session, Edge::Lower, "a", true), "positioned");
    cursor.reset(session);
    let unset = cursor.state.set_bound(&mut session.state, Edge::Lower, true);
    assert_invalid(unset, "requires key");
    cursor.bound(session, Edge::Lower, "b", true).unwrap();
    assert_invalid(cursor.bound(session, Edge::Upper, "a", true), "overlapping");
    assert_invalid(cursor.bound(session, Edge::Upper, "b", false), "overlapping");
    cursor.bound(session, Edge::Upper, "b", true).unwrap();
    assert_invalid(cursor.state.largest_key(&mut session.state), "largest key");
    assert_eq!(cursor.keys(session), "b");
    cursor.state.clear_bound(&mut session.state, Some(Edge::Lower)).unwrap();
    assert_eq!(cursor.keys(session), "a b");
    cursor.state.clear_bound(&mut session.state, None).unwrap();
    assert_eq!(cursor.keys(session), "a b c");
}

/// Row 10: `search`, `insert`, `update`, `remove` outside the bounds are NOTFOUND; `search_near` is
/// clamped.
#[test]
fn row_10_bounds_hold_every_operation() {
    let world = World::holding(&["a", "b", "d", "e"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.bound(session, Edge::Lower, "b", true).unwrap();
    cursor.bound(session, Edge::Upper, "d", true).unwrap();
    for key in ["a", "e"] {
        assert_eq!(code(cursor.search(session, key)), Code::NOTFOUND);
        assert_eq!(code(cursor.insert(session, key, "x")), Code::NOTFOUND);
        assert_eq!(code(cursor.update(session, key, "x")), Code::NOTFOUND);
        assert_eq!(code(cursor.remove(session, key)), Code::NOTFOUND);
    }
    cursor.search(session, "b").unwrap();
    assert_eq!(cursor.near(session, "a").unwrap(), (Ordering::Greater, "b".into()));
    assert_eq!(cursor.near(session, "c").unwrap(), (Ordering::Greater, "d".into()));
    assert_eq!(cursor.near(session, "z").unwrap(), (Ordering::Less, "d".into()));
    cursor.insert(session, "c", "c").unwrap();
    cursor.update(session, "b", "2").unwrap();
    cursor.remove(session, "d").unwrap();
    assert_eq!(cursor.near(session, "d").unwrap(), (Ordering::Less, "c".into()));
    cursor.close(session);
    assert_eq!(session.cursor().keys(session), "a b c e");
}

/// Row 10: `largest_key` leaves only a key: the largest visible one.
#[test]
fn row_10_largest_key_is_the_largest_visible_one() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    session.begin();
    world.session().put("d", "d").unwrap();
    cursor.state.largest_key(&mut session.state).unwrap();
    assert_eq!(cursor.key(session).unwrap(), "c");
    assert_invalid(cursor.value(session), "requires value");
    session.commit().unwrap();
    cursor.state.largest_key(&mut session.state).unwrap();
    assert_eq!(cursor.key(session).unwrap(), "d");
    assert_eq!(cursor.next(session).unwrap(), "a");
    let empty = World::new();
    let session = &mut empty.session();
    let outcome = session.cursor().state.largest_key(&mut session.state);
    assert_eq!(code(outcome), Code::NOTFOUND);
}

/// Row 11: `compare` needs keys on both and the same table.
#[test]
fn row_11_compare_needs_keys_and_the_same_table() {
    let world = World::holding(&["a", "b"]);
    world.connection.create_table("other", &TableOptions::default()).unwrap();
    let session = &mut world.session();
    let (mut one, mut two) = (session.cursor(), session.cursor());
    one.search(session, "a").unwrap();
    assert_invalid(one.state.compare(&two.state, &session.state), "requires key");
    two.set("b");
    assert_eq!(one.state.compare(&two.state, &session.state).unwrap(), Ordering::Less);
    assert_eq!(two.state.compare(&one.state, &session.state).unwrap(), Ordering::Greater);
    two.search(session, "a").unwrap();
    assert_eq!(one.state.compare(&two.state, &session.state).unwrap(), Ordering::Equal);
    let mut other = session.state.open_cursor("other", &CursorOptions::new()).unwrap();
    other.set_key(b"a");
    assert_invalid(one.state.compare(&other, &session.state), "same object");
}

/// Row 11: a duplicate needs a positioned or keyed source, and is on its record.
#[test]
fn row_11_duplicate_is_on_the_same_record() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    let options = CursorOptions::new();
    let outcome = session.state.duplicate(&cursor.state, &options);
    assert_invalid(outcome.map(|_| ()), "requires key");
    cursor.search(session, "b").unwrap();
    let mut twin = session.state.duplicate(&cursor.state, &options).unwrap();
    assert_eq!(twin.value(&session.state).unwrap(), b"b");
    twin.next(&mut session.state).unwrap();
    assert_eq!(twin.key(&session.state).unwrap(), b"c");
    assert_eq!(cursor.key(session).unwrap(), "b");
    // A key that is set will do, if there is a record.
    assert!(session.state.duplicate(&cursor.set("c").state, &options).is_ok());
    let missing = session.state.duplicate(&cursor.set("x").state, &options);
    assert_eq!(code(missing), Code::ENOENT);
}

/// Row 12: a bulk cursor only inserts, in ascending order, into an empty table; its close is a
/// checkpoint.
#[test]
fn row_12_bulk_fills_an_empty_table_in_order() {
    let world = World::new();
    let session = &mut world.session();
    let mut bulk = session.open(&CursorOptions::new().bulk(true)).unwrap();
    let checkpoints = world.connection.stats().checkpoints;
    for number in 0..20_000 {
        bulk.insert(session, &format!("{number:08}"), "value").unwrap();
    }
    assert_invalid(bulk.insert(session, "00000007", "x"), "out-of-order keys");
    assert_invalid(bulk.insert(session, "00019999", "x"), "out-of-order keys");
    assert_eq!(code(bulk.next(session)), Code::ENOTSUP);
    assert_eq!(code(bulk.search(session, "a")), Code::ENOTSUP);
    assert_eq!(code(bulk.update(session, "a", "b")), Code::ENOTSUP);
    assert_eq!(code(bulk.remove(session, "a")), Code::ENOTSUP);
    bulk.close(session);
    assert!(world.connection.stats().checkpoints > checkpoints);
    assert_eq!(session.state.rows(TABLE).unwrap(), 20_000);
    assert_eq!(session.cursor().rest(session).len(), 20_000);
    let again = session.open(&CursorOptions::new().bulk(true));
    assert_invalid(again.map(|_| ()), "empty");
}

/// Row 12: a random cursor only goes on.
#[test]
fn row_12_next_random_only_goes_on() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut random = session.open(&CursorOptions::new().next_random(true).random_seed(7)).unwrap();
    let drawn: std::collections::BTreeSet<_> =
        (0..100).map(|_| random.next(session).unwrap()).collect();
    assert_eq!(drawn.len(), 3);
    assert_eq!(random.value(session).unwrap(), random.key(session).unwrap());
    assert_eq!(code(random.prev(session)), Code::ENOTSUP);
    assert_eq!(code(random.search(session, "a")), Code::ENOTSUP);
    assert_eq!(code(random.insert(session, "a", "b")), Code::ENOTSUP);
    let empty = World::new();
    let session = &mut empty.session();
    let mut random = session.open(&CursorOptions::new().next_random(true)).unwrap();
    assert_eq!(code(random.next(session)), Code::NOTFOUND);
}

/// Row 13: keys and values are valid until the next operation on that cursor: other cursors, and other
/// sessions' writes, leave them alone. That the compiler refuses more is in the documentation of
/// `Cursor`.
#[test]
fn row_13_key_and_value_stay_until_the_cursor_moves() {
    let world = World::holding(&["a", "b"]);
    let session = &mut world.session();
    let (mut cursor, mut other) = (session.cursor(), session.cursor());
    cursor.search(session, "a").unwrap();
    other.search(session, "a").unwrap();
    other.set_value("2").state.update(&mut session.state).unwrap();
    world.session().put("a", "3").unwrap();
    for number in 0..2000 {
        world.session().put(&format!("{number}"), "fill").unwrap();
    }
    assert_eq!(cursor.key(session).unwrap(), "a");
    assert_eq!(cursor.value(session).unwrap(), "a");
}
