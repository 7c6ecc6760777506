//! A window of a real file in memory.
//!
//! What it promises: no address outside the mapped pages is touched, and no thread's copy races
//! with another's in Rust's sense, even if they overlap, because every store is a relaxed atomic
//! one of a whole word. Nothing here reads the window through a plain reference.
//!
//! What it cannot promise: if somebody cuts the file under it, or the disk fails while a page is
//! brought in, the system ends the process with `SIGBUS`. The database's lock keeps other writers
//! out; callers keep the range inside the file.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::MappedRange;
use super::fork::ForkGuard;

const WORD_BYTES: usize = size_of::<u64>();

/// A mapped range. A forked child does not inherit it.
#[derive(Debug)]
pub(super) struct Map {
    /// Starts at a whole word at or before the range. Unmapped in the process that mapped it.
    raw: ManuallyDrop<MmapRaw>,
    /// Bytes between the map's start and the range's.
    skip_bytes: usize,
    len_bytes: usize,
    guard: ForkGuard,
}

impl Map {
    /// Maps `offset..offset + len_bytes` of `file`, shared and writable.
    pub(super) fn new(file: &fs::File, offset: u64, len_bytes: usize) -> Result<Self> {
        let end = offset.checked_add(len_bytes as u64);
        if len_bytes == 0 || end.is_none_or(|end| u64::MAX - end < WORD_BYTES as u64) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if end.is_some_and(|end| end > file.metadata().map_or(0, |metadata| metadata.len())) {
            return Err(Error::new(ErrorKind::InvalidInput, "a map beyond the file's end"));
        }
        let guard = ForkGuard::new()?;
        let skip_bytes = (offset % WORD_BYTES as u64) as usize;
        // Whole words: the last may reach beyond the file's end, but not beyond its last page.
        let mapped_bytes = (skip_bytes + len_bytes).next_multiple_of(WORD_BYTES);
        let raw = MmapOptions::new()
            .offset(offset - skip_bytes as u64)
            .len(mapped_bytes)
            .map_raw(file)
            .and_then(|raw| raw.advise(Advice::DontFork).map(|()| raw))
            // Nothing was read or written: whatever the reason, writing instead may work.
            .map_err(|error| Error::new(ErrorKind::Unsupported, error))?;
        assert!(raw.as_mut_ptr().cast::<AtomicU64>().is_aligned(), "a map starts within a word");
        let raw = ManuallyDrop::new(raw);
        Ok(Self { raw, skip_bytes, len_bytes, guard })
    }

    /// Maps the first `len_bytes` of `file` to read what others write, with calls or maps.
    pub(super) fn readable(file: &fs::File, len_bytes: usize) -> Result<Self> {
        let guard = ForkGuard::new()?;
        let raw = MmapOptions::new()
            .len(len_bytes.next_multiple_of(WORD_BYTES))
            .map_raw_read_only(file)
            .and_then(|raw| raw.advise(Advice::DontFork).map(|()| raw))?;
        assert!(raw.as_ptr().cast::<AtomicU64>().is_aligned(), "a map starts within a word");
        Ok(Self { raw: ManuallyDrop::new(raw), skip_bytes: 0, len_bytes, guard })
    }

    /// How many bytes it covers.
    pub(super) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Copies what stands at `offset` to `buffer`.
    pub(super) fn read_at(&self, offset: usize, mut buffer: &mut [u8]) {
        let end = offset.checked_add(buffer.len());
        assert!(end.is_some_and(|end| end <= self.len_bytes), "a read beyond the mapped range");
        let mut at = self.skip_bytes + offset;
        let words = self.words();
        while !buffer.is_empty() {
            // Relaxed: who wrote the bytes and who reads them are in order by other means.
            let word = words[at / WORD_BYTES].load(Relaxed).to_ne_bytes();
            let from = at % WORD_BYTES;
            let (now, rest) = buffer.split_at_mut((WORD_BYTES - from).min(buffer.len()));
            now.copy_from_slice(&word[from..from + now.len()]);
            at += now.len();
            buffer = rest;
        }
    }

    /// The words that cover the range.
    fn words(&self) -> &[AtomicU64] {
        assert!(self.guard.is_ours(), "a map of the parent process was used after fork");
        // SAFETY: the map holds `len()` bytes, readable, and writable unless `readable` made it,
        // whose words are only loaded (relaxed, a word at a time, which may be done to read-only
        // memory), from an aligned address (asserted by both), for as long as `self` lives in the process that made it (just
        // asserted). Whatever bits are there are a valid `AtomicU64`. Within the process only
        // these atomics refer to the memory; the system's own access to it is outside the
        // language, like any device's.
        unsafe {
            std::slice::from_raw_parts(
                self.raw.as_mut_ptr().cast::<AtomicU64>(),
                self.raw.len() / WORD_BYTES,
            )
        }
    }
}

impl MappedRange for Map {
    fn populate(&self) {
        // Refused by old kernels, or the disk is full: a copy meets that itself.
        let _ = self.raw.advise(Advice::PopulateWrite);
    }

    fn copy_at(&self, offset: usize, bytes: &[u8]) {
        let end = offset.checked_add(bytes.len());
        assert!(end.is_some_and(|end| end <= self.len_bytes), "a copy beyond the mapped range");
        let start = self.skip_bytes + offset;
        let words = &self.words()[start / WORD_BYTES..];
        let head_bytes = (start.wrapping_neg() % WORD_BYTES).min(bytes.len());
        let (head, rest) = bytes.split_at(head_bytes);
        let (head_word, words) = words.split_at(usize::from(!head.is_empty()));
        if let [word] = head_word {
            merge(word, start % WORD_BYTES, head);
        }
        let (whole, tail) = rest.as_chunks::<WORD_BYTES>();
        // Relaxed: nobody in this process reads the words; the order in which the system sees
        // the copies of different threads is kept by the callers' own locks and flags.
        for (word, bytes) in words.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*bytes), Relaxed);
        }
        if !tail.is_empty() {
            merge(&words[whole.len()], 0, tail);
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // A child did not inherit the map: the addresses may be somebody else's there.
        if self.guard.is_ours() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.raw) }
        }
    }
}

/// Puts `bytes` into `word` from byte `at` on, leaving its other bytes to other threads.
fn merge(word: &AtomicU64, at: usize, bytes: &[u8]) {
    // Relaxed: as for whole words.
    let _ = word.fetch_update(Relaxed, Relaxed, |old| {
        let mut new = old.to_ne_bytes();
        new[at..at + bytes.len()].copy_from_slice(bytes);
        Some(u64::from_ne_bytes(new))
    });
}
