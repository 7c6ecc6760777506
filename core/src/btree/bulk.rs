//! Filling an empty tree from below: leaves are built full and written once, in key order, then the
//! internal pages over them, and the root last. Nothing is searched, latched or rebuilt on the way, and
//! nobody sees a row before [`Tree::adopt`] puts the root in its place.
//!
//! What is in memory is one leaf's rows, one batch of images, and one page for each level. As in
//! every B-tree's bulk load since Rosenberg and Snyder ("Time- and space-optimality in B-trees", 1981).

use super::{Target, Tree};
use crate::base::error::{Error, Result};
use crate::block::overflow::{OverflowRef, free_value, write_value};
use crate::block::{Address, BlockKind, Extent, NewBlock};
use crate::format::{
    BuilderCapacity, PageBuilder, PageImage, PageKind, SHARED_BYTES_MAX, Tag, cell_bytes,
    common_prefix, image_bytes, separator,
};
use crate::page::Home;
use crate::reconcile::{ChildCell, index_image};

/// Leaves are written when there are so many bytes of them.
const BATCH_BYTES: usize = 1 << 20;

/// An internal page has at least so many children: keys may be huge.
const CHILDREN_LEAST: usize = 4;

/// What a separator's slot, lengths, address and row count take beside its bytes,
/// as a rule.
const CHILD_BYTES: usize = 40;

/// Pages on their way to the disk that no tree names yet. See the module.
#[derive(Default)]
pub struct BulkLoad {
    rows: Rows,
    /// The smallest key that may be in the leaf under way.
    low: Vec<u8>,
    last_key: Vec<u8>,
    builder: Option<PageBuilder>,
    ready: Vec<ReadyLeaf>,
    ready_bytes: usize,
    /// The children of the page under way on each level, from level 1 on.
    levels: Vec<Level>,
    row_count: u64,
    /// What was written, neighbours joined.
    written: Vec<Extent>,
    long_values: Vec<OverflowRef>,
}

/// The rows of the leaf under way.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    /// Where each row's key and value end in `bytes`, and what the value is.
    ends: Vec<(u32, u32, Tag)>,
    /// What all cells take in a page without a prefix.
    cells_bytes: usize,
}

struct ReadyLeaf {
    low: Vec<u8>,
    image: PageImage,
}

#[derive(Default)]
struct Level {
    children: Vec<(Vec<u8>, Option<ChildCell>)>,
    bytes: usize,
    rows: u64,
}

impl Rows {
    fn key(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.bytes[start as usize..self.ends[row].0 as usize]
    }

    fn value(&self, row: usize) -> &[u8] {
        let (key_end, end, _) = self.ends[row];
        &self.bytes[key_end as usize..end as usize]
    }

    fn push(&mut self, key: &[u8], tag: Tag, value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len() as u32, tag));
        self.cells_bytes += cell_bytes(0, key.len(), value.len());
    }

    /// What the leaf would take with one more row; a little too much, for keys shorter than their head.
    fn size_with(&self, key: &[u8], value_len: usize) -> usize {
        let prefix_len = if self.ends.is_empty() { 0 } else { common_prefix(self.key(0), key) };
        let cells = self.cells_bytes + cell_bytes(0, key.len(), value_len);
        let slots = self.ends.len() + 1;
        image_bytes(prefix_len, slots, cells.saturating_sub(slots * prefix_len))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.cells_bytes = 0;
    }
}

