//! Images for the disk of pages that are not folded: a leaf as one snapshot sees it, and an
//! internal page with its children's addresses.

use super::rows::cell_of;
use crate::base::codec::{Reader, put_varint};
use crate::base::options::ROWS_MAX;
use crate::block::Address;
use crate::format::{BuilderCapacity, PageBuilder, PageImage, PageKind, Tag, common_prefix};
use crate::page::{Leaf, Lookup, ValueRef, View};

/// What `view` sees of `leaf`, as a block's bytes with room for the header in front, and how many
/// rows that is. None when it sees nothing.
pub fn image_under(leaf: &Leaf, view: &impl View) -> Option<(Vec<u8>, u64)> {
    let seen = visible_rows(leaf, view);
    let (first, last) = (seen.first()?, seen.last()?);
    let prefix = &first.0[..common_prefix(&first.0, &last.0)];
    let mut builder = PageBuilder::new(PageKind::Leaf, prefix, BuilderCapacity::default());
    for (key, value) in &seen {
        let (tag, bytes) = cell_of(*value);
        builder.push(key, tag, bytes);
    }
    let rows = builder.len() as u64;
    Some((builder.finish(), rows))
}

fn visible_rows<'p>(leaf: &'p Leaf, view: &impl View) -> Vec<(Vec<u8>, ValueRef<'p>)> {
    let mut order = Vec::new();
    leaf.sort_entries_into(&mut order);
    let slots = leaf.image().len();
    let mut seen = Vec::with_capacity(slots + order.len());
    let mut key = Vec::new();
    let mut next_slot = 0;
    let mut see_slots = |range: std::ops::Range<usize>, seen: &mut Vec<_>| {
        for slot in range {
            if let Lookup::Found(value) = leaf.slot_value(slot, view) {
                leaf.image().key_into(slot, &mut key);
                seen.push((key.clone(), value));
            }
        }
    };
    for entry in order.iter().filter_map(|index| leaf.entry(usize::from(*index))) {
        let slot = leaf.image().search(entry.key());
        let here = slot.unwrap_or_else(|slot| slot);
        see_slots(next_slot..here, &mut seen);
        next_slot = here + usize::from(slot.is_ok());
        let lookup = leaf
            .entry_value(entry, view)
            .or_else(|| slot.ok().map(|slot| leaf.slot_value(slot, view)));
        if let Some(Lookup::Found(value)) = lookup {
            seen.push((entry.key().to_vec(), value));
        }
    }
    see_slots(next_slot..slots, &mut seen);
    seen
}

/// What an internal page's cell says of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildCell {
    /// The child's block.
    pub address: Address,
    /// The rows below it.
    pub rows: u64,
}

impl ChildCell {
    /// Appends the cell's bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        self.address.encode(out);
        put_varint(out, self.rows);
    }

    /// Reads a cell; none when it does not parse.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let address = Address::decode(&mut reader)?;
        let rows = reader.varint().filter(|rows| *rows <= ROWS_MAX)?;
        reader.rest().is_empty().then_some(Self { address, rows })
    }
}

/// The image of an internal page over `children`, in order: where each one's keys begin, and what is
/// known of it. The caller gives at least one.
pub fn index_image<K: AsRef<[u8]>>(children: &[(K, Option<ChildCell>)]) -> PageImage {
    let first = children.first().map_or(&[][..], |child| child.0.as_ref());
    let last = children.last().map_or(&[][..], |child| child.0.as_ref());
    let prefix = &first[..common_prefix(first, last)];
    let mut builder = PageBuilder::new(PageKind::Internal, prefix, BuilderCapacity::default());
    let mut cell = Vec::new();
    for (separator, child) in children {
        cell.clear();
        if let Some(child) = child {
            child.encode_into(&mut cell);
        }
        builder.push(separator.as_ref(), Tag::Child, &cell);
    }
    builder.finish_image()
}

/// The image `old` with slot `at` parted into as many as there are `separators` and one more. `low` is
/// less than they are: it takes the place of slot 0's separator when that is the one parted, because
/// keys below that separator belong there too. The cells are for searching only: what they say of
/// children is out of date.
pub fn part_slot(old: &PageImage, at: usize, low: &[u8], separators: &[Box<[u8]>]) -> PageImage {
    part_slots(old, at..at + 1, low, separators)
}

/// The same with the slots `at`, one or more, in place of one.
pub fn part_slots(
    old: &PageImage,
    at: std::ops::Range<usize>,
    low: &[u8],
    separators: &[Box<[u8]>],
) -> PageImage {
    let (mut first, mut last) = (low.to_vec(), Vec::new());
    if at.start > 0 {
        old.key_into(0, &mut first);
    }
    match separators.last() {
        _ if at.end < old.len() => old.key_into(old.len() - 1, &mut last),
        Some(separator) => last = separator.to_vec(),
        None if at.start > 0 => old.key_into(at.start, &mut last),
        None => last.clone_from(&first),
    }
    let prefix = &first[..common_prefix(&first, &last)];
    let mut builder = PageBuilder::new(PageKind::Internal, prefix, BuilderCapacity::default());
    if at.start > 0 {
        builder.push_run(old, 0..at.start + 1);
    } else {
        builder.push(low, Tag::Child, &[]);
    }
    for separator in separators {
        builder.push(separator, Tag::Child, &[]);
    }
    builder.push_run(old, at.end..old.len());
    builder.finish_image()
}

/// Some slots of `old` as an image of their own, for searching only.
pub fn slots_of(old: &PageImage, slots: &[std::ops::Range<usize>]) -> PageImage {
    let mut all = slots.iter().cloned().flatten();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if let Some(slot) = all.next() {
        old.key_into(slot, &mut first);
        old.key_into(all.last().unwrap_or(slot), &mut last);
    }
    let prefix = &first[..common_prefix(&first, &last)];
    let mut builder = PageBuilder::new(PageKind::Internal, prefix, BuilderCapacity::default());
    for range in slots {
        builder.push_run(old, range.clone());
    }
    builder.finish_image()
}
