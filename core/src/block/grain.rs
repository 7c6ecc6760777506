//! What the space of a block is rounded up to: units of 512 bytes, or frames of 4 KiB.
//!
//! Pages are read and written at random, by a page cache that only knows whole frames. A page that
//! began or ended inside of one would cost a read before each write (of the frame's other part, while
//! everybody else's writes to the file wait), and a frame more for each read. So the pages of a table
//! lie in whole frames. Long values, lists, and pages of tables that ask for compression, which is
//! asking for less space, are packed more tightly.

use super::block_header::BlockKind;
use super::extent::Extent;
use crate::base::options::Compression;

/// The allocation unit: extents start and end on a multiple of it.
pub const UNIT_BYTES: u64 = 512;

/// What the system's page cache, and most drives, read and write as a whole; a multiple of
/// [`UNIT_BYTES`].
pub const FRAME_BYTES: u64 = 4096;

/// What an extent starts and ends on a multiple of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grain {
    /// [`UNIT_BYTES`].
    Unit,
    /// [`FRAME_BYTES`].
    Frame,
}

impl Grain {
    /// Its length.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Unit => UNIT_BYTES,
            Self::Frame => FRAME_BYTES,
        }
    }

    /// `bytes` rounded up to whole grains. `bytes` is at most [`super::FILE_BYTES_MAX`].
    pub const fn round_up(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.bytes()) * self.bytes()
    }

    /// That of a block of this kind, in a table with this compression.
    pub(super) const fn of(kind: BlockKind, compression: Compression) -> Self {
        match (kind.is_page(), compression) {
            (true, Compression::None) => Self::Frame,
            _ => Self::Unit,
        }
    }

    /// The part of `extent` that consists of whole grains, if there is any.
    pub(super) fn within(self, extent: Extent) -> Option<Extent> {
        let offset = self.round_up(extent.offset);
        let end = extent.end() - extent.end() % self.bytes();
        (offset < end).then(|| Extent { offset, len: end - offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_keeps_whole_grains_only() {
        let extent = |offset, len| Extent { offset, len };
        let within = |offset, len| Grain::Frame.within(extent(offset, len));
        assert_eq!(within(4096, 8192), Some(extent(4096, 8192)));
        assert_eq!(within(4608, 8192), Some(extent(8192, 4096)));
        assert_eq!(within(3584, 4608), Some(extent(4096, 4096)));
        assert_eq!(within(4608, 7168), None);
        assert_eq!(within(512, 1024), None);
        assert_eq!(Grain::Unit.within(extent(512, 1024)), Some(extent(512, 1024)));
    }

    #[test]
    fn frames_are_for_pages_as_they_are() {
        for kind in BlockKind::ALL {
            let is_frame = |compression| Grain::of(kind, compression) == Grain::Frame;
            assert_eq!(is_frame(Compression::None), kind.is_page(), "{kind:?}");
            assert!(!is_frame(Compression::Snappy), "{kind:?}");
        }
    }
}
