//! What a URI names.

use crate::{Error, Result};

/// What can be opened, created or dropped by name.
///
/// ```
/// use rshelve::state::Uri;
/// assert_eq!(Uri::parse("metadata:")?, Uri::Metadata);
/// assert_eq!(Uri::parse("statistics:")?, Uri::Statistics);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Uri {
    /// `table:NAME`: a table.
    Table(String),
    /// `metadata:`: what is known of every table.
    Metadata,
    /// `statistics:`: what the engine did so far.
    Statistics,
}

impl Uri {
    /// What `text` names.
    ///
    /// ```
    /// use rshelve::state::Uri;
    /// assert_eq!(Uri::parse("table:stock")?, Uri::Table("stock".into()));
    /// assert!(Uri::parse("lsm:stock").is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] for kinds that are not built, or that there are not;
    /// [`Error::Invalid`] for a table without a name.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("table", "")) => {
                Err(Error::invalid("a table's URI needs a name behind the colon"))
            }
            Some(("table", name)) => Ok(Self::Table(name.to_owned())),
            Some(("metadata", "" | "create")) => Ok(Self::Metadata),
            Some(("statistics", "")) => Ok(Self::Statistics),
            _ => Err(Error::Unsupported { what: format!("an object of type {text:?}") }),
        }
    }
}
