//! Proof of "no allocation between clone and exec": in the fault-injection build the global allocator aborts in the
//! sandbox's side of the clone. In every other build this is nothing.

#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn enter() {}

#[cfg(feature = "fault-injection")]
pub use crate::sys::allocator::Guarded;
#[cfg(feature = "fault-injection")]
pub(crate) use crate::sys::allocator::enter;
