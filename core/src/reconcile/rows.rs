//! The rows of a leaf in key order: what each becomes when the leaf is folded.

use smallvec::SmallVec;

use super::fold::FoldRules;
use crate::base::ids::TxnId;
use crate::format::{Tag, cell_bytes, common_prefix};
use crate::page::{Entry, Leaf, Update, UpdateKind, ValueRef};

/// Where a row's key is.
#[derive(Clone, Copy)]
pub(super) enum RowKey<'p> {
    Slot(usize),
    Entry(&'p Entry),
}

/// What the new image says of the row.
#[derive(Clone, Copy)]
pub(super) enum Base<'p> {
    Absent,
    Slot(usize),
    Update(&'p Update),
}

/// One key of a leaf.
pub(super) struct Row<'p> {
    pub(super) key: RowKey<'p>,
    pub(super) base: Base<'p>,
    /// Who wrote the base, where some snapshot may not see it.
    pub(super) txn: TxnId,
    /// Versions that stay in the delta, newest first.
    pub(super) leftovers: SmallVec<[&'p Update; 2]>,
    /// What the row takes in image and delta.
    pub(super) size_bytes: usize,
    /// The key was not in the old image.
    pub(super) is_new: bool,
    /// The key begins with the old image's prefix.
    pub(super) shares_prefix: bool,
}

/// What a head and an offset take beside a cell.
const SLOT_BYTES: usize = 10;
/// What an entry or an update takes in the arena beside its bytes.
const NODE_BYTES: usize = 64;

/// All rows of `leaf` in key order. References of overflow values that nobody can see any more
/// are appended to `dropped`.
pub(super) fn rows<'p>(
    leaf: &'p Leaf,
    rules: &FoldRules<'_>,
    dropped: &mut Vec<Vec<u8>>,
) -> Vec<Row<'p>> {
    let mut order = Vec::new();
    leaf.sort_entries_into(&mut order);
    let slots = leaf.image().len();
    let mut rows = Vec::with_capacity(slots + order.len());
    let mut next_slot = 0;
    for entry in order.iter().filter_map(|index| leaf.entry(usize::from(*index))) {
        let (here, slot) = match leaf.image().search(entry.key()) {
            Ok(slot) => (slot, Some(slot)),
            Err(slot) => (slot, None),
        };
        rows.extend((next_slot..here).map(|slot| unchanged(leaf, slot, rules)));
        next_slot = here + usize::from(slot.is_some());
        rows.extend(changed(leaf, entry, slot, rules, dropped));
    }
    rows.extend((next_slot..slots).map(|slot| unchanged(leaf, slot, rules)));
    rows
}

fn unchanged<'p>(leaf: &'p Leaf, slot: usize, rules: &FoldRules<'_>) -> Row<'p> {
    Row {
        key: RowKey::Slot(slot),
        base: Base::Slot(slot),
        txn: rules.unsettled(leaf.cell_txn(slot)),
        leftovers: SmallVec::new(),
        size_bytes: slot_bytes(leaf, slot),
        is_new: false,
        shares_prefix: true,
    }
}

fn slot_bytes(leaf: &Leaf, slot: usize) -> usize {
    SLOT_BYTES + leaf.image().cell_len(slot)
}

/// The row of a key with an update chain; none when nobody sees anything of it.
fn changed<'p>(
    leaf: &'p Leaf,
    entry: &'p Entry,
    slot: Option<usize>,
    rules: &FoldRules<'_>,
    dropped: &mut Vec<Vec<u8>>,
) -> Option<Row<'p>> {
    let mut own = Vec::new();
    let row = changed_row(leaf, entry, slot, rules, &mut own);
    // Replaying the log puts values on top that are there already: the same one may be both kept
    // and dropped, or dropped twice.
    let kept = row.as_ref().and_then(|row| match row.base {
        Base::Update(update) if update.kind().is_long() => Some(update.bytes()),
        _ => None,
    });
    own.sort_unstable();
    own.dedup();
    dropped.extend(own.into_iter().filter(|reference| Some(reference.as_slice()) != kept));
    row
}

