//! A file's bytes, cheap to copy: pages shared until one side writes.
//!
//! A crash test makes thousands of images of a few MiB. Copying a [`Content`] is one reference
//! count; the first write to the copy duplicates the table of pages (eight bytes per 4 KiB), and
//! each page is duplicated only when it is written.
#![forbid(unsafe_code)]

use std::sync::Arc;

/// The unit of sharing, in bytes.
const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

static ZEROS: Page = [0; PAGE_BYTES];

/// A file's bytes. A page that is missing reads as zeros, and bytes of a page beyond the length
/// are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pages: Arc<Vec<Option<Arc<Page>>>>,
    len_bytes: u64,
}

impl Content {
    /// The length in bytes.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Copies from `offset` into `buffer` and says how many bytes there were.
    pub(super) fn read(&self, mut buffer: &mut [u8], offset: u64) -> usize {
        let count = self.len_bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut at = offset;
        while at < offset + count as u64 {
            let (index, start) = place(at);
            let page = self.pages.get(index).and_then(Option::as_deref).unwrap_or(&ZEROS);
            let step = ((offset + count as u64 - at) as usize).min(PAGE_BYTES - start);
            let (now, rest) = buffer.split_at_mut(step);
            now.copy_from_slice(&page[start..start + step]);
            buffer = rest;
            at += step as u64;
        }
        count
    }

    /// Every byte.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len_bytes as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Puts `bytes` at `offset`, extending the file to hold them.
    pub(super) fn write(&mut self, mut bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        self.len_bytes = self.len_bytes.max(offset + bytes.len() as u64);
        let pages = Arc::make_mut(&mut self.pages);
        let mut at = offset;
        while !bytes.is_empty() {
            let (index, start) = place(at);
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES - start));
            bytes = rest;
            at += now.len() as u64;
            if pages.len() <= index {
                pages.resize(index + 1, None);
            }
            match &mut pages[index] {
                None if now == &ZEROS[..now.len()] => {}
                page => {
                    let page = page.get_or_insert_with(|| Arc::new(ZEROS));
                    Arc::make_mut(page)[start..start + now.len()].copy_from_slice(now);
                }
            }
        }
    }

    /// Cuts the file, or extends it with zeros.
    pub(super) fn set_len(&mut self, len_bytes: u64) {
        if len_bytes < self.len_bytes {
            let pages = Arc::make_mut(&mut self.pages);
            let (index, start) = place(len_bytes);
            pages.truncate(if start == 0 { index } else { index + 1 });
            if start > 0
                && let Some(Some(page)) = pages.get_mut(index)
            {
                Arc::make_mut(page)[start..].fill(0);
            }
        }
        self.len_bytes = len_bytes;
    }
}

/// The page that holds byte `offset`, and where in it.
fn place(offset: u64) -> (usize, usize) {
    ((offset / PAGE_BYTES as u64) as usize, (offset % PAGE_BYTES as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_copies_are_independent() {
        let mut one = Content::default();
        one.write(&[7; 10_000], 100);
        let two = one.clone();
        one.write(b"new", 5000);
        one.set_len(6000);
        assert_eq!(two.len_bytes(), 10_100);
        assert_eq!(two.to_vec()[5000..5003], [7; 3]);
        assert_eq!(&one.to_vec()[5000..5003], b"new");
    }

    #[test]
    fn content_cut_and_extended_reads_zeros() {
        let mut content = Content::default();
        content.write(&[9; 9000], 0);
        content.set_len(4100);
        content.set_len(9000);
        let bytes = content.to_vec();
        assert!(bytes[..4100].iter().all(|&byte| byte == 9));
        assert!(bytes[4100..].iter().all(|&byte| byte == 0));
        content.write(b"far", 1 << 20);
        let mut buffer = [1; 5];
        assert_eq!(content.read(&mut buffer, (1 << 20) - 2), 5);
        assert_eq!(&buffer, b"\0\0far");
        assert_eq!(content.read(&mut buffer, (1 << 20) + 1), 2);
    }
}
