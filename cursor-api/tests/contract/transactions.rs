//! Rows 17 to 25: transactions, conflicts, snapshots, truncation, checkpoint cursors.

use std::time::Duration;

use rshelve::state::Modify;
use rshelve::{Code, CursorOptions, DatabaseOptions, Isolation, TransactionOptions};

use crate::fixture::{TABLE, Talk, World, assert_invalid, code};

/// A world whose autocommit writes do not wait for long.
fn hasty(keys: &[&str]) -> World {
    let options =
        DatabaseOptions { timeout: Duration::from_millis(20), ..DatabaseOptions::default() };
    let world = World::with(options);
    for key in keys {
        world.session().put(key, key).unwrap();
    }
    world
}

/// Row 17: the snapshot is taken at `begin_transaction`.
#[test]
fn row_17_snapshot_is_taken_at_begin() {
    let world = World::holding(&["a"]);
    let (reader, writer) = (&mut world.session(), &mut world.session());
    reader.begin();
    writer.put("b", "b").unwrap();
    assert_eq!(reader.get("b"), None);
    assert_eq!(reader.get("a").as_deref(), Some("a"));
    reader.commit().unwrap();
    assert_eq!(reader.get("b").as_deref(), Some("b"));
}

/// Row 17: read-committed sees each commit, once no cursor is on a record; read-uncommitted sees what
/// is not committed. Both are read-only.
#[test]
fn row_17_weaker_isolation_only_reads() {
    let world = World::holding(&["a"]);
    let (reader, writer) = (&mut world.session(), &mut world.session());
    for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
        reader.begin_with(isolation);
        assert_eq!(code(reader.put("x", "x")), Code::ENOTSUP);
        assert_eq!(code(reader.cursor().remove(reader, "a")), Code::ENOTSUP);
        assert_eq!(code(reader.cursor().reserve(reader, "a")), Code::ENOTSUP);
        writer.begin();
        writer.put("a", "new").unwrap();
        let dirty = isolation == Isolation::ReadUncommitted;
        assert_eq!(reader.get("a").as_deref(), Some(if dirty { "new" } else { "a" }));
        writer.commit().unwrap();
        assert_eq!(reader.get("a").as_deref(), Some("new"));
        reader.commit().unwrap();
        writer.put("a", "a").unwrap();
    }
    assert_eq!(reader.get("x"), None);
}

/// Row 17: a write that is refused is an operation: while a cursor is on a record, what read-committed sees
/// is what was committed when the write was refused.
#[test]
fn row_17_refused_write_takes_the_view_that_cursors_on_records_hold() {
    let world = World::holding(&["a"]);
    let (reader, writer) = (&mut world.session(), &mut world.session());
    let mut place = reader.cursor();
    reader.begin_with(Isolation::ReadCommitted);
    place.next(reader).unwrap();
    reader.commit().unwrap();
    reader.begin_with(Isolation::ReadCommitted);
    assert_eq!(code(reader.put("x", "x")), Code::ENOTSUP);
    writer.put("b", "b").unwrap();
    assert_eq!(reader.get("b"), None);
    place.reset(reader);
    assert_eq!(reader.get("b").as_deref(), Some("b"));
    reader.commit().unwrap();
}

/// Row 17: outside a transaction, a session that creates or drops a table sees what is committed then,
/// though its cursors are on records.
#[test]
fn row_17_change_of_the_schema_is_a_new_view() {
    let world = World::holding(&["a"]);
    let (reader, writer) = (&mut world.session(), &mut world.session());
    let mut place = reader.cursor();
    place.next(reader).unwrap();
    for (key, create) in [("b", true), ("c", false)] {
        writer.put(key, key).unwrap();
        assert_eq!(reader.get(key), None, "{key}");
        if create {
            reader.state.create("other", &Default::default(), true).unwrap();
        } else {
            reader.state.drop_table("other").unwrap();
        }
        assert_eq!(place.next(reader).unwrap(), key);
    }
}

