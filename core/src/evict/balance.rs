//! How long rows stay without their leaf: memory for them is memory that leaves do not have.
//!
//! Each round of the clock counts, for each byte and round, what the memory was good for that both kinds would have given
//! up next: of the rows that had not been read in the round before, how many were now; of the leaves that would have
//! left, how many rows were read that had not been, and whether they were needed for more. It also counts how often a
//! remnant was read before it went. Where a byte of remnants was good for more than one of leaves,
//! and making them was not in vain, rows stay for twice as long, else for half; in the end only those of a few leaves
//! stay, which show whether that has changed. Those stay for some rounds: what one would show of rows that are read in
//! every third is that they are not worth it.
//!
//! While rows stay for as long as they can, what is read in for a row is that row, and its leaf only where it is one of
//! the few. (To let what the two parts of a cache give decide their sizes is the idea of ARC:
//! Megiddo and Modha, FAST 2003.)

use crate::btree::Seen;

/// The most rounds of the clock that make one for the rows of a remnant.
const ROUNDS_MAX: u8 = 8;
/// The same for the rows of the few leaves that show whether it should be so again.
const ROUNDS_OF_SAMPLE: u8 = 4;
/// A remnant for each so many of which is read once is worth making: that takes a part of what a read saves.
const READS_LEAST_ONE_IN: u64 = 4;
/// So many bytes times rounds of both say something.
const BYTES_LEAST: u64 = 64 << 10;

/// Counters of the database, which only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remnants {
    /// How many were left of leaves, and how many rows came alone.
    pub made: u64,
    /// How often one had the row that was wanted.
    pub reads: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Balance {
    seen: Seen,
    /// As of when it was last decided.
    remnants: Remnants,
    /// At first as many as can be. None: only the rows of a few leaves stay.
    rounds: u8,
}

impl Default for Balance {
    fn default() -> Self {
        Self { seen: Seen::default(), remnants: Remnants::default(), rounds: ROUNDS_MAX }
    }
}

impl Balance {
    /// A step of the clock has seen this.
    pub fn note(&mut self, seen: Seen) {
        self.seen.leaves += seen.leaves;
        self.seen.remnants += seen.remnants;
    }

    /// A round has ended, and the counters say this. True if that was enough to decide.
    pub fn end_round(&mut self, now: Remnants) -> bool {
        let Seen { leaves, remnants } = self.seen;
        if remnants.bytes.min(leaves.bytes) < BYTES_LEAST {
            return false;
        }
        self.seen = Seen::default();
        let before = std::mem::replace(&mut self.remnants, now);
        let (made, reads) = (now.made - before.made, now.reads - before.reads);
        // Reads a byte, as products.
        let of_remnants = u128::from(remnants.reads) * u128::from(leaves.bytes);
        let of_leaves = u128::from(leaves.reads) * u128::from(remnants.bytes);
        if of_remnants > of_leaves && reads * READS_LEAST_ONE_IN >= made {
            self.rounds = (self.rounds() * 2).min(ROUNDS_MAX);
        } else {
            self.rounds /= 2;
        }
        true
    }

    /// How many rounds of the clock make one for the rows of a remnant.
    pub fn rounds(&self) -> u8 {
        if self.is_for_all() { self.rounds } else { ROUNDS_OF_SAMPLE }
    }

    /// Whether rows are worth so much more than leaves that what is read in for a row should be that row.
    pub fn prefers_rows(&self) -> bool {
        self.rounds == ROUNDS_MAX
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
        let Remnants { made, reads } = balance.remnants;
        balance.end_round(Remnants { made: made + 100, reads: reads + read });
        balance.rounds
    }

    #[test]
    fn rows_stay_for_as_long_as_they_are_worth_their_memory() {
        let (cold, hot) = ((100, 4 << 20), (200, 4 << 20));
        let mut balance = Balance::default();
        assert!(balance.prefers_rows());
        let down: Vec<u8> = (0..5).map(|_| after(&mut balance, hot, cold, 100)).collect();
        assert_eq!(down, [4, 2, 1, 0, 0]);
        assert!(!balance.is_for_all() && balance.rounds() == ROUNDS_OF_SAMPLE);
        let up: Vec<u8> = (0..2).map(|_| after(&mut balance, cold, hot, 100)).collect();
        assert_eq!(up, [8, 8]);
        assert!(balance.is_for_all() && balance.prefers_rows());
        assert_eq!(after(&mut balance, cold, hot, 10), 4, "few were read before they went");
        assert!(balance.is_for_all() && !balance.prefers_rows());
    }

    #[test]
    fn too_little_says_nothing_until_it_adds_up() {
        let mut balance = Balance::default();
        let few = (0, BYTES_LEAST / 2);
        assert_eq!(after(&mut balance, (100, 4 << 20), few, 100), ROUNDS_MAX);
        assert_eq!(after(&mut balance, (100, 4 << 20), few, 100), ROUNDS_MAX / 2);
    }
}
