//! Merging neighbouring leaves: full pages in place of more that are not.
//!
//! For compaction. What is built comes from the leaves' immutable images, before any lock is taken;
//! then all of them are latched, and if nothing changed meanwhile the new leaves go in with one swap
//! of the parent's index, as in a split. The first latch is waited for, the others only tried, so
//! that latches need no order among each other.

use super::{Target, Tree};
use crate::base::error::Result;
use crate::base::options::Compression;
use crate::format::{
    BuilderCapacity, PageBuilder, PageImage, PageKind, SHARED_BYTES_MAX, common_prefix, separator,
};
use crate::page::{
    Latched, Leaf, LeafRange, PageRef, PinnedLeaf, State, new_leaf_reference, replace_index,
};
use crate::reconcile::{FoldedLeaf, part_slots};
use crate::sync::epoch::{self, Guard};

/// How many leaves are merged at once at most. With this many, leaves that are 97 % full gain
/// nothing.
const WINDOW_LEAVES: usize = 32;

/// What one step of merging did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Where the next step begins; none at the end of the tree.
    pub next: Option<Vec<u8>>,
    /// How many leaves there are less.
    pub leaves_gone: usize,
    /// The bytes of the images that were built, and have to be written now.
    pub built_bytes: usize,
}

/// Neighbouring leaves below one index.
struct Window {
    /// Where the keys of each begin, in order.
    lows: Vec<Vec<u8>>,
    /// The bytes of their images, where that is known without reading them.
    known_bytes: Option<usize>,
    /// The first key behind them, if there is any.
    next: Option<Vec<u8>>,
}

impl Tree {
    /// Looks at some leaves from the one of `from` on, and merges them if that makes fewer.
    ///
    /// # Errors
    /// What reading pages gives, and freeing the blocks of the old ones.
    pub fn merge_leaves(&self, from: &[u8]) -> Result<Merged> {
        let mut pin = self.shared().new_pin();
        // Also brings the indexes above into memory, and keeps them there.
        self.find_leaf(Target::At(from), &mut pin)?;
        let Some(window) = self.window(from) else {
            let high = pin.leaf().and_then(|leaf| leaf.range().high.as_deref());
            return Ok(Merged { next: high.map(<[u8]>::to_vec), ..Merged::default() });
        };
        drop(pin);
        let nothing = Merged { next: window.next.clone(), ..Merged::default() };
        let bytes_max = self.options().leaf_bytes_max as usize;
        let gains = |bytes: usize| bytes.div_ceil(bytes_max) < window.lows.len();
        if window.lows.len() < 2 || window.known_bytes.is_some_and(|bytes| !gains(bytes)) {
            return Ok(nothing);
        }
        let (pins, changes) = self.pin_settled(&window.lows)?;
        if pins.len() < 2 {
            let behind = window.lows.get(pins.len() + 1).cloned();
            return Ok(Merged { next: behind.or(window.next), ..Merged::default() });
        }
        let leaves: Vec<&Leaf> = pins.iter().filter_map(PinnedLeaf::leaf).collect();
        if !follow_each_other(&leaves) {
            // Something was split or removed while they were pinned.
            return Ok(nothing);
        }
        let Some(built) = build(&leaves, bytes_max).filter(|built| built.len() < leaves.len())
        else {
            return Ok(nothing);
        };
        let leaves_gone = leaves.len() - built.len();
        let built_bytes = built.iter().map(|folded| folded.image.bytes_len()).sum();
        // The last one may have room for what follows.
        let last_low = built.last().map(|folded| folded.range.low.to_vec());
        let has_next =
            pins.last().and_then(PinnedLeaf::leaf).and_then(|leaf| leaf.range().high.as_ref());
        let next = has_next.and(last_low);
        if !self.put_in_place(&leaves, &changes, built)? {
            return Ok(nothing);
        }
        Ok(Merged { next, leaves_gone, built_bytes })
    }