/// Row 18: the second writer of a key gets ROLLBACK at once, whichever way it writes.
#[test]
fn row_18_first_writer_wins() {
    let world = World::holding(&["a"]);
    let (first, second) = (&mut world.session(), &mut world.session());
    first.begin();
    first.put("a", "1").unwrap();
    first.put("new", "1").unwrap();
    for attempt in 0..6 {
        second.begin();
        let (mut any, mut strict) = (second.cursor(), second.strict());
        let outcome = match attempt {
            0 => any.insert(second, "a", "2"),
            1 => any.update(second, "a", "2"),
            2 => any.remove(second, "a"),
            3 => strict.insert(second, "new", "2"),
            4 => any.reserve(second, "a"),
            _ => any.modify(second, "a", &[Modify::default()]),
        };
        assert_eq!(code(outcome), Code::ROLLBACK, "attempt {attempt}");
        second.rollback();
    }
    first.commit().unwrap();
    assert_eq!(first.get("a").as_deref(), Some("1"));
}

/// Row 18: so it is when the newest committed version is invisible to my snapshot, for remove, update
/// and insert without overwrite alike. Reads never conflict.
#[test]
fn row_18_invisible_commit_is_a_conflict() {
    let world = World::holding(&["a", "gone"]);
    let (mine, other) = (&mut world.session(), &mut world.session());
    for attempt in 0..6 {
        other.put("a", "a").unwrap();
        other.put("gone", "gone").unwrap();
        mine.begin();
        other.put("a", "1").unwrap();
        let name = format!("new {attempt}");
        other.put(&name, "1").unwrap();
        other.cursor().remove(other, "gone").unwrap();
        assert_eq!(mine.get("a").as_deref(), Some("a"));
        let (mut any, mut strict) = (mine.cursor(), mine.strict());
        let outcome = match attempt {
            0 => any.update(mine, "a", "2"),
            1 => any.remove(mine, "a"),
            2 => strict.insert(mine, &name, "2"),
            3 => any.remove(mine, "gone"),
            4 => any.reserve(mine, "gone"),
            _ => any.reserve(mine, &name),
        };
        assert_eq!(code(outcome), Code::ROLLBACK, "attempt {attempt}");
        mine.rollback();
    }
}

/// Row 18 and 16: two transactions that reserve what they read cannot both commit: no write skew.
#[test]
fn row_18_reserve_prevents_write_skew() {
    let world = World::holding(&["a", "b"]);
    let (one, two) = (&mut world.session(), &mut world.session());
    one.begin();
    two.begin();
    one.cursor().reserve(one, "b").unwrap();
    one.put("a", "0").unwrap();
    two.cursor().reserve(two, "a").expect_err("`one` wrote it");
    two.rollback();
    two.begin();
    assert_eq!(code(two.put("b", "0")), Code::ROLLBACK);
    two.rollback();
    // Even when the first has ended: its reservation is a version like any other.
    two.begin();
    one.commit().unwrap();
    assert_eq!(two.get("a").as_deref(), Some("a"));
    assert_eq!(code(two.put("b", "0")), Code::ROLLBACK);
    two.rollback();
}

/// Row 19: after a failing operation reads still work, and commit is EINVAL and has rolled back.
#[test]
fn row_19_failed_transaction_only_reads_and_rolls_back() {
    let world = World::holding(&["a"]);
    let (mine, other) = (&mut world.session(), &mut world.session());
    other.begin();
    other.put("a", "other").unwrap();
    mine.begin();
    mine.put("b", "b").unwrap();
    assert_eq!(code(mine.put("a", "mine")), Code::ROLLBACK);
    assert_eq!(mine.get("a").as_deref(), Some("a"));
    assert_eq!(mine.get("b").as_deref(), Some("b"));
    assert_invalid(mine.commit(), "rolled back");
    assert!(!mine.state.in_transaction());
    assert_eq!(mine.get("b"), None);
}

