//! The reader's end of a ring buffer (Documentation/bpf/ringbuf.rst).

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;

use super::{Map, last};

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record: its length and flags, and a word for the kernel.
const HEADER: u64 = 8;

/// A page with the position that is ours, a page with
/// the kernel's, then the data, mapped twice in a row so that a record is in one piece.
pub(crate) struct Ring {
    map: Map,
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    size: u64,
}

struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread; access to it goes through `&mut Ring`.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: BorrowedFd<'_>, writable: bool, offset: usize, length: usize) -> Result<Self, Errno> {
        let access = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing existing is touched.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, map.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(last());
        }
        let mapping = Self { start, length };
        // A forked child has no business with it: neither reading it nor keeping it alive.
        // SAFETY: the range is exactly the mapping just made.
        if unsafe { libc::madvise(start, length, libc::MADV_DONTFORK) } != 0 {
            return Err(last());
        }
        Ok(mapping)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap(2) gave; no reference into it leaves `Ring::drain`.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

impl Ring {
    /// Maps the ring buffer `map`, which has `size` bytes: a power of two, and whole pages.
    pub(crate) fn new(map: Map, size: u32) -> Result<Self, Errno> {
        let page = rustix::param::page_size();
        let data = size as usize;
        if !size.is_power_of_two() || !data.is_multiple_of(page) {
            return Err(Errno::INVAL);
        }
        let consumer = Mapping::new(map.descriptor(), true, 0, page)?;
        // The kernel refuses to map more than its own 2 × size, and any other size than the map's leaves a part out.
        let producer = Mapping::new(map.descriptor(), false, page, page + 2 * data)?;
        Ok(Self { map, consumer, producer, page, size: size.into() })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.map.descriptor()
    }

    /// Gives each record that is there now to `each`, and its place back to the kernel. An error says what is malformed.
    pub(crate) fn drain<const N: usize>(&mut self, mut each: impl FnMut(&[u8; N])) -> Result<(), String> {
        let consumed = self.consumer.start.cast::<AtomicU64>();
        // SAFETY: the first word of a mapped page, which is aligned and lives as long as `self`. The kernel only reads
        // it, and nobody else has the mapping.
        let consumed = unsafe { &*consumed };
        // SAFETY: the first word of a mapped page; the kernel writes it with release semantics.
        let produced = unsafe { &*self.producer.start.cast::<AtomicU64>() };
        let end = produced.load(Ordering::Acquire);
        let mut position = consumed.load(Ordering::Relaxed);
        while position < end {
            let place = usize::try_from(position & (self.size - 1)).map_err(|error| error.to_string())?;
            // SAFETY: `place` is below `size`, and the data, 2 × size bytes, begins a page after the mapping's start. A
            // record begins at a multiple of 8.
            let record = unsafe { self.producer.start.cast::<u8>().add(self.page + place) };
            // SAFETY: eight bytes from `place` are inside of the doubled data; aligned as said; the kernel writes this
            // word with release semantics when the record is complete.
            let header = unsafe { &*record.cast::<AtomicU32>() }.load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let length = u64::from(header & !DISCARDED);
            if length != N as u64 || !position.is_multiple_of(HEADER) {
                return Err(format!("a record of {length} bytes at {position}"));
            }
            if header & DISCARDED == 0 {
                let mut copy = [0; N];
                // SAFETY: header and record, together far below `size` bytes, begin below `size` in data that is mapped
                // twice; the kernel does not write a complete record before `consumed` has passed it.
                unsafe { std::ptr::copy_nonoverlapping(record.add(8), copy.as_mut_ptr(), N) };
                each(&copy);
            }
            position += (HEADER + length).next_multiple_of(8);
            consumed.store(position, Ordering::Release);
        }
        Ok(())
    }
}
