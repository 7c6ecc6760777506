//! Folding: a leaf and its delta become one leaf or several, with as little delta as may be.
//!
//! What every snapshot sees moves into the image. A lone new value over nothing moves too, with its
//! writer's id beside it, so that a transaction may insert millions of keys without a long delta.
//! What some snapshot, or a rollback, still needs stays in the update chains.

use std::cell::Cell;

use super::rows::{Base, Row, RowKey, rows, tag_of};
use crate::base::ids::TxnId;
use crate::format::{
    BuilderCapacity, PageBuilder, PageImage, PageKind, SHARED_BYTES_MAX, common_prefix,
    image_bytes, separator,
};
use crate::page::{Leaf, LeafRange, Update};

/// Who may still look at a leaf, and how large it may be.
pub struct FoldRules<'r> {
    /// Ids below this one every snapshot sees.
    pub oldest: TxnId,
    /// Whether a version by the second id, next older than one by the first, is out of every
    /// reader's sight.
    pub is_superseded: &'r dyn Fn(TxnId, TxnId) -> bool,
    /// The size above which a leaf is split.
    pub leaf_bytes_max: usize,
}

impl FoldRules<'_> {
    pub(super) fn is_settled(&self, txn: TxnId) -> bool {
        txn < self.oldest
    }

    /// The id, unless everybody sees what it wrote.
    pub(super) fn unsettled(&self, txn: TxnId) -> TxnId {
        if self.is_settled(txn) { TxnId::VISIBLE } else { txn }
    }
}

/// What takes a leaf's place.
pub struct Folded<'p> {
    /// In key order; together they cover the old leaf's range. Never none.
    pub leaves: Vec<FoldedLeaf<'p>>,
    /// References of overflow values that nobody can see any more.
    pub dropped: Vec<Vec<u8>>,
}

/// One of the leaves that take a leaf's place.
pub struct FoldedLeaf<'p> {
    /// Its image.
    pub image: PageImage,
    /// Who wrote its cells, where some snapshot may not see them.
    pub cell_txns: Option<Box<[TxnId]>>,
    /// The keys that belong to it.
    pub range: LeafRange,
    /// What stays in its delta: keys with versions, newest first.
    pub leftovers: Vec<(Vec<u8>, Vec<&'p Update>)>,
}

impl FoldedLeaf<'_> {
    /// Whether nothing is here and nothing may appear by a rollback.
    pub fn is_empty(&self) -> bool {
        self.image.is_empty() && self.leftovers.is_empty()
    }
}

/// What a builder may take to be kept for its thread's next fold.
const BUILDER_BYTES_KEPT: usize = 256 << 10;

thread_local! {
    /// Folds are many, and growing a builder's room each time costs more than filling it.
    static BUILDER: Cell<Option<PageBuilder>> = const { Cell::new(None) };
}

/// Folds `leaf`, whose latch the caller holds.
pub fn fold<'p>(leaf: &'p Leaf, rules: &FoldRules<'_>) -> Folded<'p> {
    let mut dropped = Vec::new();
    let rows = rows(leaf, rules, &mut dropped);
    let cuts = cuts(&rows, leaf.image().prefix().len(), rules.leaf_bytes_max);
    let mut leaves = Vec::with_capacity(cuts.len() + 1);
    // Taken, not borrowed: the models' threads share one, and take turns in the middle of a fold.
    let mut builder = BUILDER
        .take()
        .unwrap_or_else(|| PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default()));
    let mut low = leaf.range().low.clone();
    let mut begin = 0;
    for end in cuts.into_iter().chain([rows.len()]) {
        let high = match rows.get(end) {
            Some(right_first) => Some(boundary(leaf, &rows[end - 1], right_first)),
            None => leaf.range().high.clone(),
        };
        let range = LeafRange { low, high };
        low = range.high.clone().unwrap_or_default();
        leaves.push(fold_part(leaf, &rows[begin..end], range, &mut builder));
        begin = end;
    }
    if builder.capacity_bytes() <= BUILDER_BYTES_KEPT {
        BUILDER.set(Some(builder));
    }
    Folded { leaves, dropped }
}

/// The key that parts two neighbours.
fn boundary(leaf: &Leaf, left_last: &Row<'_>, right_first: &Row<'_>) -> Box<[u8]> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    left_last.key_into(leaf, &mut left);
    right_first.key_into(leaf, &mut right);
    separator(&left, &right).into()
}

