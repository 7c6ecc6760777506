//! What one reader wanted lately that was not in memory: hints whether a row should come without its leaf.

use crate::block::UNIT_BYTES;

/// So many leaves are remembered: a reader may go through some tables, or some ranges, in turn.
const LEAVES: usize = 4;
/// So many rows come with their leaf when one had come without it in vain; the next shows whether that would still be so.
const ROWS_WITH_LEAF: u8 = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Misses {
    /// Where the leaves are in the data file whose rows came alone last, in units; zero for none. Two of a file that is
    /// larger than these numbers may be taken for one.
    alone: [u32; LEAVES],
    oldest: u8,
    /// How many rows from now on come with their leaf.
    with_leaf: u8,
}

impl Misses {
    /// A row is wanted of the leaf at `offset`; true if that should come, too, for one of the last rows was of the same
    /// leaf, or others turned out to be read for a write.
    pub fn row_wants_leaf(&mut self, offset: u64) -> bool {
        if self.with_leaf > 0 {
            self.with_leaf -= 1;
            return true;
        }
        if self.alone.contains(&unit_of(offset)) {
            return true;
        }
        self.alone[usize::from(self.oldest) % LEAVES] = unit_of(offset);
        self.oldest = self.oldest.wrapping_add(1);
        false
    }

    /// The leaf at `offset` is wanted. Where a row of it had just come alone, its block is read a second time: who reads a
    /// row and replaces it, or goes on from there, wants the leaf at once.
    pub fn leaf_is_wanted(&mut self, offset: u64) {
        if self.alone.contains(&unit_of(offset)) {
            self.with_leaf = ROWS_WITH_LEAF;
        }
    }
}

fn unit_of(offset: u64) -> u32 {
    (offset / UNIT_BYTES) as u32
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn rows_of_leaves_in_turn_bring_them() {
        let mut misses = Misses::default();
        let mut wants = |unit: u64| misses.row_wants_leaf(unit * UNIT_BYTES);
        assert_eq!([1, 2, 3, 4].map(&mut wants), [false; 4]);
        assert_eq!([1, 2, 3, 4].map(&mut wants), [true; 4]);
        assert_eq!([5, 1, 2].map(&mut wants), [false; 3], "only the last are remembered");
    }

    #[test]
    fn rows_that_are_read_for_a_write_bring_their_leaves() {
        let mut misses = Misses::default();
        misses.leaf_is_wanted(UNIT_BYTES);
        assert!(!misses.row_wants_leaf(UNIT_BYTES), "no row had come without its leaf");
        misses.leaf_is_wanted(UNIT_BYTES);
        let wants = |unit: &u64| misses.row_wants_leaf(unit * UNIT_BYTES);
        let with_leaf = (2..100).take_while(wants).count();
        assert_eq!(with_leaf, usize::from(ROWS_WITH_LEAF));
    }
}
