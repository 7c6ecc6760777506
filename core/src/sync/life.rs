//! Who may still touch an object that readers reach without a lock: a check for the models.
//!
//! A page, or a node of one, carries a [`Life`]. Whoever follows a pointer to it says so with
//! [`Life::touch`], and whoever frees it does so through [`free`]. Under loom a touch counts as a
//! read of a cell that the object's maker and its end write to, so that loom reports a read
//! that is not ordered behind the publication or before the end, and the object's memory stays
//! mapped till [`forget_the_dead`], so that a wrong read is caught before it is undefined. Under
//! shuttle a touch looks whether the object still lives. In every other build all of this is
//! nothing: no bytes, no code.

#[cfg(not(any(loom, shuttle)))]
mod imp {
    use super::Mortal;

    /// See the module.
    #[derive(Debug, Default)]
    pub struct Life;

    impl Life {
        /// A life that begins.
        #[inline(always)]
        pub const fn new() -> Self {
            Self
        }

        /// The object is about to be read.
        #[inline(always)]
        pub fn touch(&self) {}
    }

    /// Frees `object`.
    #[inline]
    pub fn free<T: Mortal>(object: Box<T>) {
        drop(object);
    }
}

#[cfg(any(loom, shuttle))]
mod graves {
    use std::alloc::{Layout, dealloc};
    use std::cell::RefCell;

    use super::Mortal;

    /// The memory of an object that was dropped.
    struct Grave(*mut u8, Layout);

    impl Drop for Grave {
        fn drop(&mut self) {
            // SAFETY: `bury` took the address and the layout from a box that it dissolved.
            unsafe { dealloc(self.0, self.1) }
        }
    }

    thread_local! {
        // As in `weaken`: one system thread runs all threads of a model.
        static GRAVES: RefCell<Vec<Grave>> = const { RefCell::new(Vec::new()) };
    }

    /// Ends the object's life and drops it, but keeps its memory.
    pub fn free<T: Mortal>(object: Box<T>) {
        object.life().end();
        let object = Box::into_raw(object);
        // SAFETY: it came from the box, and is dropped once.
        unsafe { std::ptr::drop_in_place(object) };
        GRAVES.with_borrow_mut(|graves| graves.push(Grave(object.cast(), Layout::new::<T>())));
    }

    /// Unmaps what was freed so far on this system thread: between two executions.
    pub fn forget_the_dead() {
        GRAVES.take();
    }
}

#[cfg(shuttle)]
mod imp {
    use std::mem::ManuallyDrop;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// See the module. True until the object is freed.
    #[derive(Debug)]
    pub struct Life(ManuallyDrop<AtomicBool>);

    impl Life {
        /// A life that begins.
        pub const fn new() -> Self {
            Self(ManuallyDrop::new(AtomicBool::new(true)))
        }

        /// The object is about to be read.
        pub fn touch(&self) {
            assert!(self.0.load(Relaxed), "a freed object was touched");
        }

        pub(super) fn end(&self) {
            assert!(self.0.swap(false, Relaxed), "an object was freed twice");
        }
    }
}

#[cfg(loom)]
mod imp {
    use std::mem::ManuallyDrop;

    use loom::cell::UnsafeCell;

    /// See the module. True until the object is freed.
    #[derive(Debug)]
    pub struct Life(ManuallyDrop<UnsafeCell<bool>>);

    // SAFETY: loom lets one thread run at a time and checks every access to the cell.
    unsafe impl Sync for Life {}

    impl Life {
        /// A life that begins.
        pub fn new() -> Self {
            let alive = UnsafeCell::new(false);
            // A step of its own, which whoever read the maker's clock before has not seen.
            alive.with_mut(|alive| {
                // SAFETY: nobody else knows the cell.
                unsafe { *alive = true }
            });
            Self(ManuallyDrop::new(alive))
        }

        /// The object is about to be read.
        pub fn touch(&self) {
            self.0.with(|alive| {
                // SAFETY: loom has checked that nobody writes the cell.
                assert!(unsafe { *alive }, "a freed object was touched");
            });
        }

        pub(super) fn end(&self) {
            self.0.with_mut(|alive| {
                // SAFETY: loom has checked that nobody else is in the cell.
                let was_alive = unsafe { std::mem::replace(&mut *alive, false) };
                assert!(was_alive, "an object was freed twice");
            });
        }
    }
}

/// What has a life.
pub trait Mortal {
    /// The life.
    fn life(&self) -> &Life;
}

#[cfg(any(loom, shuttle))]
pub use graves::{forget_the_dead, free};
pub use imp::Life;
#[cfg(not(any(loom, shuttle)))]
pub use imp::free;