impl BulkLoad {
    /// Adds a row behind the others.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is not above the one before; what writing gives.
    pub fn push(&mut self, tree: &Tree, key: &[u8], value: &[u8]) -> Result<()> {
        if self.row_count > 0 && key <= self.last_key.as_slice() {
            return Err(Error::invalid(
                "bulk-load presented with out-of-order keys: each must be above the one before it",
            ));
        }
        let mut reference = Vec::new();
        let (tag, bytes) = if value.len() <= tree.inline_bytes_max() {
            (Tag::Inline, value)
        } else {
            let (blocks, compression) = (&tree.shared().blocks, tree.options().compression);
            let long = write_value(blocks, tree.id(), compression, value)?;
            long.encode(&mut reference);
            self.long_values.push(long);
            (Tag::Overflow, reference.as_slice())
        };
        let is_full = self.rows.size_with(key, bytes.len())
            > tree.options().leaf_bytes_max as usize
            || self.rows.bytes.len() > SHARED_BYTES_MAX;
        if is_full && !self.rows.ends.is_empty() {
            let low = separator(&self.last_key, key).to_vec();
            self.end_leaf(tree, low)?;
        }
        self.rows.push(key, tag, bytes);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.row_count += 1;
        Ok(())
    }

    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Builds the image of the rows that are there; the next leaf begins at `next_low`.
    fn end_leaf(&mut self, tree: &Tree, next_low: Vec<u8>) -> Result<()> {
        let rows = &self.rows;
        let count = rows.ends.len();
        let prefix = &rows.key(0)[..common_prefix(rows.key(0), rows.key(count - 1))];
        let builder = self.builder.get_or_insert_with(|| {
            PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default())
        });
        builder.restart(PageKind::Leaf, prefix);
        for row in 0..count {
            builder.push(rows.key(row), rows.ends[row].2, rows.value(row));
        }
        let image = builder.finish_image();
        self.rows.clear();
        self.ready_bytes += image.bytes_len();
        self.ready.push(ReadyLeaf { low: std::mem::replace(&mut self.low, next_low), image });
        if self.ready_bytes >= BATCH_BYTES { self.write_ready(tree) } else { Ok(()) }
    }

    fn write_ready(&mut self, tree: &Tree) -> Result<()> {
        let (id, compression) = (tree.id(), tree.options().compression);
        let blocks: Vec<NewBlock<'_>> = self
            .ready
            .iter()
            .map(|leaf| {
                NewBlock::from_image(BlockKind::Leaf, id, compression, leaf.image.as_bytes())
            })
            .collect();
        let addresses = tree.shared().blocks.write(&blocks)?;
        for address in &addresses {
            note(&mut self.written, address);
        }
        self.ready_bytes = 0;
        for (leaf, address) in std::mem::take(&mut self.ready).into_iter().zip(addresses) {
            let rows = leaf.image.len() as u64;
            self.add_child(tree, 0, leaf.low, ChildCell { address, rows })?;
        }
        Ok(())
    }

    /// Adds a page of `level` to the page under way above it.
    fn add_child(
        &mut self,
        tree: &Tree,
        level: usize,
        low: Vec<u8>,
        child: ChildCell,
    ) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let bytes = CHILD_BYTES + low.len();
        let above = &self.levels[level];
        if above.bytes + bytes > tree.options().internal_bytes_max as usize
            && above.children.len() >= CHILDREN_LEAST
        {
            self.end_index(tree, level)?;
        }
        let above = &mut self.levels[level];
        above.bytes += bytes;
        above.rows += child.rows;
        above.children.push((low, Some(child)));
        Ok(())
    }

    /// Writes the page over the children of `level`, and names it in the page above.
    fn end_index(&mut self, tree: &Tree, level: usize) -> Result<()> {
        let Level { mut children, rows, .. } = std::mem::take(&mut self.levels[level]);
        let image = index_image(&children);
        let (id, compression) = (tree.id(), tree.options().compression);
        let block = NewBlock::from_image(BlockKind::Internal, id, compression, image.as_bytes());
        let Some(address) = tree.shared().blocks.write(&[block])?.pop() else { return Ok(()) };
        note(&mut self.written, &address);
        let low = children.swap_remove(0).0;
        self.add_child(tree, level + 1, low, ChildCell { address, rows })
    }

    /// Writes what is left. Returns the root and how many levels are below it; none without rows.
    fn finish(&mut self, tree: &Tree) -> Result<Option<(ChildCell, u8)>> {
        if !self.rows.ends.is_empty() {
            self.end_leaf(tree, Vec::new())?;
        }
        self.write_ready(tree)?;
        let mut level = 0;
        while let Some(above) = self.levels.get(level) {
            if let ([(_, Some(only))], true) = (&*above.children, level + 1 == self.levels.len()) {
                return Ok(Some((*only, level as u8)));
            }
            self.end_index(tree, level)?;
            level += 1;
        }
        Ok(None)
    }

    /// Frees what was written and no tree names.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not in use.
    pub fn give_back(&mut self, tree: &Tree) -> Result<()> {
        let blocks = &tree.shared().blocks;
        for long in std::mem::take(&mut self.long_values) {
            free_value(blocks, &long)?;
        }
        blocks.free_unreached(&std::mem::take(&mut self.written))
    }
}

/// Adds the place of a block to a list of what was written.
fn note(written: &mut Vec<Extent>, address: &Address) {
    let extent = address.extent();
    match written.last_mut() {
        Some(last) if last.end() == extent.offset => last.len += extent.len,
        _ => written.push(extent),
    }
}

impl Tree {
    /// Puts what `load` has built in the place of the empty root. The rows are visible to everybody then,
    /// whatever their snapshots. The caller keeps checkpoints away. `on_empty` is called before that, when it is
    /// known that the tree has nothing, while nobody can write to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the tree has rows, or somebody may still see or undo some that it had; what
    /// reading and writing gives. The tree is as it was then.
    pub fn adopt(&self, load: &mut BulkLoad, on_empty: impl FnOnce()) -> Result<()> {
        let Some((root, level)) = load.finish(self)? else { return Ok(()) };
        let mut pin = self.shared.new_pin();
        let mut may_fold = true;
        loop {
            self.find_leaf(Target::Last, &mut pin)?;
            let Some(leaf) = pin.leaf() else { continue };
            let latched = leaf.latch();
            let Some(home) = latched.home() else { continue };
            if !leaf.is_unchanged() && std::mem::take(&mut may_fold) {
                // What nobody can see any more goes with this.
                self.rebuild(latched)?;
                continue;
            }
            let has_nothing = leaf.is_unchanged() && leaf.image().is_empty();
            if !has_nothing || !leaf.range().is_everything() {
                break;
            }
            on_empty();
            let structure = self.structure.lock();
            let replaced = home.home().address;
            let serial = self.next_serial();
            home.set_home(Home { serial, ..Home::at(root.address, root.rows) });
            home.set_level(level);
            home.set_dirty(false);
            latched.evict(&self.shared.hazards);
            drop(structure);
            load.written.clear();
            load.long_values.clear();
            self.forget_block(replaced);
            return Ok(());
        }
        Err(Error::invalid("a bulk load needs an empty table, and this one has, or just had, rows"))
    }
}
