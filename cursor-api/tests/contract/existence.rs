//! Rows 14 to 16: overwrite, duplicates, reserve and modify.

use rshelve::Code;
use rshelve::state::{Modify, Padding, apply_modify};

use crate::fixture::{World, assert_invalid, code};

/// Row 14: with `overwrite`, the default, insert and update both give the key its value, whatever it
/// had.
#[test]
fn row_14_overwrite_is_the_default() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    cursor.insert(session, "a", "1").unwrap();
    cursor.update(session, "b", "2").unwrap();
    let wanted = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(world.rows(), wanted);
}

/// Row 14: without, insert of an existing key is DUPLICATE_KEY, and update of a missing one NOTFOUND.
#[test]
fn row_14_without_overwrite_existence_matters() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    let mut cursor = session.strict();
    assert_eq!(code(cursor.insert(session, "a", "1")), Code::DUPLICATE_KEY);
    assert_eq!(code(cursor.update(session, "b", "2")), Code::NOTFOUND);
    cursor.insert(session, "b", "2").unwrap();
    cursor.update(session, "a", "1").unwrap();
    let wanted = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(world.rows(), wanted);
}

/// Row 15: after DUPLICATE_KEY the existing value can be read, inside an explicit transaction only.
#[test]
fn row_15_duplicate_shows_the_existing_value_in_a_transaction() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    let mut cursor = session.strict();
    assert_eq!(code(cursor.insert(session, "a", "new")), Code::DUPLICATE_KEY);
    assert_eq!(cursor.value(session).unwrap(), "new");
    session.begin();
    assert_eq!(code(cursor.insert(session, "a", "new")), Code::DUPLICATE_KEY);
    assert_eq!(cursor.key(session).unwrap(), "a");
    assert_eq!(cursor.value(session).unwrap(), "a");
    assert!(!cursor.state.is_placed());
    cursor.insert(session, "b", "b").unwrap();
    session.commit().unwrap();
    assert_eq!(session.get("b").as_deref(), Some("b"));
}

/// Row 16: reserve and modify need an explicit transaction; reserve ends on the record, with its value.
#[test]
fn row_16_reserve_and_modify_need_a_transaction() {
    let world = World::holding(&["a", "b"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    assert_invalid(cursor.reserve(session, "a"), "transaction");
    let change = Modify { data: b"cd".to_vec(), offset: 1, size: 0 };
    let changes = std::slice::from_ref(&change);
    assert_invalid(cursor.modify(session, "a", changes), "transaction");
    session.begin();
    cursor.reserve(session, "a").unwrap();
    assert_eq!(cursor.value(session).unwrap(), "a");
    assert_eq!(cursor.next(session).unwrap(), "b");
    assert_eq!(code(cursor.reserve(session, "x")), Code::NOTFOUND);
    assert_eq!(code(cursor.modify(session, "x", changes)), Code::NOTFOUND);
    cursor.modify(session, "b", changes).unwrap();
    assert_eq!(cursor.key(session).unwrap(), "b");
    assert_eq!(cursor.value(session).unwrap(), "bcd");
    session.commit().unwrap();
    assert_eq!(session.get("b").as_deref(), Some("bcd"));
    session.begin();
    assert_invalid(cursor.modify(session, "b", &[]), "at least one change");
    session.commit().unwrap();
}

/// Row 16: reserve and modify work on values of every length, and after a rollback nothing is left.
#[test]
fn row_16_long_values_are_reserved_and_modified() {
    let world = World::new();
    let session = &mut world.session();
    let long = "x".repeat(100_000);
    session.put("long", &long).unwrap();
    for commit in [false, true] {
        session.begin();
        let mut cursor = session.cursor();
        cursor.reserve(session, "long").unwrap();
        assert_eq!(cursor.value(session).unwrap(), long);
        let change = Modify { data: b"!".to_vec(), offset: 100_000, size: 0 };
        cursor.modify(session, "long", &[change]).unwrap();
        cursor.close(session);
        if commit {
            session.commit().unwrap();
        } else {
            session.rollback();
            assert_eq!(session.get("long").as_deref(), Some(&*long));
        }
    }
    assert_eq!(session.get("long").unwrap(), format!("{long}!"));
    world.connection.checkpoint().unwrap();
    assert_eq!(session.get("long").unwrap(), format!("{long}!"));
}

/// Row 16: changes are applied in order; past the end a value is padded with spaces (`S`) or NULs (`u`).
#[test]
fn row_16_modify_pads_past_the_end() {
    let change = |data: &str, offset, size| Modify { data: data.into(), offset, size };
    let bytes =
        |value: &[u8], changes: &[Modify]| apply_modify(value.into(), changes, Padding::Nul);
    assert_eq!(bytes(b"abc", &[change("x", 5, 1)]), b"abc\0\0x");
    assert_eq!(bytes(b"abcdef", &[change("XY", 1, 3)]), b"aXYef");
    assert_eq!(bytes(b"abcdef", &[change("", 2, 99)]), b"ab");
    assert_eq!(bytes(b"abc", &[change("1", 0, 1), change("2", 0, 1)]), b"2bc");
    let text =
        |value: &[u8], changes: &[Modify]| apply_modify(value.into(), changes, Padding::Space);
    assert_eq!(text(b"abc\0", &[change("x", 5, 1)]), b"abc  x\0");
    assert_eq!(text(b"abc\0", &[change("", 0, 3)]), b"\0");
}
