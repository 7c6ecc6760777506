//! Keys and values as functions of their index, so that no run holds a list of them.
//!
//! A value's first bytes follow from its key, so that every read can be checked.

/// Length of a key, in bytes.
pub const KEY_BYTES: usize = 24;
/// Length of a value, in bytes.
pub const VALUE_BYTES: usize = 150;
/// Length of both together: a row's raw bytes.
pub const ROW_BYTES: u64 = (KEY_BYTES + VALUE_BYTES) as u64;

/// Length of a value where rows are to be of a kibibyte, in bytes.
pub const LARGE_VALUE_BYTES: usize = 1000;
/// Length of such a row, in bytes.
pub const LARGE_ROW_BYTES: u64 = (KEY_BYTES + LARGE_VALUE_BYTES) as u64;

/// The rows of one run: index to key and value.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Another seed, other rows.
    pub seed: u64,
}

impl Rows {
    /// The `index`th random key.
    pub fn key(self, index: u64) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        fill(&mut key, self.seed.wrapping_add(index << 3));
        key
    }

    /// The `index`th key in key order.
    pub fn sorted_key(self, index: u64) -> [u8; KEY_BYTES] {
        let mut key = self.key(index);
        key[..8].copy_from_slice(&index.to_be_bytes());
        key
    }

    /// The value that belongs to `key`.
    pub fn value(self, key: &[u8; KEY_BYTES]) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        let word = tail(key);
        value[..8].copy_from_slice(&word.to_le_bytes());
        fill(&mut value[8..], word ^ self.seed);
        value
    }
}

/// Values of [`LARGE_VALUE_BYTES`], cut from a pool of random bytes so that making one costs little,
/// with the key's and the writer's mark in front.
#[derive(Clone)]
pub struct LargeValues {
    pool: Vec<u8>,
    value: [u8; LARGE_VALUE_BYTES],
}

impl LargeValues {
    /// Values of one thread.
    pub fn new(seed: u64) -> Self {
        let mut pool = vec![0; 1 << 20];
        fill(&mut pool, seed);
        Self { pool, value: [0; LARGE_VALUE_BYTES] }
    }

    /// A value for `key`; another `version`, another value.
    pub fn value(&mut self, key: &[u8; KEY_BYTES], version: u64) -> &[u8] {
        let word = mark(key);
        let start = Random(word ^ version).below((self.pool.len() - LARGE_VALUE_BYTES) as u64);
        let start = start as usize;
        self.value.copy_from_slice(&self.pool[start..start + LARGE_VALUE_BYTES]);
        self.value[..8].copy_from_slice(&word.to_le_bytes());
        &self.value
    }
}

/// Whether `value` is one of [`LargeValues`] for `key`, by length and first bytes.
pub fn belongs_large(key: &[u8], value: &[u8]) -> bool {
    let key = <&[u8; KEY_BYTES]>::try_from(key);
    value.len() == LARGE_VALUE_BYTES && key.is_ok_and(|key| value[..8] == mark(key).to_le_bytes())
}

/// A word that follows from all of a key.
fn mark(key: &[u8; KEY_BYTES]) -> u64 {
    key.chunks_exact(8).fold(0, |word: u64, chunk| {
        let bytes = <[u8; 8]>::try_from(chunk).expect("chunks of eight bytes");
        (word.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// Whether `value` is the one that belongs to `key`, by length and first bytes.
pub fn belongs(key: &[u8], value: &[u8]) -> bool {
    let key = <&[u8; KEY_BYTES]>::try_from(key);
    value.len() == VALUE_BYTES && key.is_ok_and(|key| value[..8] == tail(key).to_le_bytes())
}

fn tail(key: &[u8; KEY_BYTES]) -> u64 {
    let (_, last) = key.split_last_chunk::<8>().expect("keys are longer than a word");
    u64::from_le_bytes(*last)
}

/// Random numbers in sequence: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A random number from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A random number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// Fills `bytes` with the random sequence that starts at `seed`.
fn fill(bytes: &mut [u8], seed: u64) {
    // The first step scatters seeds that differ by little, so that sequences do not overlap.
    let mut random = Random(Random(seed).next());
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_distinct_and_values_belong_to_them() {
        let rows = Rows { seed: 1 };
        let keys: BTreeSet<_> = (0..10_000).map(|index| rows.key(index)).collect();
        assert_eq!(keys.len(), 10_000);
        for key in &keys {
            assert!(belongs(key, &rows.value(key)));
        }
        assert!(!belongs(&rows.key(1), &rows.value(&rows.key(2))));
    }

    #[test]
    fn large_values_belong_to_their_key_alone() {
        let rows = Rows { seed: 1 };
        let mut values = LargeValues::new(1);
        for version in 0..100 {
            assert!(belongs_large(&rows.key(1), values.value(&rows.key(1), version)));
        }
        assert_ne!(values.value(&rows.key(1), 1).to_vec(), values.value(&rows.key(1), 2));
        assert!(!belongs_large(&rows.key(1), values.value(&rows.key(2), 1)));
    }

    #[test]
    fn sorted_keys_are_sorted() {
        let rows = Rows { seed: 1 };
        assert!((0..1000).is_sorted_by_key(|index| rows.sorted_key(index)));
    }
}
