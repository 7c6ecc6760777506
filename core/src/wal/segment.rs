//! A segment: one file that holds a range of the log's positions.
//!
//! The file opens with two copies of its header, a sector each, so that one damaged sector does
//! not hide the records; they follow at [`HEADER_BYTES`]. The range ends with the file, and the
//! next segment of the log starts there. A segment's name only says where to look for it; what
//! it holds is in its header, and each record carries its own position.
//!
//! A segment is written in full before the first record goes into it, and synced where commits are, so that
//! the sync of a commit writes data only.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::checksum::crc32_of;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn};
use crate::io::{File, MappedRange, OpenHow, Storage, SyncPoint};
use crate::wal::record::{ALIGN_BYTES, HeaderBytes, RECORD_HEADER_BYTES};

/// Bytes before the first record: two sectors, a copy of the header in each.
pub const HEADER_BYTES: u64 = 2 * COPY_BYTES;

/// Bytes of a sector with a copy of the header.
const COPY_BYTES: u64 = 512;

/// Bytes of a window of the map.
const WINDOW_BYTES: u64 = 4 << 20;

/// The first bytes of a segment.
const MAGIC: [u8; 8] = *b"rshlvWAL";

/// The version of the records and headers.
const VERSION: u32 = 1;

/// The name of the segment file `number` of the database `base_name`.
pub fn segment_name(base_name: &str, number: u64) -> String {
    format!("{base_name}-wal{number:08}")
}

/// The number in a segment file's name; `None` when the name is not one.
pub fn segment_number(base_name: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(base_name)?.strip_prefix("-wal")?;
    let plain = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Only the spelling that `segment_name` gives: `000000001` is somebody else's.
    digits.parse().ok().filter(|number| plain && format!("{number:08}") == digits)
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose log it is.
    pub id: DatabaseId,
    /// The epoch of every record in it.
    pub epoch: u32,
    /// The position of its first record.
    pub start: Lsn,
    /// The file's size in bytes.
    pub size_bytes: u64,
}

/// What the first bytes of a file turn out to be.
#[derive(Debug)]
pub enum Found {
    /// A segment of the database that was asked for.
    Ours(SegmentHeader),
    /// Neither copy verifies: its preparation was cut short, or it was damaged since.
    Damaged,
    /// Another database's segment, or another program's file.
    Foreign,
}

/// What the positions of a segment stay below: no log grows so long, and whoever counts on from one
/// need not fear the type's end.
const POSITION_MAX: u64 = 1 << 62;

impl SegmentHeader {
    /// The position behind the last one that fits.
    pub fn end(&self) -> Lsn {
        Lsn(self.start.0 + (self.size_bytes - HEADER_BYTES))
    }

    fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES as usize);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&self.epoch.to_le_bytes());
        copy.extend_from_slice(&self.id.0);
        copy.extend_from_slice(&self.start.0.to_le_bytes());
        copy.extend_from_slice(&self.size_bytes.to_le_bytes());
        copy.extend_from_slice(&crc32_of(&[&copy]).to_le_bytes());
        copy.resize(COPY_BYTES as usize, 0);
        copy
    }

    /// One copy; `None` unless it verifies and makes sense. The version is returned with it.
    fn decode(copy: &[u8]) -> Option<(Self, u32)> {
        let mut reader = Reader::new(copy);
        let summed = reader.bytes(48)?;
        if reader.u32()? != crc32_of(&[summed]) {
            return None;
        }
        let mut reader = Reader::new(summed);
        let (magic, version, epoch) = (reader.array::<8>()?, reader.u32()?, reader.u32()?);
        let id = DatabaseId(reader.array()?);
        let (start, size_bytes) = (Lsn(reader.u64()?), reader.u64()?);
        let sensible = magic == MAGIC
            && epoch > 0
            && start.0.is_multiple_of(ALIGN_BYTES)
            && size_bytes.is_multiple_of(ALIGN_BYTES)
            && size_bytes >= HEADER_BYTES + RECORD_HEADER_BYTES
            && start.0.checked_add(size_bytes).is_some_and(|end| end < POSITION_MAX);
        sensible.then_some((Self { id, epoch, start, size_bytes }, version))
    }

    /// Reads a file's header.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a segment of this database in a later format; [`Error::Io`].
    pub fn read(file: &dyn File, label: &Arc<str>, id: DatabaseId) -> Result<Found> {
        let len = file.len().map_err(|error| Error::io("measure", label, error))?;
        let mut bytes = vec![0; len.min(HEADER_BYTES) as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| Error::io("read", label, error))?;
        let copies = bytes.chunks(COPY_BYTES as usize);
        // A rewrite that was cut short leaves two copies that differ. No record under
        // the newer one was promised yet, so either would do; the newer is the more telling.
        let newest = copies
            .clone()
            .filter_map(Self::decode)
            .max_by_key(|(header, _)| (header.epoch, header.start));
        match newest {
            Some((header, _)) if header.id != id => Ok(Found::Foreign),
            Some((header, VERSION)) => Ok(Found::Ours(header)),
            Some((_, version)) => Err(Error::Unsupported {
                what: format!("the log format {version} of {label} (a later version's)"),
            }),
            None if bytes.iter().all(|&byte| byte == 0) => Ok(Found::Damaged),
            None if copies.clone().any(nearly_ours) => Ok(Found::Damaged),
            None => Ok(Found::Foreign),
        }
    }
}

