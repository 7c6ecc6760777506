//! Blocks do not overlap, come back, and are counted.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::class::{CLASSES, block_bytes, class_of};
use super::*;

fn memory(spans: u32) -> Arc<PageMemory> {
    PageMemory::with_spans(spans, 0).expect("a small reservation")
}

/// What is resident and not handed out, to the byte.
fn slack_bytes(memory: &PageMemory) -> i64 {
    let unsaid = memory.spares.iter().map(|spares| spares.lock().unsaid_bytes());
    memory.slack_bytes.load(Ordering::Relaxed) + unsaid.sum::<i64>()
}

#[test]
fn classes_ascend_and_fit() {
    for len in BLOCK_BYTES_LEAST..=64 << 10 {
        let class = class_of(len).expect("a class");
        assert!(block_bytes(class) >= len && block_bytes(class).is_multiple_of(64), "{len}");
        assert!(class == 0 || block_bytes(class - 1) < len, "{len} has a smaller class");
    }
    assert_eq!(block_bytes(CLASSES - 1), 64 << 10);
    assert_eq!((class_of(BLOCK_BYTES_LEAST - 1), class_of((64 << 10) + 1)), (None, None));
}

/// Blocks that live for random times: what is free lies in few spans, and those become free.
#[test]
fn blocks_come_from_the_fullest_span() {
    let mut class = class::Class::new(class_of(16 << 10).expect("a class"));
    let per_span = SPAN_BYTES / (16 << 10);
    // A span's number and its place in the class are the same here.
    let mut blocks: Vec<usize> = Vec::new();
    for span in 0..3 {
        assert_eq!(class.add_span(span), span);
        blocks.extend((0..per_span).map(|_| class.take().expect("a free block")));
    }
    let give_back = |class: &mut class::Class, at: usize| class.give_back(blocks[at], |span| span);
    // Of the first span most are free, of the second two, of the third one.
    for at in 1..per_span {
        assert_eq!(give_back(&mut class, at), None);
    }
    for at in [per_span, per_span + 1, 2 * per_span] {
        assert_eq!(give_back(&mut class, at), None);
    }
    let spans: Vec<usize> =
        (0..4).map(|_| class.take().expect("a free block") / SPAN_BYTES).collect();
    assert_eq!(spans, [2, 1, 1, 0]);
    assert_eq!(class.give_back(0, |span| span), None, "a block was taken from there");
}

#[test]
fn sparse_spans_are_worth_emptying() {
    let memory = memory(8);
    let len = SPAN_BYTES / 8;
    let mut spans: Vec<Vec<Block>> =
        (0..5).map(|_| (0..8).map(|_| Block::new(Some(&memory), len)).collect()).collect();
    let is_sparse = |spans: &[Vec<Block>], sparse| -> Vec<bool> {
        spans.iter().map(|blocks| blocks[0].lies_in(sparse)).collect()
    };
    // One block, two, six and seven are free; of the last span none.
    for (blocks, kept) in spans.iter_mut().zip([7, 6, 2, 1]) {
        blocks.truncate(kept);
    }
    memory.give_back_spares();
    assert_eq!(is_sparse(&spans, Sparse::Quarter), [false, true, true, true, false]);
    assert_eq!(is_sparse(&spans, Sparse::Emptiest), [false, false, false, true, false]);
    spans[0].truncate(1);
    spans[1].truncate(4);
    spans.remove(3);
    memory.give_back_spares();
    assert_eq!(is_sparse(&spans, Sparse::Emptiest), [true, false, false, false]);
    spans.remove(0);
    memory.give_back_spares();
    assert_eq!(
        is_sparse(&spans, Sparse::Quarter),
        [false; 3],
        "less than two spans' worth is free"
    );
    assert!(!Block::new(None, len).lies_in(Sparse::Quarter), "it lies elsewhere");
}

/// Of many classes a few blocks each were used: what the thread keeps at hand must not hold a span of each.
#[test]
fn what_is_kept_at_hand_goes_back() {
    let memory = memory(512);
    drop(
        (0..CLASSES).map(|class| Block::new(Some(&memory), block_bytes(class))).collect::<Vec<_>>(),
    );
    assert_eq!(slack_bytes(&memory), (CLASSES * SPAN_BYTES) as i64);
    memory.give_back_spares();
    assert_eq!(slack_bytes(&memory), (spans::warm_max(0) * SPAN_BYTES) as i64);
}

#[test]
fn small_caches_lie_elsewhere() {
    assert!(PageMemory::reserve(CACHE_BYTES_LEAST - 1).is_none());
}

#[test]
fn small_database_touches_no_huge_page() {
    let memory = PageMemory::with_spans(4, 10_000).expect("a small reservation");
    let placed = |len| memory.holds(Block::new(Some(&memory), len).start());
    assert_eq!(
        [placed(4000), placed(4000), placed(4000), placed(4000)],
        [false, false, false, true]
    );
    assert_eq!(slack_bytes(&memory), SPAN_BYTES as i64);
}

#[test]
fn full_memory_sends_to_the_global_allocator() {
    let memory = memory(1);
    let blocks: Vec<Block> = (0..3).map(|_| Block::new(Some(&memory), 64 << 10)).collect();
    let placed = blocks.iter().filter(|block| memory.holds(block.start())).count();
    assert_eq!((placed, slack_bytes(&memory)), (2, 0));
}

