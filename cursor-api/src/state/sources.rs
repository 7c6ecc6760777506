//! Rows that are not a table's: metadata and statistics.

use rshelve_core::engine::Engine;

use crate::packing::{Format, Value};
use crate::{Compression, Result, StatsSnapshot, TableOptions};

/// The number of the first statistic; the others follow in the order of [`StatsSnapshot::named`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # connection.create_table("stock", &Default::default())?;
/// use rshelve::packing::{Format, Value};
/// use rshelve::state::STATISTICS_FIRST;
/// let session = connection.open_session()?;
/// let mut cursor = session.open_uri("statistics:", &Default::default())?;
/// assert!(cursor.next()?);
/// assert_eq!("i".parse::<Format>()?.unpack(cursor.key()?)?, [Value::Signed(STATISTICS_FIRST)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const STATISTICS_FIRST: i64 = 1000;

type PackedRows = Vec<(Vec<u8>, Vec<u8>)>;

/// Each table's URI, and the configuration string that would create it again; packed as `S`, `S`.
pub(super) fn metadata_rows(engine: &Engine) -> Result<PackedRows> {
    let text: Format = "S".parse()?;
    let mut rows = Vec::new();
    for name in engine.table_names() {
        // One that was dropped meanwhile has no row.
        let Ok(table) = engine.table(&name) else { continue };
        let (uri, made) = (format!("table:{name}"), configuration(table.options()));
        rows.push((text.pack(&[Value::Text(&uri)])?, text.pack(&[Value::Text(&made)])?));
    }
    Ok(rows)
}

fn configuration(options: &TableOptions) -> String {
    let compressor = match options.compression {
        Compression::Snappy => "snappy",
        _ => "none",
    };
    let separator = if options.metadata.is_empty() { "" } else { "," };
    format!(
        "{}{separator}block_compressor={compressor},internal_page_max={},leaf_page_max={},log=(enabled={})",
        options.metadata, options.internal_bytes_max, options.leaf_bytes_max, options.logged
    )
}

/// Each counter's number, name, value as text, and value; packed as `i`, `SSq`.
pub(super) fn statistics_rows(stats: &StatsSnapshot) -> Result<PackedRows> {
    let (key, value): (Format, Format) = ("i".parse()?, "SSq".parse()?);
    (STATISTICS_FIRST..)
        .zip(stats.named())
        .map(|(number, (name, count))| {
            let (text, count) = (count.to_string(), i64::try_from(count).unwrap_or(i64::MAX));
            let name = name.replace('_', " ");
            let packed = [Value::Text(&name), Value::Text(&text), Value::Signed(count)];
            Ok((key.pack(&[Value::Signed(number)])?, value.pack(&packed)?))
        })
        .collect()
}
