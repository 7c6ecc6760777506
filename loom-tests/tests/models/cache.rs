//! Model 9: the cache's account returns to zero, and a release wakes whoever waits for room.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Kept, check, check_control};
use rshelve_core::cache::{Cache, Charge};
use rshelve_core::internals::weaken::Weakness;

/// Threads that charge, charge more, and release.
fn account() {
    let cache = Kept::new(Arc::new(Cache::new(100)));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let cache = cache.clone();
            thread::spawn(move || {
                let charge = Charge::new(&cache, 10);
                charge.grow(5);
                assert!((15..=45).contains(&cache.bytes_used()), "bytes went missing");
            })
        })
        .collect();
    drop(Charge::new(&cache, 15));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(cache.bytes_used(), 0, "the account does not return to zero");
}

/// One waits for room in a full cache beside two releases, which together make it. A lost
/// wake-up is a deadlock, because time does not pass under loom.
fn room() {
    let cache = Kept::new(Arc::new(Cache::new(100)));
    let [first, second] = [(); 2].map(|()| Kept::new(Charge::new(&cache, 80)));
    let waiter = {
        let cache = cache.clone();
        thread::spawn(move || assert!(cache.wait_for_room(Duration::MAX)))
    };
    let releaser = thread::spawn(move || drop(first));
    drop(second);
    releaser.join().unwrap();
    waiter.join().unwrap();
    assert_eq!(cache.bytes_used(), 0, "the account does not return to zero");
}

#[test]
fn model_9_cache_account() {
    check("9 cache account", account);
    check("9 waiting for room", room);
}

#[test]
fn model_9_needs_the_waiters_exchange() {
    check_control("9 waiting", Weakness::WaiterLooksWithoutExchange, "deadlock", room);
}

#[test]
fn model_9_needs_the_lock_before_the_wake() {
    check_control("9 waiting", Weakness::ReleaseWithoutRoomLock, "deadlock", room);
}
