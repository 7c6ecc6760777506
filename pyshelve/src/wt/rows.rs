//! What `rshelve.wt` knows of the columns of tables, and of `metadata:` and `statistics:` cursors.

use pyo3::prelude::*;
use rshelve::config::TableSettings;
use rshelve::{Result, StatsSnapshot};

/// The columns of a `metadata:` cursor.
pub const METADATA_FORMATS: (&str, &str) = ("S", "S");

/// The columns of a `statistics:` cursor: a number; what it counts, the count as text, the count.
pub const STATISTICS_FORMATS: (&str, &str) = ("i", "SSq");

/// What was said when a table was created. A table that another face made is bytes.
///
/// # Errors
/// None for what this face wrote.
pub fn table_settings(metadata: &str) -> Result<TableSettings> {
    TableSettings::read(metadata).or_else(|_| TableSettings::read(""))
}

/// The names of the statistics, with their numbers.
#[pyfunction]
pub fn wt_statistics() -> Vec<(&'static str, i64)> {
    let names = StatsSnapshot::default();
    names.named().map(|(name, _)| name).zip(rshelve::state::STATISTICS_FIRST..).collect()
}