/// The numbers of the rows at which new leaves begin. The old image's prefix is so long.
fn cuts(rows: &[Row<'_>], prefix_len: usize, leaf_bytes_max: usize) -> Vec<usize> {
    // A leaf that came out a little larger would take a frame more in the file. Prefixes are short, as a rule.
    let bytes_max = leaf_bytes_max.saturating_sub(image_bytes(0, 0, 0));
    let total: usize = rows.iter().map(|row| row.size_bytes).sum();
    let rows_max = (SHARED_BYTES_MAX / prefix_len.max(1)).max(1);
    // A key with another prefix makes all others be written out.
    let is_torn = prefix_len * rows.len() > bytes_max && !rows.iter().all(|row| row.shares_prefix);
    if rows.len() < 2 || total <= bytes_max && rows.len() <= rows_max && !is_torn {
        return Vec::new();
    }
    // Keys that come in order leave full pages behind; others leave room on both sides.
    let part_bytes = match growth(rows) {
        Growth::AtEnd => bytes_max - bytes_max / 16,
        Growth::Anywhere => {
            total.div_ceil(total.div_ceil(bytes_max).max(rows.len().div_ceil(rows_max)))
        }
    };
    let mut cuts = Vec::new();
    let (mut filled, mut begin, mut shares_prefix) = (0, 0, true);
    for (index, row) in rows.iter().enumerate() {
        let is_full = filled + row.size_bytes / 2 > part_bytes
            || filled + row.size_bytes > bytes_max
            || index - begin >= rows_max;
        if index > begin && (is_full || is_torn && row.shares_prefix != shares_prefix) {
            cuts.push(index);
            (filled, begin) = (0, index);
        }
        filled += row.size_bytes;
        shares_prefix = row.shares_prefix;
    }
    cuts
}

enum Growth {
    AtEnd,
    Anywhere,
}

/// Whether all new keys lie behind all old ones.
fn growth(rows: &[Row<'_>]) -> Growth {
    let news = rows.iter().rev().take_while(|row| row.is_new).count();
    let all = rows.iter().filter(|row| row.is_new).count();
    if news > 0 && news == all { Growth::AtEnd } else { Growth::Anywhere }
}

fn fold_part<'p>(
    leaf: &'p Leaf,
    rows: &[Row<'p>],
    range: LeafRange,
    builder: &mut PageBuilder,
) -> FoldedLeaf<'p> {
    let mut key = Vec::new();
    restart(leaf, rows, builder);
    let mut txns = Vec::new();
    let mut leftovers = Vec::new();
    let mut run = 0..0;
    for row in rows {
        match (row.base, row.key) {
            (Base::Slot(slot), _) if run.end == slot && !run.is_empty() => run.end = slot + 1,
            (Base::Slot(slot), _) => {
                builder.push_run(leaf.image(), std::mem::replace(&mut run, slot..slot + 1));
            }
            (Base::Update(update), RowKey::Entry(entry)) => {
                builder.push_run(leaf.image(), std::mem::take(&mut run));
                builder.push(entry.key(), tag_of(update), update.bytes());
            }
            _ => {}
        }
        if !matches!(row.base, Base::Absent) {
            txns.push(row.txn);
        }
        if !row.leftovers.is_empty() {
            row.key_into(leaf, &mut key);
            leftovers.push((key.clone(), row.leftovers.to_vec()));
        }
    }
    builder.push_run(leaf.image(), run);
    let settled = txns.iter().all(|txn| *txn == TxnId::VISIBLE);
    FoldedLeaf {
        image: builder.finish_image_in(leaf.memory()),
        cell_txns: (!settled).then(|| txns.into_boxed_slice()),
        range,
        leftovers,
    }
}

/// Begins an image whose prefix is what its first and last key share.
fn restart(leaf: &Leaf, rows: &[Row<'_>], builder: &mut PageBuilder) {
    let mut in_image = rows.iter().filter(|row| !matches!(row.base, Base::Absent));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if let Some(row) = in_image.next() {
        row.key_into(leaf, &mut first);
        in_image.next_back().unwrap_or(row).key_into(leaf, &mut last);
    }
    let prefix_len = common_prefix(&first, &last);
    builder.restart(PageKind::Leaf, &first[..prefix_len]);
}
