//! How long rows stay that are left of leaves: memory for them is memory that leaves do not have.
//!
//! Each round of the clock counts what was read of both, for each byte and round that it lay in memory, and how often a
//! remnant was read before it went. Where a byte of remnants was read more often than one of leaves, and making them
//! was not in vain, rows stay for twice as long, else for half; in the end only those of a few leaves stay, which
//! show whether that has changed. Those stay for as long as all do at first: what one round would show of rows that
//! are read in every third is that they are not worth it. (To let what the two parts of a cache give decide their
//! sizes is the idea of ARC: Megiddo and Modha, FAST 2003.)

use crate::btree::Seen;

/// The most rounds of the clock that make one for the rows of a remnant.
const ROUNDS_MAX: u8 = 8;
/// As long as nothing is known, and for those that show whether it has changed.
const ROUNDS_FIRST: u8 = 4;
/// A remnant for each so many of which is read once is worth making: that takes a part of what a read saves.
const READS_LEAST_ONE_IN: u64 = 4;
/// So many bytes times rounds of remnants say something.
const BYTES_LEAST: u64 = 64 << 10;

/// Counters of the database, which only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remnants {
    /// How many were left of leaves.
    pub left: u64,
    /// How often one had the row that was wanted.
    pub reads: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Balance {
    seen: Seen,
    /// As of when it was last decided.
    remnants: Remnants,
    /// None: only the rows of a few leaves stay.
    rounds: u8,
}

impl Default for Balance {
    fn default() -> Self {
        Self { seen: Seen::default(), remnants: Remnants::default(), rounds: ROUNDS_FIRST }
    }
}

impl Balance {
    /// A step of the clock has seen this.
    pub fn note(&mut self, seen: Seen) {
        self.seen.leaves += seen.leaves;
        self.seen.remnants += seen.remnants;
    }

    /// A round has ended, and the counters say this.
    pub fn end_round(&mut self, now: Remnants) {
        let Seen { leaves, remnants } = self.seen;
        if remnants.bytes < BYTES_LEAST {
            return;
        }
        self.seen = Seen::default();
        let before = std::mem::replace(&mut self.remnants, now);
        let (left, reads) = (now.left - before.left, now.reads - before.reads);
        // Reads a byte, as products.
        let of_remnants = u128::from(remnants.reads) * u128::from(leaves.bytes);
        let of_leaves = u128::from(leaves.reads) * u128::from(remnants.bytes);
        if of_remnants > of_leaves && reads * READS_LEAST_ONE_IN >= left {
            self.rounds = (self.rounds() * 2).min(ROUNDS_MAX);
        } else {
            self.rounds /= 2;
        }
    }

    /// How many rounds of the clock make one for the rows of a remnant.
    pub fn rounds(&self) -> u8 {
        if self.is_for_all() { self.rounds } else { ROUNDS_FIRST }
    }

    /// Whether rows of each leaf may stay, or only of few.
    pub fn is_for_all(&self) -> bool {
        self.rounds > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Uses;

    fn after(balance: &mut Balance, leaves: (u64, u64), remnants: (u64, u64), read: u64) -> u8 {
        let uses = |(reads, bytes)| Uses { reads, bytes };
        balance.note(Seen { leaves: uses(leaves), remnants: uses(remnants) });
        let Remnants { left, reads } = balance.remnants;
        balance.end_round(Remnants { left: left + 100, reads: reads + read });
        balance.rounds
    }

    #[test]
    fn rows_stay_for_as_long_as_they_are_worth_their_memory() {
        let (cold, hot) = ((100, 4 << 20), (200, 4 << 20));
        let mut balance = Balance::default();
        let down: Vec<u8> = (0..4).map(|_| after(&mut balance, hot, cold, 100)).collect();
        assert_eq!(down, [2, 1, 0, 0]);
        assert!(!balance.is_for_all() && balance.rounds() == ROUNDS_FIRST);
        let up: Vec<u8> = (0..2).map(|_| after(&mut balance, cold, hot, 100)).collect();
        assert_eq!(up, [8, 8]);
        assert!(balance.is_for_all() && balance.rounds() == 8);
        assert_eq!(after(&mut balance, cold, hot, 10), 4, "few were read before they went");
    }

    #[test]
    fn too_little_says_nothing_until_it_adds_up() {
        let mut balance = Balance::default();
        let few = (0, BYTES_LEAST / 2);
        assert_eq!(after(&mut balance, (100, 4 << 20), few, 100), 4);
        assert_eq!(after(&mut balance, (100, 4 << 20), few, 100), 2);
    }
}
