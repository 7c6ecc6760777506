//! Configuration strings: `cache_size=1GB,log=(enabled,file_max=50MB)`.
//!
//! One table ([`METHODS`]) lists every option of every method, with its type, default, range and
//! meaning, and what becomes of it: it applies here, or it is WiredTiger's and is accepted without
//! effect, or it is refused. Strings are checked against it ([`Settings::read`]), and
//! `docs/configuration.md` is written from it. Nothing is ignored without a word: an unknown key, a
//! value of another type or out of range, and an option that is not built are errors that name the key.
//!
//! The grammar: options stand between commas, and the last of two that are the same counts. `flag` is
//! `flag=true`. Values may be quoted with `"`; lists and groups stand in `()` or `[]`; `:` may stand
//! for `=`, so that JSON will do. Numbers take `K`, `M`, `G`, `T` or `P`, with or without a `B`, as
//! powers of 1024.
//!
//! ```
//! use rshelve::config::{Method, Settings};
//!
//! let settings = Settings::read(Method::Open, "create,cache_size=1GB,log=(enabled=false)")?;
//! assert!(settings.flag("create") && !settings.flag("log.enabled"));
//! assert_eq!(settings.number("cache_size"), 1 << 30);
//! assert_eq!(settings.text("error_prefix"), "", "a default");
//! let error = Settings::read(Method::Open, "cache_sise=1GB").unwrap_err();
//! assert!(error.to_string().contains("'cache_sise'"));
//! # Ok::<(), rshelve::Error>(())
//! ```

mod check;
mod choose;
mod page;
mod parse;
mod spec;
mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

pub use check::Settings;
pub use choose::{CursorSettings, OpenSettings, TableSettings, TransactionSettings, isolation};
pub(crate) use choose::{isolation_name, retuned};
pub use page::markdown;
pub use spec::{Fate, Initial, Kind, Method, Spec};
pub use table::METHODS;
