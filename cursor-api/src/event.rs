//! Messages that no caller is there to get.

use std::fmt::Debug;

use crate::Code;

/// Is told of what goes wrong where no caller is there to be told: a cursor or a session that could not be
/// closed when it was dropped, a background thread whose work failed. Without one such messages go to
/// the crate `tracing` alone.
///
/// ```
/// use rshelve::{Code, ConnectionOptions, EventHandler};
///
/// #[derive(Debug)]
/// struct Loud;
///
/// impl EventHandler for Loud {
///     fn error(&self, code: Code, message: &str) {
///         eprintln!("{}: {message}", code.0);
///     }
/// }
///
/// # let folder = tempfile::tempdir()?;
/// let options = ConnectionOptions::new().create(true).event_handler(Loud);
/// let connection = options.open(folder.path().join("spam"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait EventHandler: Debug + Send + Sync {
    /// Something failed. It should return soon, and leave the database alone.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use rshelve::{Code, EventHandler};
    ///
    /// #[derive(Debug, Default)]
    /// struct Kept(Mutex<Vec<String>>);
    ///
    /// impl EventHandler for Kept {
    ///     fn error(&self, _code: Code, message: &str) {
    ///         self.0.lock().expect("nobody panics").push(message.to_owned());
    ///     }
    /// }
    /// ```
    fn error(&self, code: Code, message: &str);
}
