//! From bytes that may be anything to an image that may be trusted: O(bytes of keys), once.

use super::error::FormatError;
use super::guess::Guess;
use super::image::PageImage;
use super::key::{HEAD_BYTES, KeyRest};
use super::layout::{
    Header, PREFIX_AT, PageKind, RawCell, SHARED_BYTES_LIMIT, Tag, heads_at, offset_bytes,
};
use crate::base::codec::{BLOCK_HEADER_BYTES, Reader};
use crate::memory::PageBytes;

impl PageImage {
    /// Takes a block's whole buffer, its header included, for the page image that it holds.
    /// Bytes behind the image's end are ignored.
    ///
    /// # Errors
    /// [`FormatError`] unless every part lies within the buffer, the keys written out are of a
    /// bounded length together, the cells fill their part without a gap, each tag is legal in a page of this kind, keys ascend strictly, no head
    /// has bytes behind the end of its key, and an internal page has at least one child.
    pub fn parse(bytes: PageBytes) -> Result<PageImage, FormatError> {
        let header = parse_header(&bytes)?;
        let image = place_parts(bytes, &header)?;
        check_cells(&image)?;
        let guess = Guess::through(image.heads());
        Ok(PageImage { guess, ..image })
    }
}

fn parse_header(bytes: &[u8]) -> Result<Header, FormatError> {
    let mut reader = Reader::new(bytes.get(BLOCK_HEADER_BYTES..).unwrap_or_default());
    match Header::decode(&mut reader) {
        Ok(Some(header)) => Ok(header),
        Ok(None) => Err(FormatError::new(
            "length of a page",
            bytes.len(),
            format_args!("at least {PREFIX_AT} bytes"),
            bytes.len(),
        )),
        Err((what, at, found)) => {
            Err(FormatError::new(what, BLOCK_HEADER_BYTES + at, "one of this version", found))
        }
    }
}

/// The image over `bytes` whose parts are known to lie within, and whose cells are unknown.
fn place_parts(bytes: PageBytes, header: &Header) -> Result<PageImage, FormatError> {
    let (slots, prefix_len, end) = (header.slots, header.prefix_len, header.end);
    if u64::from(end) > bytes.len() as u64 {
        let expected = format_args!("at most {}", bytes.len()).to_string();
        return Err(FormatError::new("end of a page", BLOCK_HEADER_BYTES + 12, expected, end));
    }
    // In 64 bits, where two 32-bit fields cannot overflow.
    let heads_at = heads_at(0) as u64 + u64::from(prefix_len).next_multiple_of(HEAD_BYTES as u64);
    let offsets_at = heads_at + u64::from(slots) * HEAD_BYTES as u64;
    let cells_at = offsets_at + u64::from(slots) * offset_bytes(header.wide) as u64;
    let (Ok(heads_at), Ok(offsets_at), Ok(cells_at)) =
        (u32::try_from(heads_at), u32::try_from(offsets_at), u32::try_from(cells_at))
    else {
        return Err(too_many(slots, prefix_len, end));
    };
    if cells_at > end {
        return Err(too_many(slots, prefix_len, end));
    }
    let shared_bytes = u64::from(prefix_len) * u64::from(slots);
    if shared_bytes > SHARED_BYTES_LIMIT {
        let (at, most) = (BLOCK_HEADER_BYTES + 8, format_args!("at most {SHARED_BYTES_LIMIT}"));
        return Err(FormatError::new("prefix of all keys of a page", at, most, shared_bytes));
    }
    if header.kind == PageKind::Internal && slots == 0 {
        let at = BLOCK_HEADER_BYTES + 4;
        return Err(FormatError::new("slots of an internal page", at, "at least one", 0));
    }
    Ok(PageImage {
        bytes,
        prefix_len,
        heads_at,
        offsets_at,
        cells_at,
        end,
        slots,
        kind: header.kind,
        wide: header.wide,
        guess: Guess::default(),
    })
}

fn too_many(slots: u32, prefix_len: u32, end: u32) -> FormatError {
    FormatError::new(
        "slots and prefix of a page",
        BLOCK_HEADER_BYTES + 4,
        format_args!("what fits into {end} bytes"),
        format_args!("{slots} slots and {prefix_len} bytes of prefix"),
    )
}

fn check_cells(image: &PageImage) -> Result<(), FormatError> {
    let mut at = image.cells_at as usize;
    let mut reader = Reader::new(image.cells());
    let mut previous: Option<KeyRest<'_>> = None;
    for (slot, head) in image.heads().iter().enumerate() {
        let offset = image.offset(slot);
        if offset != at {
            let place = image.offset_place(slot);
            return Err(FormatError::new("offset of a cell", place, at, offset));
        }
        let before = reader.rest().len();
        let Some(cell) = RawCell::decode(&mut reader) else {
            let expected = format_args!("a cell of at most {before} bytes").to_string();
            return Err(FormatError::new("length of a cell", at, expected, "more"));
        };
        let head = u64::from_le_bytes(*head);
        let rest = KeyRest { head, suffix: cell.suffix, len: cell.rest_len };
        check_cell(image.kind, &cell, &rest, previous.as_ref(), at)?;
        previous = Some(rest);
        at += before - reader.rest().len();
    }
    if at != image.end as usize {
        return Err(FormatError::new("end of the last cell", at, image.end, at));
    }
    Ok(())
}

#[inline]
fn check_cell(
    kind: PageKind,
    cell: &RawCell<'_>,
    rest: &KeyRest<'_>,
    previous: Option<&KeyRest<'_>>,
    at: usize,
) -> Result<(), FormatError> {
    if !Tag::from_bits(cell.tag_bits).is_some_and(|tag| kind.allows(tag)) {
        let expected = format_args!("one of a cell in a page of kind {kind:?}").to_string();
        return Err(FormatError::new("tag of a cell", at, expected, cell.tag_bits));
    }
    let padding = u64::MAX.checked_shr(8 * rest.len.min(HEAD_BYTES) as u32).unwrap_or(0);
    if rest.head & padding != 0 {
        let found = format_args!("{:#018x}", rest.head).to_string();
        let expected = format_args!("{} bytes and zeros", rest.len).to_string();
        return Err(FormatError::new("head of a key", at, expected, found));
    }
    if previous.is_some_and(|previous| previous >= rest) {
        return Err(FormatError::new("key of a cell", at, "more than the key before", "less"));
    }
    Ok(())
}