fn changed_row<'p>(
    leaf: &'p Leaf,
    entry: &'p Entry,
    slot: Option<usize>,
    rules: &FoldRules<'_>,
    dropped: &mut Vec<Vec<u8>>,
) -> Option<Row<'p>> {
    let mut newer = live_versions(entry, rules, dropped);
    let settled = newer.iter().position(|update| rules.is_settled(update.txn()));
    let (mut base, mut txn) = match (settled, slot) {
        (Some(at), _) => {
            let base = newer[at];
            newer[at + 1..].iter().for_each(|update| drop_overflow(update, dropped));
            newer.truncate(at);
            if let Some(slot) = slot {
                drop_cell(leaf, slot, dropped);
            }
            let is_value = base.kind() != UpdateKind::Tombstone;
            (if is_value { Base::Update(base) } else { Base::Absent }, TxnId::VISIBLE)
        }
        (None, Some(slot)) => (Base::Slot(slot), rules.unsettled(leaf.cell_txn(slot))),
        (None, None) => (Base::Absent, TxnId::VISIBLE),
    };
    // A lone new value over nothing moves into the image, with its writer's id beside it.
    if let (Base::Absent, [only]) = (base, newer.as_slice())
        && only.kind() != UpdateKind::Tombstone
    {
        (base, txn) = (Base::Update(only), only.txn());
        newer.clear();
    }
    if matches!(base, Base::Absent) && newer.is_empty() {
        return None;
    }
    let shared_len = common_prefix(entry.key(), leaf.image().prefix());
    let size_bytes = changed_bytes(leaf, entry, shared_len, base, &newer);
    Some(Row {
        key: RowKey::Entry(entry),
        base,
        txn,
        leftovers: newer,
        size_bytes,
        is_new: slot.is_none(),
        shares_prefix: shared_len == leaf.image().prefix().len(),
    })
}

/// The chain without what was rolled back, and without what no reader can reach.
fn live_versions<'p>(
    entry: &'p Entry,
    rules: &FoldRules<'_>,
    dropped: &mut Vec<Vec<u8>>,
) -> SmallVec<[&'p Update; 2]> {
    let mut live: SmallVec<[&Update; 2]> = SmallVec::new();
    let mut next = Some(entry.newest());
    while let Some(update) = next {
        next = update.older();
        let txn = update.txn();
        if txn == TxnId::ABORTED {
            continue;
        }
        let Some(newer) = live.last() else {
            live.push(update);
            continue;
        };
        if newer.txn() == txn {
            // Its writer replaced it itself. An overflow value stays until the writer has ended,
            // because a rollback frees what the writer still remembers.
            if update.kind().is_long() && !rules.is_settled(txn) {
                live.push(update);
            } else {
                drop_overflow(update, dropped);
            }
        } else if rules.is_settled(newer.txn()) || (rules.is_superseded)(newer.txn(), txn) {
            drop_overflow(update, dropped);
        } else {
            live.push(update);
        }
    }
    live
}

fn changed_bytes(
    leaf: &Leaf,
    entry: &Entry,
    prefix_len: usize,
    base: Base<'_>,
    leftovers: &[&Update],
) -> usize {
    let key_len = entry.key().len();
    let in_image = match base {
        Base::Absent => 0,
        Base::Slot(slot) => slot_bytes(leaf, slot),
        Base::Update(update) => SLOT_BYTES + cell_bytes(prefix_len, key_len, update.bytes().len()),
    };
    let in_delta: usize = leftovers.iter().map(|update| NODE_BYTES + update.bytes().len()).sum();
    in_image + in_delta + if leftovers.is_empty() { 0 } else { NODE_BYTES + key_len }
}

fn drop_overflow(update: &Update, dropped: &mut Vec<Vec<u8>>) {
    if update.kind().is_long() {
        dropped.push(update.bytes().to_vec());
    }
}

fn drop_cell(leaf: &Leaf, slot: usize, dropped: &mut Vec<Vec<u8>>) {
    let cell = leaf.image().cell(slot);
    if cell.tag == Tag::Overflow {
        dropped.push(cell.bytes.to_vec());
    }
}

impl<'p> Row<'p> {
    /// The row's key, into `out`.
    pub(super) fn key_into(&self, leaf: &Leaf, out: &mut Vec<u8>) {
        match self.key {
            RowKey::Slot(slot) => leaf.image().key_into(slot, out),
            RowKey::Entry(entry) => {
                out.clear();
                out.extend_from_slice(entry.key());
            }
        }
    }
}

/// The tag and bytes of a value as a cell has them.
pub(super) fn cell_of(value: ValueRef<'_>) -> (Tag, &[u8]) {
    match value {
        ValueRef::Inline(bytes) => (Tag::Inline, bytes),
        ValueRef::Overflow(bytes) => (Tag::Overflow, bytes),
    }
}

/// The tag of an update that is a value.
pub(super) fn tag_of(update: &Update) -> Tag {
    match update.kind() {
        UpdateKind::Overflow | UpdateKind::Moved => Tag::Overflow,
        _ => Tag::Inline,
    }
}
