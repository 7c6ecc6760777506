//! Which named checkpoints a `drop=(...)` means.

use super::SessionState;
use crate::{CheckpointInfo, Error, Result};

impl SessionState {
    /// The names of the checkpoints that there are and that `list` means: by name; all from one on that
    /// is named, in the order in which they were taken (`from=NAME`), or up to and with one (`to=NAME`);
    /// all (`from=all`). What is not there has been dropped already.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let mut session = rshelve::state::SessionState::open(&connection)?;
    /// for day in ["monday", "tuesday", "friday"] {
    ///     session.checkpoint_with(Some(day), &[])?;
    /// }
    /// assert_eq!(session.checkpoints_to_drop(&["from=tuesday"])?, ["tuesday", "friday"]);
    /// assert_eq!(session.checkpoints_to_drop(&["to=monday", "sunday"])?, ["monday"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for `KEY=NAME` with another key.
    pub fn checkpoints_to_drop<S: AsRef<str>>(&self, list: &[S]) -> Result<Vec<String>> {
        let names: Vec<String> =
            self.checkpoints().into_iter().map(|CheckpointInfo { name, .. }| name).collect();
        let mut meant = vec![false; names.len()];
        for entry in list.iter().map(AsRef::as_ref) {
            let place = |name: &str| names.iter().position(|listed| listed == name);
            let range = match entry.split_once('=') {
                None => place(entry).map(|at| at..at + 1),
                Some(("from", "all")) => Some(0..names.len()),
                Some(("from", name)) => place(name).map(|at| at..names.len()),
                Some(("to", name)) => place(name).map(|at| 0..at + 1),
                Some((key, _)) => {
                    let keys = "give names, \"from=NAME\" or \"to=NAME\"";
                    return Err(Error::invalid(format!("unknown key {key:?} in drop; {keys}")));
                }
            };
            if let Some(meant) = range.and_then(|range| meant.get_mut(range)) {
                meant.fill(true);
            }
        }
        Ok(names.into_iter().zip(meant).filter(|(_, meant)| *meant).map(|(name, _)| name).collect())
    }
}