/// Row 19: unless nothing had been modified: then commit succeeds. NOTFOUND and DUPLICATE_KEY fail
/// nothing.
#[test]
fn row_19_failed_transaction_without_changes_commits() {
    let world = World::holding(&["a"]);
    let (mine, other) = (&mut world.session(), &mut world.session());
    other.begin();
    other.put("a", "other").unwrap();
    mine.begin();
    assert_eq!(code(mine.put("a", "mine")), Code::ROLLBACK);
    mine.commit().unwrap();
    mine.begin();
    mine.put("b", "b").unwrap();
    assert_eq!(code(mine.cursor().search(mine, "x")), Code::NOTFOUND);
    assert_eq!(code(mine.cursor().remove(mine, "x")), Code::NOTFOUND);
    assert_eq!(code(mine.strict().insert(mine, "b", "x")), Code::DUPLICATE_KEY);
    mine.commit().unwrap();
    assert_eq!(mine.get("b").as_deref(), Some("b"));
}

/// Row 19: every EINVAL fails the transaction, whatever it was about; ENOTSUP of a
/// cursor and a cursor that is not opened do not. Writes after it
/// are taken, and rolled back with the rest.
#[test]
fn row_19_misuse_fails_the_transaction() {
    type Misuse = fn(&mut Talk);
    let misuses: [Misuse; 6] = [
        |session| drop(session.cursor().key(session).unwrap_err()),
        |session| drop(session.cursor().state.search(&mut session.state).unwrap_err()),
        |session| drop(session.state.begin(&TransactionOptions::new()).unwrap_err()),
        |session| drop(session.state.checkpoint().unwrap_err()),
        |session| drop(session.state.truncate(None, None).unwrap_err()),
        |session| drop(session.state.drop_table("none").unwrap_err()),
    ];
    for misuse in misuses {
        let world = World::holding(&["a"]);
        let session = &mut world.session();
        session.begin();
        session.put("b", "b").unwrap();
        misuse(session);
        session.put("c", "c").unwrap();
        assert_invalid(session.commit(), "rolled back");
        assert_eq!(world.rows().len(), 1);
    }
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    session.begin();
    session.put("b", "b").unwrap();
    let mut reader = session.open(&CursorOptions::new().readonly(true)).unwrap();
    assert_eq!(code(reader.insert(session, "c", "c")), Code::ENOTSUP);
    drop(session.state.open_cursor("none", &CursorOptions::new()).unwrap_err());
    session.commit().unwrap();
    assert_eq!(world.rows().len(), 2);
}

/// Row 17: so is a session with weaker isolation, outside transactions.
#[test]
fn row_17_weaker_session_only_reads() {
    let world = World::holding(&["a"]);
    let (mine, writer) = (&mut world.session(), &mut world.session());
    mine.state.reconfigure("isolation=read-uncommitted").unwrap();
    for outcome in [mine.put("b", "b"), mine.strict().update(mine, "a", "b")] {
        assert_eq!(code(outcome), Code::ENOTSUP);
    }
    assert_eq!(code(mine.state.truncate_table(TABLE)), Code::ENOTSUP);
    assert_eq!(code(mine.state.reset_snapshot()), Code::ENOTSUP);
    writer.begin();
    writer.put("c", "c").unwrap();
    assert_eq!(mine.cursor().keys(mine), "a c", "not committed yet");
    let (mut placed, mut fresh) = (mine.cursor(), mine.cursor());
    placed.next(mine).unwrap();
    mine.begin_with(Isolation::ReadCommitted);
    writer.commit().unwrap();
    assert_eq!(fresh.keys(mine), "a c", "it was placed in no snapshot");
    mine.commit().unwrap();
    mine.begin_with(Isolation::Snapshot);
    mine.put("b", "b").unwrap();
    mine.commit().unwrap();
    assert_eq!(world.rows().len(), 3);
}

