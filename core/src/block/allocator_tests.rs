//! The allocator against a model that keeps one mark per unit.

use proptest::prelude::*;

use super::*;
use crate::block::FRAME_BYTES;

/// No reader in another process.
const UNREAD: Generation = Generation(u64::MAX);

/// Units in a frame.
const FRAME_UNITS: u64 = FRAME_BYTES / UNIT_BYTES;

/// Where a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Used,
    Available,
    Current,
    Closing,
    Finishing,
    Held(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Place(Grain, Vec<u64>),
    PlaceBelow(Grain, Vec<u64>, u64),
    PlaceBehind(Grain, Vec<u64>),
    PlaceAndGiveBack(Grain, Vec<u64>),
    Free { which: usize, in_checkpoint: bool },
    FreeTwice { which: usize },
    Begin,
    Finish { durable: bool, frees_between: usize },
    Claim { unit: u64, units: u64 },
    Pin,
    Unpin,
}

fn op() -> impl Strategy<Value = Op> {
    let units = || prop::collection::vec(1_u64..20, 1..8);
    let frames = prop::collection::vec((1_u64..4).prop_map(|frames| frames * FRAME_UNITS), 1..6);
    let sizes = || prop_oneof![(Just(Grain::Unit), units()), (Just(Grain::Frame), frames.clone()),];
    prop_oneof![
        6 => sizes().prop_map(|(grain, sizes)| Op::Place(grain, sizes)),
        1 => (sizes(), 0_u64..300)
            .prop_map(|((grain, sizes), ceiling)| Op::PlaceBelow(grain, sizes, ceiling)),
        1 => sizes().prop_map(|(grain, sizes)| Op::PlaceBehind(grain, sizes)),
        1 => sizes().prop_map(|(grain, sizes)| Op::PlaceAndGiveBack(grain, sizes)),
        12 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, in_checkpoint)| Op::Free { which, in_checkpoint }),
        1 => any::<usize>().prop_map(|which| Op::FreeTwice { which }),
        2 => Just(Op::Begin),
        3 => (any::<bool>(), 0_usize..3)
            .prop_map(|(durable, frees_between)| Op::Finish { durable, frees_between }),
        1 => (0_u64..400, 1_u64..10).prop_map(|(unit, units)| Op::Claim { unit, units }),
        1 => Just(Op::Pin),
        1 => Just(Op::Unpin),
    ]
}

struct Model {
    allocator: Allocator,
    /// One mark per unit below the end.
    marks: Vec<Mark>,
    /// Extents in use that the test may free.
    live: Vec<Extent>,
    freed: Vec<Extent>,
    list: Option<Extent>,
    generation: u64,
    pins: Vec<u64>,
}

impl Model {
    fn new() -> Self {
        let nothing = ExtentList::default;
        Self {
            allocator: Allocator::new(nothing(), nothing(), FIRST_EXTENT, FIRST_EXTENT),
            marks: Vec::new(),
            live: Vec::new(),
            freed: Vec::new(),
            list: None,
            generation: 1,
            pins: Vec::new(),
        }
    }

    fn mark(&mut self, extent: Extent, from: Option<Mark>, to: Mark) {
        let unit = |offset: u64| ((offset - FIRST_EXTENT) / UNIT_BYTES) as usize;
        let range = unit(extent.offset)..unit(extent.end());
        if self.marks.len() < range.end {
            assert_eq!(from, Some(Mark::Available), "space behind the end is free");
            self.marks.resize(range.end, Mark::Available);
        }
        for mark in &mut self.marks[range] {
            assert!(from.is_none_or(|from| from == *mark), "{extent:?} was {mark:?}, not {from:?}");
            *mark = to;
        }
    }

    fn move_all(&mut self, from: Mark, to: Mark) {
        self.marks.iter_mut().filter(|mark| **mark == from).for_each(|mark| *mark = to);
    }

    fn place(&mut self, grain: Grain, units: &[u64]) -> Vec<Extent> {
        self.place_by(Allocator::place, grain, units)
    }

