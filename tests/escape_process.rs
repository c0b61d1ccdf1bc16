//! Processes: none outside can be looked into or steered, every thread inside is locked, and nothing runs by a way that a
//! rule does not see. (`shared/attacks.md`, "Process and kernel".)

use std::fs;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::identity::started_as_root;
use agentrc_test_support::outside::{self, Holding};
use agentrc_test_support::{Attempt, Control, Helper, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

#[test]
fn processes_outside_and_pid_1_cannot_be_inspected_or_steered() {
    as_each(AGENTRC, |lab| {
        let victim =
            Helper::start(lab, &["victim", &lab.outside("canary").display().to_string(), &lab.secret]);
        let line = victim.line();
        let (pid, address) = line.trim().split_once(' ').expect("pid and address");
        let traced = || format!("{:?}", outside::status(victim.pid()).get("TracerPid"));
        let limits = || Holding::of(victim.pid()).limits;
        let memory = || {
            // What the victim has at that address, read by the test.
            use std::os::unix::fs::FileExt;
            let mut bytes = [0; 64];
            let number = u64::from_str_radix(address.trim_start_matches("0x"), 16).expect("an address");
            fs::File::open(format!("/proc/{}/mem", victim.pid()))
                .and_then(|file| file.read_exact_at(&mut bytes, number))
                .expect("read the victim");
            format!("{bytes:?}")
        };
        let outside = |name: &str, line: String, sign| {
            Attempt::new(format!("{name}, outside"), line, sign, Control::Host)
        };
        let mut attempts = vec![
            outside("process_vm_readv", format!("vm-read {pid} {address}"), Sign::Secret),
            outside("/proc/PID/mem", format!("proc-mem-read {pid} {address}"), Sign::Secret),
            outside("/proc/PID/environ", format!("read /proc/{pid}/environ"), Sign::Secret),
            outside("/proc/PID/cmdline", format!("read /proc/{pid}/cmdline"), Sign::Secret),
            outside("/proc/PID/maps", format!("read /proc/{pid}/maps"), Sign::Bytes),
            outside("/proc/PID/fd", format!("list /proc/{pid}/fd"), Sign::Bytes),
            outside(
                "/proc/PID/root",
                format!("read /proc/{pid}/root{}", lab.outside("secret").display()),
                Sign::Secret,
            ),
            outside("/proc/PID/cwd", format!("read /proc/{pid}/cwd/../outside/secret"), Sign::Secret),
            outside("kcmp", format!("kcmp {pid}"), Sign::Value),
            outside("pidfd_open", format!("pidfd-open {pid}"), Sign::Descriptor("anon_inode:[pidfd]")),
            outside("pidfd_getfd", format!("pidfd-getfd {pid}"), Sign::Value),
            outside("ptrace attach", format!("ptrace-attach {pid}"), Sign::Host(Box::new(traced))),
            outside("ptrace seize", format!("ptrace-seize {pid}"), Sign::Host(Box::new(traced))),
            outside("prlimit", format!("prlimit {pid}"), Sign::Host(Box::new(limits))),
            outside("process_vm_writev", format!("vm-write {pid} {address}"), Sign::Host(Box::new(memory))),
        ];
        // pid 1 inside has no secret at a known place: whether the call gets through is the question. On the host the same
        // is done to the victim.
        let init = |name: &str, line: &str, sign| {
            Attempt::new(format!("{name}, pid 1"), line.replace("{}", "1"), sign, Control::Host)
                .outside(line.replace("{}", pid).replace("0x400000", address))
        };
        attempts.extend([
            init("process_vm_readv", "vm-read {} 0x400000", Sign::Value),
            init("process_vm_writev", "vm-write {} 0x400000", Sign::Value),
            init("/proc/1/mem", "proc-mem-read {} 0x400000", Sign::Value),
            init("/proc/1/mem for writing", "open-write /proc/{}/mem", Sign::Value),
            init("pidfd_getfd", "pidfd-getfd {}", Sign::Value),
            init("kcmp", "kcmp {}", Sign::Value),
            init("prlimit", "prlimit {}", Sign::Value),
            init("ptrace attach", "ptrace-attach {}", Sign::Value),
            init("ptrace seize", "ptrace-seize {}", Sign::Value),
        ]);
        attempts.push(Attempt::new(
            "ptrace by a child of its own",
            "ptrace-child",
            Sign::Traced,
            Control::Host,
        ));
        attempts.push(Attempt::new(
            "ptrace of itself by its parent",
            "ptrace-me",
            Sign::Status("TracerPid"),
            Control::Host,
        ));
        let mut sandbox = lab.attack("AGENT inspector");
        let failures = in_session(lab, &mut sandbox, &attempts);
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

/// A field of `/proc/PID/status`.
fn field(status: &str, name: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned()
}

#[test]
fn every_thread_of_every_process_inside_is_locked() {
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT threads");
        let made = sandbox.attempt("threads");
        assert_eq!(made.answer, agentrc_test_support::Answer::Value(0), "control: threads can be made");
        let depth = outside::pids_in_namespaces(std::process::id()).len();
        let inside: Vec<u32> = outside::tree(sandbox.pid())
            .into_iter()
            .filter(|pid| outside::pids_in_namespaces(*pid).len() > depth)
            .collect();
        // init, the attacker, and its child with the threads.
        assert!(inside.len() >= 3, "as {}: {inside:?}", lab.who.name);
        // Root leaves its supplementary groups, and the tests' user has none. Another cannot leave them (setgroups(2)).
        let own_status = fs::read_to_string("/proc/self/status").expect("status");
        let own_groups = field(&own_status, "Groups:");
        let mut threads = 0;
        for pid in inside.iter().copied() {
            let own = Holding::of(pid).namespaces;
            // init closes itself to inspection, also by the same user outside.
            for kind in NAMESPACES.into_iter().filter(|kind| own.contains_key(*kind)) {
                let (inside, outside) =
                    (own.get(kind), fs::read_link(format!("/proc/self/ns/{kind}")).expect("namespace"));
                assert_ne!(
                    inside.map(String::as_str),
                    outside.to_str(),
                    "as {}: process {pid} is in the host's {kind} namespace",
                    lab.who.name
                );
            }
            assert!(
                !own.is_empty() || pid == inside[0],
                "as {}: the namespaces of {pid} cannot be seen",
                lab.who.name
            );
            for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads").filter_map(Result::ok) {
                threads += 1;
                let status = fs::read_to_string(task.path().join("status")).expect("status");
                let field = |name: &str| field(&status, name);
                assert_eq!(field("Seccomp:"), "2", "as {}: {}\n{status}", lab.who.name, field("Name:"));
                assert_eq!(field("NoNewPrivs:"), "1", "as {}: {}", lab.who.name, field("Name:"));
                for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                    assert_eq!(
                        field(set).trim_start_matches('0'),
                        "",
                        "as {}: {} has {set}",
                        lab.who.name,
                        field("Name:")
                    );
                }
                assert_eq!(
                    field("Groups:"),
                    if started_as_root() { "" } else { &own_groups },
                    "as {}: supplementary groups of {}",
                    lab.who.name,
                    field("Name:")
                );
            }
        }
        assert!(threads >= 11, "{threads} threads were looked at");
        sandbox.release();
        sandbox.end().expect_code(0);
    });
}

