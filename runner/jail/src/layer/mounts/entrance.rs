//! The sandbox's mounts once more, for a tool's process: a copy of the agent's mount namespace, in which what belongs to the
//! agent's processes is covered by what belongs to the tool's: a proc, masked as the agent's is, and pseudo-terminals. The
//! broker's socket is hidden: a tool asks for no tool.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;

use super::layout::relative;
use super::op::{Op, Slot, Slots, interpret};
use super::{Mounts, Operation};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::process::{set_namespace, unshare};

/// The operations, prepared.
pub(crate) struct Again {
    /// Those that make file systems.
    made: Vec<Op>,
    /// Those that put them in place, and what is read-only or hidden in them.
    placed: Vec<Op>,
    /// Where they are.
    covered: Vec<CString>,
    slots: Slots,
}

impl Again {
    /// From the operations that made the sandbox's own.
    pub(crate) fn prepare(mounts: &Mounts) -> Result<Self, Refusal> {
        let (mut made, mut placed, mut covered) = (Vec::new(), Vec::new(), Vec::new());
        // Slots of the sandbox's operations whose file systems are made again; the new slot is the place in this list.
        let mut slots: Vec<Slot> = Vec::new();
        let new = |slots: &[Slot], slot: Slot| slots.iter().position(|one| *one == slot);
        let beneath = |covered: &[CString], path: &CStr| {
            covered.iter().any(|place| {
                let rest = path.to_bytes().strip_prefix(place.as_bytes());
                rest.is_some_and(|rest| rest.starts_with(b"/"))
            })
        };
        for Operation { op, .. } in &mounts.operations {
            match op {
                Op::Proc { slot, attributes } => {
                    made.push(Op::Proc { slot: slots.len(), attributes: *attributes });
                    slots.push(*slot);
                }
                Op::Pts { slot } => {
                    made.push(Op::Pts { slot: slots.len() });
                    slots.push(*slot);
                }
                Op::Attach { slot, path } => {
                    if let Some(slot) = new(&slots, *slot) {
                        placed.push(Op::Attach { slot, path: path.clone() });
                        covered.push(path.clone());
                    }
                }
                Op::Hold { path, attributes } if beneath(&covered, path) => {
                    placed.push(Op::Hold { path: path.clone(), attributes: *attributes });
                }
                Op::Hide { path, with } if beneath(&covered, path) => {
                    placed.push(Op::Hide { path: path.clone(), with });
                }
                _ => {}
            }
        }
        if let Some(socket) = mounts.socket() {
            placed.push(Op::Hide { path: relative(socket)?, with: SEALED_FILE });
        }
        Ok(Self { made, placed, covered, slots: Slots::new(slots.len()) })
    }

    /// Where file systems of the tool's own are, as absolute paths.
    pub(crate) fn covered(&self) -> impl Iterator<Item = String> {
        self.covered.iter().map(|path| format!("/{}", path.to_string_lossy()))
    }

    /// In the first process of a pid namespace: what is made belongs to that. It is still among a copy of the host's mounts,
    /// whose proc is whole: the kernel gives no other proc to a user namespace (`mount_too_revealing`), and the agent's is
    /// masked.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        self.made.iter().enumerate().try_for_each(|(item, op)| interpret(op, &self.slots, item))
    }

    /// Goes into a copy of the sandbox's mounts, and puts everything in its place. What is found by a path here is in the
    /// sealed root, or in what was just made: the agent cannot change where it leads.
    pub(crate) fn enter(&self, sandbox: BorrowedFd<'_>) -> Result<(), Failure> {
        // The root and the working directory become the sandbox's root with it (setns(2)).
        run(Step::ToolMounts, 0, || set_namespace(sandbox, libc::CLONE_NEWNS))?;
        run(Step::ToolMounts, 1, || unshare(u64::from(libc::CLONE_NEWNS.unsigned_abs())))?;
        run(Step::ToolMounts, 2, || {
            rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        })?;
        run(Step::ToolMounts, 3, || {
            let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(c"/", how, Mode::empty()).map(|root| self.slots.set_root(root))
        })?;
        let placed = self.placed.iter().enumerate();
        placed
            .map(|(item, op)| (item + self.made.len(), op))
            .try_for_each(|(item, op)| interpret(op, &self.slots, item))?;
        self.slots.close();
        Ok(())
    }

    /// What the operation of a failed step was about.
    pub(crate) fn blame(&self, failure: &Failure) -> Option<String> {
        if !(Step::OpenSource..=Step::DetachHost).contains(&failure.step) {
            return None;
        }
        let path = match self.made.iter().chain(&self.placed).nth(usize::from(failure.item))? {
            Op::Attach { path, .. } | Op::Hold { path, .. } | Op::Hide { path, .. } => path,
            _ => return Some("a tool's own".to_owned()),
        };
        Some(format!("/{}", path.to_string_lossy()))
    }
}

/// An empty, unreadable file of the sealed root.
const SEALED_FILE: &CStr = c".agentrc/file";
