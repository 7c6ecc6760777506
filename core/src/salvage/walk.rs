//! Going through a tree as far as it can be read.

use super::gaps::Gaps;
use super::report::LostRange;
use super::scan::FoundLeaf;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::block::overflow::{OverflowRef, read_value};
use crate::block::{Address, BlockKind, Blocks, SpaceMap};
use crate::format::{PageImage, Tag};
use crate::reconcile::ChildCell;
use crate::verify::{LEVELS_MAX, OnProgress, Progress};

/// A row that was read.
pub(super) struct Row<'r> {
    pub(super) key: &'r [u8],
    /// Its value, unless that is a long one.
    pub(super) value: Option<&'r [u8]>,
    /// Its long value, or what was wrong with it.
    pub(super) long_value: Option<Result<Vec<u8>>>,
}

type OnRow<'r> = dyn FnMut(Row<'_>) -> Result<()> + 'r;

/// See the file.
pub(super) struct Walk<'w, 'p> {
    pub(super) blocks: &'w Blocks,
    space: &'w mut SpaceMap,
    on_progress: &'w mut OnProgress<'p>,
    progress: Progress,
}

/// A page, and what its parent says of it.
struct Place<'k> {
    address: Address,
    level: u8,
    rows: u64,
    low: &'k [u8],
    high: Option<&'k [u8]>,
}

impl<'w, 'p> Walk<'w, 'p> {
    pub(super) fn new(
        blocks: &'w Blocks,
        space: &'w mut SpaceMap,
        on_progress: &'w mut OnProgress<'p>,
    ) -> Self {
        let progress = Progress { bytes_total: blocks.file_bytes(), ..Progress::default() };
        Self { blocks, space, on_progress, progress }
    }

    pub(super) fn finish(self) -> Result<()> {
        (self.on_progress)(&self.progress)
    }

    /// Gives each row of the tree to `on_row`, and returns where it could not be read.
    pub(super) fn tree(
        &mut self,
        _table: TableId,
        root: Option<(Address, u8, u64)>,
        on_row: &mut OnRow<'_>,
    ) -> Result<Gaps> {
        let mut gaps = Gaps::default();
        if let Some((address, level, rows)) = root {
            let place = Place { address, level, rows, low: &[], high: None };
            self.page(&place, &mut gaps, on_row)?;
        }
        Ok(gaps)
    }

    /// Reads the page at `place` and all below. The depth is bounded by the levels, and no block is read
    /// twice.
    fn page(&mut self, place: &Place<'_>, gaps: &mut Gaps, on_row: &mut OnRow<'_>) -> Result<()> {
        let image = match self.image(&place.address, place.level) {
            Ok(image) => image,
            Err(error) => {
                gaps.add(LostRange {
                    low: place.low.to_vec(),
                    high: place.high.map(<[u8]>::to_vec),
                    rows: Some(place.rows),
                    rows_found: 0,
                    why: damage(error)?.to_string(),
                });
                return Ok(());
            }
        };
        if place.level == 0 {
            return self.rows(&image, &mut |key| is_within(place, key), on_row);
        }
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for slot in 0..image.len() {
            let is_last = slot + 1 == image.len();
            if slot > 0 {
                image.key_into(slot, &mut low);
            }
            if !is_last {
                image.key_into(slot + 1, &mut high);
            }
            let child_low = if slot == 0 { place.low } else { &low };
            let child_high = if is_last { place.high } else { Some(high.as_slice()) };
            let Some(child) = ChildCell::decode(image.cell(slot).bytes) else {
                gaps.add(LostRange {
                    low: child_low.to_vec(),
                    high: child_high.map(<[u8]>::to_vec),
                    why: "its parent does not say where it is".to_owned(),
                    ..LostRange::default()
                });
                continue;
            };
            let child = Place {
                address: child.address,
                level: place.level - 1,
                rows: child.rows,
                low: child_low,
                high: child_high,
            };
            self.page(&child, gaps, on_row)?;
        }
        Ok(())
    }

    fn image(&mut self, address: &Address, level: u8) -> Result<PageImage> {
        let label = self.blocks.label();
        if level > LEVELS_MAX {
            let most = format!("at most {LEVELS_MAX}");
            return Err(Error::corrupt(label, address.offset(), "levels of a tree", most, level));
        }
        let kind = if level == 0 { BlockKind::Leaf } else { BlockKind::Internal };
        self.space.reach(address)?;
        let bytes = self.blocks.read(address, kind)?;
        self.progress.blocks += 1;
        self.progress.bytes += u64::from(address.len_bytes());
        if self.progress.blocks.is_multiple_of(64) {
            (self.on_progress)(&self.progress)?;
        }
        PageImage::parse(bytes.into())
            .map_err(|error| error.into_corruption(label, address.offset()))
    }

    /// Gives those rows of a leaf to `on_row` that are wanted.
    fn rows(
        &mut self,
        image: &PageImage,
        wants: &mut dyn FnMut(&[u8]) -> bool,
        on_row: &mut OnRow<'_>,
    ) -> Result<()> {
        let mut key = Vec::new();
        for slot in 0..image.len() {
            image.key_into(slot, &mut key);
            if !wants(&key) {
                continue;
            }
            let cell = image.cell(slot);
            let long_value = (cell.tag == Tag::Overflow).then(|| self.long_value(cell.bytes));
            if let Some(Err(error)) = &long_value {
                damage(error.clone())?;
            }
            let value = (cell.tag == Tag::Inline).then_some(cell.bytes);
            on_row(Row { key: &key, value, long_value })?;
        }
        Ok(())
    }

    /// Reads a long value.
    pub(super) fn long_value(&self, reference: &[u8]) -> Result<Vec<u8>> {
        let value = OverflowRef::decode(&mut Reader::new(reference)).ok_or_else(|| {
            let what = "reference of a long value";
            Error::corrupt(self.blocks.label(), 0, what, "a length and an address", "neither")
        })?;
        read_value(self.blocks, &value)
    }

    /// Whether the walks so far have not come by this block.
    pub(super) fn is_new(&mut self, address: &Address) -> bool {
        self.space.reach(address).is_ok()
    }

    /// Gives the rows of a leaf that was found to `on_row`, as far as they lie in `gaps`.
    pub(super) fn leaf_at(
        &mut self,
        leaf: &FoundLeaf,
        gaps: &mut Gaps,
        on_row: &mut OnRow<'_>,
    ) -> Result<()> {
        let read = self.blocks.read(&leaf.address, BlockKind::Leaf);
        let Ok(image) =
            read.map_err(drop).and_then(|bytes| PageImage::parse(bytes.into()).map_err(drop))
        else {
            return Ok(());
        };
        let Some(last) = image.len().checked_sub(1) else { return Ok(()) };
        self.rows(&image, &mut |key| gaps.wants(key, leaf.is_free), on_row)?;
        let (mut first_key, mut last_key) = (Vec::new(), Vec::new());
        image.key_into(0, &mut first_key);
        image.key_into(last, &mut last_key);
        gaps.fill(&first_key, &last_key);
        Ok(())
    }
}

fn is_within(place: &Place<'_>, key: &[u8]) -> bool {
    place.low <= key && place.high.is_none_or(|high| key < high)
}

/// An error that says something of the file; others end the salvage.
fn damage(error: Error) -> Result<Error> {
    match error {
        Error::Corrupt(_) | Error::Io { .. } => Ok(error),
        other => Err(other),
    }
}
