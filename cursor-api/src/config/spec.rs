//! What the table of options is made of.

/// A method that takes a configuration string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `wiredtiger_open`
    Open,
    /// `Connection.close`
    ConnectionClose,
    /// `Connection.open_session`
    OpenSession,
    /// `Connection.reconfigure`
    Reconfigure,
    /// `Session.begin_transaction`
    Begin,
    /// `Session.checkpoint`
    Checkpoint,
    /// `Session.close`
    SessionClose,
    /// `Session.commit_transaction`
    Commit,
    /// `Session.compact`
    Compact,
    /// `Session.create`
    Create,
    /// `Session.drop`
    Drop,
    /// `Session.log_flush`
    LogFlush,
    /// `Session.open_cursor`
    OpenCursor,
    /// `Session.reconfigure`
    SessionReconfigure,
    /// `Session.rollback_transaction`
    Rollback,
    /// `Session.truncate`
    Truncate,
    /// `Session.verify`
    Verify,
    /// `Cursor.bound`
    Bound,
    /// `Cursor.reconfigure`
    CursorReconfigure,
}

/// The type of an option's value, and its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A number, from the first to the second.
    Number(i64, i64),
    /// A number of bytes, from the first to the second.
    Bytes(i64, i64),
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of these words.
    Words(&'static [&'static str]),
    /// A list of texts.
    List,
    /// Options of its own.
    Group(&'static [Spec]),
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says.
    Applies,
    /// It is taken and changes nothing; the text says why that is right.
    Accepted(&'static str),
    /// Anything but its default is an error; the text says why.
    Refused(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its key.
    pub name: &'static str,
    /// Its type and range.
    pub kind: Kind,
    /// What it is when it is not given, written as in a string.
    pub default: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// What it means.
    pub help: &'static str,
}

pub(super) const FLAG: Kind = Kind::Flag;

/// An option that does what it says.
pub(super) const fn applies(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Spec {
    Spec { name, kind, default, fate: Fate::Applies, help }
}

/// An option without effect, and why.
pub(super) const fn accepted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Spec {
    Spec { name, kind, default, fate: Fate::Accepted(why), help: "" }
}

/// An option that is not built, or will not be, and why.
pub(super) const fn refused(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Spec {
    Spec { name, kind, default, fate: Fate::Refused(why), help: "" }
}

/// Options with a name in common.
pub(super) const fn group(name: &'static str, specs: &'static [Spec], help: &'static str) -> Spec {
    Spec { name, kind: Kind::Group(specs), default: "", fate: Fate::Applies, help }
}