    fn place_by(
        &mut self,
        place: impl Fn(&mut Allocator, &[u64], Grain) -> Result<Vec<u64>, NeedsGrowth>,
        grain: Grain,
        units: &[u64],
    ) -> Vec<Extent> {
        let sizes: Vec<_> = units.iter().map(|units| units * UNIT_BYTES).collect();
        let offsets = loop {
            match place(&mut self.allocator, &sizes, grain) {
                Ok(offsets) => break offsets,
                Err(needs) => {
                    let end = self.allocator.end() + needs.bytes;
                    assert!(end > self.allocator.file_bytes());
                    self.allocator.set_file_bytes(end);
                }
            }
        };
        self.take(grain, &offsets, &sizes)
    }

    fn take(&mut self, grain: Grain, offsets: &[u64], sizes: &[u64]) -> Vec<Extent> {
        assert_eq!(offsets.len(), sizes.len());
        assert!(offsets.iter().all(|offset| offset % grain.bytes() == 0), "{grain:?}: {offsets:?}");
        let placed: Vec<_> =
            offsets.iter().zip(sizes).map(|(&offset, &len)| Extent { offset, len }).collect();
        for &extent in &placed {
            self.mark(extent, Some(Mark::Available), Mark::Used);
        }
        placed
    }

    fn free(&mut self, which: usize, in_checkpoint: bool) {
        if self.live.is_empty() {
            return;
        }
        let extent = self.live.swap_remove(which % self.live.len());
        self.allocator.free(extent, in_checkpoint).unwrap();
        let to = if in_checkpoint { Mark::Closing } else { Mark::Current };
        self.mark(extent, Some(Mark::Used), to);
        self.freed.push(extent);
    }

    fn finish(&mut self, durable: bool, frees_between: usize) {
        let list = self.place(Grain::Unit, &[2])[0];
        let snapshot = self.allocator.start_finishing();
        self.move_all(Mark::Closing, Mark::Finishing);
        if let Some(old) = self.list {
            self.mark(old, Some(Mark::Used), Mark::Finishing);
        }
        let freed_bytes: u64 = snapshot.freed.iter().map(|extent| extent.len).sum();
        let freed = |mark| matches!(mark, Mark::Finishing | Mark::Held(_));
        assert_eq!(freed_bytes, self.bytes(freed));
        let available_bytes: u64 = snapshot.available.iter().map(|extent| extent.len).sum();
        assert_eq!(available_bytes, self.bytes(|mark| mark == Mark::Available));
        for which in 0..frees_between {
            self.free(which * 7, which % 2 == 0);
            let placed = self.place(Grain::Unit, &[3]);
            self.live.extend(placed);
        }
        if !durable {
            self.allocator.stop_finishing();
            self.allocator.give_back(&[list]);
            self.mark(list, Some(Mark::Used), Mark::Available);
            if let Some(old) = self.list {
                self.mark(old, Some(Mark::Finishing), Mark::Used);
            }
            self.move_all(Mark::Finishing, Mark::Closing);
            return;
        }
        self.generation += 1;
        let list_blocks = [list].into_iter().collect();
        self.allocator.release(Generation(self.generation), list_blocks, UNREAD);
        self.move_all(Mark::Finishing, Mark::Held(self.generation));
        self.list = Some(list);
        self.release_unpinned();
    }

    /// What is held by a checkpoint that no older pin reaches becomes available, and a free tail
    /// is let go.
    fn release_unpinned(&mut self) {
        let oldest = self.pins.iter().min().copied().unwrap_or(u64::MAX);
        for mark in &mut self.marks {
            if matches!(*mark, Mark::Held(by) if by <= oldest) {
                *mark = Mark::Available;
            }
        }
        while self.marks.last() == Some(&Mark::Available) {
            self.marks.pop();
        }
    }

