//! Zipfian ranks, by the method of Gray and others (1994) that YCSB uses, and the hash that scatters
//! them.

use crate::data::Random;

/// How uneven: YCSB's constant.
const THETA: f64 = 0.99;

/// Ranks below a count; rank 0 comes most often.
pub struct Zipf {
    count: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    /// Ranks below `count`; takes time in proportion.
    pub fn new(count: u64) -> Self {
        let zeta = |count: u64| (1..=count).map(|rank| (rank as f64).powf(-THETA)).sum::<f64>();
        let (zeta_two, zeta, count) = (zeta(2), zeta(count), count as f64);
        let eta = (1.0 - (2.0 / count).powf(1.0 - THETA)) / (1.0 - zeta_two / zeta);
        Self { count, zeta, alpha: 1.0 / (1.0 - THETA), eta }
    }

    /// The next rank.
    pub fn next(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        rank.min(self.count - 1.0) as u64
    }
}

/// FNV-1a of a number's bytes.
pub fn fnv(number: u64) -> u64 {
    number.to_le_bytes().into_iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_off_as_a_power() {
        let (zipf, mut random, mut counts) = (Zipf::new(1000), Random(1), vec![0_u32; 1000]);
        for _ in 0..1_000_000 {
            counts[zipf.next(&mut random) as usize] += 1;
        }
        // 1 / zeta(1000, 0.99) = 0.1302; the second comes 2^0.99 times as rarely.
        assert!((128_000..133_000).contains(&counts[0]), "{}", counts[0]);
        assert!((64_000..67_500).contains(&counts[1]), "{}", counts[1]);
        let (tenth, hundredth) = (f64::from(counts[9]), f64::from(counts[99]));
        assert!((7.0..14.0).contains(&(tenth / hundredth)), "{tenth} {hundredth}");
        assert!(counts.iter().all(|count| *count > 0), "a rank never came");
    }
}