/// Row 20: commit keeps cursor positions; rollback resets all cursors of the session.
#[test]
fn row_20_commit_keeps_places_and_rollback_resets() {
    let world = World::holding(&["a", "b", "c"]);
    let session = &mut world.session();
    let mut cursor = session.cursor();
    session.begin();
    cursor.search(session, "b").unwrap();
    session.commit().unwrap();
    assert_eq!(cursor.key(session).unwrap(), "b");
    assert_eq!(cursor.value(session).unwrap(), "b");
    assert_eq!(cursor.next(session).unwrap(), "c");
    session.begin();
    session.rollback();
    assert_invalid(cursor.key(session), "requires key");
    assert_eq!(cursor.next(session).unwrap(), "a");
}

/// Row 20: a cursor that kept its place over a commit still shows a long value.
#[test]
fn row_20_long_value_is_there_after_the_commit() {
    let world = World::new();
    let session = &mut world.session();
    let (old, new) = ("o".repeat(50_000), "n".repeat(50_000));
    session.put("long", &old).unwrap();
    let mut cursor = session.cursor();
    session.begin();
    cursor.search(session, "long").unwrap();
    session.commit().unwrap();
    world.session().put("long", &new).unwrap();
    for _ in 0..2 {
        world.connection.checkpoint().unwrap();
        world.session().put("other", &old).unwrap();
    }
    let shown = cursor.value(session).unwrap();
    assert!(shown == old || shown == new);
}

/// Row 20: `begin` inside a transaction, `commit` and `rollback` without one, `checkpoint` inside one:
/// EINVAL. `create` inside a transaction is not undone; `drop` with open cursors is EBUSY.
#[test]
fn row_20_calls_out_of_place_are_refused() {
    let world = World::holding(&["a"]);
    let session = &mut world.session();
    assert_invalid(session.commit(), "no transaction");
    assert_invalid(session.state.rollback(), "no transaction");
    session.begin();
    assert_invalid(session.state.begin(&TransactionOptions::new()), "open already");
    assert_invalid(session.state.checkpoint(), "inside a transaction");
    session.state.create("new", &Default::default(), false).unwrap();
    session.rollback();
    let cursor = session.state.open_cursor("new", &CursorOptions::new()).unwrap();
    assert_eq!(code(session.state.drop_table("new")), Code::EBUSY);
    cursor.close(&mut session.state).unwrap();
    session.state.drop_table("new").unwrap();
    assert_eq!(code(session.state.drop_table("new")), Code::ENOENT);
}