/// Whether a copy that does not verify was a header once. Of a damaged sector little may be
/// left, so a part of the magic will do.
fn nearly_ours(copy: &[u8]) -> bool {
    let same = copy.iter().zip(&MAGIC).filter(|(byte, magic)| byte == magic).count();
    same >= MAGIC.len() / 2
}

/// A segment that records are written to.
#[derive(Debug)]
pub(crate) struct Segment {
    pub name: String,
    /// The file's full name, for messages.
    pub label: Arc<str>,
    pub file: Arc<dyn File>,
    pub header: SegmentHeader,
}

impl Segment {
    pub fn start(&self) -> Lsn {
        self.header.start
    }

    pub fn end(&self) -> Lsn {
        self.header.end()
    }
}

/// A part of a segment through which records are written: a mapped window, or, where files
/// cannot be mapped, the whole segment through writes.
#[derive(Debug)]
pub(crate) struct Window {
    segment: Arc<Segment>,
    map: Option<Box<dyn MappedRange>>,
    /// Where the window starts in the file.
    offset: u64,
    /// The position behind its last byte.
    end: Lsn,
}

impl Window {
    /// The position behind the window's last byte.
    #[inline]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Whether records are copied into it, not written.
    pub fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// Where a position lies in the file.
    #[inline]
    fn file_offset(&self, position: Lsn) -> u64 {
        position.0 - self.segment.header.start.0 + HEADER_BYTES
    }

    /// The windows of a new segment, in order. Writing is the fallback when mapping fails, for
    /// the whole segment, because a file system may not keep the two coherent.
    fn all_of(segment: &Arc<Segment>, map: bool) -> VecDeque<Arc<Window>> {
        let size = segment.header.size_bytes;
        let mapped = |offset: u64| {
            let len = WINDOW_BYTES.min(size - offset);
            let map = segment.file.map(offset, usize::try_from(len).ok()?).ok()?;
            let end = Lsn(segment.header.start.0 + (offset + len - HEADER_BYTES));
            Some(Arc::new(Window { segment: Arc::clone(segment), map: Some(map), offset, end }))
        };
        let windows: Option<VecDeque<_>> =
            if map { (0..size).step_by(WINDOW_BYTES as usize).map(mapped).collect() } else { None };
        windows.unwrap_or_else(|| {
            let end = segment.end();
            let window = Window { segment: Arc::clone(segment), map: None, offset: 0, end };
            VecDeque::from([Arc::new(window)])
        })
    }
}

/// The windows that one record touches: nearly always one.
pub(crate) type Windows = SmallVec<[Arc<Window>; 2]>;

/// How a record gets into its segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// Copied into the map, where there is one.
    Map,
    /// Written by a call: a sync follows at once, which takes longer for pages that were written to through a
    /// map, for their entries in the page tables of every processor must go.
    Call,
}

/// Writes a record at `position`, which lies in the first of `windows`.
#[inline]
pub(crate) fn write_record<'w>(
    through: Through,
    windows: impl IntoIterator<Item = &'w Window>,
    position: Lsn,
    header: &HeaderBytes,
    parts: &[&[u8]],
) -> Result<()> {
    let mut windows = windows.into_iter();
    let Some(first) = windows.next() else { return Ok(()) };
    if first.map.is_none() || through == Through::Call {
        let mut slices: SmallVec<[IoSlice<'_>; 8]> = SmallVec::new();
        slices.push(IoSlice::new(header));
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        let written = first.segment.file.write_all_at(&slices, first.file_offset(position));
        return written.map_err(|error| Error::io("write", &first.segment.label, error));
    }
    let mut window = Some(first);
    let mut position = position;
    for mut bytes in std::iter::once(header.as_slice()).chain(parts.iter().copied()) {
        while let Some(here) = window {
            let room = here.end.0 - position.0;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            let offset = here.file_offset(position) - here.offset;
            if let Some(map) = &here.map
                && !now.is_empty()
            {
                map.copy_at(offset as usize, now);
            }
            position.0 += now.len() as u64;
            bytes = later;
            if bytes.is_empty() {
                break;
            }
            window = windows.next();
        }
        assert!(bytes.is_empty(), "a record fits the windows that were reserved with it");
    }
    Ok(())
}

/// A file that is fully written and may become a segment again.
#[derive(Debug)]
pub(crate) struct Spare {
    pub name: String,
    pub file: Arc<dyn File>,
    pub size_bytes: u64,
}

/// A segment that is ready for its first record.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub segment: Arc<Segment>,
    pub windows: VecDeque<Arc<Window>>,
}

