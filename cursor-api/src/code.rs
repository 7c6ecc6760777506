//! WiredTiger's numbers and texts for what can go wrong.

use std::fmt;

use crate::Error;

/// The number of an error as WiredTiger's programs know it: its own are below -31799, the others are
/// the system's (`errno`).
///
/// ```
/// use rshelve::{Code, Error};
/// assert_eq!(Code::of(&Error::NotFound), Code::NOTFOUND);
/// assert_eq!(Code::NOTFOUND.0, -31803);
/// assert_eq!(Code::EINVAL.text(), "Invalid argument");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:expr,)*) => {
        impl Code {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!(
                    "```\n# use rshelve::Code;\nassert_eq!(Code::", stringify!($name), ", Code(",
                    stringify!($number), "));\n```",
                )]
                pub const $name: Self = Self($number);
            )*
        }
    };
}

codes! {
    /// All is well.
    OK = 0,
    /// The transaction conflicts with another one, or is too large: roll it back, run it again.
    ROLLBACK = -31800,
    /// The key has a value already.
    DUPLICATE_KEY = -31801,
    /// An error without a number of its own.
    ERROR = -31802,
    /// No such record, or the end of a walk.
    NOTFOUND = -31803,
    /// An earlier failure stopped the database.
    PANIC = -31804,
    /// The database must be opened for writing, to be recovered.
    RUN_RECOVERY = -31806,
    /// The cache is full of what cannot leave it.
    CACHE_FULL = -31807,
    /// A prepared transaction is in the way; there are none yet.
    PREPARE_CONFLICT = -31808,
    /// The file is damaged.
    TRY_SALVAGE = -31809,
    /// What was named does not exist.
    ENOENT = 2,
    /// What was named is in use.
    EBUSY = 16,
    /// What was to be made is there already.
    EEXIST = 17,
    /// An argument, or a state, that makes no sense.
    EINVAL = 22,
    /// No space on the disk.
    ENOSPC = 28,
    /// Not built, or not allowed here.
    ENOTSUP = if cfg!(target_os = "macos") { 45 } else { 95 },
}

impl Code {
    /// The number of `error`.
    ///
    /// ```
    /// use rshelve::{Code, Error};
    /// assert_eq!(Code::of(&Error::Missing { what: "table".to_owned() }), Code::ENOENT);
    /// ```
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NotFound => Self::NOTFOUND,
            Error::DuplicateKey => Self::DUPLICATE_KEY,
            Error::Rollback { .. } => Self::ROLLBACK,
            Error::Invalid { .. } | Error::Closed { .. } | Error::Foreign { .. } => Self::EINVAL,
            Error::Missing { .. } => Self::ENOENT,
            Error::Exists { .. } => Self::EEXIST,
            Error::Busy { .. } => Self::EBUSY,
            Error::Unsupported { .. } | Error::ReadOnly { .. } => Self::ENOTSUP,
            Error::Full { .. } => Self::ENOSPC,
            Error::Corrupt(_) => Self::TRY_SALVAGE,
            Error::Failed { .. } | Error::Poisoned { .. } => Self::PANIC,
            Error::Io { source, .. } => source.raw_os_error().map_or(Self::ERROR, Self),
            _ => Self::ERROR,
        }
    }

    /// What the number says, in WiredTiger's or the system's words.
    ///
    /// ```
    /// use rshelve::Code;
    /// assert_eq!(Code::NOTFOUND.text(), "WT_NOTFOUND: item not found");
    /// assert_eq!(Code::EINVAL.to_string(), "Invalid argument");
    /// ```
    pub fn text(self) -> String {
        let own = match self {
            Self::OK => "Successful return: 0",
            Self::ROLLBACK => "WT_ROLLBACK: conflict between concurrent operations",
            Self::DUPLICATE_KEY => "WT_DUPLICATE_KEY: attempt to insert an existing key",
            Self::ERROR => "WT_ERROR: non-specific WiredTiger error",
            Self::NOTFOUND => "WT_NOTFOUND: item not found",
            Self::PANIC => "WT_PANIC: WiredTiger library panic",
            Self::RUN_RECOVERY => "WT_RUN_RECOVERY: recovery must be run to continue",
            Self::CACHE_FULL => "WT_CACHE_FULL: operation would overflow cache",
            Self::PREPARE_CONFLICT => "WT_PREPARE_CONFLICT: conflict with a prepared update",
            Self::TRY_SALVAGE => "WT_TRY_SALVAGE: database corruption detected",
            Self(number) if number > 0 => return system_text(number),
            Self(number) => return format!("error return: {number}"),
        };
        own.to_owned()
    }
}

/// What the system calls its error `number`.
fn system_text(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let suffix = format!(" (os error {number})");
    text.strip_suffix(&suffix).unwrap_or(&text).to_owned()
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_texts_are_the_systems_without_its_number() {
        assert_eq!(Code::EBUSY.text(), "Device or resource busy");
        assert_eq!(Code::ENOENT.text(), "No such file or directory");
        assert_eq!(Code::ENOTSUP.text(), "Operation not supported");
        assert_eq!(Code(-31899).text(), "error return: -31899");
    }
}
