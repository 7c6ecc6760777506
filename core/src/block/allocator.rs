//! Who owns which byte of the data file: in use, available, or freed and not yet released.
//!
//! A state machine without I/O; [`super::Blocks`] keeps it behind its one short mutex. A byte
//! between the first extent and `end` is in exactly one place, and freed bytes travel
//!
//! ```text
//! in use -> current -> closing -> finishing -> (held, kept) -> available -> in use
//!          free()     begin      finish       pinned, named   released
//! ```
//!
//! but for a *fresh* page, which was placed and freed between two checkpoints: that one is available
//! at once.
//!
//! *Invariant (copy-on-write):* nothing enters `available` but what no durable superblock
//! reaches: released frees, extents that were taken and never referred to, and what the free
//! list of the durable superblock itself says.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::available::AvailableExtents;
use super::extent::{Extent, ExtentList};
use super::{FIRST_EXTENT, Grain, UNIT_BYTES};
use crate::base::ids::Generation;

/// The allocation state of the data file.
#[derive(Clone, Debug)]
pub(super) struct Allocator {
    available: AvailableExtents,
    /// Of each page that was placed since the last checkpoint was durable, and before the next began,
    /// where it lies and its length: no checkpoint reaches it.
    fresh: HashMap<u64, u64>,
    /// A checkpoint is being made, or failed: it may reach what is placed now.
    is_in_checkpoint: bool,
    /// Freed since the last `begin_checkpoint`: the next checkpoint may still reach them.
    current: ExtentList,
    /// Freed before it: the checkpoint that is being made does not reach them.
    closing: ExtentList,
    /// Listed as free by the superblock that is being written.
    finishing: ExtentList,
    /// The blocks of the durable superblock's free list, which are in use until the next one is.
    list_blocks: ExtentList,
    /// Freed by these checkpoints and durably so, but reached by an older one that is pinned, in
    /// this process or by a reader in another one. In ascending order.
    held: Vec<(Generation, AvailableExtents)>,
    /// Freed, and reached by a named checkpoint.
    kept: AvailableExtents,
    /// What the named checkpoints reach.
    reaches: Vec<Reach>,
    /// Checkpoints that somebody reads, and how many do.
    pins: BTreeMap<Generation, usize>,
    /// Compactions under way: while there are any, everything is placed as low as it can be.
    compactions: usize,
    /// The last checkpoint whose frees no reader in another process reaches, as far as is known.
    unread: Generation,
    /// The end of the allocated part: no byte behind it is in use. At most `file_bytes`.
    end: u64,
    /// How far the file is known to be backed by storage.
    file_bytes: u64,
    /// Bytes taken since the last finished checkpoint began.
    allocated_bytes: u64,
    /// Of those, the bytes taken since the checkpoint that is being made began.
    allocated_since_begin_bytes: u64,
}

/// The file must be longer before this can be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeedsGrowth {
    /// How many bytes must fit behind `end`.
    pub(super) bytes: u64,
}

/// Why an extent cannot be freed or claimed: somebody's address is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// It lies (partly) outside of the allocated part, which ends here.
    Outside(u64),
    /// It is free already, at least this part.
    Free(Extent),
}

/// What [`Allocator::start_finishing`] found: the raw material of a free list.
#[derive(Debug)]
pub(super) struct FreeSnapshot {
    /// Available now, in the order of the file.
    pub(super) available: Vec<Extent>,
    /// Released by this checkpoint, or held for readers, who will be gone or asked again when this
    /// list is read.
    pub(super) freed: Vec<Extent>,
    /// The end of the allocated part.
    pub(super) end: u64,
    /// The end of the last extent that is free for this checkpoint, and not for a named one.
    pub(super) kept_end: u64,
}

/// What a named checkpoint reaches: everything before its end that its free list does not have.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) generation: Generation,
    pub(super) free: ExtentList,
    pub(super) end: u64,
}

