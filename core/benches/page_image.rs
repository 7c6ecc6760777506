//! How fast page images are searched, built and parsed, beside a slotted page whose keys are
//! whole and lie in its cells. `cargo bench -p rshelve-core --bench page_image`.

use std::hint::black_box;
use std::time::Instant;

use rshelve_core::format::{
    BuilderCapacity, PageBuilder, PageImage, PageKind, Tag, cell_bytes, common_prefix,
};

const VALUE_BYTES: usize = 150;
const KEY_BYTES: usize = 24;
const CELL_BYTES: usize = KEY_BYTES + VALUE_BYTES;
const COLD_BYTES: usize = 1 << 30;

fn main() {
    // Cargo says --bench when it wants figures; `cargo test --benches` only wants a run.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for page_bytes in [4 << 10, 16 << 10, 32 << 10] {
        let per_page = page_bytes / CELL_BYTES;
        println!("pages of {} KiB, {per_page} cells of {CELL_BYTES} bytes", page_bytes >> 10);
        search("hot", per_page, 8);
        search("cold", per_page, COLD_BYTES / page_bytes);
    }
    build();
}

/// Key `i` in order; its neighbours lie at uneven distances.
fn key(i: usize) -> [u8; KEY_BYTES] {
    let mut key = *b"users/by-id/............";
    let place = (i as u64) << 24 | mix(i as u64) >> 41;
    for (nibble, byte) in key.iter_mut().rev().take(12).enumerate() {
        *byte = b"0123456789abcdef"[(place >> (4 * nibble)) as usize & 15];
    }
    key
}

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn search(heat: &str, per_page: usize, pages: usize) {
    let images: Vec<PageImage> = (0..pages).map(|page| image(page * per_page, per_page)).collect();
    let slotted: Vec<Slotted> =
        (0..pages).map(|page| Slotted::new(page * per_page, per_page)).collect();
    let heads = |page: usize, key: &[u8]| {
        let slot = images[page].search(key).expect("every key is there");
        images[page].cell(slot).bytes[0]
    };
    let naive = |page: usize, key: &[u8]| slotted[page].get(key).expect("every key is there")[0];
    let per_round = if pages < 100 { 20_000 } else { 5_000 };
    let mut ns = [(); 3].map(|()| Vec::new());
    // Short rounds in turn, so that whatever else the machine does falls on both alike.
    for round in 0..100 {
        let round = Round { seed: round, count: per_round, pages, per_page };
        ns[0].push(round.ns_per_lookup(|page, key| key[page % KEY_BYTES]));
        ns[1].push(round.ns_per_lookup(heads));
        ns[2].push(round.ns_per_lookup(naive));
    }
    let [empty, heads, naive] = ns.map(|mut ns| {
        ns.sort_by(f64::total_cmp);
        ns[ns.len() / 4]
    });
    let (heads, naive) = (heads - empty, naive - empty);
    println!(
        "  {heat:4} image {heads:6.1} ns, slotted {naive:6.1} ns per lookup: {:.2} times",
        naive / heads
    );
}

/// A run of lookups at random.
struct Round {
    seed: u64,
    count: usize,
    pages: usize,
    per_page: usize,
}

impl Round {
    /// Each key is chosen by what the lookup before found, so that lookups do not overlap.
    fn ns_per_lookup(&self, get: impl Fn(usize, &[u8]) -> u8) -> f64 {
        let mut state = mix(self.seed + 1);
        let start = Instant::now();
        for _ in 0..self.count {
            state = mix(state);
            let i = (state % (self.pages * self.per_page) as u64) as usize;
            state = state.wrapping_add(u64::from(get(i / self.per_page, &key(i))));
        }
        black_box(state);
        start.elapsed().as_nanos() as f64 / self.count as f64
    }
}

fn fill(builder: &mut PageBuilder, first: usize, count: usize, value: &[u8]) {
    let (low, high) = (key(first), key(first + count - 1));
    builder.restart(PageKind::Leaf, &low[..common_prefix(&low, &high)]);
    for i in first..first + count {
        builder.push(&key(i), Tag::Inline, value);
    }
}

fn image(first: usize, count: usize) -> PageImage {
    let mut builder = PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default());
    fill(&mut builder, first, count, &[7; VALUE_BYTES]);
    builder.finish_image()
}