#[test]
fn a_program_run_by_an_unusual_way_is_confined_as_any_other() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        lab.attacker(lab.project("attack"));
        let secret = lab.outside("secret").display().to_string();
        // (each way prints the secret when nothing confines it; {s} is its path, {d} a writable folder, {a} the attacker)
        let ways = [
            "/lib64/ld-linux-x86-64.so.2 /bin/cat {s}",
            "cp /bin/cat {d}/renamed; {d}/renamed {s}",
            "ln -sf /bin/cat {d}/link; {d}/link {s}",
            "printf '#!/bin/cat\\n' > {d}/bang; chmod +x {d}/bang; {d}/bang {s}",
            "{a} execute-memfd {a} read {s}",
            "{a} execute {a} read {s}",
            "setsid -w /bin/cat {s}",
            "( ( ( cat {s} ) ) )",
            "sh -c 'exec cat {s}'",
            "exec 5<{s}; cat <&5",
            ". {s}",
            "env -i /bin/cat {s}",
            "nice -n 1 cat {s}",
            "timeout 5 cat {s}",
            "find {s} -exec cat {} \\;",
            "tar -cf - {s} 2>/dev/null",
        ];
        let script = |folder: &str, attack: &str| {
            let lines = ways.iter().enumerate().map(|(i, way)| {
                format!(
                    "echo way {i}\n({}) 2>&1\n",
                    way.replace("{s}", &secret).replace("{d}", folder).replace("{a}", attack)
                )
            });
            format!("cd {folder}\n{}exit 0\n", lines.collect::<String>())
        };
        let shows = |output: &str| -> Vec<usize> {
            let hex: String = lab.secret.bytes().map(|b| format!("{b:02x}")).collect();
            output
                .split("way ")
                .skip(1)
                .filter(|part| part.contains(&lab.secret) || part.contains(&hex))
                .filter_map(|part| part.split('\n').next()?.trim().parse().ok())
                .collect()
        };
        lab.script(
            lab.path("control.sh"),
            &script(&lab.project("rw").display().to_string(), &lab.project("attack").display().to_string()),
        );
        let control = lab.finish_command({
            let mut command = lab.command("/bin/sh");
            command.arg(lab.path("control.sh"));
            command
        });
        assert_eq!(
            shows(&control.out()),
            (0..ways.len()).collect::<Vec<_>>(),
            "positive control\n{}",
            control.out()
        );
        lab.script(lab.project("go.sh"), &script("/work/rw", "/agentrc/src/attack"));
        let outcome = lab.run("AGENT ways\nBIND ./rw /work/rw rw\nCMD /bin/sh ./go.sh ./attack\n");
        assert_eq!(
            outcome.out().matches("way ").count(),
            ways.len(),
            "as {}: it did not run\n{}\n{}",
            lab.who.name,
            outcome.out(),
            outcome.stderr
        );
        assert_eq!(shows(&outcome.out()), Vec::<usize>::new(), "as {}:\n{}", lab.who.name, outcome.out());
    });
}

#[test]
fn a_resource_limit_cannot_be_raised() {
    as_each(AGENTRC, |lab| {
        withstand(
            lab,
            "AGENT rlimits\nLIMIT open_files 64",
            &[
                Attempt::new("open files", "setrlimit 7 65", Sign::Limit("Max open files"), Control::Host),
                Attempt::new(
                    "open files, much",
                    "setrlimit 7 100000",
                    Sign::Limit("Max open files"),
                    Control::None("the host's limit may be lower"),
                ),
                Attempt::new(
                    "core size",
                    "setrlimit 4 4096",
                    Sign::Limit("Max core file size"),
                    Control::Host,
                ),
                Attempt::new(
                    "real-time priority",
                    "setrlimit 14 1",
                    Sign::Limit("Max realtime priority"),
                    Control::None("the host's limit is 0, too"),
                ),
            ],
        );
    });
}
