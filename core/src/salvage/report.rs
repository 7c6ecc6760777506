//! What a salvage saved, and what it did not.

use std::fmt;

use crate::base::ids::TableId;
use crate::sync::Arc;

/// How many lost values of a table a report names; more are counted.
const VALUES_MAX: usize = 1000;

/// A range of keys whose page could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostRange {
    /// Its first key,
    pub low: Vec<u8>,
    /// and the key behind it; none where it goes on to the end.
    pub high: Option<Vec<u8>>,
    /// The rows that the page's parent counts in it; none when nobody knows.
    pub rows: Option<u64>,
    /// Rows of it that were found elsewhere in the file, those that are perhaps stale not counted.
    pub rows_found: u64,
    /// What was wrong with the page.
    pub why: String,
}

/// A row whose long value could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostValue {
    /// Its key.
    pub key: Vec<u8>,
    /// What was wrong.
    pub why: String,
}

/// What became of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedTable {
    /// Its name in the new database.
    pub name: String,
    /// Its id in the old one.
    pub id: TableId,
    /// The rows that the catalog counted; none when its entry is lost.
    pub rows_expected: Option<u64>,
    /// The rows in the new database before the log was applied.
    pub rows: u64,
    /// Of those, rows of leaves that no tree leads to.
    pub rows_found: u64,
    /// Of those, rows of leaves in free space: they may be out of date, or of rows that were deleted.
    pub rows_stale: u64,
    /// The ranges whose pages could not be read.
    pub lost: Vec<LostRange>,
    /// The first thousand rows whose long values could not be read.
    pub lost_values: Vec<LostValue>,
    /// How many there are.
    pub lost_value_count: u64,
}

impl SalvagedTable {
    /// The rows that are known to be lost, or replaced by stale ones at best. There may be more where
    /// nobody counted.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// engine.close()?;
    /// let report = rshelve_core::salvage::salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
    /// assert!(report.tables.iter().all(|table| table.rows_lost() == 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows_lost(&self) -> u64 {
        let gaps =
            self.lost.iter().filter_map(|gap| Some(gap.rows?.saturating_sub(gap.rows_found)));
        gaps.sum::<u64>() + self.lost_value_count
    }

    pub(super) fn lose_value(&mut self, key: &[u8], why: String) {
        self.lost_value_count += 1;
        if self.lost_values.len() < VALUES_MAX {
            self.lost_values.push(LostValue { key: key.to_vec(), why });
        }
    }
}

/// What a salvage did. `Display` says it in words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The damaged file.
    pub file: Arc<str>,
    /// The new one.
    pub new_file: Arc<str>,
    /// Each table.
    pub tables: Vec<SalvagedTable>,
    /// Records of the log that were applied behind that.
    pub log_records: u64,
    /// Everything else that was wrong.
    pub remarks: Vec<String>,
}

impl Report {
    pub(super) fn new(file: Arc<str>, new_file: Arc<str>) -> Self {
        Self { file, new_file, tables: Vec::new(), log_records: 0, remarks: Vec::new() }
    }

    /// Whether nothing was lost, and nothing wrong.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// engine.close()?;
    /// let report = rshelve_core::salvage::salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
    /// assert!(report.is_whole(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_whole(&self) -> bool {
        let whole = |table: &SalvagedTable| table.lost.is_empty() && table.lost_value_count == 0;
        self.remarks.is_empty() && self.tables.iter().all(whole)
    }

    /// The rows in the new database before the log was applied.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// engine.close()?;
    /// let report = rshelve_core::salvage::salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
    /// assert_eq!(report.rows(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// The rows that are known to be lost.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// engine.close()?;
    /// let report = rshelve_core::salvage::salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
    /// assert_eq!(report.rows_lost(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows_lost(&self) -> u64 {
        self.tables.iter().map(SalvagedTable::rows_lost).sum()
    }

    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} -> {}", self.file, self.new_file)?;
        for table in &self.tables {
            write!(f, "  table {:?}: {} rows saved", table.name, table.rows)?;
            if let Some(expected) = table.rows_expected {
                write!(f, " of {expected}")?;
            }
            if table.rows_found > 0 {
                let (found, stale) = (table.rows_found, table.rows_stale);
                write!(f, ", {found} of them out of no tree, {stale} of these perhaps stale")?;
            }
            writeln!(f, ", {} known to be lost", table.rows_lost())?;
            for gap in &table.lost {
                write!(f, "    lost from \"{}\"", gap.low.escape_ascii())?;
                if let Some(high) = &gap.high {
                    write!(f, " to \"{}\"", high.escape_ascii())?;
                }
                match gap.rows {
                    Some(rows) => write!(f, ", {} of {rows} rows found again", gap.rows_found)?,
                    None => write!(f, ", {} rows found again", gap.rows_found)?,
                }
                writeln!(f, ": {}", gap.why)?;
            }
            for value in &table.lost_values {
                writeln!(
                    f,
                    "    lost the value of \"{}\": {}",
                    value.key.escape_ascii(),
                    value.why
                )?;
            }
        }
        if self.log_records > 0 {
            writeln!(f, "  {} log records applied", self.log_records)?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  remark: {remark}"))
    }
}
