//! Changes of the log in key order: whoever applies them finds each leaf, and builds it again, once for all that
//! a batch has for it, and of what was written to a key again and again only the last. It knows no tree.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;

use crate::base::ids::TableId;
use crate::txn::{Change, Verb};

/// The least that a batch is full with.
const BYTES_LEAST: usize = 16 << 10;

/// See the file.
#[derive(Debug)]
pub struct Batch {
    /// Keys and values, in the order in which they came.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    bytes_max: usize,
}

/// Where a change is, and what sorts it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Seven bytes of the key behind what all keys of its table share here, and how many it has there, or
    /// [`HEAD_LONG`]. Set when the batch is sorted.
    head: u64,
    table: TableId,
    /// Where its frame begins. Later changes have later ones.
    at: u32,
}

/// The keys of such a head may differ behind it.
const HEAD_LONG: u8 = 8;

/// How many changes ahead one is touched, so that it has come from memory when its turn is there: sorted, they
/// lie all over the batch.
const LOOK_AHEAD: usize = 12;

/// What stands before a key and its value: what it does, and their lengths.
const FRAME_BYTES: usize = 9;

const PUT: u8 = 0;
const PUT_OVERFLOW: u8 = 1;
const REMOVE: u8 = 2;

impl Batch {
    /// An empty one, full with about `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(BYTES_LEAST, u32::MAX as usize / 2);
        Self { bytes: Vec::new(), entries: Vec::new(), bytes_max }
    }

    /// The bytes that it is full with.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether it holds as much as it is to hold.
    pub fn is_full(&self) -> bool {
        self.bytes.len() + size_of_val(self.entries.as_slice()) >= self.bytes_max
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a change, later than all that it has. Not to a full one.
    pub fn push(&mut self, change: Change<'_>) {
        let (code, value) = match change.verb {
            Verb::Put(value) => (PUT, value),
            Verb::PutOverflow(reference) => (PUT_OVERFLOW, reference),
            Verb::Remove => (REMOVE, &[][..]),
        };
        let at = self.bytes.len() as u32;
        self.entries.push(Entry { head: 0, table: change.table, at });
        let mut frame = [0; FRAME_BYTES];
        frame[0] = code;
        frame[1..5].copy_from_slice(&(change.key.len() as u32).to_le_bytes());
        frame[5..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&frame);
        self.bytes.extend_from_slice(change.key);
        self.bytes.extend_from_slice(value);
    }

    /// What it has, by table, key and time. Left out is what a later change to its key overtook; but for
    /// long values, whose space whoever applies them gives up.
    pub fn sorted(&mut self) -> Sorted<'_> {
        let shared = self.shared_by_table();
        let bytes = &self.bytes;
        for entry in &mut self.entries {
            let shared_len = shared.get(&entry.table).map_or(0, |shared| shared.len());
            entry.head = head(&key(bytes, *entry)[shared_len..]);
        }
        self.entries.sort_unstable_by(|a, b| {
            let order = (a.table, a.head).cmp(&(b.table, b.head));
            let behind_head = || match a.is_long() {
                true => key(bytes, *a).cmp(key(bytes, *b)),
                false => std::cmp::Ordering::Equal,
            };
            order.then_with(behind_head).then(a.at.cmp(&b.at))
        });
        Sorted { bytes, entries: &self.entries }
    }

    /// Where what all keys of each table begin with stands.
    fn shared_by_table(&self) -> BTreeMap<TableId, Range<usize>> {
        let mut shared: BTreeMap<TableId, Range<usize>> = BTreeMap::new();
        for entry in &self.entries {
            let key = key(&self.bytes, *entry);
            let start = entry.at as usize + FRAME_BYTES;
            let range = shared.entry(entry.table).or_insert(start..start + key.len());
            let others = &self.bytes[range.clone()];
            if !key.starts_with(others) {
                let same = key.iter().zip(others).take_while(|(a, b)| a == b).count();
                range.end = range.start + same;
            }
        }
        shared
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

impl Entry {
    fn is_long(self) -> bool {
        self.head as u8 == HEAD_LONG
    }
}

/// The head of a key of which this is left. Heads sort as the keys do, as far as they tell them apart.
fn head(rest: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = rest.len().min(7);
    head[..len].copy_from_slice(&rest[..len]);
    head[7] = (rest.len() as u64).min(u64::from(HEAD_LONG)) as u8;
    u64::from_be_bytes(head)
}

fn frame(bytes: &[u8], entry: Entry) -> (u8, Range<usize>, Range<usize>) {
    let start = entry.at as usize;
    let len = |at: usize| {
        let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_le_bytes(bytes) as usize
    };
    let key = start + FRAME_BYTES..start + FRAME_BYTES + len(start + 1);
    let value = key.end..key.end + len(start + 5);
    (bytes[start], key, value)
}

fn key(bytes: &[u8], entry: Entry) -> &[u8] {
    &bytes[frame(bytes, entry).1]
}

/// What a batch has, in order.
pub struct Sorted<'b> {
    bytes: &'b [u8],
    entries: &'b [Entry],
}