/// Row 21: an autocommit write waits for an open transaction in its way; after the time-out it is
/// ROLLBACK.
#[test]
fn row_21_autocommit_waits_and_then_rolls_back() {
    let world = hasty(&["a"]);
    let (open, alone) = (&mut world.session(), &mut world.session());
    open.begin();
    open.put("a", "open").unwrap();
    assert_eq!(code(alone.put("a", "alone")), Code::ROLLBACK);
    alone.state.set_operation_timeout(Some(Duration::from_secs(60)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| alone.put("a", "alone"));
        open.commit().unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(open.get("a").as_deref(), Some("alone"));
}

/// Row 22: autocommit reads see the snapshot of the first positioned read for as long as any cursor
/// stays on a record; one's own writes ahead of a scan are seen.
#[test]
fn row_22_autocommit_reads_share_a_snapshot() {
    let world = World::holding(&["a", "b"]);
    let (session, other) = (&mut world.session(), &mut world.session());
    let (mut one, mut two) = (session.cursor(), session.cursor());
    one.search(session, "a").unwrap();
    other.put("c", "c").unwrap();
    assert_eq!(two.keys(session), "a b");
    one.reset(session);
    assert_eq!(two.keys(session), "a b c");
    one.search(session, "a").unwrap();
    two.insert(session, "aa", "mine").unwrap();
    assert_eq!(one.keys(session), "aa b c");
}

/// Row 23: an old reader survives while what it sees is overwritten, up to the cache's limit.
#[test]
fn row_23_old_reader_survives_new_versions() {
    let world = World::holding(&["a", "b"]);
    let (reader, writer) = (&mut world.session(), &mut world.session());
    reader.begin();
    for number in 0..2_000 {
        writer.put("a", &format!("{number}")).unwrap();
        writer.put(&format!("new {number}"), "x").unwrap();
    }
    assert_eq!(reader.get("a").as_deref(), Some("a"));
    assert_eq!(reader.cursor().keys(reader), "a b");
}

/// Row 24: truncate removes from start to stop, both included, whether or not the keys exist; the
/// cursors end on no record.
#[test]
fn row_24_truncate_removes_a_range() {
    let keys = ["a", "b", "c", "d", "e"];
    for (start, stop, left) in [
        (Some("b"), Some("d"), "a e"),
        (Some("aa"), Some("cc"), "a d e"),
        (None, Some("b"), "c d e"),
        (Some("d"), None, "a b c"),
        (Some("x"), Some("y"), "a b c d e"),
    ] {
        for in_transaction in [false, true] {
            let world = World::holding(&keys);
            let session = &mut world.session();
            if in_transaction {
                session.begin();
            }
            let (mut first, mut last) = (session.cursor(), session.cursor());
            let state = &mut session.state;
            let first_end = start.map(|key| &mut first.set(key).state);
            let last_end = stop.map(|key| &mut last.set(key).state);
            state.truncate(first_end, last_end).unwrap();
            if in_transaction {
                assert_eq!(world.rows().len(), 5);
                session.commit().unwrap();
            }
            assert!(!first.state.is_placed() && first.key(session).is_err());
            assert!(!last.state.is_placed() && last.key(session).is_err());
            assert_eq!(session.cursor().keys(session), left);
            assert_eq!(session.state.rows(TABLE).unwrap() as usize, world.rows().len());
        }
    }
}

/// Row 24: start behind stop is EINVAL, and so is no cursor at all; the whole table takes its name.
#[test]
fn row_24_truncate_refuses_what_makes_no_sense() {
    let world = World::holding(&["a", "b"]);
    let session = &mut world.session();
    let (mut first, mut last) = (session.cursor(), session.cursor());
    let (start, stop) = (&mut first.set("b").state, &mut last.set("a").state);
    assert_invalid(session.state.truncate(Some(start), Some(stop)), "after the stop");
    assert_invalid(session.state.truncate(None, None), "cursor");
    let unset = session.state.truncate(Some(&mut first.state), None);
    assert_invalid(unset, "requires key");
    session.state.truncate_table(TABLE).unwrap();
    assert_eq!(world.rows().len(), 0);
    assert_eq!(code(session.state.truncate_table("other")), Code::ENOENT);
}

/// Row 24: a truncation of many rows is rolled back whole.
#[test]
fn row_24_truncate_is_undone_by_a_rollback() {
    let world = World::new();
    let session = &mut world.session();
    session.begin();
    for number in 0..3_000 {
        session.put(&format!("{number:05}"), "value").unwrap();
    }
    session.commit().unwrap();
    session.begin();
    session.state.truncate_table(TABLE).unwrap();
    assert_eq!(session.state.rows(TABLE).unwrap(), 0);
    assert_eq!(session.cursor().keys(session), "");
    session.rollback();
    assert_eq!(world.rows().len(), 3_000);
}

/// `reset_snapshot`: the transaction sees what is committed now, unless it has written.
#[test]
fn reset_snapshot_shows_newer_commits() {
    let world = World::holding(&["a"]);
    let (mine, other) = (&mut world.session(), &mut world.session());
    mine.state.reset_snapshot().unwrap();
    mine.begin();
    other.put("b", "b").unwrap();
    assert_eq!(mine.get("b"), None);
    mine.state.reset_snapshot().unwrap();
    assert_eq!(mine.get("b").as_deref(), Some("b"));
    mine.put("c", "c").unwrap();
    assert_eq!(code(mine.state.reset_snapshot()), Code::ENOTSUP);
    mine.commit().unwrap();
    mine.begin_with(Isolation::ReadCommitted);
    assert_eq!(code(mine.state.reset_snapshot()), Code::ENOTSUP);
    mine.commit().unwrap();
}
