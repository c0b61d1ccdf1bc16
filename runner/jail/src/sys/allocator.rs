//! The allocator of the fault-injection build: the system's, until the process has entered the sandbox's side of a
//! clone; from then on any allocation aborts, and the test that saw it fails.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From here on, in this process, no allocation.
pub(crate) fn enter() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// The system's allocator, guarded.
#[derive(Debug)]
pub struct Guarded;

fn guard() {
    if FORBIDDEN.load(Ordering::Relaxed) {
        // SAFETY: always sound; ends the process.
        unsafe { libc::abort() }
    }
}

// SAFETY: every call is handed to the system's allocator unchanged, or does not return.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        guard();
        // SAFETY: the caller keeps the contract of `alloc`, which is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // Freeing takes the allocator's lock as well.
        guard();
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