    /// The leaves from the one of `from` on, below one index, without full ones in front. None when
    /// the way there is not in memory, or there is no index.
    fn window(&self, from: &[u8]) -> Option<Window> {
        let guard = epoch::pin();
        let reference = self.reference_at(1, from, &guard)?;
        let State::Index(index) = reference.state(&guard) else { return None };
        let at = index.find(from);
        let bytes_max = self.options().leaf_bytes_max as usize;
        let is_full = |slot: &usize| {
            let bytes = self.image_bytes(index.child(*slot), &guard);
            bytes.is_some_and(|bytes| bytes >= bytes_max - bytes_max / 32)
        };
        // What a named checkpoint reaches would stay in the file beside what it is merged into.
        let is_kept = |slot: &usize| {
            let address = index.child(*slot).home().address;
            address.is_some_and(|address| self.shared().blocks.is_kept(&address))
        };
        let stays = |slot: &usize| is_full(slot) || is_kept(slot);
        let first = at + (at..index.child_count()).take_while(stays).count();
        let most = index.child_count().min(first + self.window_leaves());
        let end = first + (first..most).take_while(|slot| !is_kept(slot)).count();
        let begin_of = |slot: usize| {
            let mut low = from.to_vec();
            if slot > at {
                index.separator_into(slot, &mut low);
            }
            low
        };
        let mut window = Window { lows: Vec::new(), known_bytes: Some(0), next: None };
        for slot in first..end {
            window.lows.push(begin_of(slot));
            let bytes = self.image_bytes(index.child(slot), &guard);
            window.known_bytes = window.known_bytes.zip(bytes).map(|(sum, more)| sum + more);
        }
        window.next = match end < index.child_count() {
            true => Some(begin_of(end)),
            false => self.end_of_index(from, &guard),
        };
        Some(window)
    }

    /// How many leaves are merged at once: a part of the cache can hold them, before and after.
    fn window_leaves(&self) -> usize {
        let fit = self.shared().cache.bytes_max() / 8 / u64::from(self.options().leaf_bytes_max);
        usize::try_from(fit).unwrap_or(usize::MAX).clamp(2, WINDOW_LEAVES)
    }

    /// Where the keys of the lowest index on the way to `key` end.
    pub(super) fn end_of_index(&self, key: &[u8], guard: &Guard) -> Option<Vec<u8>> {
        let mut reference: &PageRef = &self.root;
        let mut range = LeafRange::default();
        while reference.level() > 1
            && let State::Index(index) = reference.state(guard)
        {
            let at = index.find(key);
            if at + 1 < index.child_count() {
                let mut high = Vec::new();
                index.separator_into(at + 1, &mut high);
                range.lower_high(&high);
            }
            reference = index.child(at);
        }
        range.high.map(Vec::from)
    }

    /// The size of a leaf's image, if that can be told without reading it.
    fn image_bytes(&self, reference: &PageRef, guard: &Guard) -> Option<usize> {
        match reference.state(guard) {
            State::Leaf(_) => {
                let mut pin = self.shared().new_pin();
                pin.pin(reference);
                pin.leaf().filter(|leaf| leaf.is_unchanged()).map(|leaf| leaf.image().bytes_len())
            }
            State::Disk | State::Remnant if self.options().compression == Compression::None => {
                Some(reference.home().address.map_or(0, |address| address.len_bytes() as usize))
            }
            _ => None,
        }
    }

    /// Pins the leaves of `lows`, each folded to an image that everybody sees, up to the first that
    /// cannot be. With each comes the count of its changes from before that was looked at: while it is
    /// the same, the image is all that there is.
    fn pin_settled(&self, lows: &[Vec<u8>]) -> Result<(Vec<PinnedLeaf>, Vec<u64>)> {
        let mut pins = Vec::with_capacity(lows.len());
        let mut counts = Vec::with_capacity(lows.len());
        for low in lows {
            let mut pin = self.shared().new_pin();
            self.find_leaf(Target::At(low), &mut pin)?;
            if pin.leaf().is_some_and(|leaf| !leaf.is_unchanged()) {
                if let Some(leaf) = pin.leaf() {
                    let latched = leaf.latch();
                    if latched.home().is_some() {
                        self.rebuild(latched)?;
                    }
                }
                self.find_leaf(Target::At(low), &mut pin)?;
            }
            let Some(changes) = pin.leaf().map(Leaf::changes) else { break };
            let oldest = self.shared().transactions.oldest();
            let settled = pin.leaf().is_some_and(|leaf| {
                leaf.is_unchanged() && leaf.cells_settled(oldest) && !leaf.is_dead()
            });
            if !settled {
                break;
            }
            pins.push(pin);
            counts.push(changes);
        }
        Ok((pins, counts))
    }

