//! How many rows each table has: now, and at the moment of every live snapshot.
//!
//! A table keeps its count of now, and past counts only as far as live snapshots can tell them
//! apart. So taking a snapshot costs nothing here, a commit costs the same however many tables
//! there are, and a transaction whose own snapshot is still live, which is the usual case, does
//! not copy a map for it.

use crate::base::ids::TableId;
use crate::mvcc::live::LiveSnapshots;

/// The row counts of all tables.
#[derive(Debug, Default)]
pub(super) struct RowCounts {
    /// Ascending by table; ids only grow, so a new table goes at the end.
    tables: Vec<(TableId, Rows)>,
}

#[derive(Debug, Default)]
struct Rows {
    now: u64,
    /// The moment of the commit that made it `now`.
    changed_at: u64,
    /// Ascending: snapshots taken before a moment, and not before the entry before it, count so
    /// many rows.
    past: Vec<Past>,
}

#[derive(Clone, Copy, Debug)]
struct Past {
    until: u64,
    count: u64,
}

impl RowCounts {
    /// Makes the count of `table` known, as it is for every snapshot.
    pub fn set(&mut self, table: TableId, count: u64) {
        *self.entry(table) = Rows { now: count, ..Rows::default() };
    }

    /// Forgets `table`.
    pub fn remove(&mut self, table: TableId) {
        if let Ok(index) = self.search(table) {
            self.tables.remove(index);
        }
    }

    /// Applies a commit's change at `moment`, later than that of every live snapshot.
    ///
    /// Stops at 0: the count that a change starts from came from the disk, and a file that lies
    /// about it must not bring the process down.
    pub fn apply(&mut self, table: TableId, change: i64, moment: u64, live: &LiveSnapshots) {
        if change == 0 {
            return;
        }
        let rows = self.entry(table);
        match live.newest_moment() {
            None => rows.past.clear(),
            // Somebody live counts the rows as they were until now.
            Some(newest) if newest >= rows.changed_at => {
                rows.past.push(Past { until: moment, count: rows.now });
                if rows.past.len() > 2 * live.moment_count() + 4 {
                    rows.discard_unneeded(live);
                }
            }
            Some(_) => {}
        }
        rows.now = rows.now.saturating_add_signed(change);
        rows.changed_at = moment;
    }

    /// The rows of `table` after the last commit.
    pub fn now(&self, table: TableId) -> u64 {
        self.search(table).map_or(0, |index| self.tables[index].1.now)
    }

    /// The rows of `table` for a live snapshot taken at `moment`.
    pub fn at(&self, table: TableId, moment: u64) -> u64 {
        let Ok(index) = self.search(table) else { return 0 };
        let rows = &self.tables[index].1;
        if moment >= rows.changed_at {
            return rows.now;
        }
        let index = rows.past.partition_point(|past| past.until <= moment);
        rows.past.get(index).map_or(rows.now, |past| past.count)
    }

    /// Every table with its rows after the last commit.
    pub fn all(&self) -> Vec<(TableId, u64)> {
        self.tables.iter().map(|(table, rows)| (*table, rows.now)).collect()
    }

    fn search(&self, table: TableId) -> Result<usize, usize> {
        self.tables.binary_search_by_key(&table, |(table, _)| *table)
    }

    fn entry(&mut self, table: TableId) -> &mut Rows {
        let index = self.search(table).unwrap_or_else(|index| {
            self.tables.insert(index, (table, Rows::default()));
            index
        });
        &mut self.tables[index].1
    }
}

impl Rows {
    /// Drops the past counts of snapshots that are gone. Called when at least half of them are,
    /// so that its cost per commit is constant and the past stays in proportion to `live`.
    fn discard_unneeded(&mut self, live: &LiveSnapshots) {
        let mut from = 0;
        self.past.retain(|past| {
            let needed = live.any_between(from, past.until);
            from = past.until;
            needed
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::ids::TxnId;
    use crate::mvcc::live::Now;

    const TABLE: TableId = TableId(4);

    fn register(live: &mut LiveSnapshots, moment: u64) {
        let next = TxnId(moment + 1);
        live.take(Now { moment, unchanged: false, next, in_flight: (&[], &[]) });
    }

    #[test]
    fn past_stays_in_proportion_to_live_snapshots() {
        let (mut rows, mut live) = (RowCounts::default(), LiveSnapshots::default());
        register(&mut live, 0);
        for moment in 1..10_000 {
            // Another snapshot is live across each commit, and gone soon after.
            rows.apply(TABLE, 1, moment, &live);
            register(&mut live, moment);
            if moment > 1 {
                live.release(moment - 1);
            }
            assert!(rows.tables[0].1.past.len() <= 2 * live.moment_count() + 4);
            assert_eq!(rows.at(TABLE, 0), 0);
            assert_eq!(rows.at(TABLE, moment), moment);
        }
    }

    #[test]
    fn commit_without_live_snapshots_forgets_the_past() {
        let (mut rows, mut live) = (RowCounts::default(), LiveSnapshots::default());
        register(&mut live, 0);
        rows.apply(TABLE, 2, 1, &live);
        assert_eq!((rows.at(TABLE, 0), rows.now(TABLE)), (0, 2));
        live.release(0);
        rows.apply(TABLE, -1, 2, &live);
        assert!(rows.tables[0].1.past.is_empty());
        assert_eq!(rows.now(TABLE), 1);
    }

    #[test]
    fn count_that_the_disk_lied_about_stops_at_zero() {
        let mut rows = RowCounts::default();
        rows.set(TABLE, 1);
        rows.apply(TABLE, -5, 1, &LiveSnapshots::default());
        assert_eq!(rows.now(TABLE), 0);
    }

    #[test]
    fn unknown_and_removed_tables_have_no_rows() {
        let mut rows = RowCounts::default();
        rows.set(TABLE, 7);
        rows.set(TableId(2), 1);
        assert_eq!(rows.all(), [(TableId(2), 1), (TABLE, 7)]);
        rows.remove(TABLE);
        assert_eq!((rows.now(TABLE), rows.at(TABLE, 0)), (0, 0));
    }
}
