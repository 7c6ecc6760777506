//! Going through a tree on disk, depth first, with every check that a page can be given.

use super::report::{Progress, Report, TableReport};
use super::{OnProgress, finding};
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::KEY_BYTES_MAX;
use crate::block::overflow::{OverflowRef, addresses, read_value_in_pieces};
use crate::block::{Address, BlockHeader, BlockKind, Blocks, SpaceMap};
use crate::format::{PageImage, Tag};
use crate::reconcile::ChildCell;

/// Blocks between two calls of the progress function.
const BLOCKS_PER_CALL: u64 = 64;

/// What is told of each row: its key, its value unless that is a long one, and its page's offset.
pub(super) type OnRow<'r> = dyn FnMut(&[u8], Option<&[u8]>, u64) + 'r;

/// See the file.
pub(super) struct Walk<'w, 'p> {
    blocks: &'w Blocks,
    space: &'w mut SpaceMap,
    report: &'w mut Report,
    on_progress: &'w mut OnProgress<'p>,
    progress: Progress,
    /// The table under way.
    table: TableReport,
    name: Option<String>,
}

/// What a parent says of a page.
#[derive(Clone, Copy, Debug)]
struct Place<'k> {
    address: Address,
    level: u8,
    rows: u64,
    /// No key in it is below this one,
    low: &'k [u8],
    /// and all are below this one.
    high: Option<&'k [u8]>,
}

impl<'w, 'p> Walk<'w, 'p> {
    pub(super) fn new(
        blocks: &'w Blocks,
        space: &'w mut SpaceMap,
        report: &'w mut Report,
        on_progress: &'w mut OnProgress<'p>,
        progress: Progress,
    ) -> Self {
        let table = TableReport::default();
        Self { blocks, space, report, on_progress, progress, table, name: None }
    }

    /// What is read from here on belongs to this table; without a name, to the catalog.
    pub(super) fn begin_table(&mut self, name: Option<&str>, id: TableId) {
        self.name = name.map(str::to_owned);
        self.progress.table.clone_from(&self.name);
        self.table = TableReport { id, ..TableReport::default() };
    }

    /// The table is through; the catalog counts so many rows.
    pub(super) fn end_table(&mut self, rows: u64) {
        let name = self.name.take().unwrap_or_default();
        let table = TableReport { name, rows, ..std::mem::take(&mut self.table) };
        self.report.tables.push(table);
    }

    /// Calls the progress function a last time, and returns how far the walks are.
    pub(super) fn finish(self) -> Result<Progress> {
        (self.on_progress)(&self.progress)?;
        Ok(self.progress)
    }

    pub(super) fn has_complained(&self) -> bool {
        self.report.problem_count > 0
    }

    pub(super) fn complain_of(
        &mut self,
        offset: u64,
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) {
        self.complain(Error::corrupt(self.blocks.label(), offset, what, expected, found));
    }

    fn complain(&mut self, error: Error) {
        self.report.problem(self.name.as_deref(), error);
    }

    /// Goes through the tree whose root is at `address`.
    pub(super) fn tree(
        &mut self,
        address: Address,
        level: u8,
        rows: u64,
        on_row: &mut OnRow<'_>,
    ) -> Result<()> {
        self.table.levels = level + 1;
        self.page(Place { address, level, rows, low: &[], high: None }, on_row)
    }

    /// Goes through the page at `place` and all below. The depth is bounded by the levels, and no block
    /// is read twice.
    fn page(&mut self, place: Place<'_>, on_row: &mut OnRow<'_>) -> Result<()> {
        let Some(image) = self.image(&place)? else { return Ok(()) };
        if place.level == 0 {
            self.leaf(&image, &place, on_row)
        } else {
            self.internal(&image, &place, on_row)
        }
    }

    /// Reads a page; none when that ended in a finding.
    fn image(&mut self, place: &Place<'_>) -> Result<Option<PageImage>> {
        let kind = if place.level == 0 { BlockKind::Leaf } else { BlockKind::Internal };
        let Some(bytes) = self.block(&place.address, kind)? else { return Ok(None) };
        let offset = place.address.offset();
        let image = match PageImage::parse(bytes.into()) {
            Ok(image) => image,
            Err(error) => {
                self.complain(error.into_corruption(self.blocks.label(), offset));
                return Ok(None);
            }
        };
        if !self.keys_fit(&image, place) {
            return Ok(None);
        }
        Ok(Some(image))
    }

