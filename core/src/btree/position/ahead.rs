//! Reading ahead of a walk.
//!
//! A walk over leaves that are not in memory waits for the disk at each, though their parent names those that
//! come next. So a walk that has waited for the disk announces them: two at first, then twice as many each time,
//! as systems do for files that are read in order, which a tree's leaves seldom are. What the system's own cache
//! holds comes too fast for that; there announcing is all cost. The leaves come into the system's cache, not into
//! ours, so that a walk which ends early has pushed nothing out.

use std::time::{Duration, Instant};

use super::Way;
use crate::base::error::Result;
use crate::btree::{Target, Tree};
use crate::page::PinnedLeaf;

/// A leaf that takes so long to read in comes from the disk.
const DISK_TAKES: Duration = Duration::from_micros(40);
/// So many leaves are announced first.
const LEAVES_FIRST: usize = 2;
/// At most so many are announced, and not read in yet.
const LEAVES_MOST: usize = 32;

/// How far ahead of a walk leaves were announced.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How many leaves behind the one where the walk is.
    announced: usize,
    /// How many there are to be; none until the walk has waited for the disk.
    wanted: usize,
}

impl Ahead {
    /// Pins the leaf that comes next on the walk: the one that `target` names.
    pub(super) fn find_leaf(
        &mut self,
        tree: &Tree,
        target: Target<'_>,
        way: Way,
        pin: &mut PinnedLeaf,
    ) -> Result<()> {
        self.announced = self.announced.saturating_sub(1);
        if tree.find_leaf_in_cache(target, pin) {
            return Ok(());
        }
        // Before the wait for this one: the disk has them meanwhile.
        self.announce(tree, target, way);
        let start = Instant::now();
        tree.find_leaf(target, pin)?;
        // A checker of schedules repeats a run step by step; what a clock says is not repeated.
        let is_timed = !cfg!(any(loom, shuttle));
        if is_timed && self.wanted == 0 && start.elapsed() >= DISK_TAKES {
            self.wanted = LEAVES_FIRST;
            self.announce(tree, target, way);
        }
        Ok(())
    }

    /// Announces what is wanted and was not yet, once that is half of it.
    fn announce(&mut self, tree: &Tree, target: Target<'_>, way: Way) {
        if self.announced * 2 > self.wanted || self.wanted == 0 {
            return;
        }
        self.announced =
            tree.announce(target, way == Way::Backward, self.announced + 1..self.wanted + 1);
        self.wanted = (self.wanted * 2).min(LEAVES_MOST);
    }
}
