//! Nanoseconds per call of what every operation pays: hazards, ids, snapshots, row counts.
//!
//! `cargo bench -p rshelve-core --bench primitives`. Each figure is the best of several rounds,
//! on one thread unless it says otherwise.

use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread;
use std::time::Instant;

use rshelve_core::base::ids::TableId;
use rshelve_core::mvcc::Transactions;
use rshelve_core::reclaim::{Fences, HazardDomain, HazardSlot};

const ROUNDS: usize = 200;
const CALLS: u32 = 10_000;

fn measure(name: &str, mut call: impl FnMut()) {
    let round = |call: &mut dyn FnMut(u32)| {
        let start = Instant::now();
        call(CALLS);
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    let mut calls = |count: u32| (0..count).for_each(|_| call());
    let best = (0..ROUNDS).map(|_| round(&mut calls)).fold(f64::INFINITY, f64::min);
    println!("{name:<58} {best:>9.1} ns");
}

unsafe fn free(object: *mut ()) {
    // SAFETY: every object of these benchmarks is a boxed `u64`.
    drop(unsafe { Box::from_raw(object.cast::<u64>()) });
}

fn boxed() -> NonNull<u64> {
    NonNull::from(Box::leak(Box::new(7_u64)))
}

fn hazards() {
    for fences in [Fences::Portable, Fences::Membarrier] {
        let domain = HazardDomain::new(fences);
        let slot = HazardSlot::new(&domain);
        let page = boxed();
        let word = AtomicPtr::new(page.as_ptr());
        let kind = domain.fences();
        measure(&format!("{kind:?}: publish"), || black_box(&slot).publish(page.cast()));
        measure(&format!("{kind:?}: protect and clear"), || {
            black_box(slot.protect(|| NonNull::new(black_box(&word).load(Ordering::Acquire))));
            slot.clear();
        });
        measure(&format!("{kind:?}: allocate, retire, free (scan of 1 slot per 64)"), || {
            // SAFETY: nobody else knows the object.
            unsafe { domain.retire(boxed().cast(), 8, free) };
        });
        scans(&domain, 0, "no other thread");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            scans(&domain, 0, "another thread running");
            scans(&domain, 1000, "another thread running");
            stop.store(true, Ordering::Relaxed);
        });
    }
}

fn scans(domain: &Arc<HazardDomain>, slot_count: usize, beside: &str) {
    let slots: Vec<HazardSlot> = (0..slot_count).map(|_| HazardSlot::new(domain)).collect();
    for slot in &slots {
        slot.publish(NonNull::from(slot).cast());
    }
    let kind = domain.fences();
    measure(&format!("{kind:?}: scan of {} slots, {beside}", slot_count + 1), || {
        // SAFETY: nobody else knows the object.
        unsafe { domain.retire(boxed().cast(), 8, free) };
        domain.reclaim();
    });
}

fn transactions() {
    let transactions = Arc::new(Transactions::new());
    measure("begin_write and commit, no row counts", || {
        transactions.commit(transactions.begin_write(), &[]);
    });
    measure("begin_write and commit, one table", || {
        transactions.commit(transactions.begin_write(), &[(TableId(1), 1)]);
    });
    measure("snapshot and release", || drop(black_box(Transactions::snapshot(&transactions))));
    measure("all_ended_below", || {
        black_box(transactions.all_ended_below());
    });
    measure("snapshot, begin_write, commit one table, release", || {
        let snapshot = Transactions::snapshot(&transactions);
        transactions.commit(transactions.begin_write(), &[(TableId(1), 1)]);
        drop(snapshot);
    });
    for table in 2..1000 {
        transactions.set_rows(TableId(table), 1);
    }
    let old = Transactions::snapshot(&transactions);
    measure("the same, 1000 tables, an old snapshot live", || {
        let snapshot = Transactions::snapshot(&transactions);
        transactions.commit(transactions.begin_write(), &[(TableId(500), 1)]);
        drop(snapshot);
    });
    drop(old);
    let open: Vec<_> = (0..100).map(|_| transactions.begin_write()).collect();
    measure("snapshot and release, 100 ids in flight", || {
        drop(black_box(Transactions::snapshot(&transactions)));
    });
    let snapshot = Transactions::snapshot(&transactions);
    measure("sees, id in the middle of 100 in flight", || {
        black_box(black_box(snapshot.snapshot()).sees(open[50]));
    });
    measure("begin_write and commit, 100 ids in flight", || {
        transactions.commit(transactions.begin_write(), &[(TableId(1), 1)]);
    });
    drop(snapshot);
    open.into_iter().for_each(|id| transactions.abort(id));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop(black_box(Transactions::snapshot(&transactions)));
            }
        });
        measure("begin_write and commit, another thread takes snapshots", || {
            transactions.commit(transactions.begin_write(), &[(TableId(1), 1)]);
        });
        stop.store(true, Ordering::Relaxed);
    });
}

fn main() {
    // `cargo test --benches` runs this too, and wants no figures.
    if std::env::args().any(|argument| argument == "--bench") {
        hazards();
        transactions();
    }
}
