//! Hazard pointers: how a page is freed while readers that hold no lock may still be on it.
//!
//! A [`HazardDomain`] belongs to one open database. Each position owns [`HazardSlot`]s; a slot
//! names at most one object, and what a slot names is not freed. A slot may stay set for as long
//! as its owner likes: it keeps one object, and stops nobody else's from being freed.
//!
//! **The reader**, for a word (an atomic that leads to the object):
//! 1. reads the word;
//! 2. publishes the pointer it found in its slot ([`HazardSlot::publish`], which ends in a fence);
//! 3. reads the word again, and touches the object only if the word is unchanged.
//!
//! **Whoever evicts or replaces the object:**
//! 1. changes the word;
//! 2. hands the object to [`HazardDomain::retire`];
//! 3. some retirement later, a scan issues a fence, reads every slot, and frees what none names.
//!
//! Why this is enough: the two fences have an order. If the reader's comes first, the scan sees
//! the slot and keeps the object. If the scan's comes first, the reader's second look sees the
//! changed word and the object is not touched. Without either fence both can look too early, and
//! `loom-tests` shows it (models 1 and 2).
//!
//! A word that changed away and back to the same pointer is no danger: the second look acquires
//! what the last store to the word released, so the reader sees the object that is there now.
//!
//! **Never copy a hazard** from one slot to another without step 3: a scan may read the target
//! before the copy and the source after it was cleared. Hand over the slot itself instead; it is
//! an owned value and may move between threads.
//!
//! This layer knows neither pages nor transactions. Structures that are replaced often and held
//! for one operation at most go by `sync::epoch` instead.

mod domain;
mod fences;
mod registry;
mod slot;
#[cfg(all(test, not(loom)))]
mod stress;

pub use domain::HazardDomain;
pub use fences::Fences;
pub use slot::HazardSlot;