    fn claim(&mut self, extent: Extent) {
        let claimed = self.allocator.claim(extent);
        if extent.end() > self.allocator.file_bytes() {
            assert!(claimed.is_err());
            return;
        }
        let unit = |offset: u64| ((offset - FIRST_EXTENT) / UNIT_BYTES) as usize;
        let range = unit(extent.offset)..unit(extent.end());
        let units = self.marks.len().max(range.end);
        self.marks.resize(units, Mark::Available);
        let mut claimed_bytes = 0;
        for at in range {
            if matches!(self.marks[at], Mark::Available | Mark::Held(_)) {
                self.marks[at] = Mark::Used;
                claimed_bytes += UNIT_BYTES;
                let offset = FIRST_EXTENT + at as u64 * UNIT_BYTES;
                self.live.push(Extent { offset, len: UNIT_BYTES });
            }
        }
        assert_eq!(claimed, Ok(claimed_bytes));
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Place(grain, units) => {
                let placed = self.place(grain, &units);
                self.live.extend(placed);
            }
            Op::PlaceBehind(grain, units) => {
                let end = self.allocator.end();
                let placed = self.place_by(Allocator::place_behind, grain, &units);
                assert!(placed.iter().all(|extent| extent.offset >= end));
                self.live.extend(placed);
            }
            Op::PlaceBelow(grain, units, ceiling) => {
                let sizes: Vec<_> = units.iter().map(|units| units * UNIT_BYTES).collect();
                let ceiling = FIRST_EXTENT + ceiling * UNIT_BYTES;
                if let Some(offsets) = self.allocator.place_below(&sizes, grain, ceiling) {
                    let placed = self.take(grain, &offsets, &sizes);
                    assert!(placed.iter().all(|extent| extent.end() <= ceiling));
                    self.live.extend(placed);
                }
            }
            Op::PlaceAndGiveBack(grain, units) => {
                let placed = self.place(grain, &units);
                self.allocator.give_back(&placed);
                for extent in placed {
                    self.mark(extent, Some(Mark::Used), Mark::Available);
                }
            }
            Op::Free { which, in_checkpoint } => self.free(which, in_checkpoint),
            Op::FreeTwice { which } => {
                if let Some(&extent) = self.freed.get(which % self.freed.len().max(1)) {
                    let in_use = self
                        .live
                        .iter()
                        .any(|live| live.offset < extent.end() && extent.offset < live.end());
                    if !in_use && self.list.is_none_or(|list| list != extent) {
                        assert!(self.allocator.clone().free(extent, false).is_err());
                    }
                }
                if let Some(list) = self.list {
                    assert!(self.allocator.free(list, false).is_err(), "the list's own block");
                }
            }
            Op::Begin => {
                self.allocator.begin_checkpoint();
                self.move_all(Mark::Current, Mark::Closing);
            }
            Op::Finish { durable, frees_between } => self.finish(durable, frees_between),
            Op::Claim { unit, units } => self.claim(Extent {
                offset: FIRST_EXTENT + unit * UNIT_BYTES,
                len: units * UNIT_BYTES,
            }),
            Op::Pin => {
                self.allocator.pin(Generation(self.generation));
                self.pins.push(self.generation);
            }
            Op::Unpin => {
                if let Some(generation) = self.pins.pop() {
                    self.allocator.unpin(Generation(generation));
                    self.release_unpinned_if_last(generation);
                }
            }
        }
    }

    fn release_unpinned_if_last(&mut self, generation: u64) {
        if !self.pins.contains(&generation) {
            self.release_unpinned();
        }
    }

    fn bytes(&self, wanted: impl Fn(Mark) -> bool) -> u64 {
        self.marks.iter().filter(|mark| wanted(**mark)).count() as u64 * UNIT_BYTES
    }

    /// The allocator's lists are exactly the marks.
    fn check(&self) {
        let allocator = &self.allocator;
        assert_eq!(allocator.end() - FIRST_EXTENT, self.marks.len() as u64 * UNIT_BYTES, "end");
        let is = |wanted: Mark| move |mark: Mark| mark == wanted;
        assert_eq!(allocator.used_bytes(), self.bytes(is(Mark::Used)), "used");
        assert_eq!(allocator.current.bytes(), self.bytes(is(Mark::Current)), "current");
        assert_eq!(allocator.closing.bytes(), self.bytes(is(Mark::Closing)), "closing");
        let held = self.bytes(|mark| matches!(mark, Mark::Held(_)));
        let held_bytes: u64 = allocator.held.iter().map(|(_, list)| list.list().bytes()).sum();
        assert_eq!(held_bytes, held, "held");
        let units = |list: &ExtentList| -> Vec<usize> {
            let unit = |offset: u64| ((offset - FIRST_EXTENT) / UNIT_BYTES) as usize;
            list.iter().flat_map(|extent| unit(extent.offset)..unit(extent.end())).collect()
        };
        let marked: Vec<_> =
            (0..self.marks.len()).filter(|&at| self.marks[at] == Mark::Available).collect();
        assert_eq!(units(allocator.available()), marked, "available");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn allocator_agrees_with_one_mark_per_unit(ops in prop::collection::vec(op(), 1..120)) {
        let mut model = Model::new();
        for op in ops {
            model.apply(op);
            model.check();
        }
    }
}

