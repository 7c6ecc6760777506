//! One measured figure, and how it crosses from a child to its parent: a line of text.

use std::fmt::Write as _;
use std::time::Duration;

/// What a figure counts, and so which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations in a second; more is better.
    PerSecond,
    /// Seconds; fewer are better.
    Seconds,
    /// Bytes; fewer are better.
    Bytes,
}

impl Unit {
    /// Its word in JSON and between processes.
    pub fn word(self) -> &'static str {
        match self {
            Self::PerSecond => "per_second",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Self::PerSecond, Self::Seconds, Self::Bytes].into_iter().find(|unit| unit.word() == word)
    }

    /// How many times better `a` is than `b`.
    pub fn advantage(self, a: f64, b: f64) -> f64 {
        if self == Self::PerSecond { a / b } else { b / a }
    }

    /// The figure as a person reads it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => show_scaled(value, 1000.0, &["", "K", "M", "G"]),
            Self::Bytes => show_scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB"]),
            Self::Seconds if value >= 0.0995 => format!("{value:.1} s"),
            Self::Seconds => show_scaled(value * 1e6, 1000.0, &[" us", " ms"]),
        }
    }
}

/// Three digits and the unit that makes them so.
fn show_scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= step;
        unit = next;
    }
    let digits = if value >= 99.5 || value == 0.0 {
        0
    } else if value >= 9.95 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{unit}")
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The table that it belongs to, where a workload prints several; else empty.
    pub section: String,
    /// The row of the table.
    pub row: String,
    /// What it counts.
    pub unit: Unit,
    /// How many.
    pub value: f64,
}

impl Figure {
    /// A rate: `operations` that took `elapsed`.
    pub fn rate(row: impl Into<String>, operations: u64, elapsed: Duration) -> Self {
        let value = operations as f64 / elapsed.as_secs_f64().max(1e-9);
        Self { section: String::new(), row: row.into(), unit: Unit::PerSecond, value }
    }

    /// A time.
    pub fn time(row: impl Into<String>, elapsed: Duration) -> Self {
        let value = elapsed.as_secs_f64();
        Self { section: String::new(), row: row.into(), unit: Unit::Seconds, value }
    }

    /// A size.
    pub fn size(row: impl Into<String>, bytes: u64) -> Self {
        Self::bytes_each(row, bytes, 1)
    }

    /// `bytes` that `operations` took, as bytes to each.
    pub fn bytes_each(row: impl Into<String>, bytes: u64, operations: u64) -> Self {
        let value = bytes as f64 / operations.max(1) as f64;
        Self { section: String::new(), row: row.into(), unit: Unit::Bytes, value }
    }

    /// The same in a table of its own.
    #[must_use]
    pub fn under(mut self, section: &str) -> Self {
        section.clone_into(&mut self.section);
        self
    }

    /// The line that a child prints.
    pub fn to_line(&self) -> String {
        let mut line = String::from("figure");
        let (unit, value) = (self.unit.word(), self.value);
        let _ = write!(line, "\t{}\t{}\t{unit}\t{value:e}", self.section, self.row);
        line
    }

    /// Reads a child's line; `None` when it is none.
    pub fn of_line(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let ["figure", section, row, unit, value] = fields[..] else { return None };
        let (section, row) = (section.to_owned(), row.to_owned());
        Some(Self { section, row, unit: Unit::of_word(unit)?, value: value.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_survives_its_line() {
        let figure = Figure::rate("random reads", 3, Duration::from_millis(7));
        assert_eq!(Figure::of_line(&figure.to_line()), Some(figure.clone()));
        let figure = figure.under("2 threads");
        assert_eq!(Figure::of_line(&figure.to_line()), Some(figure));
        assert_eq!(Figure::of_line("something else"), None);
    }

    #[test]
    fn figures_read_in_three_digits() {
        assert_eq!(Unit::PerSecond.show(1_234_567.0), "1.23M");
        assert_eq!(Unit::PerSecond.show(999_900.0), "1.00M");
        assert_eq!(Unit::PerSecond.show(152_000.0), "152K");
        assert_eq!(Unit::Bytes.show(3.35 * 1024.0_f64.powi(3)), "3.35 GiB");
        assert_eq!(Unit::Seconds.show(2.21), "2.2 s");
        assert_eq!(Unit::Seconds.show(0.000_012), "12.0 us");
    }

    #[test]
    fn advantage_is_above_one_when_better() {
        assert!(Unit::PerSecond.advantage(2.0, 1.0) > 1.0);
        assert!(Unit::Bytes.advantage(1.0, 2.0) > 1.0);
    }
}
