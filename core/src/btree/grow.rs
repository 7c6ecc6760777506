//! Splitting: several pages in place of one, from the leaves up to a new root.
//!
//! Bottom-up, with one swap of the parent's index: a descending reader sees the old index and the old
//! page, or the new index and the new pages, and starts again if it meets a dead reference.

use std::ptr::NonNull;

use super::{Structure, Tree};
use crate::base::error::Result;
use crate::format::{PageImage, SHARED_BYTES_MAX};
use crate::page::{
    Index, Latched, PageRef, State, bury_index, new_index_reference, new_leaf_reference,
    replace_index,
};
use crate::reconcile::{FoldedLeaf, part_slot, slots_of};
use crate::sync::epoch::{self, Guard};
use crate::sync::is_left_out;

/// An internal page is not split below this many children: keys may be huge.
const CHILDREN_LEAST: usize = 4;

/// Pages that take one page's place: each one's reference, and the keys that part them.
pub(super) struct Parts {
    pub(super) references: Vec<NonNull<PageRef>>,
    /// One less than the references.
    pub(super) separators: Vec<Box<[u8]>>,
    /// Less than the first separator, and not less than what parts the page from the one before it.
    pub(super) low: Box<[u8]>,
}

impl Tree {
    /// Puts `leaves`, two or more, in the latched leaf's place.
    pub(super) fn split(&self, latched: Latched<'_>, leaves: Vec<FoldedLeaf<'_>>) -> Result<()> {
        let low = latched.leaf().range().low.clone();
        let mut parts = Parts { references: Vec::new(), separators: Vec::new(), low: low.clone() };
        for (number, folded) in leaves.into_iter().enumerate() {
            if number > 0 {
                parts.separators.push(folded.range.low.clone());
            }
            let serial = self.next_serial();
            parts.references.push(new_leaf_reference(serial, |home| self.leaf_from(folded, home)));
        }
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let Some(home) = latched.home() else { return Ok(()) };
        let old_address = home.home().address;
        // Before any index leads past it; see `kill`.
        if !is_left_out!(KillAfterWord) {
            latched.kill();
        }
        let path = self.path_to(home, &low, &guard);
        path.iter().for_each(|reference| reference.set_dirty(true));
        if path.is_empty() {
            let index = self.index_over(parts);
            self.root_grew(&structure);
            latched.replace_with_index(index, &self.shared.hazards);
        } else {
            self.part_child(&path, home, parts, &guard, &structure);
            latched.bury(&self.shared.hazards, &guard);
        }
        drop(structure);
        match old_address {
            Some(address) => self.shared.blocks.free_page(&address),
            None => Ok(()),
        }
    }

    /// The references from the root down to, and without, `reference`, which is where `key`
    /// belongs and is in memory.
    pub(super) fn path_to<'g>(
        &'g self,
        reference: &PageRef,
        key: &[u8],
        guard: &'g Guard,
    ) -> Vec<&'g PageRef> {
        let mut path = Vec::new();
        let mut at: &PageRef = &self.root;
        while !std::ptr::eq(at, reference) {
            let State::Index(index) = at.state(guard) else {
                panic!("the way to a page in memory leads through indexes in memory")
            };
            path.push(at);
            at = index.child(index.find(key));
        }
        path
    }

    /// The root is about to get a level more: it is another page on disk than it was.
    fn root_grew(&self, _structure: &Structure<'_>) {
        let mut home = self.root.home();
        home.address = None;
        home.written = 0;
        home.serial = self.next_serial();
        self.root.set_home(home);
        self.root.set_level(self.root.level() + 1);
        self.root.set_dirty(true);
    }

    fn index_over(&self, parts: Parts) -> Box<Index> {
        let first: Box<[u8]> = Box::default();
        let keys: Vec<_> =
            std::iter::once(first).chain(parts.separators).map(|key| (key, None)).collect();
        let image = crate::reconcile::index_image(&keys);
        self.new_index(image, parts.references.into_boxed_slice())
    }

    /// Puts `parts` in place of `child` in the last index of `path`, which is split in its turn
    /// when it grows too large.
    fn part_child(
        &self,
        path: &[&PageRef],
        child: &PageRef,
        parts: Parts,
        guard: &Guard,
        structure: &Structure<'_>,
    ) {
        let Some((parent, above)) = path.split_last() else { return };
        let State::Index(index) = parent.state(guard) else { return };
        let Some(at) = index.position(child) else { return };
        let image = part_slot(index.image(), at, &parts.low, &parts.separators);
        let mut children = index.children().to_vec();
        children.splice(at..=at, parts.references);
        let too_large = image.bytes_len() > self.options.internal_bytes_max as usize
            || image.prefix().len() * image.len() > SHARED_BYTES_MAX;
        if !too_large || children.len() < CHILDREN_LEAST {
            replace_index(parent, self.new_index(image, children.into()), guard);
            return;
        }
        let parts = self.cut_index(at, parent.level(), &image, children);
        let old_address = parent.home().address;
        if above.is_empty() {
            self.root_grew(structure);
            replace_index(parent, self.index_over(parts), guard);
        } else {
            // Both parts get references of their own: a descent that read the index above before
            // the swap would look for keys of the right part under a reference that kept the left.
            self.part_child(above, parent, parts, guard, structure);
            bury_index(parent, false, guard);
        }
        self.forget_block(old_address);
    }

    /// Cuts an internal page that got too large at child `at` into two.
    fn cut_index(
        &self,
        at: usize,
        level: u8,
        image: &PageImage,
        mut children: Vec<NonNull<PageRef>>,
    ) -> Parts {
        let middle = split_point(at, children.len());
        let (mut low, mut separator) = (Vec::new(), Vec::new());
        image.key_into(0, &mut low);
        image.key_into(middle, &mut separator);
        let right = children.split_off(middle);
        let part = |slots: std::ops::Range<usize>, children: Vec<NonNull<PageRef>>| {
            let index = self.new_index(slots_of(image, &[slots]), children.into());
            new_index_reference(self.next_serial(), level, index)
        };
        let references = vec![part(0..middle, children), part(middle..image.len(), right)];
        Parts { references, separators: vec![separator.into()], low: low.into() }
    }

    /// Frees the block of a page that was replaced. That its space is in use was known when it was
    /// read, so what could go wrong is said by the next `verify`, and the space is lost till then.
    pub(super) fn forget_block(&self, address: Option<crate::block::Address>) {
        if let Some(address) = address
            && let Err(error) = self.shared.blocks.free_page(&address)
        {
            tracing::warn!(%error, "a replaced page's block could not be freed");
        }
    }
}

/// Where to cut an index that got too large at child `at`: in the middle, but behind the others when
/// keys arrive in order.
fn split_point(at: usize, len: usize) -> usize {
    if at + 2 >= len { len - len / 16 - 1 } else { len / 2 }
}