fn allocator(available: &[(u64, u64)], end: u64, file_bytes: u64) -> Allocator {
    let extents = available
        .iter()
        .map(|&(unit, units)| Extent {
            offset: FIRST_EXTENT + unit * UNIT_BYTES,
            len: units * UNIT_BYTES,
        })
        .collect();
    let bytes = |units: u64| FIRST_EXTENT + units * UNIT_BYTES;
    Allocator::new(extents, ExtentList::default(), bytes(end), bytes(file_bytes))
}

fn placed_units(allocator: &mut Allocator, units: &[u64]) -> Result<Vec<u64>, NeedsGrowth> {
    let sizes: Vec<_> = units.iter().map(|units| units * UNIT_BYTES).collect();
    let offsets = allocator.place(&sizes, Grain::Unit)?;
    Ok(offsets.iter().map(|offset| (offset - FIRST_EXTENT) / UNIT_BYTES).collect())
}

#[test]
fn place_puts_a_batch_into_one_run_when_there_is_one() {
    let mut allocator = allocator(&[(0, 3), (10, 4), (20, 6)], 30, 30);
    assert_eq!(placed_units(&mut allocator, &[2, 2, 2]).unwrap(), [20, 22, 24]);
    assert_eq!(placed_units(&mut allocator, &[1, 1, 1]).unwrap(), [0, 1, 2]);
}

#[test]
fn place_splits_a_batch_over_the_largest_runs_and_the_end() {
    let mut allocator = allocator(&[(0, 3), (10, 5)], 30, 32);
    assert_eq!(placed_units(&mut allocator, &[2, 2, 2, 2]).unwrap(), [10, 12, 0, 30]);
}

#[test]
fn frames_behind_the_end_begin_at_the_next_frame_and_leave_what_is_before_it() {
    let mut space = allocator(&[], 3, 16);
    let sizes = [FRAME_BYTES, FRAME_BYTES];
    let missing = NeedsGrowth { bytes: 21 * UNIT_BYTES };
    assert_eq!(space.place(&sizes, Grain::Frame), Err(missing));
    assert_eq!(space.place_behind(&sizes, Grain::Frame), Err(missing));
    assert_eq!(space.available().count(), 0);
    space.set_file_bytes(space.end() + missing.bytes);
    let placed = space.place(&sizes, Grain::Frame).unwrap();
    assert_eq!(placed, [FIRST_EXTENT + FRAME_BYTES, FIRST_EXTENT + 2 * FRAME_BYTES]);
    let skipped = Extent { offset: FIRST_EXTENT + 3 * UNIT_BYTES, len: 5 * UNIT_BYTES };
    assert_eq!(space.available().iter().collect::<Vec<_>>(), [skipped]);
    assert_eq!(space.allocated_bytes(), 2 * FRAME_BYTES);
}

#[test]
fn place_that_needs_growth_takes_nothing() {
    let mut space = allocator(&[(0, 3)], 30, 31);
    let was = space.available.clone();
    assert_eq!(space.place(&[1024, 1024], Grain::Unit), Err(NeedsGrowth { bytes: 1024 }));
    assert_eq!((space.end(), space.allocated_bytes()), (FIRST_EXTENT + 30 * 512, 0));
    assert_eq!(space.available, was);
}

#[test]
fn pinned_checkpoint_keeps_its_extents_through_later_ones() {
    let mut space = allocator(&[], 40, 40);
    let block = Extent { offset: FIRST_EXTENT, len: 512 };
    space.pin(Generation(1));
    space.pin(Generation(1));
    space.free(block, false).unwrap();
    for generation in 2..5 {
        space.begin_checkpoint();
        space.start_finishing();
        space.release(Generation(generation), ExtentList::default(), UNREAD);
        assert_eq!(space.available().bytes(), 0);
        assert_eq!(space.pending_bytes(), 512);
    }
    space.unpin(Generation(1));
    assert_eq!(space.available().bytes(), 0, "one pin is left");
    space.unpin(Generation(1));
    assert_eq!(space.available().bytes(), 512);
}

