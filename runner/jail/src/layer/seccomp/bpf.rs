//! From the table to classic BPF (seccomp(2)): the ABI first, then a binary search over the call's number, then the
//! arguments of the calls that need it. A call that is always allowed costs nothing after its first use: the kernel
//! recognises that the filter does not look at its arguments, and caches the verdict.

use std::collections::BTreeMap;

use super::table::{Action, Comparison, Decision};
use crate::sys::kernel::Instruction;

// Offsets in struct seccomp_data (linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64
/// Bit of the number that selects x32 on x86-64; no native call has it on any architecture.
const X32: u32 = 0x4000_0000;

// Instructions (linux/bpf_common.h).
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn give(action: Action) -> Instruction {
    let value = match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    plain(RETURN, value)
}

/// The filter for these calls. `None`: an argument filter is too long for a short jump (which `build.rs`'s input would
/// have to be absurd for).
pub(super) fn assemble(
    calls: &BTreeMap<u32, Decision>,
    default: Action,
    foreign: Action,
) -> Option<Vec<Instruction>> {
    let mut program = vec![
        plain(LOAD, ARCHITECTURE),
        branch(JUMP_IF_EQUAL, NATIVE, 1, 0),
        give(foreign),
        plain(LOAD, NUMBER),
        branch(JUMP_IF_AT_LEAST, X32, 0, 1),
        give(foreign),
    ];
    // Where the decision changes, going up through the numbers.
    let mut edges: Vec<(u32, Decision)> = vec![(0, Decision::Always(default))];
    let mut set = |at: u32, decision: Decision| match edges.last_mut() {
        Some((start, last)) if *start == at => *last = decision,
        Some((_, last)) if *last == decision => {}
        _ => edges.push((at, decision)),
    };
    let mut end = 0;
    for (number, decision) in calls {
        if *number > end {
            set(end, Decision::Always(default));
        }
        set(*number, *decision);
        end = number.saturating_add(1);
    }
    set(end, Decision::Always(default));
    program.append(&mut search(&edges)?);
    Some(program)
}

fn search(edges: &[(u32, Decision)]) -> Option<Vec<Instruction>> {
    match edges {
        [] => None,
        [(_, decision)] => leaf(decision),
        _ => {
            let (low, high) = edges.split_at_checked(edges.len() / 2)?;
            let pivot = high.first()?.0;
            let mut left = search(low)?;
            let mut right = search(high)?;
            let mut code = match u8::try_from(left.len()) {
                Ok(skip) => vec![branch(JUMP_IF_AT_LEAST, pivot, skip, 0)],
                Err(_) => {
                    vec![branch(JUMP_IF_AT_LEAST, pivot, 0, 1), plain(JUMP, u32::try_from(left.len()).ok()?)]
                }
            };
            code.append(&mut left);
            code.append(&mut right);
            Some(code)
        }
    }
}

fn leaf(decision: &Decision) -> Option<Vec<Instruction>> {
    match decision {
        Decision::Always(action) => Some(vec![give(*action)]),
        Decision::Arguments { rules, otherwise } => {
            let mut code = Vec::new();
            for rule in *rules {
                code.append(&mut conjunction(rule)?);
            }
            code.push(give(*otherwise));
            Some(code)
        }
    }
}

/// Allows when all comparisons hold, and falls through to what follows when one does not.
fn conjunction(comparisons: &[Comparison]) -> Option<Vec<Instruction>> {
    // From the back, because a failed comparison jumps over all that follows it in the rule.
    let mut code = vec![give(Action::Allow)];
    for comparison in comparisons.iter().rev() {
        let mut checked = check(comparison, u8::try_from(code.len()).ok()?)?;
        checked.append(&mut code);
        code = checked;
    }
    Some(code)
}

/// Continues when the comparison holds, else skips `skip` instructions beyond its own end.
fn check(comparison: &Comparison, skip: u8) -> Option<Vec<Instruction>> {
    let halves = |value: u64| ((value & u64::from(u32::MAX)) as u32, (value >> 32) as u32);
    let (mask_low, mask_high) = halves(comparison.mask);
    let (value_low, value_high) = halves(comparison.value);
    let low = ARGUMENTS + 8 * u32::from(comparison.argument);
    // Little-endian: the high half follows the low one.
    let load = |offset: u32, mask: u32| {
        let mut code = vec![plain(LOAD, offset)];
        if mask != u32::MAX {
            code.push(plain(AND, mask));
        }
        code
    };
    let mut code = Vec::new();
    if comparison.wide {
        let mut rest = load(low, mask_low);
        rest.push(branch(
            JUMP_IF_EQUAL,
            value_low,
            if comparison.equal { 0 } else { skip },
            if comparison.equal { skip } else { 0 },
        ));
        code.append(&mut load(low + 4, mask_high));
        let length = u8::try_from(rest.len()).ok()?;
        // Equal: a different high half fails. Different: a different high half is enough.
        let unequal = if comparison.equal { length.checked_add(skip)? } else { length };
        code.push(branch(JUMP_IF_EQUAL, value_high, 0, unequal));
        code.append(&mut rest);
    } else {
        code.append(&mut load(low, mask_low));
        let (jt, jf) = if comparison.equal { (0, skip) } else { (skip, 0) };
        code.push(branch(JUMP_IF_EQUAL, value_low, jt, jf));
    }
    Some(code)
}