/// Offsets in front, cells of whole keys and values behind.
struct Slotted {
    bytes: Box<[u8]>,
    count: usize,
}

impl Slotted {
    fn new(first: usize, count: usize) -> Self {
        let mut bytes = vec![0; 2 * count];
        for slot in 0..count {
            let at = bytes.len() as u16;
            bytes[2 * slot..2 * slot + 2].copy_from_slice(&at.to_le_bytes());
            bytes.extend((KEY_BYTES as u16).to_le_bytes());
            bytes.extend((VALUE_BYTES as u16).to_le_bytes());
            bytes.extend(key(first + slot));
            bytes.extend([7; VALUE_BYTES]);
        }
        Self { bytes: bytes.into(), count }
    }

    fn u16_at(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let at = self.u16_at(2 * middle);
            let value_at = at + 4 + self.u16_at(at);
            match self.bytes[at + 4..value_at].cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return Some(&self.bytes[value_at..value_at + self.u16_at(at + 2)]);
                }
            }
        }
        None
    }
}

fn build() {
    const CELLS: usize = 100;
    let value = [7_u8; VALUE_BYTES];
    let mut builder = PageBuilder::new(PageKind::Leaf, &[], BuilderCapacity::default());
    let image = image(0, CELLS);
    let keys: Vec<_> = (0..CELLS).map(key).collect();
    let prefix = image.prefix().to_vec();
    println!("pages of {CELLS} cells of {CELL_BYTES} bytes, {} bytes", image.bytes_len());
    let time = |name: &str, mut work: Box<dyn FnMut() -> usize + '_>| {
        let run = |work: &mut dyn FnMut() -> usize| {
            let start = Instant::now();
            for _ in 0..20_000 {
                black_box(work());
            }
            start.elapsed().as_nanos() as f64 / 20e6
        };
        let us = (0..3).map(|_| run(&mut work)).fold(f64::MAX, f64::min);
        println!("  {name:36} {us:7.2} us");
    };
    time("push all, a new builder", {
        let (keys, prefix) = (&keys, &prefix);
        Box::new(move || {
            let capacity = BuilderCapacity {
                slots: CELLS,
                cells_bytes: CELLS * cell_bytes(prefix.len(), KEY_BYTES, VALUE_BYTES),
            };
            let mut builder = PageBuilder::new(PageKind::Leaf, prefix, capacity);
            for key in keys {
                builder.push(key, Tag::Inline, &value);
            }
            builder.finish_image().bytes_len()
        })
    });
    time(
        "push all, a used builder",
        Box::new(|| {
            builder.restart(PageKind::Leaf, &prefix);
            for key in &keys {
                builder.push(key, Tag::Inline, &value);
            }
            builder.finish_image().bytes_len()
        }),
    );
    let mut builder = PageBuilder::new(PageKind::Leaf, &prefix, BuilderCapacity::default());
    time(
        "push_from each",
        Box::new(|| {
            (0..CELLS).for_each(|slot| builder.push_from(&image, slot));
            builder.finish_image().bytes_len()
        }),
    );
    let mut builder = PageBuilder::new(PageKind::Leaf, &prefix, BuilderCapacity::default());
    time(
        "push_run around one new cell",
        Box::new(|| {
            builder.push_run(&image, 0..40);
            builder.push(&keys[40], Tag::Inline, &value);
            builder.push_run(&image, 41..CELLS);
            builder.finish_image().bytes_len()
        }),
    );
    let mut builder = PageBuilder::new(PageKind::Leaf, &prefix[1..], BuilderCapacity::default());
    time(
        "push_run, a prefix of another length",
        Box::new(|| {
            builder.restart(PageKind::Leaf, &prefix[..prefix.len() - 1]);
            builder.push_run(&image, 0..CELLS);
            builder.finish_image().bytes_len()
        }),
    );
    time(
        "copy of the bytes, for comparison",
        Box::new(|| black_box(image.as_bytes().to_vec()).len()),
    );
    time(
        "copy and parse",
        Box::new(|| PageImage::parse(image.as_bytes().into()).expect("it is whole").bytes_len()),
    );
}
