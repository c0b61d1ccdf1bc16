//! The kernel's surface: calls that no agent has business with are refused, by whatever entry and with whatever bits they
//! are made. (`shared/attacks.md`, "Process and kernel".)

use std::fs;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::{Answer, Attempt, Control, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn what_a_descriptor_would_show_is_not_gained() {
    as_each(AGENTRC, |lab| {
        let holds = |line: &str, kind, control| Attempt::new(line, line, Sign::Descriptor(kind), control);
        let mut attempts = vec![
            holds("bpf", "anon_inode:bpf-map", Control::HostRoot),
            holds("perf-event-open", "anon_inode:[perf_event]", perf_control(lab.who.is_root())),
            holds("userfaultfd", "anon_inode:[userfaultfd]", Control::Host),
            holds("io-uring", "anon_inode:[io_uring]", io_uring_control()),
            holds("fanotify", "anon_inode:[fanotify]", Control::HostRoot),
            holds("memfd-secret", "/secretmem", secret_memory_control()),
        ];
        attempts.push(Attempt::new(
            "personality ADDR_NO_RANDOMIZE",
            "personality 0x40000",
            Sign::Personality,
            Control::Host,
        ));
        attempts.push(Attempt::new(
            "personality READ_IMPLIES_EXEC",
            "personality 0x400000",
            Sign::Personality,
            Control::Host,
        ));
        attempts.push(Attempt::new(
            "personality, high bits",
            "syscall 135 0x100040000",
            Sign::Personality,
            Control::Host,
        ));
        let mut sandbox = lab.attack("AGENT kernel");
        let failures = in_session(lab, &mut sandbox, &attempts);
        // Compilers at run time need it: a boundary that breaks them is no use.
        assert_eq!(sandbox.act("map-executable").answer, Answer::Value(0), "as {}", lab.who.name);
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

fn setting(path: &str) -> i64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(-1)
}

fn perf_control(root: bool) -> Control {
    if root || setting("/proc/sys/kernel/perf_event_paranoid") <= 2 {
        Control::Host
    } else {
        Control::HostRoot
    }
}

fn io_uring_control() -> Control {
    match setting("/proc/sys/kernel/io_uring_disabled") {
        2 => Control::None("io_uring is disabled on this host"),
        1 => Control::HostRoot,
        _ => Control::Host,
    }
}

fn secret_memory_control() -> Control {
    // CONFIG_SECRETMEM, and secretmem.enable on older kernels: ask the kernel.
    let supported =
        fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| symbols.contains("sys_memfd_secret"));
    if supported {
        Control::None("it may be switched off at boot")
    } else {
        Control::None("this kernel has none")
    }
}

#[test]
fn keyrings_of_the_host_are_out_of_reach() {
    as_each(AGENTRC, |lab| {
        let name = format!("agentrc-test-{}", std::process::id());
        let here = |line: &str| Attempt::new(line, line.replace("{}", &name), Sign::Reached, Control::Host);
        // The control puts a key into the user's keyring (for half a minute), and the next one finds it there.
        withstand(
            lab,
            "AGENT keys",
            &[
                here("add-key {}"),
                here("search-key {}"),
                here("request-key {}"),
                here("join-session-keyring"),
            ],
        );
    });
}

#[test]
fn administration_of_the_machine_is_refused() {
    as_each(AGENTRC, |lab| {
        let root = |line: &str| Attempt::new(line, line, Sign::Reached, Control::HostRoot);
        let own = |line: &str| Attempt::new(line, line, Sign::Reached, Control::OwnNamespaces);
        let file = format!("finit-module {}", lab.outside("canary").display());
        withstand(
            lab,
            "AGENT administration",
            &[
                root("clock-settime"),
                root("settimeofday"),
                root("adjtimex"),
                root("clock-adjtime"),
                root("reboot-cad off"),
                root("init-module"),
                Attempt::new("finit-module", "finit-module /usr/bin/env", Sign::Reached, Control::HostRoot)
                    .outside(file),
                root("delete-module"),
                root("syslog"),
                own("sethostname"),
                own("setdomainname"),
                // Pointers that are none: EFAULT shows that the call got past its check of privilege.
                Attempt::new("swapon", "syscall 167 1 0", Sign::Reached, Control::HostRoot),
                Attempt::new("swapoff", "syscall 168 1", Sign::Reached, Control::HostRoot),
                Attempt::new("acct", "syscall 163 1", Sign::Reached, Control::HostRoot),
                Attempt::new("quotactl", "syscall 179 0x80000100 1 0 0", Sign::Reached, Control::HostRoot),
                Attempt::new(
                    "kexec_load",
                    "syscall 246 0 17 1 0x3e0000",
                    Sign::Reached,
                    Control::None("loading a kernel is not tried for real"),
                ),
                Attempt::new(
                    "kexec_file_load",
                    "syscall 320 -1 -1 0 0 8",
                    Sign::Reached,
                    Control::None("loading a kernel is not tried for real"),
                ),
                Attempt::new("ioperm", "syscall 173 0x80 1 0", Sign::Reached, Control::HostRoot),
                Attempt::new("iopl", "syscall 172 0", Sign::Value, Control::HostRoot),
                Attempt::new("modify_ldt", "syscall 154 0 0 0", Sign::Value, Control::Host),
                Attempt::new(
                    "vhangup",
                    "syscall 153",
                    Sign::Value,
                    Control::None("it would hang up the terminal of the tests"),
                ),
                Attempt::new(
                    "lookup_dcookie",
                    "syscall 212 1 0 0",
                    Sign::Reached,
                    Control::None("removed from recent kernels"),
                ),
                Attempt::new("name of a mount by id", "listmount", Sign::Reached, Control::Host),
                Attempt::new("process_mrelease", "syscall 448 -1 0", Sign::Reached, Control::Host),
                Attempt::new("move_pages", "syscall 279 1 0 0 0 0 0", Sign::Reached, Control::HostRoot)
                    .outside("syscall 279 0 0 0 0 0 0"),
                Attempt::new("migrate_pages", "syscall 256 1 0 0 0", Sign::Reached, Control::HostRoot)
                    .outside("syscall 256 0 0 0 0"),
                Attempt::new("quotactl_fd", "syscall 443 -1 0x80000100 0 0", Sign::Reached, Control::Host),
            ],
        );
    });
}

#[test]
fn another_entry_into_the_kernel_is_no_way_round() {
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT entries");
        let ia32 = {
            let mut host = agentrc_test_support::attempt::host(lab);
            let answer = (host.act("int80 20").answer, host.act("x32 39").answer);
            host.end();
            answer
        };
        let control = |answer: &Answer, why| {
            if matches!(answer, Answer::Value(_)) { Control::Host } else { Control::None(why) }
        };
        let mut attempts = Vec::new();
        // getpid, and calls that are refused by their native numbers: unshare (310), ptrace (26), socketcall (102), add_key.
        for number in ["20", "310", "26", "102", "286", "21", "120"] {
            let control = if number == "20" {
                control(&ia32.0, "this kernel has no 32-bit entry")
            } else {
                Control::Elsewhere
            };
            attempts.push(Attempt::new(
                format!("int80 {number}"),
                format!("int80 {number}"),
                Sign::Reached,
                control,
            ));
        }
        // getpid, unshare, ptrace (x32 has a number of its own for it), keyctl, mount.
        for number in ["39", "272", "521", "250", "165"] {
            let control = if number == "39" {
                control(&ia32.1, "this kernel has no x32 entry")
            } else {
                Control::Elsewhere
            };
            attempts.push(Attempt::new(
                format!("x32 {number}"),
                format!("x32 {number}"),
                Sign::Reached,
                control,
            ));
        }
        // Numbers that no kernel has, and the edges of what a filter compares. (335, uretprobe, passes every filter by the
        // kernel's own rule, and ends in SIGILL for who is not being traced by a uprobe.)
        for number in [
            "387",
            "423",
            "500",
            "511",
            "512",
            "547",
            "548",
            "600",
            "1000",
            "0x3fffffff",
            "0x40000000",
            "0x7fffffff",
            "0x80000000",
            "0xffffffff",
            "-1",
            "-2",
        ] {
            attempts.push(Attempt::new(
                format!("call {number}"),
                format!("syscall {number}"),
                Sign::Reached,
                Control::None("no kernel has it"),
            ));
        }
        let failures = in_session(lab, &mut sandbox, &attempts);
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn socket_families_beyond_the_ordinary_are_refused() {
    as_each(AGENTRC, |lab| {
        let own = |name: &str, line: &str| {
            Attempt::new(name, line, Sign::Descriptor("socket:"), Control::OwnNamespaces)
        };
        let mut attempts = vec![
            own("packet", "socket 17 3 768"),
            own("packet, datagram", "socket 17 2 768"),
            own("packet, high bits", "socket-high-bits 17 3 768"),
            own("raw ICMP", "socket 2 3 1"),
            own("raw IPv6", "socket 10 3 58"),
            own("raw, any", "socket 2 3 255"),
            own("netlink netfilter", "socket 16 3 12"),
            own("netlink audit", "socket 16 3 9"),
            own("netlink kobject", "socket 16 3 15"),
            own("netlink generic", "socket 16 3 16"),
            own("netlink sock_diag", "socket 16 3 4"),
            own("netlink connector", "socket 16 3 11"),
        ];
        // What this kernel has of these decides whether there is a control.
        let mut host = agentrc_test_support::attempt::own_namespaces(lab);
        for (name, line) in [
            ("ICMP datagram", "socket 2 2 1"),
            ("vsock", "socket 40 1 0"),
            ("vsock, high bits", "socket-high-bits 40 1 0"),
            ("AF_ALG", "socket 38 5 0"),
            ("XDP", "socket 44 3 0"),
            ("SCTP", "socket 2 1 132"),
            ("SCTP, seqpacket", "socket 2 5 132"),
            ("DCCP", "socket 2 6 33"),
            ("MPTCP", "socket 2 1 262"),
            ("UDP-Lite", "socket 2 2 136"),
            ("Bluetooth", "socket 31 3 1"),
            ("CAN", "socket 29 3 1"),
            ("TIPC", "socket 30 5 0"),
            ("KCM", "socket 41 2 0"),
            ("SMC", "socket 43 1 0"),
            ("key management", "socket 15 3 2"),
            ("RDS", "socket 21 5 0"),
            ("phonet", "socket 35 2 0"),
            ("NFC", "socket 39 5 0"),
            ("PPPoX", "socket 24 1 0"),
            ("X.25", "socket 9 5 0"),
            ("AX.25", "socket 3 5 0"),
            ("LLC", "socket 26 1 0"),
            ("IEEE 802.15.4", "socket 36 2 0"),
            ("Qualcomm IPC", "socket 42 2 0"),
            ("MCTP", "socket 45 2 0"),
        ] {
            let control = if matches!(host.act(line).answer, Answer::Value(_)) {
                Control::OwnNamespaces
            } else {
                Control::None("this kernel does not have it, or not loaded")
            };
            attempts.push(Attempt::new(name, line, Sign::Descriptor("socket:"), control));
        }
        host.end();
        withstand(lab, "AGENT sockets", &attempts);
    });
}
