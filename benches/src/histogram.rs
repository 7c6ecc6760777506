//! Latencies, counted in buckets that grow with them: sixteen to each power of two, so that a figure is right
//! to some six percent.

use std::time::Duration;

/// Buckets to each power of two, as a power of two.
const FINE_BITS: u32 = 4;

/// How many operations took how long.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 64 << FINE_BITS], total: 0, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// One more operation.
    pub fn add(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    /// Those of another thread.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// The operations counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time within which `share` of all operations were done.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut counted = 0;
        for (index, count) in self.counts.iter().enumerate() {
            counted += count;
            if counted >= wanted.max(1) {
                return Duration::from_nanos(upper(index)).min(self.longest);
            }
        }
        self.longest
    }
}

fn bucket(ns: u64) -> usize {
    let exponent = (u64::BITS - ns.leading_zeros()).saturating_sub(FINE_BITS + 1);
    (exponent as usize * (1 << FINE_BITS)) + (ns >> exponent) as usize
}

/// The longest time in a bucket.
fn upper(index: usize) -> u64 {
    let exponent = (index >> FINE_BITS).saturating_sub(1);
    let mantissa = (index - exponent * (1 << FINE_BITS)) as u64;
    ((mantissa + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_close() {
        for ns in (0..4096).chain((12..40).flat_map(|bit| [(1 << bit) - 1, 1 << bit, 3 << bit])) {
            let top = upper(bucket(ns));
            assert!(top >= ns && top - ns <= ns / 16 + 1, "{ns} is counted as {top}");
            assert_eq!(bucket(top), bucket(ns));
            assert_eq!(bucket(top + 1), bucket(ns) + 1);
        }
    }

    #[test]
    fn quantiles_are_in_order() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|us| histogram.add(Duration::from_micros(us)));
        let [half, most] = [0.5, 0.99].map(|share| histogram.quantile(share).as_micros());
        assert!((500..540).contains(&half) && (990..=1000).contains(&most), "{half} {most}");
        assert_eq!(histogram.longest(), Duration::from_millis(1));
    }
}
