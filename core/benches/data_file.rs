//! How fast blocks go to the data file and come back: batches as a checkpoint writes them, with
//! plain and with fragmented free space. `cargo bench -p rshelve-core --bench
//! data_file -- [folder]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rshelve_core::base::ids::TableId;
use rshelve_core::base::options::{Compression, OpenMode};
use rshelve_core::block::{Address, BlockKind, Blocks, CheckpointRoot, NewBlock, create};
use rshelve_core::io::SyncPoint;
use rshelve_core::io::real::RealStorage;

const BATCH_BLOCKS: usize = 64;
const PAYLOAD_BYTES: usize = (16 << 10) - 32;
const BATCHES: usize = 512;

fn main() {
    // Cargo says --bench when it wants figures; `cargo test --benches` only wants a run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let name = format!("rshelve-bench-{}", std::process::id());
    let storage = RealStorage::new(folder.clone());
    let file = create(&storage, &name, 0o600, OpenMode::Create).expect("a new database");
    let blocks = Blocks::open(file, name.as_str().into(), true, Arc::default()).expect("opened");
    for compression in [Compression::None, Compression::Snappy] {
        measure(&blocks, compression);
    }
    let _ = std::fs::remove_file(folder.join(name));
}

/// Writes into new space, reads, frees every other block, and writes into the holes.
fn measure(blocks: &Blocks, compression: Compression) {
    let payload: Vec<u8> = (0..PAYLOAD_BYTES).map(|at| ((at * at) >> 7) as u8).collect();
    let text: Vec<u8> = b"spam and eggs ".iter().copied().cycle().take(PAYLOAD_BYTES).collect();
    let payload = if compression == Compression::None { payload } else { text };
    let block = NewBlock::new(BlockKind::Leaf, TableId(1), compression, &payload);
    let batch = vec![block; BATCH_BLOCKS];
    let mut addresses: Vec<Address> = Vec::new();

    let started = Instant::now();
    for _ in 0..BATCHES {
        addresses.extend(blocks.write(&batch).expect("written"));
    }
    report(compression, "write, new space", BATCHES * BATCH_BLOCKS, started);
    let started = Instant::now();
    blocks.sync(SyncPoint::CheckpointData).expect("synced");
    println!("{compression:?}: sync after it: {:?}", started.elapsed());

    let started = Instant::now();
    for address in &addresses {
        blocks.read(address, BlockKind::Leaf).expect("read");
    }
    report(compression, "read, from the page cache", addresses.len(), started);

    let started = Instant::now();
    for address in addresses.iter().step_by(2) {
        blocks.free(address).expect("freed");
    }
    let freed = addresses.len() / 2;
    println!("{compression:?}: free: {:?} each", started.elapsed() / freed as u32);
    let started = Instant::now();
    blocks.begin_checkpoint().expect("begun");
    blocks.finish_checkpoint(CheckpointRoot::default()).expect("finished");
    println!("{compression:?}: checkpoint that frees {freed} extents: {:?}", started.elapsed());

    let started = Instant::now();
    for _ in 0..BATCHES / 2 {
        blocks.write(&batch).expect("written");
    }
    report(compression, "write, into holes of one block", BATCHES / 2 * BATCH_BLOCKS, started);
}

fn report(compression: Compression, what: &str, count: usize, started: Instant) {
    let time = started.elapsed();
    let mib_per_second = (count * PAYLOAD_BYTES) as f64 / (1 << 20) as f64 / time.as_secs_f64();
    let each = time / count as u32;
    println!("{compression:?}: {what}: {mib_per_second:.0} MiB/s, {each:?} a block");
}
