//! Drawing a row, each with the same chance, however skewed the tree.
//!
//! Row counts sit in the parents: what is clean says exactly how many rows it has, without being
//! read. What is dirty is counted anew, down to its leaves, which are in memory; a leaf in memory counts as
//! many places as it has slots and entries, and a drawn place that no visible row has is no draw. So
//! each row has one chance in the sum of all places, the same for all.

use super::{Target, Tree};
use crate::base::error::Result;
use crate::page::{PageRef, PinnedLeaf, State};
use crate::sync::epoch::{self, Guard};

/// A place that was drawn: the row with this number, if there is one, of the leaf with these keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The smallest key that may be on the leaf.
    pub low: Vec<u8>,
    /// The smallest key that is beyond it.
    pub high: Option<Vec<u8>>,
    /// How many rows of the leaf are in front of the place.
    pub number: u64,
}

/// Where a draw ended.
enum Draw {
    On(Drawn),
    /// The page of this key must be read in first.
    Unread(Vec<u8>),
    Nothing,
}

impl Tree {
    /// Draws a place; `ticket` is any number, each with the same chance. None in an empty tree.
    ///
    /// # Errors
    /// What reading an internal page gives.
    pub fn draw(&self, ticket: u64) -> Result<Option<Drawn>> {
        let mut pin = self.shared.new_pin();
        loop {
            match self.draw_in_memory(ticket, &mut pin) {
                Draw::On(drawn) => return Ok(Some(drawn)),
                Draw::Nothing => return Ok(None),
                // The same ticket again: another one would prefer what is in memory.
                Draw::Unread(key) => self.find_leaf(Target::At(&key), &mut pin)?,
            }
        }
    }

    fn draw_in_memory(&self, ticket: u64, pin: &mut PinnedLeaf) -> Draw {
        let guard = epoch::pin();
        let all = places(&self.root, pin, &guard);
        if all == 0 {
            return Draw::Nothing;
        }
        // Below `all`, because the ticket is below 2^64.
        let mut number = ((u128::from(ticket) * u128::from(all)) >> 64) as u64;
        let mut drawn = Drawn { low: Vec::new(), high: None, number: 0 };
        let mut reference: &PageRef = &self.root;
        loop {
            let index = match reference.state(&guard) {
                State::Index(index) => index,
                State::Disk if reference.level() > 0 => return Draw::Unread(drawn.low),
                _ => return Draw::On(Drawn { number, ..drawn }),
            };
            let last = index.child_count() - 1;
            let mut slot = 0;
            loop {
                let here = places(index.child(slot), pin, &guard);
                // Rows may have gone since they were counted: then it is the last child's turn.
                if number < here || slot == last {
                    break;
                }
                number -= here;
                slot += 1;
            }
            if slot > 0 {
                index.separator_into(slot, &mut drawn.low);
            }
            if slot < last {
                index.separator_into(slot + 1, drawn.high.get_or_insert_default());
            }
            reference = index.child(slot);
        }
    }
}

/// How many places are below `reference`: not less than its rows, and exactly that where it is clean.
fn places(reference: &PageRef, pin: &mut PinnedLeaf, guard: &Guard) -> u64 {
    while reference.is_dirty() {
        match reference.state(guard) {
            State::Index(index) => {
                let children = (0..index.child_count()).map(|slot| index.child(slot));
                return children.map(|child| places(child, pin, guard)).sum();
            }
            State::Leaf(_) if pin.pin(reference) => {
                let leaf = pin.leaf();
                return leaf.map_or(0, |leaf| leaf.image().len() + leaf.entry_count()) as u64;
            }
            // It is being replaced just now.
            State::Leaf(_) => {}
            State::Disk | State::Remnant | State::Loading | State::Dead => break,
        }
    }
    reference.home().rows
}
