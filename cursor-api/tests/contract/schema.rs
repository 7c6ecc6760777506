//! Rows 26 to 31: creating and opening.

use rshelve::packing::{Format, Value};
use rshelve::state::{SessionState, Uri};
use rshelve::{Code, Connection, CursorOptions, DatabaseOptions, OpenMode, TableOptions};

use crate::fixture::{World, assert_invalid, code};

/// Row 26: creating an existing table succeeds when the formats agree; with `exclusive` it is EEXIST;
/// differing formats are EINVAL. Unknown types are ENOTSUP; a missing table is ENOENT.
#[test]
fn row_26_create_of_an_existing_table() {
    let world = World::holding(&["a"]);
    let mut session = SessionState::open(&world.connection).unwrap();
    let formats = |text: &str| TableOptions { metadata: text.into(), ..TableOptions::default() };
    session.create("new", &formats("key_format=S"), true).unwrap();
    session.create("new", &formats("key_format=S"), false).unwrap();
    assert_eq!(code(session.create("new", &formats("key_format=S"), true)), Code::EEXIST);
    assert_invalid(session.create("new", &formats("key_format=u"), false), "other options");
    assert_eq!(code(Uri::parse("lsm:new")), Code::ENOTSUP);
    assert_eq!(code(Uri::parse("nothing")), Code::ENOTSUP);
    assert_eq!(code(session.open_cursor("missing", &CursorOptions::new())), Code::ENOENT);
}

/// Row 27: empty keys are legal everywhere.
#[test]
fn row_27_empty_keys_are_legal() {
    let world = World::new();
    let session = &mut world.session();
    session.put("", "empty").unwrap();
    session.put("b", "").unwrap();
    let mut cursor = session.cursor();
    cursor.search(session, "").unwrap();
    assert_eq!(cursor.value(session).unwrap(), "empty");
    assert_eq!(cursor.prev(session).map_err(|error| Code::of(&error)), Err(Code::NOTFOUND));
    assert_eq!(cursor.keys(session), " b");
    cursor.remove(session, "").unwrap();
    cursor.close(session);
    assert_eq!(world.rows(), [("b".to_owned(), String::new())]);
}

/// Row 28: `S` is a string that a NUL ends, so one with a NUL in it is EINVAL, and none is cut.
#[test]
fn row_28_string_with_a_nul_is_refused() {
    let format: Format = "S".parse().unwrap();
    assert_invalid(format.pack(&[Value::Text("a\0b")]), "NUL");
    let packed = format.pack(&[Value::Text("ab")]).unwrap();
    assert_eq!(packed, b"ab\0");
    assert_eq!(format.unpack(&packed).unwrap(), [Value::Text("ab")]);
}

/// Row 30: opening what is not there, without `create`, is ENOENT.
#[test]
fn row_30_open_of_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let options = DatabaseOptions { mode: OpenMode::Existing, ..DatabaseOptions::default() };
    let missing = Connection::open(folder.path().join("none"), options);
    assert_eq!(code(missing), Code::ENOENT);
}

/// Row 31: a second open is EBUSY, naming the holder.
#[test]
fn row_31_second_open_is_busy() {
    let world = World::new();
    let options =
        DatabaseOptions { timeout: std::time::Duration::ZERO, ..DatabaseOptions::default() };
    let error = Connection::open(world.folder.path().join("spam"), options).unwrap_err();
    assert_eq!(Code::of(&error), Code::EBUSY);
    assert!(error.to_string().contains("in use by"), "{error}");
}

/// `verify` finds a whole database whole; inside a transaction it is EINVAL.
#[test]
fn verify_finds_a_whole_database_whole() {
    let world = World::holding(&["a", "b"]);
    let session = world.connection.open_session().unwrap();
    let report = session.verify().unwrap();
    assert!(report.is_clean(), "{report}");
    session.begin().unwrap();
    assert_invalid(session.verify(), "inside a transaction");
}