    /// Puts `built` in place of `leaves`, if they are as they were when they had so many `changes`.
    fn put_in_place(
        &self,
        leaves: &[&Leaf],
        changes: &[u64],
        built: Vec<FoldedLeaf<'_>>,
    ) -> Result<bool> {
        let mut latched: Vec<Latched<'_>> = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let next = if latched.is_empty() { Some(leaf.latch()) } else { leaf.try_latch() };
            let Some(next) = next else { return Ok(false) };
            latched.push(next);
        }
        let same = leaves.iter().zip(changes).all(|(leaf, changes)| leaf.changes() == *changes);
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let homes: Option<Vec<&PageRef>> = latched.iter().map(Latched::home).collect();
        let (Some(homes), Some(first), true) = (homes, leaves.first(), same) else {
            return Ok(false);
        };
        let Some(home) = homes.first() else { return Ok(false) };
        let path = self.path_to(home, &first.range().low, &guard);
        let Some(parent) = path.last() else { return Ok(false) };
        let State::Index(index) = parent.state(&guard) else { return Ok(false) };
        let Some(at) = index.position(home) else { return Ok(false) };
        let end = at + homes.len();
        let together = end <= index.child_count()
            && homes.iter().zip(at..end).all(|(home, slot)| std::ptr::eq(*home, index.child(slot)));
        if !together {
            return Ok(false);
        }
        let separators: Vec<Box<[u8]>> =
            built.iter().skip(1).map(|folded| folded.range.low.clone()).collect();
        let image = part_slots(index.image(), at..end, &first.range().low, &separators);
        let new = built.into_iter().map(|folded| {
            new_leaf_reference(self.next_serial(), |home| self.leaf_from(folded, home))
        });
        let mut children = index.children().to_vec();
        children.splice(at..end, new);
        let addresses: Vec<_> = homes.iter().filter_map(|home| home.home().address).collect();
        // Before any index leads past them; see `kill`.
        latched.iter().for_each(Latched::kill);
        replace_index(parent, self.new_index(image, children.into()), &guard);
        path.iter().for_each(|reference| reference.set_dirty(true));
        for old in latched {
            old.bury(&self.shared().hazards, &guard);
        }
        drop(structure);
        addresses.iter().try_for_each(|address| self.shared().blocks.free_page(address))?;
        Ok(true)
    }
}

/// Whether the keys of each leaf begin where those of the one before end.
fn follow_each_other(leaves: &[&Leaf]) -> bool {
    leaves.windows(2).all(|pair| match pair {
        [left, right] => left.range().high.as_deref() == Some(&*right.range().low),
        _ => true,
    })
}

/// The rows of `leaves` in as few leaves as hold them; none where they share so much less of their
/// keys than those of each that nothing is gained.
fn build(leaves: &[&Leaf], bytes_max: usize) -> Option<Vec<FoldedLeaf<'static>>> {
    let (first, last) = (leaves.first()?, leaves.last()?);
    let images: Vec<&PageImage> =
        leaves.iter().map(|leaf| leaf.image()).filter(|image| !image.is_empty()).collect();
    let (mut key, mut last_key) = (Vec::new(), Vec::new());
    if let (Some(first), Some(last)) = (images.first(), images.last()) {
        first.key_into(0, &mut key);
        last.key_into(last.len() - 1, &mut last_key);
    }
    // What the outermost keys share all keys between them do.
    let prefix = key[..common_prefix(&key, &last_key)].to_vec();
    let written_out =
        images.iter().map(|image| image.prefix().len().saturating_sub(prefix.len()) * image.len());
    if written_out.sum::<usize>() > bytes_max {
        return None;
    }
    let rows_max = (SHARED_BYTES_MAX / prefix.len().max(1)).max(1);
    let mut builder = PageBuilder::new(PageKind::Leaf, &prefix, BuilderCapacity::default());
    let mut low = first.range().low.clone();
    let mut built = Vec::new();
    let finish = |builder: &mut PageBuilder, range| {
        let image = builder.finish_image();
        FoldedLeaf { image, cell_txns: None, range, leftovers: Vec::new() }
    };
    for image in images {
        for slot in 0..image.len() {
            let value_len = image.cell(slot).bytes.len();
            if !builder.is_empty()
                && (builder.len() >= rows_max
                    || builder.size_bytes_with(image.key_len(slot), value_len) > bytes_max)
            {
                image.key_into(slot, &mut key);
                let high: Box<[u8]> = separator(&last_key, &key).into();
                let range = LeafRange { low, high: Some(high.clone()) };
                low = high;
                built.push(finish(&mut builder, range));
                builder.restart(PageKind::Leaf, &prefix);
            }
            builder.push_from(image, slot);
            image.key_into(slot, &mut last_key);
        }
    }
    let range = LeafRange { low, high: last.range().high.clone() };
    built.push(finish(&mut builder, range));
    Some(built)
}
