//! What the types allow: a connection is shared by threads, a session moves between them and is not shared,
//! and neither a cursor nor what it lends outlives what it came from. The programs in `types/` must not
//! compile.

use rshelve::{Connection, Cursor, Range, Session, Table};

/// Names its one method without saying which implementation is meant: that compiles only for a type that
/// is not `Sync`, because such a type has one implementation and others have two.
trait IsNotSync<Which> {
    fn is_not_sync() {}
}
impl<T: ?Sized> IsNotSync<()> for T {}
impl<T: ?Sized + Sync> IsNotSync<u8> for T {}

/// The same for `Send`.
trait IsNotSend<Which> {
    fn is_not_send() {}
}
impl<T: ?Sized> IsNotSend<()> for T {}
impl<T: ?Sized + Send> IsNotSend<u8> for T {}

#[test]
fn types_say_what_threads_may_share() {
    fn is_shared<T: Send + Sync + Clone + 'static>() {}
    fn moves<T: Send + 'static>() {}
    is_shared::<Connection>();
    is_shared::<Table>();
    moves::<Session>();
    // These are checked by being compiled.
    <Session as IsNotSync<_>>::is_not_sync();
    <Cursor<'_> as IsNotSync<_>>::is_not_sync();
    <Cursor<'_> as IsNotSend<_>>::is_not_send();
    <Range<'_, '_> as IsNotSend<_>>::is_not_send();
}

#[test]
fn types_forbid_what_outlives_its_owner() {
    let programs = trybuild::TestCases::new();
    programs.compile_fail("tests/isolation/types/*.rs");
}
