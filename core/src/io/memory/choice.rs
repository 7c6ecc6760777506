//! What a crash does to each step that was not durable: the vocabulary of whoever chooses.
#![forbid(unsafe_code)]

use super::disk::Step;

/// What a disk writes whole or not at all, in bytes.
pub(super) const SECTOR_BYTES: u64 = 512;

/// A step that is not durable when the crash comes, as the chooser sees it.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    /// Its place among all that are pending at this crash: 0 up to [`super::Walk::pending`].
    pub index: usize,
    /// Its place in the history.
    pub at: usize,
    /// What it is. Never a sync.
    pub step: &'a Step,
    /// The name that its file had at the crash; nothing for steps that change names.
    pub name: Option<&'a str>,
    /// How many sectors it touches; 0 unless it is a write.
    pub sectors: usize,
}

/// What a crash makes of a pending step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never happened.
    Absent,
    /// It happened whole.
    Present,
    /// Of a write, only these sectors arrived. For steps that are no writes: as `Present`.
    Torn(Sectors),
    /// Of a write beyond the end, only the new length arrived, and reads as zeros. For writes
    /// within the file: as `Absent`; for steps that are no writes: as `Present`.
    LengthOnly,
}

/// A set of a write's 512-byte sectors, numbered from the one that holds its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sectors {
    bits: Vec<u64>,
    count: usize,
}

impl Sectors {
    /// Those of `count` sectors that `keep` says yes to.
    pub fn of(count: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut bits = vec![0; count.div_ceil(64)];
        for index in (0..count).filter(|&index| keep(index)) {
            bits[index / 64] |= 1 << (index % 64);
        }
        Self { bits, count }
    }

    /// Whether sector `index` is in the set.
    pub fn has(&self, index: usize) -> bool {
        index < self.count && self.bits[index / 64] >> (index % 64) & 1 == 1
    }

    /// Takes sector `index` out.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.count {
            self.bits[index / 64] &= !(1 << (index % 64));
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|&word| word == 0)
    }
}

/// A way for a crash to go, in a few bytes that a failing test can print and a later one can
/// repeat ([`super::Walk::image`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing that was pending is there.
    Nothing,
    /// Everything is.
    Everything,
    /// Only the pending step of this index is.
    Only(usize),
    /// Everything but the one of this index.
    AllBut(usize),
    /// Those of the first 64 whose bit is set, none beyond.
    Subset(u64),
    /// Drawn from this seed: any fate for any step, torn writes included.
    Sampled(u64),
}

impl Choice {
    /// Ways for a crash with `pending` steps pending: every subset if there are at most
    /// `budget`, else the extremes; then, up to `budget`, samples with torn writes.
    pub fn list(pending: usize, budget: usize, seed: u64) -> Vec<Self> {
        if pending == 0 {
            return vec![Self::Nothing];
        }
        let mut choices: Vec<Self> = if pending < 32 && 1 << pending <= budget {
            (0..1 << pending).map(Self::Subset).collect()
        } else {
            let singles = if pending <= budget / 4 { pending } else { 0 };
            [Self::Nothing, Self::Everything]
                .into_iter()
                .chain((0..singles).flat_map(|index| [Self::Only(index), Self::AllBut(index)]))
                .take(budget.max(1))
                .collect()
        };
        let samples = budget.saturating_sub(choices.len()) as u64;
        choices.extend((0..samples).map(|nth| Self::Sampled(mix(seed ^ mix(nth)))));
        choices
    }

    /// The fate of `pending` in this choice.
    pub fn fate(self, pending: &Pending<'_>) -> Fate {
        let present = match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Only(index) => pending.index == index,
            Self::AllBut(index) => pending.index != index,
            Self::Subset(bits) => pending.index < 64 && bits >> pending.index & 1 == 1,
            Self::Sampled(seed) => return sample(seed, pending),
        };
        if present { Fate::Present } else { Fate::Absent }
    }
}

/// Draws a fate. The seed also sets how much of this crash survives at all: little, half, or
/// most of it.
fn sample(seed: u64, pending: &Pending<'_>) -> Fate {
    let word = mix(seed ^ mix(pending.index as u64 + 1));
    let present_eighths = [1, 4, 7][(seed % 3) as usize];
    match (word >> 8) % 8 {
        0 | 1 if pending.sectors > 0 => {
            let sectors = pending.sectors;
            let cut = (mix(word) % (sectors as u64 + 1)) as usize;
            match word % 4 {
                0 => Fate::LengthOnly,
                1 => Fate::Torn(Sectors::of(sectors, |index| index < cut)),
                2 => Fate::Torn(Sectors::of(sectors, |index| index >= cut)),
                _ => Fate::Torn(Sectors::of(sectors, |index| mix(word ^ index as u64) & 1 == 0)),
            }
        }
        _ if (word >> 16) % 8 < present_eighths => Fate::Present,
        _ => Fate::Absent,
    }
}

/// A number that looks random (the finalizer of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_list_every_subset_when_they_fit() {
        let all = Choice::list(3, 8, 1);
        assert_eq!(all, (0..8).map(Choice::Subset).collect::<Vec<_>>());
        assert_eq!(Choice::list(0, 100, 1), [Choice::Nothing]);
        let many = Choice::list(100, 50, 1);
        assert_eq!((many.len(), many[1]), (50, Choice::Everything));
        assert_ne!(many, Choice::list(100, 50, 2));
    }
}