impl Reach {
    /// Parts `extent` in what is reached and what is not.
    fn split(&self, extent: Extent, reached: &mut Vec<Extent>, rest: &mut Vec<Extent>) {
        let mut at = extent.offset;
        let mut push = |list: &mut Vec<Extent>, to: u64| {
            if to > at {
                list.push(Extent { offset: at, len: to - at });
                at = to;
            }
        };
        let inside_end = extent.end().min(self.end);
        for free in self.free.iter_within(extent) {
            push(reached, free.offset.min(inside_end));
            push(rest, free.end().min(inside_end));
        }
        push(reached, inside_end);
        push(rest, extent.end());
    }
}

impl Allocator {
    /// The state after opening a file of `file_bytes` whose superblock says `end` (not above
    /// `file_bytes`) and lists `available` in `list_blocks`.
    pub(super) fn new(
        available: ExtentList,
        list_blocks: ExtentList,
        end: u64,
        file_bytes: u64,
    ) -> Self {
        assert!((FIRST_EXTENT..=file_bytes).contains(&end), "the caller checked the end");
        Self {
            available: available.into(),
            fresh: HashMap::new(),
            is_in_checkpoint: false,
            current: ExtentList::default(),
            closing: ExtentList::default(),
            finishing: ExtentList::default(),
            list_blocks,
            held: Vec::new(),
            kept: AvailableExtents::default(),
            reaches: Vec::new(),
            pins: BTreeMap::new(),
            compactions: 0,
            unread: Generation(u64::MAX),
            end,
            file_bytes,
            allocated_bytes: 0,
            allocated_since_begin_bytes: 0,
        }
    }

    /// Places extents of `sizes` (whole grains each) and returns their offsets in order: in one
    /// run if there is one, else packed into the largest that there are, and what is left at the
    /// end of the file.
    ///
    /// # Errors
    /// [`NeedsGrowth`] when the rest does not fit the file; nothing is taken then.
    pub(super) fn place(&mut self, sizes: &[u64], grain: Grain) -> Result<Vec<u64>, NeedsGrowth> {
        let mut offsets = Vec::with_capacity(sizes.len());
        let mut runs: Vec<Extent> = Vec::new();
        let mut rest = sizes;
        while self.compactions > 0
            && let Some((&size, others)) = rest.split_first()
            && let Some(run) = self.available.take_below(size, grain, u64::MAX)
        {
            offsets.push(run.offset);
            runs.push(run);
            rest = others;
        }
        while let Some(&first) = rest.first() {
            let rest_bytes: u64 = rest.iter().sum();
            let largest = self.available.largest(grain).filter(|run| run.len >= first);
            let run = if let Some(run) = self.available.take(rest_bytes, grain) {
                run
            } else if let Some(largest) = largest {
                let fitting_bytes = fitting_bytes(rest, largest.len);
                self.available.take_front(largest, fitting_bytes)
            } else {
                match self.take_end(rest_bytes, grain) {
                    Ok(run) => run,
                    Err(needs) => {
                        self.take_back(&runs);
                        return Err(needs);
                    }
                }
            };
            rest = push_offsets(rest, run, &mut offsets);
            runs.push(run);
        }
        self.count_placed(sizes);
        Ok(offsets)
    }

    /// Takes the first `bytes` of whole grains behind all that is allocated. What lies before them
    /// becomes available.
    fn take_end(&mut self, bytes: u64, grain: Grain) -> Result<Extent, NeedsGrowth> {
        let run = Extent { offset: grain.round_up(self.end), len: bytes };
        if run.end() > self.file_bytes {
            return Err(NeedsGrowth { bytes: run.end() - self.end });
        }
        let skipped = Extent { offset: self.end, len: run.offset - self.end };
        self.end = run.end();
        if skipped.len > 0 {
            self.make_available(skipped);
        }
        Ok(run)
    }

    fn count_placed(&mut self, sizes: &[u64]) {
        let placed_bytes: u64 = sizes.iter().sum();
        self.allocated_bytes += placed_bytes;
        self.allocated_since_begin_bytes += placed_bytes;
    }

