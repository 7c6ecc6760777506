//! What models and schedules have in common: a step is left out, and then something must fail.
//!
//! `shuttle-tests` takes this file in by its path.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rshelve_core::internals::weaken::{self, Weakness};

/// Runs `explore` with `weakness`: it must panic, and say `complaint`. Returns the first line that was
/// said. What `explore` returns says how much held, for the message if it does.
pub(crate) fn caught(
    name: &str,
    weakness: Weakness,
    complaint: &str,
    explore: impl FnOnce() -> String,
) -> String {
    weaken::set(Some(weakness));
    let outcome = catch_unwind(AssertUnwindSafe(explore));
    weaken::set(None);
    let panic = match outcome {
        Ok(held) => panic!("{name} holds under {weakness:?}, {held}"),
        Err(panic) => panic,
    };
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("something that is no text");
    assert!(said.contains(complaint), "{name} under {weakness:?} failed otherwise: {said}");
    said.lines().next().unwrap_or(said).to_owned()
}

/// A value that is forgotten, not dropped, by a panic. Loom reports a deadlock by one on the thread
/// that blocked last, and aborts when something on its stack has a step to take at its drop; and a
/// database that has failed in one way must not fail in another while it is closed.
#[derive(Clone)]
pub struct Kept<T>(Option<T>);

impl<T> Kept<T> {
    /// Keeps `value`.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl<T> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("there until it is dropped")
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _forgotten = ManuallyDrop::new(self.0.take());
        }
    }
}