#[test]
fn free_page_is_available_at_once_only_between_checkpoints() {
    let mut allocator = Allocator::new(
        ExtentList::default(),
        ExtentList::default(),
        FIRST_EXTENT,
        FIRST_EXTENT + (1 << 20),
    );
    let place = |allocator: &mut Allocator| {
        let offset = allocator.place_pages(&[1024], Grain::Unit).unwrap()[0];
        Extent { offset, len: 1024 }
    };
    let is_available = |allocator: &Allocator, extent| allocator.available().overlap(extent);
    let finish = |allocator: &mut Allocator, generation| {
        allocator.start_finishing();
        allocator.release(Generation(generation), ExtentList::default(), UNREAD);
    };
    // Placed and freed between two checkpoints.
    let between = place(&mut allocator);
    let before = place(&mut allocator);
    allocator.free_page(between).unwrap();
    assert!(is_available(&allocator, between).is_some());
    assert!(allocator.free_page(between).is_err(), "it is free");
    // Placed before a checkpoint, or during it: the checkpoint may reach it.
    allocator.begin_checkpoint();
    let during = place(&mut allocator);
    allocator.free_page(before).unwrap();
    allocator.free_page(during).unwrap();
    finish(&mut allocator, 2);
    for extent in [before, during] {
        assert_eq!(is_available(&allocator, extent), None, "{extent:?} after its checkpoint");
    }
    // Placed while a checkpoint failed: the next may take over what it wrote.
    allocator.begin_checkpoint();
    allocator.start_finishing();
    allocator.stop_finishing();
    let failed = place(&mut allocator);
    allocator.free_page(failed).unwrap();
    assert_eq!(is_available(&allocator, failed), None);
    allocator.begin_checkpoint();
    finish(&mut allocator, 3);
    assert!(is_available(&allocator, before).is_some() || allocator.end() <= before.offset);
}

#[test]
fn named_checkpoint_keeps_what_it_reaches_and_nothing_else() {
    let unit = |from: u64, units: u64| Extent {
        offset: FIRST_EXTENT + from * UNIT_BYTES,
        len: units * UNIT_BYTES,
    };
    let mut allocator = Allocator::new(
        ExtentList::default(),
        ExtentList::default(),
        FIRST_EXTENT,
        FIRST_EXTENT + (1 << 20),
    );
    allocator.place(&[20 * UNIT_BYTES], Grain::Unit).unwrap();
    // At the first named checkpoint units 5..8 are free, at the second 0..2 are.
    let reach = |generation, free: Extent, end: Extent| Reach {
        generation: Generation(generation),
        free: [free].into_iter().collect(),
        end: end.end(),
    };
    let first = reach(2, unit(5, 3), unit(0, 12));
    let second = reach(3, unit(0, 2), unit(0, 4));
    allocator.add_reaches(&[first, second.clone()]);
    assert!(allocator.is_kept(unit(4, 2)) && !allocator.is_kept(unit(5, 3)));
    allocator.begin_checkpoint();
    allocator.free(unit(0, 16), true).unwrap();
    let freed = allocator.start_finishing();
    assert_eq!(freed.kept_end, unit(0, 12).end());
    allocator.release(Generation(4), ExtentList::default(), UNREAD);
    let available: Vec<_> = allocator.available().iter().collect();
    assert_eq!(available, [unit(5, 3), unit(12, 4)]);
    assert_eq!(allocator.kept_bytes(), 9 * UNIT_BYTES);
    assert_eq!(allocator.used_bytes(), 4 * UNIT_BYTES);
    // The first is dropped.
    allocator.set_reaches(vec![second], Generation(5));
    let available: Vec<_> = allocator.available().iter().collect();
    assert_eq!(available, [unit(0, 2), unit(4, 12)]);
    allocator.set_reaches(Vec::new(), Generation(6));
    assert_eq!(allocator.kept_bytes(), 0);
    assert_eq!(allocator.available().iter().collect::<Vec<_>>(), [unit(0, 16)]);
    // After opening: the free list names what a named checkpoint reaches.
    allocator.add_reaches(&[reach(7, unit(5, 3), unit(0, 12))]);
    allocator.keep_available();
    assert_eq!(allocator.available().iter().collect::<Vec<_>>(), [unit(5, 3), unit(12, 4)]);
}
