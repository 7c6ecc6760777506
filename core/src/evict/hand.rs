//! The hand of the clock: where it is, and which leaves it looks for.
//!
//! Cold ones, as a rule. Where pages are not too many, but scattered over more page memory than they need, those in
//! sparse spans, so that the spans become free: first in the emptiest, then in all of which a quarter is free, for
//! the emptiest may hold what is no leaf. Cold ones again when a whole round of that freed next to nothing, until
//! there is more spare room than it left. So whoever waits for room never waits for a search that finds none.

use super::balance::{Balance, Remnants};
use crate::base::stats::Stats;
use crate::btree::{Fold, Swept, Tree, Which};
use crate::cache::Cache;
use crate::memory::Sparse;
use crate::sync::Arc;

/// How many leaves one step takes at most; fewer where they are large beside the cache.
const BATCH_LEAVES: usize = 16;

/// Rounds after which a leaf is cold that nobody used meanwhile, however hot it was.
pub const ROUNDS_LEAST: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hand {
    tree: usize,
    key: Vec<u8>,
    /// Which spans are emptied where pages are scattered.
    sparse: Sparse,
    /// The bytes of spans that had become free when this round began.
    freed_bytes_before: u64,
    /// The spare room that was left when whole rounds had emptied what they could.
    slack_bytes_left: u64,
    /// How many rounds that looked for cold leaves have ended since a page left memory.
    rounds_in_vain: usize,
    balance: Balance,
}

/// Where a step of the hand came to.
pub(super) struct Reached {
    pub tree: Arc<Tree>,
    /// The key that the step began at.
    pub from: Vec<u8>,
    /// What it looked for.
    pub which: Which,
    pub swept: Swept,
    /// Which leaves may be folded to leave.
    pub fold: Fold,
    /// Whether rows of each leaf that leaves may stay, or only of few.
    pub may_rows_stay: bool,
    /// Whether it came to the end of the last tree.
    pub is_end: bool,
}

impl Hand {
    /// Moves over some leaves of `trees`; none where there are no trees.
    pub fn advance(&mut self, trees: &[Arc<Tree>]) -> Option<Reached> {
        let number = if self.tree < trees.len() { self.tree } else { 0 };
        let tree = Arc::clone(trees.get(number)?);
        let from = std::mem::take(&mut self.key);
        let cache = &tree.shared().cache;
        let which = self.which(cache);
        // What a snapshot or a rollback needs cannot leave, but other versions beside it can. What stays takes
        // other memory, so not for ever.
        let may_grow = cache.bytes_used() <= cache.bytes_max();
        let is_stuck = self.rounds_in_vain >= ROUNDS_LEAST;
        let fold = if is_stuck && may_grow { Fold::IfChanged } else { Fold::ToWhole };
        let mut swept = tree.sweep(&from, which, BATCH_LEAVES, cache.batch_bytes());
        self.balance.note(swept.seen);
        let may_rows_stay = self.balance.is_for_all();
        let next = swept.next.take();
        let is_end = next.is_none() && number + 1 == trees.len();
        self.tree = (number + usize::from(next.is_none())) % trees.len();
        self.key = next.unwrap_or_default();
        if is_end {
            self.end_round(which, cache, &tree.shared().stats);
        }
        Some(Reached { tree, from, which, swept, fold, may_rows_stay, is_end })
    }

    /// A page left memory.
    pub fn note_evicted(&mut self) {
        self.rounds_in_vain = 0;
    }

    /// Which leaves a step looks for.
    fn which(&mut self, cache: &Cache) -> Which {
        let slack_bytes = cache.slack_bytes();
        self.slack_bytes_left = self.slack_bytes_left.min(slack_bytes);
        let is_more = slack_bytes >= self.slack_bytes_left + cache.batch_bytes();
        if is_more && cache.is_scattered() {
            return Which::In(self.sparse);
        }
        // Where no leaf leaves for a whole round, rows must, and soon.
        let remnant_rounds = if self.rounds_in_vain > 1 { 1 } else { self.balance.rounds() };
        Which::Cold { remnant_rounds }
    }

    /// A round has ended, whose last step looked for `which`.
    fn end_round(&mut self, which: Which, cache: &Cache, stats: &Stats) {
        let freed_bytes = cache.memory().map_or(0, |memory| memory.freed_bytes());
        let freed_bytes =
            freed_bytes - std::mem::replace(&mut self.freed_bytes_before, freed_bytes);
        match which {
            Which::Cold { .. } => {
                self.rounds_in_vain += 1;
                let made = stats.remnants_left.get() + stats.rows_read_alone.get();
                let reads = stats.remnant_reads.get();
                if self.balance.end_round(Remnants { made, reads }) {
                    cache.set_prefers_rows(self.balance.prefers_rows());
                }
            }
            Which::In(_) if freed_bytes >= cache.batch_bytes() => {}
            Which::In(Sparse::Emptiest) => self.sparse = Sparse::Quarter,
            Which::In(Sparse::Quarter) => {
                self.sparse = Sparse::Emptiest;
                self.slack_bytes_left = cache.slack_bytes();
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::cache::Charge;
    use crate::memory::Block;

    /// Spare room that cannot be emptied is searched twice, and then only when there is more of it: who waits for room
    /// gets it from cold leaves.
    #[test]
    fn emptying_in_vain_ends() {
        let cache = Arc::new(Cache::new(64 << 20));
        let Some(memory) = cache.memory() else { return };
        let blocks: Vec<Block> = (0..3000).map(|_| Block::new(Some(memory), 16 << 10)).collect();
        let (mut kept, gone): (Vec<_>, Vec<_>) =
            blocks.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
        drop(gone);
        let _charge = Charge::new(&cache, 40 << 20);
        let mut hand = Hand::default();
        let mut round = || {
            let which = hand.which(&cache);
            hand.end_round(which, &cache, &Stats::default());
            which
        };
        let emptiest = Which::In(Sparse::Emptiest);
        assert!(cache.is_scattered());
        assert_eq!([round(), round()], [emptiest, Which::In(Sparse::Quarter)]);
        assert!([round(), round()].iter().all(|which| matches!(which, Which::Cold { .. })));
        kept.retain(|(number, _)| number % 4 == 0);
        assert_eq!(round(), emptiest, "there is more now");
        kept.retain(|(number, _)| number % 16 != 0);
        assert_eq!(round(), Which::In(Sparse::Quarter), "no span became free");
        kept.truncate(100);
        assert!(hand.which(&cache) != emptiest);
    }
}