#[test]
fn memory_that_grows_is_got_ahead() {
    let memory = memory(512);
    let take = |count: usize| -> Vec<Block> {
        (0..count).map(|_| Block::new(Some(&memory), SPAN_BYTES / 2)).collect()
    };
    let small = take(8);
    memory.get_ahead();
    assert!(!memory.take_shortage() && slack_bytes(&memory) == 0, "a small database has none");
    let grown = take(200);
    assert!(memory.take_shortage() && !memory.take_shortage(), "one is told");
    memory.get_ahead();
    let ahead = slack_bytes(&memory);
    assert!((1 << 20..4 << 20).contains(&ahead), "{ahead} bytes ahead of some 13 MiB");
    memory.get_ahead();
    assert_eq!(slack_bytes(&memory), ahead, "that is enough");
    let more = take(4);
    assert_eq!(slack_bytes(&memory), ahead - 2 * SPAN_BYTES as i64, "what is taken was there");
    let all = take(2000);
    memory.get_ahead();
    assert_eq!(slack_bytes(&memory), 0, "there is no more");
    drop((small, grown, more, all));
}

#[test]
fn free_spans_beyond_the_warm_ones_leave_the_process() {
    let memory = memory(64);
    let blocks: Vec<Block> = (0..64).map(|_| Block::new(Some(&memory), SPAN_BYTES / 2)).collect();
    assert_eq!(slack_bytes(&memory), 0);
    drop(blocks);
    // What a class keeps at hand holds spans, too: at most one for each block.
    let most = (2 << 20) + 16 * SPAN_BYTES as i64;
    assert!(slack_bytes(&memory) <= most, "{} bytes of slack", slack_bytes(&memory));
    // What comes back from the system is whole.
    let bytes = vec![7; 60_000];
    let copies: Vec<_> = (0..100).map(|_| PageBytes::copy_of(&bytes, Some(&memory))).collect();
    assert!(copies.iter().all(|copy| **copy == *bytes));
}

#[test]
fn small_cache_takes_nothing_any_more() {
    let memory = memory(64);
    let blocks: Vec<Block> = (0..200).map(|_| Block::new(Some(&memory), 16 << 10)).collect();
    let kept = Block::new(Some(&memory), 1000);
    drop(blocks);
    memory.resize(1 << 20);
    assert_eq!(slack_bytes(&memory), (SPAN_BYTES - kept.bytes_len()) as i64);
    assert!(!memory.holds(Block::new(Some(&memory), 1000).start()));
    drop(kept);
    assert_eq!(slack_bytes(&memory), 0);
    memory.resize(CACHE_BYTES_LEAST);
    assert!(memory.holds(Block::new(Some(&memory), 1000).start()));
}

#[test]
fn values_end_where_they_lie() {
    let memory = memory(4);
    let counted = Arc::new(());
    for place in [None, Some(&memory)] {
        let owned = Owned::new(place, ([0_u64; 50], Arc::clone(&counted)));
        assert_eq!(Arc::strong_count(&counted), 2);
        let raw = owned.into_raw();
        // SAFETY: (1) taken just now; (2) the same; (3) nobody else knows it.
        drop(unsafe { Owned::from_raw(raw, place) });
        assert_eq!(Arc::strong_count(&counted), 1);
    }
    assert_eq!(slack_bytes(&memory), SPAN_BYTES as i64);
}

#[test]
fn threads_share_a_memory() {
    let memory = memory(256);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let memory = &memory;
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..4000_usize {
                    let len = 300 + round * 37 % 9000;
                    let bytes = vec![thread ^ (round as u8); len];
                    held.push((PageBytes::copy_of(&bytes, Some(memory)), bytes));
                    if held.len() > 50 {
                        let (copy, bytes) = held.swap_remove(round % 50);
                        assert!(*copy == *bytes, "a block of {len} bytes was written to");
                    }
                }
            });
        }
    });
}

#[test]
fn arenas_keep_what_they_are_given() {
    let memory = memory(8);
    for place in [None, Some(&memory)] {
        let arena = Arena::new(place);
        let words: Vec<&mut u64> = (0..500).map(|word| arena.alloc(word)).collect();
        let byte = arena.alloc_slice_copy(&[1_u8]);
        let long = arena.alloc_slice_fill_with(3000, |index| index as u32);
        let empty: &mut [u64] = arena.alloc_slice_copy(&[]);
        assert!(words.iter().enumerate().all(|(index, word)| **word == index as u64));
        assert!(long.iter().enumerate().all(|(index, word)| *word == index as u32));
        assert_eq!((byte, empty), (&mut [1][..], &mut [][..]));
        assert!(arena.allocated_bytes() >= 500 * 8 + 12_000);
    }
}

proptest! {
    #[test]
    fn blocks_do_not_overlap(steps in prop::collection::vec((any::<bool>(), 1_usize..70_000), 1..400)) {
        let memory = memory(40);
        let mut live: BTreeMap<usize, Block> = BTreeMap::new();
        for (is_new, draw) in steps {
            if is_new || live.is_empty() {
                let block = Block::new(Some(&memory), draw);
                let (start, len) = (block.start().addr().get(), block.bytes_len());
                let before = live.range(..start).next_back();
                prop_assert!(before.is_none_or(|(at, block)| at + block.bytes_len() <= start));
                prop_assert!(live.range(start..start + len).next().is_none());
                live.insert(start, block);
            } else {
                let key = *live.keys().nth(draw % live.len()).expect("a block");
                live.remove(&key);
            }
            let inside = live.values().filter(|block| memory.holds(block.start()));
            let used: usize = inside.map(Block::bytes_len).sum();
            prop_assert!(used as i64 + slack_bytes(&memory) <= 40 * SPAN_BYTES as i64);
        }
    }
}