    /// Reads a block that nothing else may reach.
    fn block(&mut self, address: &Address, kind: BlockKind) -> Result<Option<Box<[u8]>>> {
        let read = self.space.reach(address).and_then(|()| self.blocks.read(address, kind));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                self.complain(finding(error)?);
                return Ok(None);
            }
        };
        let written_for = BlockHeader::decode(&bytes).map(|header| header.table);
        if written_for != Some(self.table.id) {
            let found = written_for.unwrap_or_default();
            self.complain_of(address.offset(), "table of a block", self.table.id, found);
        }
        self.count(address)?;
        Ok(Some(bytes))
    }

    fn count(&mut self, address: &Address) -> Result<()> {
        let bytes = u64::from(address.len_bytes());
        self.table.blocks += 1;
        self.table.bytes += bytes;
        self.progress.bytes += bytes;
        self.progress.blocks += 1;
        if self.progress.blocks.is_multiple_of(BLOCKS_PER_CALL) {
            (self.on_progress)(&self.progress)?;
        }
        Ok(())
    }

    /// The page's keys are as long as keys may be and lie where its parent says. (That they ascend,
    /// parsing has shown.)
    fn keys_fit(&mut self, image: &PageImage, place: &Place<'_>) -> bool {
        let (offset, level) = (place.address.offset(), place.level);
        let longest = (0..image.len()).map(|slot| image.key_len(slot)).max().unwrap_or(0);
        // A separator is a key cut short, or as long as it.
        if longest > KEY_BYTES_MAX {
            let most = format!("at most {KEY_BYTES_MAX}");
            self.complain_of(offset, "length of a key", most, longest);
            return false;
        }
        // The first separator of an internal page stands for everything below it.
        let first = usize::from(level > 0);
        if first < image.len() && image.compare(first, place.low).is_lt() {
            self.complain_of(offset, "first key of a page", "what its parent says", "a lower one");
            return false;
        }
        let last = image.len().checked_sub(1).filter(|last| *last >= first);
        if let (Some(last), Some(high)) = (last, place.high)
            && image.compare(last, high).is_ge()
        {
            self.complain_of(offset, "last key of a page", "what its parent says", "a higher one");
            return false;
        }
        true
    }

    fn leaf(&mut self, image: &PageImage, place: &Place<'_>, on_row: &mut OnRow<'_>) -> Result<()> {
        let (offset, rows) = (place.address.offset(), image.len() as u64);
        self.table.leaves += 1;
        self.table.rows_found += rows;
        if rows != place.rows {
            self.complain_of(offset, "rows of a leaf page", place.rows, rows);
        }
        let mut key = Vec::new();
        for slot in 0..image.len() {
            let cell = image.cell(slot);
            image.key_into(slot, &mut key);
            if cell.tag == Tag::Overflow {
                self.long_value(cell.bytes, offset)?;
                on_row(&key, None, offset);
            } else {
                on_row(&key, Some(cell.bytes), offset);
            }
        }
        Ok(())
    }

    /// Reads a long value, piece by piece.
    fn long_value(&mut self, reference: &[u8], offset: u64) -> Result<()> {
        let mut reader = Reader::new(reference);
        let decoded = OverflowRef::decode(&mut reader).filter(|_| reader.rest().is_empty());
        let Some(value) = decoded else {
            let what = "reference of a long value";
            self.complain_of(offset, what, "a length and an address", "neither");
            return Ok(());
        };
        self.table.long_values += 1;
        let blocks = self.blocks;
        let reached = addresses(blocks, &value).and_then(|pieces| {
            pieces.iter().try_for_each(|piece| self.space.reach(piece))?;
            read_value_in_pieces(blocks, &value, |_| Ok(()))?;
            Ok(pieces)
        });
        match reached {
            Ok(pieces) => pieces.iter().try_for_each(|piece| self.count(piece)),
            Err(error) => {
                self.complain(finding(error)?);
                Ok(())
            }
        }
    }

    fn internal(
        &mut self,
        image: &PageImage,
        place: &Place<'_>,
        on_row: &mut OnRow<'_>,
    ) -> Result<()> {
        let offset = place.address.offset();
        let mut rows: u64 = 0;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for slot in 0..image.len() {
            let Some(child) = ChildCell::decode(image.cell(slot).bytes) else {
                let what = "child of an internal page";
                self.complain_of(offset, what, "an address and a count", "neither");
                continue;
            };
            rows = rows.saturating_add(child.rows);
            if slot > 0 {
                image.key_into(slot, &mut low);
            }
            let is_last = slot + 1 == image.len();
            if !is_last {
                image.key_into(slot + 1, &mut high);
            }
            self.page(
                Place {
                    address: child.address,
                    level: place.level - 1,
                    rows: child.rows,
                    low: if slot == 0 { place.low } else { &low },
                    high: if is_last { place.high } else { Some(&high) },
                },
                on_row,
            )?;
        }
        if rows != place.rows {
            self.complain_of(offset, "rows of an internal page", place.rows, rows);
        }
        Ok(())
    }
}
