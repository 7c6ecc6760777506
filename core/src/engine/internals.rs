//! What the suites of isolation and of schedules reach of an open database. Not an interface.

use super::Engine;
use crate::base::error::Result;

/// Rounds of the clock without an eviction after which everything that can leave has left: a leaf's heat
/// falls by one in each.
const FRUITLESS_ROUNDS_MAX: usize = 10;

impl Engine {
    /// Evicts every page that can leave memory now, and says how many did.
    ///
    /// # Errors
    /// What writing pages gives.
    pub fn evict_all(&self) -> Result<usize> {
        let (mut evicted, mut fruitless) = (0, 0);
        while fruitless < FRUITLESS_ROUNDS_MAX {
            let step = self.inner.evict_step()?;
            evicted += step.evicted;
            if step.evicted > 0 {
                fruitless = 0;
            } else {
                fruitless += usize::from(step.went_round);
            }
        }
        Ok(evicted)
    }

    /// From now on a transaction writes over what was committed after its snapshot was taken: a negative
    /// control for whoever judges histories.
    pub fn leave_conflict_check_out(&self) {
        self.inner.shared.transactions.leave_conflict_check_out();
    }
}
