//! What the table of options is made of.

/// A method that takes a configuration string.
///
/// ```
/// use rshelve::config::{Method, Settings};
/// assert!(Settings::read(Method::Drop, "force")?.flag("force"));
/// assert!(Settings::read(Method::Begin, "force").is_err());
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
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
///
/// ```
/// use rshelve::config::{Kind, METHODS, Method};
/// let (.., open) = METHODS.iter().find(|(method, ..)| *method == Method::Open).expect("listed");
/// let kind = |name| open.iter().find(|option| option.name == name).map(|option| option.kind);
/// assert_eq!(kind("create"), Some(Kind::Flag));
/// assert!(matches!(kind("cache_size"), Some(Kind::Bytes(least, _)) if least == 1 << 20));
/// assert!(matches!(kind("log"), Some(Kind::Group(_))));
/// ```
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

/// What an option is when it is not given.
///
/// ```
/// use rshelve::DatabaseOptions;
/// use rshelve::config::{Initial, METHODS, Method};
/// let (.., open) = METHODS.iter().find(|(method, ..)| *method == Method::Open).expect("listed");
/// let default = |name| open.iter().find(|option| option.name == name).map(|option| option.default);
/// assert_eq!(default("create"), Some(Initial::Text("false")));
/// let cache_bytes = DatabaseOptions::DEFAULT.cache_bytes_max as i64;
/// assert_eq!(default("cache_size"), Some(Initial::Number(cache_bytes)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Written as in a string.
    Text(&'static str),
    /// A number that the engine names.
    Number(i64),
}

/// What becomes of an option.
///
/// ```
/// use rshelve::config::{Fate, METHODS};
/// let options = METHODS.iter().flat_map(|(.., options)| *options);
/// for option in options {
///     match option.fate {
///         Fate::Applies => println!("{}: {}", option.name, option.help),
///         Fate::Accepted(why) | Fate::Refused(why) => println!("{}: no, {why}", option.name),
///     }
/// }
/// ```
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
///
/// ```
/// use rshelve::config::{Fate, Kind, METHODS, Method};
/// let (.., begin) = METHODS.iter().find(|(method, ..)| *method == Method::Begin).expect("listed");
/// let isolation = begin.iter().find(|option| option.name == "isolation").expect("listed");
/// assert_eq!(isolation.fate, Fate::Applies);
/// assert!(matches!(isolation.kind, Kind::Choice(words) if words.contains(&"snapshot")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its key.
    pub name: &'static str,
    /// Its type and range.
    pub kind: Kind,
    /// What it is when it is not given.
    pub default: Initial,
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
    Spec { name, kind, default: Initial::Text(default), fate: Fate::Applies, help }
}

/// An option that does what it says, whose default is the engine's.
pub(super) const fn counts(
    name: &'static str,
    kind: Kind,
    default: u64,
    help: &'static str,
) -> Spec {
    Spec { name, kind, default: Initial::Number(default as i64), fate: Fate::Applies, help }
}

/// A flag as it is written.
pub(super) const fn spelled(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// An option without effect, and why.
pub(super) const fn accepted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Spec {
    Spec { name, kind, default: Initial::Text(default), fate: Fate::Accepted(why), help: "" }
}

/// An option that is not built, or will not be, and why.
pub(super) const fn refused(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    why: &'static str,
) -> Spec {
    Spec { name, kind, default: Initial::Text(default), fate: Fate::Refused(why), help: "" }
}

/// Options with a name in common.
pub(super) const fn group(name: &'static str, specs: &'static [Spec], help: &'static str) -> Spec {
    Spec { name, kind: Kind::Group(specs), default: Initial::Text(""), fate: Fate::Applies, help }
}

/// The options of the first list, then those of the second: so that one that two methods share is
/// written once.
pub(super) const fn joined<const N: usize>(first: &[Spec], second: &[Spec]) -> [Spec; N] {
    assert!(N == first.len() + second.len(), "room for both");
    let mut all = [group("", &[], ""); N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}
