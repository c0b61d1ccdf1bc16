//! All the `unsafe` of this crate: bpf(2) and one socket option here, the ring buffer's memory in `ring`. What leaves this
//! folder is safe to call with any argument.
#![allow(unsafe_code)]

mod ring;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use crate::object::MapShape;

pub(crate) use ring::Ring;

// Commands of bpf(2), include/uapi/linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const PROG_LOAD: libc::c_int = 5;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
const MAP_FREEZE: libc::c_int = 22;
const LINK_CREATE: libc::c_int = 28;

/// Do not overwrite.
pub(crate) const NEW: u64 = 1;
const QUERY_EFFECTIVE: u32 = 1;
/// More programs than the kernel lets anyone attach at one place (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: usize = 64;

/// What bpf(2) reads: a struct of integers without padding, as the kernel lays out the command's part of `union bpf_attr`.
///
/// # Safety
/// Every byte of the type is initialised, and its fields are the command's; pointers among them are checked where the
/// call is made.
unsafe trait Attributes {}

/// bpf(2). A descriptor that it answers with is close-on-exec.
///
/// # Safety
/// The pointers in `attributes` are valid for what `command` reads or writes through them.
unsafe fn bpf<A: Attributes>(command: libc::c_int, attributes: &mut A) -> Result<i32, Errno> {
    // SAFETY: the kernel reads, and for some commands writes, no more than the size given, which is the struct's; the
    // pointers inside are the caller's promise.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) };
    if answer < 0 {
        return Err(last());
    }
    i32::try_from(answer).map_err(|_| Errno::RANGE)
}

/// errno of the call just made.
fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The descriptor that a command has just made.
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: bpf(2) has just answered with this descriptor, and nothing else knows of it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// For the kernel, a descriptor is an unsigned number.
fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

/// For the kernel, a pointer is a number of 64 bits.
fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().addr() as u64
}

fn address_mut(bytes: &mut [u8]) -> u64 {
    bytes.as_mut_ptr().expose_provenance() as u64
}

/// At most 15 bytes and a zero.
fn label(text: &str) -> [u8; 16] {
    let mut label = [0; 16];
    for (to, from) in label.iter_mut().take(15).zip(text.bytes()) {
        *to = from;
    }
    label
}

/// A map, with the sizes that the kernel knows it by.
pub(crate) struct Map {
    descriptor: OwnedFd,
    key: usize,
    value: usize,
}

#[repr(C)]
struct CreateMap {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}
// SAFETY: 11 words, no padding.
unsafe impl Attributes for CreateMap {}

#[repr(C)]
struct Element {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}
// SAFETY: the two words before the first 64-bit field fill its alignment.
unsafe impl Attributes for Element {}