/// How to prepare a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation {
    pub header: SegmentHeader,
    /// Permission bits of a new file.
    pub file_mode: u32,
    /// Map it, if that works.
    pub map: bool,
    /// Make it durable now; otherwise the log's next sync does.
    pub sync: bool,
    /// Bring the map into memory for writing. It is dirty then, all of it: not for a log that is synced
    /// at each commit.
    pub populate: bool,
}

/// Makes a segment named `name`: out of `spare`, whose size the header then has, or a new file
/// of zeros.
///
/// # Errors
/// What the file system says; `AlreadyExists` when somebody has that name. Nothing is left behind,
/// as far as the file system allows.
pub(crate) fn prepare(
    storage: &dyn Storage,
    name: String,
    spare: Option<Spare>,
    how: Preparation,
) -> io::Result<Prepared> {
    let (file, blank) = match spare {
        Some(spare) => {
            storage.rename(&spare.name, &name)?;
            (spare.file, false)
        }
        None => (storage.open(&name, OpenHow::CreateNew { mode: how.file_mode })?, true),
    };
    let label = storage.display(&name).into();
    let segment = Arc::new(Segment { name, label, file, header: how.header });
    write_content(storage, &segment, blank, how.sync).inspect_err(|_| {
        // The error that the caller gets is the first one.
        let _ = storage.remove(&segment.name);
    })?;
    let windows = Window::all_of(&segment, how.map);
    if how.populate {
        windows.iter().filter_map(|window| window.map.as_ref()).for_each(|map| map.populate());
    }
    Ok(Prepared { segment, windows })
}

fn write_content(
    storage: &dyn Storage,
    segment: &Segment,
    blank: bool,
    sync: bool,
) -> io::Result<()> {
    let Segment { file, header, .. } = segment;
    if blank {
        match file.allocate(0, header.size_bytes) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            outcome => outcome?,
        }
        let zeros = vec![0; header.size_bytes.min(256 << 10) as usize];
        let mut offset = 0;
        while offset < header.size_bytes {
            let count = (header.size_bytes - offset).min(zeros.len() as u64);
            let part = zeros.get(..count as usize).unwrap_or(&zeros);
            file.write_all_at(&[IoSlice::new(part)], offset)?;
            offset += count;
        }
    }
    let copy = header.encode();
    file.write_all_at(&[IoSlice::new(&copy), IoSlice::new(&copy)], 0)?;
    if sync {
        file.sync_data(SyncPoint::SegmentFill)?;
        storage.sync_folder(SyncPoint::Folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { id: DatabaseId([3; 16]), epoch: 2, start: Lsn(4096), size_bytes: 1 << 20 };

    #[test]
    fn segment_names_round_trip_and_nothing_else_does() {
        for number in [1, 99_999_999, 100_000_000, u64::MAX] {
            let name = segment_name("spam", number);
            assert_eq!(segment_number("spam", &name), Some(number), "{name}");
        }
        let others = ["spam", "spam-wal", "spam-wal1", "spam-wal000000001", "spam-wal0000000x"];
        for name in others.into_iter().chain(["spam-wal-wal00000001", "spam-wal+0000001"]) {
            assert_eq!(segment_number("spam", name), None, "{name}");
        }
    }

    #[test]
    fn segment_header_round_trips_and_refuses_every_flip() {
        let copy = HEADER.encode();
        assert_eq!(SegmentHeader::decode(&copy), Some((HEADER, VERSION)));
        for bit in 0..8 * 52 {
            let mut flipped = copy.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), None, "bit {bit}");
        }
        for len in 0..52 {
            assert_eq!(SegmentHeader::decode(&copy[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn segment_header_refuses_sizes_that_make_no_sense() {
        for (start, size_bytes) in [(4, 1 << 20), (0, 1028), (0, 8), (u64::MAX - 7, 1 << 20)] {
            let header = SegmentHeader { start: Lsn(start), size_bytes, ..HEADER };
            assert_eq!(SegmentHeader::decode(&header.encode()), None);
        }
    }
}
