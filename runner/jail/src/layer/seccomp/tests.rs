//! The assembled filter is run by a small interpreter of classic BPF over every call of the table, and compared with what
//! the table itself says.

use std::collections::BTreeMap;

use super::table::{self, Action, Comparison, Decision};
use super::{bpf, program};
use crate::sys::kernel::Instruction;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

fn interpret(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let instruction = program[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => {
                let offset = instruction.k as usize;
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x54 => accumulator &= instruction.k,
            0x05 => at += instruction.k as usize,
            0x15 => at += branch(accumulator == instruction.k),
            0x35 => at += branch(accumulator >= instruction.k),
            0x06 => return instruction.k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn value(action: Action) -> u32 {
    match action {
        Action::Allow => 0x7fff_0000,
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Kill => 0x8000_0000,
    }
}

fn judge(decision: Decision, arguments: [u64; 6]) -> Action {
    match decision {
        Decision::Always(action) => action,
        Decision::Arguments { rules, otherwise } => {
            let holds = |comparison: &Comparison| {
                let argument = arguments[usize::from(comparison.argument)];
                (argument & comparison.mask == comparison.value) == comparison.equal
            };
            if rules.iter().any(|rule| rule.iter().all(holds)) { Action::Allow } else { otherwise }
        }
    }
}

/// Every value that any rule of the table compares with, and its neighbours, in the low and in the high half.
fn interesting() -> Vec<u64> {
    let mut values = vec![0, 1, u64::MAX, u64::from(u32::MAX), 1 << 32];
    for call in table::CALLS {
        if let Decision::Arguments { rules, .. } = call.decision {
            for comparison in rules.iter().copied().flatten() {
                let value = comparison.value;
                values.extend([
                    value,
                    value ^ 1,
                    value | 1 << 32,
                    value | 0xffff_ffff << 32,
                    value | comparison.mask,
                ]);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

#[test]
fn every_number_gets_what_the_table_says() {
    let program = program().unwrap();
    let calls: BTreeMap<_, _> = table::CALLS.iter().map(|call| (call.number, call.decision)).collect();
    for number in 0..1024 {
        let decision = calls.get(&number).copied().unwrap_or(Decision::Always(table::DEFAULT));
        let expected = value(judge(decision, [0; 6]));
        assert_eq!(interpret(&program, NATIVE, number, [0; 6]), expected, "call {number}");
    }
    assert_eq!(interpret(&program, NATIVE, X32 - 1, [0; 6]), value(table::DEFAULT));
}

const X32: u32 = 0x4000_0000;

#[test]
fn every_argument_that_a_rule_speaks_of_is_judged_as_the_table_says() {
    let program = program().unwrap();
    let values = interesting();
    for call in table::CALLS {
        let Decision::Arguments { rules, .. } = call.decision else { continue };
        let used: std::collections::BTreeSet<_> =
            rules.iter().copied().flatten().map(|comparison| usize::from(comparison.argument)).collect();
        // One argument at a time over all values, the others at each of the rules' own values.
        for rule in rules {
            let mut base = [0_u64; 6];
            for comparison in *rule {
                base[usize::from(comparison.argument)] = comparison.value;
            }
            for argument in &used {
                for value_tried in &values {
                    let mut arguments = base;
                    arguments[*argument] = *value_tried;
                    let expected = value(judge(call.decision, arguments));
                    let got = interpret(&program, NATIVE, call.number, arguments);
                    assert_eq!(got, expected, "{} {arguments:x?}", call.name);
                }
            }
        }
    }
}

#[test]
fn x32_and_foreign_architectures_are_killed_whatever_the_number() {
    let program = program().unwrap();
    for number in [0, 1, 39, 59, 500] {
        assert_eq!(interpret(&program, NATIVE, X32 | number, [0; 6]), 0x8000_0000);
        assert_eq!(interpret(&program, 0x4000_0003, number, [0; 6]), 0x8000_0000, "int 0x80");
    }
    assert_eq!(interpret(&program, NATIVE, u32::MAX, [0; 6]), 0x8000_0000);
}

#[test]
fn wide_comparisons_look_at_both_halves() {
    const EQUAL: &[&[Comparison]] =
        &[&[Comparison { argument: 1, wide: true, equal: true, mask: u64::MAX, value: 0x1_0000_0002 }]];
    const DIFFERENT: &[&[Comparison]] =
        &[&[Comparison { argument: 1, wide: true, equal: false, mask: u64::MAX, value: 0x1_0000_0002 }]];
    for rules in [EQUAL, DIFFERENT] {
        let decision = Decision::Arguments { rules, otherwise: Action::Kill };
        let program = bpf::assemble(&BTreeMap::from([(7, decision)]), Action::Kill, Action::Kill).unwrap();
        for tried in [0x1_0000_0002, 2, 0x1_0000_0003, 0x2_0000_0002, 0, u64::MAX] {
            let arguments = [0, tried, 0, 0, 0, 0];
            assert_eq!(
                interpret(&program, NATIVE, 7, arguments),
                value(judge(decision, arguments)),
                "{tried:#x}"
            );
        }
    }
}

#[test]
fn the_calls_that_undo_a_boundary_are_never_allowed() {
    let never = [
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
        "unshare",
        "setns",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "bpf",
        "keyctl",
        "add_key",
        "request_key",
        "io_uring_setup",
        "userfaultfd",
        "perf_event_open",
        "open_by_handle_at",
        "kexec_load",
        "reboot",
        "init_module",
        "clone3",
        "mount_setattr",
    ];
    for name in never {
        let call = table::CALLS.iter().find(|call| call.name == name).unwrap_or_else(|| panic!("{name}"));
        assert!(
            matches!(call.decision, Decision::Always(Action::Errno(_) | Action::Kill)),
            "{name} in {} is {:?}",
            call.group,
            call.decision
        );
    }
}

/// What a filter says to a call of this name.
fn said(table: &[table::Call], default: Action, foreign: Action, name: &str, arguments: [u64; 6]) -> u32 {
    let program = super::assembled(table, default, foreign).unwrap();
    let call = table.iter().find(|call| call.name == name).unwrap_or_else(|| panic!("{name}"));
    interpret(&program, NATIVE, call.number, arguments)
}

fn gateway(name: &str, arguments: [u64; 6]) -> u32 {
    use table::gateway::{CALLS, DEFAULT, FOREIGN_ABI};
    said(CALLS, DEFAULT, FOREIGN_ABI, name, arguments)
}

fn broker(name: &str, arguments: [u64; 6]) -> u32 {
    use table::broker::{CALLS, DEFAULT, FOREIGN_ABI};
    said(CALLS, DEFAULT, FOREIGN_ABI, name, arguments)
}

#[test]
fn the_broker_has_no_socket_no_program_no_thread_and_no_code_but_its_own() {
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    for family in [1, 2, 10, 16, 17, 40] {
        assert_ne!(broker("socket", [family, 1, 0, 0, 0, 0]), ALLOW, "{family}");
    }
    for name in [
        "execve",
        "execveat",
        "clone",
        "clone3",
        "connect",
        "bind",
        "listen",
        "ptrace",
        "kill",
        "process_vm_readv",
        "bpf",
        "mount",
        "setns",
        "io_uring_setup",
    ] {
        assert_eq!(broker(name, [0; 6]), KILL, "{name}");
    }
    let executable = [0, 4096, 0x4, 0x22, 0, 0];
    assert_eq!([broker("mmap", executable), broker("mprotect", executable)], [KILL; 2]);
    assert_eq!(broker("mmap", [0, 4096, 0x3, 0x1, 5, 0]), ALLOW, "SQLite's index");
    let made = 0o102 | 0o2_000_000; // O_RDWR, O_CREAT, O_CLOEXEC
    assert_eq!(broker("openat", [0, 0, made, 0o600, 0, 0]), ALLOW);
    assert_ne!(broker("openat", [0, 0, made, 0o4755, 0, 0]), ALLOW, "S_ISUID");
    assert_ne!(broker("openat", [0, 0, 0o20_200_002, 0o600, 0, 0]), ALLOW, "O_TMPFILE");
    assert_ne!(broker("fchmod", [3, 0o2755, 0, 0, 0, 0]), ALLOW, "S_ISGID");
    assert_eq!(broker("fchmod", [3, 0o600, 0, 0, 0, 0]), ALLOW);
    assert_eq!(broker("fcntl", [3, 6, 0, 0, 0, 0]), ALLOW, "F_SETLK");
    assert_ne!(broker("fcntl", [3, 8, 0, 0, 0, 0]), ALLOW, "F_SETOWN");
    assert_ne!(broker("prctl", [4, 1, 0, 0, 0, 0]), ALLOW, "PR_SET_DUMPABLE");
}

#[test]
fn the_gateway_has_no_unix_sockets_no_programs_and_no_other_process() {
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    for kind in [1, 2, 5] {
        assert_ne!(gateway("socket", [1, kind, 0, 0, 0, 0]), ALLOW, "AF_UNIX");
        assert_ne!(gateway("socket", [1 << 32 | 1, kind, 0, 0, 0, 0]), ALLOW, "AF_UNIX, high bits set");
        assert_ne!(gateway("socketpair", [1, kind, 0, 0, 0, 0]), ALLOW);
    }
    for (family, kind) in [(2, 3), (10, 3), (17, 3), (40, 1), (38, 5)] {
        assert_ne!(gateway("socket", [family, kind, 0, 0, 0, 0]), ALLOW, "{family}");
    }
    for family in [2, 10] {
        assert_eq!(gateway("socket", [family, 0o2_004_001, 0, 0, 0, 0]), ALLOW, "{family}");
    }
    for name in [
        "execve",
        "execveat",
        "ptrace",
        "kill",
        "process_vm_readv",
        "bpf",
        "mount",
        "setns",
        "io_uring_setup",
    ] {
        assert_eq!(gateway(name, [0; 6]), KILL, "{name}");
    }
    assert_eq!(gateway("clone", [17, 0, 0, 0, 0, 0]), KILL, "SIGCHLD: a process");
    assert_eq!(gateway("clone", [0x3d_0f00, 0, 0, 0, 0, 0]), ALLOW, "a thread of the C library");
    assert_eq!(gateway("clone", [0x1001_0f00, 0, 0, 0, 0, 0]), KILL, "with a user namespace");
    assert_ne!(gateway("openat", [0, 0, 0o1, 0, 0, 0]), ALLOW, "O_WRONLY");
    assert_ne!(gateway("prctl", [4, 1, 0, 0, 0, 0]), ALLOW, "PR_SET_DUMPABLE");
}