impl<'b> Iterator for Sorted<'b> {
    type Item = Change<'b>;

    fn next(&mut self) -> Option<Change<'b>> {
        loop {
            let (entry, rest) = self.entries.split_first()?;
            self.entries = rest;
            if let Some(soon) = rest.get(LOOK_AHEAD) {
                black_box(self.bytes[soon.at as usize]);
            }
            let (code, key, value) = frame(self.bytes, *entry);
            let (key, value) = (&self.bytes[key], &self.bytes[value]);
            let verb = match code {
                PUT => Verb::Put(value),
                PUT_OVERFLOW => Verb::PutOverflow(value),
                _ => Verb::Remove,
            };
            if code == PUT_OVERFLOW
                || !rest.first().is_some_and(|next| self.is_of(*next, *entry, key))
            {
                return Some(Change { table: entry.table, key, verb });
            }
        }
    }
}

impl Sorted<'_> {
    /// Whether `next` has the key of `entry`, which is `key`.
    fn is_of(&self, next: Entry, entry: Entry, key: &[u8]) -> bool {
        (next.table, next.head) == (entry.table, entry.head)
            && (!entry.is_long() || self::key(self.bytes, next) == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of a kind, written again and again, sort as a map has them, with the last value of each.
    fn check(keys: &[Vec<u8>]) {
        let mut batch = Batch::new(1 << 20);
        let mut model = BTreeMap::new();
        let mut random = 1_u64;
        for number in 0..3000_u32 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
            let key = &keys[(random >> 33) as usize % keys.len()];
            let table = TableId(number % 3);
            let value = number.to_le_bytes();
            let is_gone = number % 7 == 0;
            let verb = if is_gone { Verb::Remove } else { Verb::Put(&value) };
            batch.push(Change { table, key, verb });
            model.insert((table, key.clone()), (!is_gone).then_some(value.to_vec()));
        }
        let value_of = |verb| match verb {
            Verb::Put(value) => Some(value.to_vec()),
            _ => None,
        };
        let found: Vec<_> = batch
            .sorted()
            .map(|change| ((change.table, change.key.to_vec()), value_of(change.verb)))
            .collect();
        assert_eq!(found, model.into_iter().collect::<Vec<_>>());
        batch.clear();
        assert!(batch.is_empty() && batch.sorted().next().is_none());
    }

    #[test]
    fn batch_sorts_keys_of_every_kind() {
        let numbers =
            |count: u64| (0..count).map(|n| (n * 0x0101_0101_0101).to_be_bytes().to_vec());
        check(&numbers(500).collect::<Vec<_>>());
        check(&numbers(3).collect::<Vec<_>>());
        // Zeros where the heads are padded, at every length.
        check(&(0..40).map(|len| vec![0; len]).collect::<Vec<_>>());
        check(&(0..40).map(|len| [vec![7; 9], vec![0; len]].concat()).collect::<Vec<_>>());
        let names = |n: u64| format!("/one/and/the/same/folder/{n:07}/and/the/same/name/{}", n % 3);
        check(&(0..500).map(|n| names(n * n).into_bytes()).collect::<Vec<_>>());
        check(&[vec![]]);
        check(&[b"\xff".repeat(20), b"\xff".repeat(19), b"\xff".repeat(7), b"\xff".repeat(8)]);
    }

    #[test]
    fn batch_keeps_every_long_value() {
        let mut batch = Batch::new(0);
        let verbs =
            [Verb::Put(b"a"), Verb::PutOverflow(b"b"), Verb::Remove, Verb::PutOverflow(b"b")];
        for verb in verbs {
            batch.push(Change { table: TableId(4), key: b"key", verb });
        }
        let found: Vec<_> = batch.sorted().map(|change| change.verb).collect();
        assert_eq!(found, [Verb::PutOverflow(b"b"), Verb::PutOverflow(b"b")]);
    }

    #[test]
    fn batch_is_full_at_its_bound() {
        let mut batch = Batch::new(64 << 10);
        let mut count = 0;
        while !batch.is_full() {
            batch.push(Change { table: TableId(4), key: b"key", verb: Verb::Put(&[0; 100]) });
            count += 1;
        }
        assert_eq!(count, (64_usize << 10).div_ceil(9 + 3 + 100 + size_of::<Entry>()));
    }
}
