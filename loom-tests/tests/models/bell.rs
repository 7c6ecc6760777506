//! Model 11: the background threads miss neither a ring nor the end.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Kept, check, check_control};
use rshelve_core::internals::bell::Bell;
use rshelve_core::internals::weaken::Weakness;

/// Rings and the end. A lost wake-up is a deadlock, because time does not pass under loom.
fn end() {
    let bell = Kept::new(Arc::new(Bell::default()));
    let evictor = {
        let bell = bell.clone();
        thread::spawn(move || while bell.wait_evictor() {})
    };
    let keeper = {
        let bell = bell.clone();
        thread::spawn(move || while bell.wait_keeper(Duration::MAX) {})
    };
    bell.ring_evictor();
    bell.ring_keeper();
    bell.end();
    evictor.join().unwrap();
    keeper.join().unwrap();
}

/// Two ring, and whoever sleeps hears it.
fn ring() {
    let bell = Kept::new(Arc::new(Bell::default()));
    let evictor = {
        let bell = bell.clone();
        thread::spawn(move || assert!(bell.wait_evictor()))
    };
    let keeper = {
        let bell = bell.clone();
        thread::spawn(move || assert!(bell.wait_keeper(Duration::MAX)))
    };
    let other = {
        let bell = bell.clone();
        thread::spawn(move || bell.ring_evictor())
    };
    bell.ring_evictor();
    bell.ring_keeper();
    for thread in [evictor, keeper, other] {
        thread.join().unwrap();
    }
}

#[test]
fn model_11_bell() {
    check("11 end of the background threads", end);
    check("11 rings", ring);
}

#[test]
fn model_11_needs_the_word_before_the_wake() {
    check_control("11 end", Weakness::EndAfterWake, "deadlock", end);
}