    /// Like [`Allocator::place`], for blocks that only references in memory and checkpoints name.
    pub(super) fn place_pages(
        &mut self,
        sizes: &[u64],
        grain: Grain,
    ) -> Result<Vec<u64>, NeedsGrowth> {
        let offsets = self.place(sizes, grain)?;
        if !self.is_in_checkpoint {
            self.fresh.extend(offsets.iter().copied().zip(sizes.iter().copied()));
        }
        Ok(offsets)
    }

    /// Whether no checkpoint reaches the page at `extent`, made or being made.
    pub(super) fn is_fresh(&self, extent: Extent) -> bool {
        self.fresh.get(&extent.offset) == Some(&extent.len)
    }

    /// Like [`Allocator::free`], for a page whose address nobody can read any more: if no checkpoint
    /// reaches it, its space is available at once.
    pub(super) fn free_page(&mut self, extent: Extent) -> Result<(), Misplaced> {
        if !self.is_fresh(extent) {
            return self.free(extent, false);
        }
        self.give_back(&[extent]);
        Ok(())
    }

    /// Like [`Allocator::place`], each extent as low in the file as it can be, and all of them
    /// ending at or before `ceiling`; `None` (and nothing taken) when they do not all fit.
    pub(super) fn place_below(
        &mut self,
        sizes: &[u64],
        grain: Grain,
        ceiling: u64,
    ) -> Option<Vec<u64>> {
        let mut runs = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let Some(run) = self.available.take_below(size, grain, ceiling) else {
                self.take_back(&runs);
                return None;
            };
            runs.push(run);
        }
        self.count_placed(sizes);
        Some(runs.iter().map(|run| run.offset).collect())
    }

    /// Like [`Allocator::place`], but behind all that is allocated.
    pub(super) fn place_behind(
        &mut self,
        sizes: &[u64],
        grain: Grain,
    ) -> Result<Vec<u64>, NeedsGrowth> {
        let run = self.take_end(sizes.iter().sum(), grain)?;
        let mut offsets = Vec::with_capacity(sizes.len());
        push_offsets(sizes, run, &mut offsets);
        self.count_placed(sizes);
        Ok(offsets)
    }

    /// Makes extents available again that were placed and to which nothing ever referred.
    pub(super) fn give_back(&mut self, extents: &[Extent]) {
        for extent in extents {
            self.fresh.remove(&extent.offset);
        }
        self.take_back(extents);
        let bytes: u64 = extents.iter().map(|extent| extent.len).sum();
        self.allocated_bytes = self.allocated_bytes.saturating_sub(bytes);
        self.allocated_since_begin_bytes = self.allocated_since_begin_bytes.saturating_sub(bytes);
    }

    fn take_back(&mut self, extents: &[Extent]) {
        for &extent in extents {
            self.make_available(extent);
        }
    }

    /// Adds to what may be written, unless some of it is free in another way already. Only a
    /// damaged tree that names a stranger's extent can bring that about; losing track of the
    /// space is the harmless end of it.
    fn make_available(&mut self, extent: Extent) {
        let twice = self.pending().any(|list| list.overlap(extent).is_some());
        if twice || self.available.insert(extent).is_err() {
            tracing::error!(?extent, "freed twice; the space is lost until the next compaction");
        }
    }

    /// Collects `extent` for the next checkpoint, or, with `in_checkpoint`, for the one that is
    /// being made, which therefore must not reach it.
    pub(super) fn free(&mut self, extent: Extent, in_checkpoint: bool) -> Result<(), Misplaced> {
        if extent.offset < FIRST_EXTENT || extent.end() > self.end {
            return Err(Misplaced::Outside(self.end));
        }
        if let Some(free) = self.free_overlap(extent) {
            return Err(Misplaced::Free(free));
        }
        let list = if in_checkpoint { &mut self.closing } else { &mut self.current };
        list.insert(extent).map(drop).map_err(Misplaced::Free)
    }

    /// The first part of `extent` that is not in use.
    fn free_overlap(&self, extent: Extent) -> Option<Extent> {
        [self.available.list(), &self.list_blocks]
            .into_iter()
            .chain(self.pending())
            .find_map(|list| list.overlap(extent))
    }

    /// At recovery: whatever part of `extent` the free list has is in use after all. Returns how
    /// many bytes that were. Extents behind `end` move it; what they skip becomes available.
    pub(super) fn claim(&mut self, extent: Extent) -> Result<u64, Misplaced> {
        if extent.offset < FIRST_EXTENT || extent.end() > self.file_bytes {
            return Err(Misplaced::Outside(self.file_bytes));
        }
        let mut claimed_bytes = 0;
        if extent.end() > self.end {
            let skipped = Extent { offset: self.end, len: extent.end() - self.end };
            self.end = extent.end();
            self.take_back(&[skipped]);
        }
        claimed_bytes += self.available.take_range(extent);
        for (_, list) in &mut self.held {
            claimed_bytes += list.take_range(extent);
        }
        claimed_bytes += self.kept.take_range(extent);
        self.allocated_bytes += claimed_bytes;
        Ok(claimed_bytes)
    }

    /// Closes the current collection of frees. If an earlier checkpoint failed, its frees are
    /// part of this one.
    pub(super) fn begin_checkpoint(&mut self) {
        let current = std::mem::take(&mut self.current);
        self.closing.append(current);
        self.fresh.clear();
        self.is_in_checkpoint = true;
        self.allocated_since_begin_bytes = 0;
    }

    /// Fixes what the checkpoint that is being made releases: what was freed before it began,
    /// and the blocks of the free list that it replaces.
    pub(super) fn start_finishing(&mut self) -> FreeSnapshot {
        assert_eq!(self.finishing.count(), 0, "one checkpoint at a time");
        self.finishing = std::mem::take(&mut self.closing);
        self.finishing.append(self.list_blocks.clone());
        let held = self.held.iter().flat_map(|(_, list)| list.list().iter());
        let kept = self.kept.list();
        let reached_end = match self.reaches.is_empty() {
            true => None,
            false => self.finishing.iter().flat_map(|extent| self.split(extent).0).last(),
        };
        let kept_end = [kept.last(), reached_end].iter().flatten().map(Extent::end).max();
        FreeSnapshot {
            available: self.available.list().iter().collect(),
            freed: self.finishing.iter().chain(held).chain(kept.iter()).collect(),
            end: self.end,
            kept_end: kept_end.unwrap_or(FIRST_EXTENT),
        }
    }

    /// The checkpoint failed: what it would have released waits for the next one, and the old
    /// free list stays in use.
    pub(super) fn stop_finishing(&mut self) {
        let mut finishing: AvailableExtents = std::mem::take(&mut self.finishing).into();
        for block in self.list_blocks.iter() {
            finishing.take_range(block);
        }
        self.closing.append(finishing.list().clone());
    }

    /// The superblock `generation` is durable in both slots, and its free list lies in
    /// `list_blocks`: releases what it no longer reaches, and lets go of a free tail. What
    /// checkpoints behind `unread` freed is kept: a reader in another process may reach it.
    pub(super) fn release(
        &mut self,
        generation: Generation,
        list_blocks: ExtentList,
        unread: Generation,
    ) {
        let finishing = std::mem::take(&mut self.finishing);
        self.is_in_checkpoint = false;
        self.list_blocks = list_blocks;
        self.hold_or_keep(finishing, generation);
        self.allocated_bytes = self.allocated_since_begin_bytes;
        self.unread = unread;
        self.release_unpinned();
    }

    /// What nobody but checkpoints before `generation` may reach is held for those that are read, or
    /// kept for those that are named.
    fn hold_or_keep(&mut self, freed: ExtentList, generation: Generation) {
        if self.reaches.is_empty() {
            self.held.push((generation, freed.into()));
            return;
        }
        let mut held = AvailableExtents::default();
        for extent in freed.iter() {
            let (reached, rest) = self.split(extent);
            let kept = reached.into_iter().all(|extent| self.kept.insert(extent).is_ok());
            let held = rest.into_iter().all(|extent| held.insert(extent).is_ok());
            assert!(kept && held, "what was freed once is in no other list");
        }
        self.held.push((generation, held));
    }

    /// What of `extent` some named checkpoint reaches, and what none does.
    fn split(&self, extent: Extent) -> (Vec<Extent>, Vec<Extent>) {
        let (mut reached, mut rest) = (Vec::new(), vec![extent]);
        for reach in &self.reaches {
            for part in std::mem::take(&mut rest) {
                reach.split(part, &mut reached, &mut rest);
            }
        }
        (reached, rest)
    }

    /// Whether a named checkpoint reaches some of `extent`.
    pub(super) fn is_kept(&self, extent: Extent) -> bool {
        !self.reaches.is_empty() && !self.split(extent).0.is_empty()
    }

    /// More checkpoints are about to be named: what they reach is not released.
    pub(super) fn add_reaches(&mut self, reaches: &[Reach]) {
        for reach in reaches {
            if self.reaches.iter().all(|known| known.generation != reach.generation) {
                self.reaches.push(reach.clone());
            }
        }
    }

    /// The naming failed: these are named, and no others.
    pub(super) fn forget_reaches_but(&mut self, generations: &[Generation]) {
        self.reaches.retain(|reach| generations.contains(&reach.generation));
    }

    /// The named checkpoints as the durable superblock `generation` has them. What only others
    /// reached is released, unless somebody reads a checkpoint before.
    pub(super) fn set_reaches(&mut self, reaches: Vec<Reach>, generation: Generation) {
        self.reaches = reaches;
        let kept = std::mem::take(&mut self.kept);
        self.hold_or_keep(kept.list().clone(), generation);
        self.release_unpinned();
    }

    /// After opening: the free list does not tell what named checkpoints reach.
    pub(super) fn keep_available(&mut self) {
        if self.reaches.is_empty() {
            return;
        }
        for extent in self.available.list().clone().iter() {
            for reached in self.split(extent).0 {
                self.available.take_range(reached);
                let kept = self.kept.insert(reached);
                assert!(kept.is_ok(), "the extents of a list are disjoint");
            }
        }
    }

    /// Bytes that are free but for named checkpoints.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept.list().bytes()
    }

    /// After opening: readers in other processes may reach older checkpoints than `generation`,
    /// so nothing that it calls free may be written yet, nor what lies behind its end.
    pub(super) fn hold_everything(&mut self, generation: Generation) {
        let file_end = self.file_bytes - self.file_bytes % UNIT_BYTES;
        if file_end > self.end {
            let behind = Extent { offset: self.end, len: file_end - self.end };
            self.end = file_end;
            self.make_available(behind);
        }
        self.held.push((generation, std::mem::take(&mut self.available)));
        self.unread = Generation(0);
    }

    /// The checkpoints whose frees are held, in ascending order.
    pub(super) fn held_generations(&self) -> Vec<Generation> {
        self.held.iter().map(|(generation, _)| *generation).collect()
    }

    fn release_unpinned(&mut self) {
        let oldest_pin = self.pins.keys().next().copied();
        let unread = self.unread;
        let reached = |generation: &Generation| {
            oldest_pin.is_some_and(|oldest_pin| oldest_pin < *generation) || *generation > unread
        };
        let released: Vec<_> = self.held.extract_if(.., |(by, _)| !reached(by)).collect();
        for (_, list) in released {
            if self.available.list().count() == 0 && self.held.is_empty() {
                self.available = list;
                continue;
            }
            for extent in list.list().iter() {
                self.make_available(extent);
            }
        }
        if let Some(tail) = self.available.take_tail(self.end) {
            self.end = tail.offset;
        }
    }

    /// From now on everything is placed as low as it can be, until [`Allocator::end_compaction`].
    pub(super) fn begin_compaction(&mut self) {
        self.compactions += 1;
    }

    /// Ends one compaction.
    pub(super) fn end_compaction(&mut self) {
        self.compactions = self.compactions.saturating_sub(1);
    }

    /// Where the available extents below which more than `spare_bytes` are available begin: the
    /// place from which on it pays to close gaps. None when there is no such place.
    pub(super) fn first_gap(&self, spare_bytes: u64) -> Option<u64> {
        let mut sum_bytes = 0;
        self.available.list().iter().find_map(|extent| {
            sum_bytes += extent.len;
            (sum_bytes > spare_bytes).then_some(extent.offset)
        })
    }

    /// How many bytes below `ceiling` are available in extents of at least `least_bytes`.
    pub(super) fn available_below(&self, ceiling: u64, least_bytes: u64) -> u64 {
        let below = self.available.list().iter().take_while(|extent| extent.offset < ceiling);
        let lens = below.map(|extent| extent.end().min(ceiling) - extent.offset);
        lens.filter(|len| *len >= least_bytes).sum()
    }

    /// Keeps every extent that the checkpoint `generation` reaches from being reused. It must be
    /// the newest durable one.
    pub(super) fn pin(&mut self, generation: Generation) {
        *self.pins.entry(generation).or_default() += 1;
    }

    /// Takes one pin back.
    pub(super) fn unpin(&mut self, generation: Generation) {
        let Some(count) = self.pins.get_mut(&generation) else { return };
        *count -= 1;
        if *count == 0 {
            self.pins.remove(&generation);
            self.release_unpinned();
        }
    }

    /// The end of the allocated part of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How far the file is backed by storage.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The file grew, or is about to be cut to `file_bytes`, which is not below `end`.
    pub(super) fn set_file_bytes(&mut self, file_bytes: u64) {
        assert!(self.end <= file_bytes, "the file ends behind what is in use");
        self.file_bytes = file_bytes;
    }

    /// What may be written now.
    pub(super) fn available(&self) -> &ExtentList {
        self.available.list()
    }

    /// How many extents the free list of the checkpoint that is being made has at most.
    pub(super) fn free_count_max(&self) -> usize {
        let held: usize = self.held.iter().map(|(_, list)| list.list().count()).sum();
        let kept = self.kept.list().count();
        self.available.list().count()
            + self.closing.count()
            + self.list_blocks.count()
            + held
            + kept
    }

    /// The blocks of the durable free list.
    pub(super) fn list_blocks(&self) -> &ExtentList {
        &self.list_blocks
    }

    /// Every list of extents that are neither in use nor available.
    pub(super) fn pending(&self) -> impl Iterator<Item = &ExtentList> {
        let held = self.held.iter().map(|(_, list)| list.list());
        [&self.current, &self.closing, &self.finishing, self.kept.list()].into_iter().chain(held)
    }

    /// Bytes freed and not yet released.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending().map(ExtentList::bytes).sum::<u64>() - self.kept_bytes()
    }

    /// Bytes in use: referred to by somebody, or about to be.
    pub(super) fn used_bytes(&self) -> u64 {
        self.end
            - FIRST_EXTENT
            - self.available.list().bytes()
            - self.pending_bytes()
            - self.kept_bytes()
    }

    /// Bytes taken since the last finished checkpoint began.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }
}

/// How many bytes of the first of `sizes` fit `room_bytes`.
fn fitting_bytes(sizes: &[u64], room_bytes: u64) -> u64 {
    let mut bytes = 0;
    for &size in sizes {
        if bytes + size > room_bytes {
            break;
        }
        bytes += size;
    }
    bytes
}

/// Lays `sizes` one after the other into `run`; returns those that did not fit.
fn push_offsets<'s>(sizes: &'s [u64], run: Extent, offsets: &mut Vec<u64>) -> &'s [u64] {
    let mut at = run.offset;
    let mut rest = sizes;
    while let Some((&size, others)) = rest.split_first() {
        if at + size > run.end() {
            break;
        }
        debug_assert!(size > 0 && size.is_multiple_of(UNIT_BYTES), "whole units at least");
        offsets.push(at);
        at += size;
        rest = others;
    }
    rest
}

#[cfg(test)]
#[path = "allocator_tests.rs"]
mod tests;
