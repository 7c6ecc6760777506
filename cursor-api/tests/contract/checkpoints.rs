//! Row 25: cursors over checkpoints.

use std::cmp::Ordering;

use rshelve::state::Edge;
use rshelve::{Code, CursorOptions, LATEST_CHECKPOINT};

use crate::fixture::{World, assert_invalid, code};

/// Row 25: a checkpoint cursor reads what was there, in every way that a cursor reads.
#[test]
fn row_25_checkpoint_cursor_reads_what_was_there() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    session.put("long", &"l".repeat(50_000)).unwrap();
    session.state.checkpoint_with(Some("monday"), &[]).unwrap();
    session.put("b", "later").unwrap();
    session.put("d", "d").unwrap();
    session.cursor().remove(session, "a").unwrap();
    session.put("long", "short").unwrap();
    session.state.checkpoint().unwrap();

    let mut monday = session.open(&CursorOptions::new().checkpoint("monday")).unwrap();
    assert_eq!(monday.keys(session), "a b c long");
    monday.search(session, "b").unwrap();
    assert_eq!(monday.value(session).unwrap(), "b");
    assert_eq!(monday.prev(session).unwrap(), "a");
    assert_eq!(monday.near(session, "bb").unwrap(), (Ordering::Greater, "c".into()));
    monday.search(session, "long").unwrap();
    assert_eq!(monday.value(session).unwrap(), "l".repeat(50_000));
    assert_eq!(code(monday.search(session, "d")), Code::NOTFOUND);
    monday.reset(session);
    monday.bound(session, Edge::Lower, "b", true).unwrap();
    monday.bound(session, Edge::Upper, "c", true).unwrap();
    assert_eq!(monday.keys(session), "b c");
    monday.search(session, "c").unwrap();
    let twin = session.state.duplicate(&monday.state, &CursorOptions::new()).unwrap();
    assert_eq!(twin.key(&session.state).unwrap(), b"c");

    let mut latest = session.open(&CursorOptions::new().checkpoint(LATEST_CHECKPOINT)).unwrap();
    session.put("e", "e").unwrap();
    assert_eq!(latest.keys(session), "b c d long");
}

/// Row 25: it is read-only: every write is ENOTSUP, and a bulk one EINVAL.
#[test]
fn row_25_checkpoint_cursor_only_reads() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    session.state.checkpoint_with(Some("monday"), &[]).unwrap();
    let options = CursorOptions::new().checkpoint("monday");
    let mut monday = session.open(&options).unwrap();
    session.begin();
    assert_eq!(code(monday.insert(session, "a", "b")), Code::ENOTSUP);
    assert_eq!(code(monday.update(session, "a", "b")), Code::ENOTSUP);
    assert_eq!(code(monday.remove(session, "a")), Code::ENOTSUP);
    assert_eq!(code(monday.reserve(session, "a")), Code::ENOTSUP);
    monday.set("a");
    assert_eq!(code(session.state.truncate(Some(&mut monday.state), None)), Code::ENOTSUP);
    session.commit().unwrap();
    assert_eq!(code(session.open(&options.clone().bulk(true)).map(|_| ())), Code::EINVAL);
    let mut any = session.open(&options.next_random(true)).unwrap();
    session.put("b", "b").unwrap();
    assert_eq!(any.next(session).unwrap(), "a");
    assert_eq!(world.rows().len(), 2);
}

/// Row 25: what a session does with its transactions and cursors leaves a checkpoint's cursors where
/// they are, and they are of another object than the table's.
#[test]
fn row_25_checkpoint_cursor_keeps_its_place() {
    let world = World::holding(&["a", "b"]);
    let session = &mut world.session();
    session.state.checkpoint_with(Some("monday"), &[]).unwrap();
    let mut monday = session.open(&CursorOptions::new().checkpoint("monday")).unwrap();
    let mut live = session.cursor();
    assert_eq!(monday.next(session).unwrap(), "a");
    assert_eq!(live.next(session).unwrap(), "a");
    assert_eq!(code(monday.state.compare(&live.state, &session.state)), Code::EINVAL);
    session.state.reset().unwrap();
    session.begin();
    session.state.rollback().unwrap();
    assert_eq!(monday.key(session).unwrap(), "a");
    assert_eq!(monday.next(session).unwrap(), "b");
}

/// Row 25: dropping, or replacing, one in use is EBUSY; what is not there is ENOENT.
#[test]
fn row_25_drop_of_a_checkpoint_in_use_is_busy() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    session.state.checkpoint_with(Some("monday"), &[]).unwrap();
    let options = CursorOptions::new().checkpoint("monday");
    let monday = session.open(&options).unwrap();
    assert_eq!(code(session.state.checkpoint_with(None, &["monday"])), Code::EBUSY);
    assert_eq!(code(session.state.checkpoint_with(Some("monday"), &[])), Code::EBUSY);
    monday.close(session);
    session.state.checkpoint_with(Some("tuesday"), &["monday"]).unwrap();
    let names: Vec<_> = session.state.checkpoints().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["tuesday"]);
    assert_eq!(code(session.open(&options).map(|_| ())), Code::ENOENT);
    assert_eq!(code(session.state.checkpoint_with(None, &["monday"])), Code::ENOENT);
    let missing = CursorOptions::new().checkpoint("tuesday");
    assert_eq!(code(session.state.open_cursor("none", &missing).map(|_| ())), Code::ENOENT);
    session.begin();
    assert_invalid(session.state.checkpoint_with(Some("x"), &[]), "inside a transaction");
    session.rollback();
}