impl Map {
    /// `BPF_MAP_CREATE`.
    pub(crate) fn create(shape: &MapShape) -> Result<Self, Errno> {
        let mut attributes = CreateMap {
            kind: shape.kind,
            key: shape.key,
            value: shape.value,
            entries: shape.entries,
            flags: shape.flags,
            inner: 0,
            node: 0,
            name: label(&format!("rc_{}", shape.name)),
        };
        // SAFETY: no pointers.
        let descriptor = owned(unsafe { bpf(MAP_CREATE, &mut attributes) }?);
        Ok(Self { descriptor, key: shape.key as usize, value: shape.value as usize })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn element(&self, key: u64, value: u64, flags: u64) -> Element {
        Element { map: number(self.descriptor()), unused: 0, key, value, flags }
    }

    /// `BPF_MAP_UPDATE_ELEM`.
    pub(crate) fn set(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if key.len() != self.key || value.len() != self.value {
            return Err(Errno::INVAL);
        }
        let mut element = self.element(address(key), address(value), flags);
        // SAFETY: the kernel reads a key and a value of the map's sizes, which the slices have: no map here is per
        // processor, where a value would be larger.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut element) }.map(drop)
    }

    /// `BPF_MAP_LOOKUP_ELEM`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if key.len() != self.key {
            return Err(Errno::INVAL);
        }
        let mut value = vec![0; self.value];
        let mut element = self.element(address(key), address_mut(&mut value), 0);
        // SAFETY: the kernel reads a key of the map's size, and writes a value of the map's size.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut element) }?;
        Ok(value)
    }

    /// `BPF_MAP_GET_NEXT_KEY`; `None` after the last.
    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Errno> {
        if key.is_some_and(|key| key.len() != self.key) {
            return Err(Errno::INVAL);
        }
        let mut next = vec![0; self.key];
        let mut element = self.element(key.map_or(0, address), address_mut(&mut next), 0);
        // SAFETY: the kernel reads a key of the map's size, or none for a null pointer, and writes one.
        match unsafe { bpf(MAP_GET_NEXT_KEY, &mut element) } {
            Ok(_) => Ok(Some(next)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// `BPF_MAP_FREEZE`: nobody can write it any more by bpf(2).
    pub(crate) fn freeze(&self) -> Result<(), Errno> {
        let mut element = self.element(0, 0, 0);
        // SAFETY: no pointers; the rest is zero, as the kernel demands.
        unsafe { bpf(MAP_FREEZE, &mut element) }.map(drop)
    }
}

#[repr(C)]
struct LoadProgram {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach: u32,
}
// SAFETY: 72 bytes, every 64-bit field at a multiple of 8, no padding.
unsafe impl Attributes for LoadProgram {}

/// `BPF_PROG_LOAD`. With a `log`, the verifier writes there what it thinks, with a zero at the end.
pub(crate) fn load(
    name: &str,
    (kind, attach): (u32, u32),
    license: &[u8],
    code: &[u8],
    log: Option<&mut [u8]>,
) -> Result<OwnedFd, Errno> {
    if license.last() != Some(&0) || !code.len().is_multiple_of(8) {
        return Err(Errno::INVAL);
    }
    let log_size = log.as_ref().map_or(Ok(0), |log| u32::try_from(log.len())).map_err(|_| Errno::INVAL)?;
    let mut attributes = LoadProgram {
        kind,
        instructions: u32::try_from(code.len() / 8).map_err(|_| Errno::INVAL)?,
        code: address(code),
        license: address(license),
        log_level: u32::from(log.is_some()),
        log_size,
        log: log.map_or(0, address_mut),
        kernel_version: 0,
        flags: 0,
        name: label(&format!("rc_{name}")),
        interface: 0,
        attach,
    };
    // SAFETY: the kernel reads that many instructions of 8 bytes and a string that ends in a zero, and writes at most
    // `log_size` bytes of log; the slices live until it has answered.
    Ok(owned(unsafe { bpf(PROG_LOAD, &mut attributes) }?))
}

#[repr(C)]
struct CreateLink {
    program: u32,
    target: u32,
    attach: u32,
    flags: u32,
}
// SAFETY: four words.
unsafe impl Attributes for CreateLink {}

/// `BPF_LINK_CREATE`: attached beside others for as long as the descriptor is open.
pub(crate) fn link(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>, attach: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = CreateLink { program: number(program), target: number(cgroup), attach, flags: 0 };
    // SAFETY: no pointers.
    Ok(owned(unsafe { bpf(LINK_CREATE, &mut attributes) }?))
}

/// Up to `link_attach_flags` and `revision`, which newer kernels write whatever size they are told.
#[repr(C)]
struct Query {
    target: u32,
    attach: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    unused: u32,
    newer: [u64; 4],
}
// SAFETY: six words before and after the first 64-bit field fill its alignment.
unsafe impl Attributes for Query {}

/// `BPF_PROG_QUERY`: ids of the programs attached to a cgroup, or with `effective` of all that run for it.
pub(crate) fn attached(cgroup: BorrowedFd<'_>, attach: u32, effective: bool) -> Result<Vec<u32>, Errno> {
    // Those of the cgroup and of those above it.
    let mut ids = vec![0_u32; MOST_PROGRAMS * 16];
    let mut query = Query {
        target: number(cgroup),
        attach,
        flags: if effective { QUERY_EFFECTIVE } else { 0 },
        attach_flags: 0,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: u32::try_from(ids.len()).map_err(|_| Errno::INVAL)?,
        unused: 0,
        newer: [0; 4],
    };
    // SAFETY: the kernel writes at most `count` ids of four bytes, which the vector has. More is ENOSPC.
    unsafe { bpf(PROG_QUERY, &mut query) }?;
    ids.truncate(query.count as usize);
    Ok(ids)
}

#[repr(C)]
struct GetInfo {
    descriptor: u32,
    size: u32,
    info: u64,
}
// SAFETY: two words and a 64-bit field.
unsafe impl Attributes for GetInfo {}

/// What a loaded program is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Unique for as long as the program lives.
    pub(crate) id: u32,
    /// The beginning of a hash over its instructions (without map descriptors), by the kernel.
    pub(crate) tag: [u8; 8],
}

/// `BPF_OBJ_GET_INFO_BY_FD` of a program.
pub(crate) fn identity(program: BorrowedFd<'_>) -> Result<Identity, Errno> {
    // The first fields of `struct bpf_prog_info`: type, id, tag.
    let mut info = [0_u8; 16];
    let mut attributes = GetInfo { descriptor: number(program), size: 16, info: address_mut(&mut info) };
    // SAFETY: the kernel writes at most `size` bytes, which the array has.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    let [_, _, _, _, a, b, c, d, tag @ ..] = info;
    Ok(Identity { id: u32::from_ne_bytes([a, b, c, d]), tag })
}

/// `SO_NETNS_COOKIE` (Linux 5.14): the network namespace that a socket is of.
pub(crate) fn namespace_cookie(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut size: libc::socklen_t = 8;
    // SAFETY: the kernel writes at most `size` bytes to the cookie, which has eight, and four to the size.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            std::ptr::from_mut(&mut cookie).cast(),
            &raw mut size,
        )
    };
    if answer != 0 {
        return Err(last());
    }
    if size != 8 || cookie == 0 { Err(Errno::INVAL) } else { Ok(cookie) }
}
