//! The rows of `metadata:` and `statistics:` cursors.

use rshelve::config::TableSettings;
use rshelve::packing::{Format, Value};
use rshelve::{Compression, Connection, Error, Result, StatsSnapshot};

use pyo3::prelude::*;

/// The columns of a `metadata:` cursor.
pub const METADATA_FORMATS: (&str, &str) = ("S", "S");

/// The columns of a `statistics:` cursor: a number; what it counts, the count as text, the count.
pub const STATISTICS_FORMATS: (&str, &str) = ("i", "SSq");

/// The number of the first statistic; the others follow, in the order of their names' list.
const STATISTIC_FIRST: i64 = 1000;

/// What was said when a table was created. A table that another face made is bytes.
///
/// # Errors
/// None for what this face wrote.
pub fn table_settings(metadata: &str) -> Result<TableSettings> {
    TableSettings::read(metadata).or_else(|_| TableSettings::read(""))
}

/// Every table with the string that would create it again, by URI.
///
/// # Errors
/// [`Error::Closed`].
pub fn metadata(connection: &Connection) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    for name in connection.tables()? {
        let table = match connection.table(&name) {
            // Dropped meanwhile.
            Err(Error::Missing { .. }) => continue,
            table => table?,
        };
        let options = table.options();
        let settings = table_settings(&options.metadata)?;
        let compressor = match options.compression {
            Compression::None => "",
            Compression::Snappy => "snappy",
        };
        let value = format!(
            "{},block_compressor={compressor},internal_page_max={},leaf_page_max={},log=(enabled={})",
            settings.options.metadata,
            options.internal_bytes_max,
            options.leaf_bytes_max,
            options.logged,
        );
        rows.push((nul_ended(&format!("table:{name}")), nul_ended(&value)));
    }
    Ok(rows)
}

fn nul_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Every counter of the engine.
///
/// # Errors
/// None; every counter packs.
pub fn statistics(stats: &StatsSnapshot) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let (key_format, value_format) = STATISTICS_FORMATS;
    let (key_format, value_format): (Format, Format) = (key_format.parse()?, value_format.parse()?);
    let mut rows = Vec::new();
    for (number, (name, count)) in (STATISTIC_FIRST..).zip(stats.named()) {
        let (title, text) = (name.replace('_', " "), count.to_string());
        let count = Value::Signed(i64::try_from(count).unwrap_or(i64::MAX));
        let value = value_format.pack(&[Value::Text(&title), Value::Text(&text), count])?;
        rows.push((key_format.pack(&[Value::Signed(number)])?, value));
    }
    Ok(rows)
}

/// The names of the statistics, with their numbers.
#[pyfunction]
pub fn wt_statistics() -> Vec<(&'static str, i64)> {
    let names = StatsSnapshot::default();
    names.named().map(|(name, _)| name).zip(STATISTIC_FIRST..).collect()
}
