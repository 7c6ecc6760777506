//! Reconcile: an image and what changed since become new images.
//!
//! [`fold`] makes what takes a leaf's place in memory, one leaf or several; [`image_under`] makes
//! what a checkpoint writes of a leaf that cannot be folded whole; [`index_image`] makes what it
//! writes of an internal page. Pure functions of a page and of who may still look at it: no tree,
//! no file, no lock.
#![forbid(unsafe_code)]

mod fold;
mod image;
mod rows;

pub use fold::{FoldRules, Folded, FoldedLeaf, fold};
pub use image::{ChildCell, image_under, index_image, part_slot, part_slots, slots_of};
