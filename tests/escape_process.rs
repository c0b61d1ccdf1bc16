//! Processes: none outside can be looked into or steered, none inside gains privilege, and nothing runs by a way that a rule
//! does not see. (`shared/attacks.md`, "Process and kernel".)

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::outside::{self, Holding};
use agentrc_test_support::{Attempt, Control, Helper, Sign, as_each, as_root_only, withstand};
use rustix::fs::XattrFlags;

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
            outside("process_madvise", format!("process-madvise {pid} 0"), Sign::Reached),
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
            init("process_madvise", "process-madvise {} 0", Sign::Reached),
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

#[test]
fn no_new_namespace_can_be_made_or_entered() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw/at"));
        let mut attempts = Vec::new();
        let attempt = |name: String, sign| Attempt::new(name.clone(), name, sign, Control::OwnNamespaces);
        for namespace in NAMESPACES.into_iter().chain(["time"]) {
            attempts.push(attempt(format!("unshare {namespace}"), Sign::Namespace));
            attempts.push(attempt(format!("clone3 {namespace}"), Sign::Namespace));
            // CLONE_NEWTIME lies in clone(2)'s exit signal.
            if namespace != "time" {
                attempts.push(attempt(format!("clone {namespace}"), Sign::Namespace));
                attempts.push(attempt(format!("clone-high-bits {namespace}"), Sign::Namespace));
            }
            // Entering the user namespace one is in is an error everywhere; the time namespace is the host's.
            if namespace != "user" && namespace != "time" {
                attempts.push(attempt(format!("setns 1 {namespace}"), Sign::Value));
            }
        }
        attempts.push(attempt("setns-pidfd 1 mnt".into(), Sign::Value));
        attempts.push(
            Attempt::new(
                "a mount by way of a user namespace",
                "userns-mount /work/rw/at",
                Sign::Namespace,
                Control::OwnNamespaces,
            )
            .outside(format!("userns-mount {}", lab.project("rw/at").display())),
        );
        withstand(lab, "AGENT namespaces\nBIND ./rw /work/rw rw", &attempts);
    });
}

#[test]
fn the_mount_table_and_the_root_cannot_be_changed() {
    as_each(AGENTRC, |lab| {
        for folder in ["ro", "rw/at", "rw/old", "rw/moved"] {
            lab.directory(lab.project(folder));
        }
        lab.file(lab.project("ro/file"), "read-only\n");
        let host = lab.project("").display().to_string();
        let table = |line: &str| {
            Attempt::new(line, line, Sign::MountTable, Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        let holds = |line: &str, kind| {
            Attempt::new(line, line, Sign::Descriptor(kind), Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        let value = |line: &str| {
            Attempt::new(line, line, Sign::Value, Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        withstand(
            lab,
            "AGENT mounts\nBIND ./rw /work/rw rw\nBIND ./ro /work/ro ro",
            &[
                table("mount tmpfs /work/rw/at"),
                table("mount-bind / /work/rw/at"),
                table("umount /work/rw/at"),
                table("mount-bind /work/ro /work/rw/at"),
                table("umount /work/ro").outside(format!("umount {host}rw/at")),
                table("mount-bind /work/rw/old /work/rw/at"),
                table("mount-move /work/ro /work/rw/moved")
                    .outside(format!("mount-move {host}rw/at {host}rw/moved")),
                value("mount-remount-writable /work/ro")
                    .outside(format!("mount-remount-writable {host}rw/moved")),
                table("mount proc /work/rw/at"),
                table("mount sysfs /work/rw/at"),
                table("mount cgroup2 /work/rw/at"),
                table("mount devpts /work/rw/at"),
                table("mount mqueue /work/rw/at"),
                table("mount ramfs /work/rw/at"),
                value("mount-setattr /work/ro").outside(format!("mount-setattr {host}rw/moved")),
                holds("fsopen tmpfs", "anon_inode:[fscontext]"),
                table("fsopen-mount tmpfs /work/rw/at"),
                holds("fspick /work/rw", "anon_inode:[fscontext]").outside(format!("fspick {host}rw/at")),
                value("open-tree /work/rw/at"),
                table("open-tree-move / /work/rw/at"),
                table("move-mount /work/ro /work/rw/old")
                    .outside(format!("move-mount {host}rw/at {host}rw/old")),
                Attempt::new("fuse", "fuse-mount /work/rw/at", Sign::MountTable, fuse(lab.who.is_root()))
                    .outside(format!("fuse-mount {host}rw/at")),
                Attempt::new("chroot", "chroot /work/rw", Sign::Root, Control::OwnNamespaces)
                    .outside(format!("chroot {host}rw")),
                Attempt::new(
                    "chroot and up",
                    format!(
                        "chroot-escape /work/rw/jail {}",
                        &lab.outside("secret").display().to_string()[1..]
                    ),
                    Sign::Secret,
                    Control::OwnNamespaces,
                )
                .outside(format!(
                    "chroot-escape {host}rw/jail {}",
                    &lab.outside("secret").display().to_string()[1..]
                )),
                value("pivot-root /work/rw /work/rw/old")
                    .outside(format!("pivot-root {host}rw/old {host}rw/old")),
            ],
        );
    });
}

/// Whether a file system in user space can be mounted here without a sandbox.
fn fuse(root: bool) -> Control {
    match fs::metadata("/dev/fuse").map(|device| device.permissions().mode() & 0o006) {
        Ok(6) => Control::OwnNamespaces,
        Ok(_) if root => Control::OwnNamespaces,
        _ => Control::None("this host gives its users no /dev/fuse"),
    }
}

#[test]
fn no_privilege_can_be_gained() {
    as_each(AGENTRC, |lab| {
        let own = |line: &str, sign| Attempt::new(line, line, sign, Control::OwnNamespaces);
        let root = |line: &str, sign| Attempt::new(line, line, sign, Control::HostRoot);
        let to_root = if lab.who.is_root() { "setresuid 61400" } else { "setuid-root" };
        withstand(
            lab,
            "AGENT privilege",
            &[
                own("capset", Sign::Status("CapEff")),
                own("ambient", Sign::Status("CapAmb")),
                own("securebits", Sign::Value),
                root(to_root, Sign::Status("Uid")),
                root("setresuid 1", Sign::Status("Uid")),
                root("setresgid 1", Sign::Status("Gid")),
                root("setgroups 1", Sign::Status("Groups")),
                root("setfsuid 1", Sign::Status("Uid")),
                root("prctl-mm", Sign::Value).outside("map-executable"),
                Attempt::new(
                    "no_new_privs",
                    "undo-no-new-privs",
                    Sign::Status("NoNewPrivs"),
                    Control::None("the kernel never lets it be undone"),
                ),
            ],
        );
    });
}

#[test]
fn privileged_programs_gain_nothing() {
    // Only root can make the programs; they are run as an ordinary user and as root.
    as_root_only(AGENTRC, |root| {
        as_each(AGENTRC, |lab| {
            let _ = root;
            lab.directory(lab.project("rw"));
            let make = |name: &str, owner: u32| {
                let path = lab.project("rw").join(name);
                fs::copy(agentrc_test_support::attack::program(), &path).expect("copy");
                chown(&path, Some(owner), Some(owner)).expect("chown");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).expect("chmod");
                path.display().to_string()
            };
            let setuid = make("setuid", if lab.who.is_root() { 61_400 } else { 0 });
            let capable = make("capable", lab.who.uid);
            fs::set_permissions(&capable, fs::Permissions::from_mode(0o755)).expect("chmod");
            // struct vfs_cap_data, revision 2, effective: CAP_SYS_ADMIN (21) permitted.
            let capability: [u8; 20] = [1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            rustix::fs::setxattr(capable.as_str(), "security.capability", &capability, XattrFlags::empty())
                .expect("setxattr");
            let mut attempts = vec![
                Attempt::new(
                    "set-user-ID",
                    "execute /work/rw/setuid hold",
                    Sign::Status("Uid"),
                    Control::Host,
                )
                .outside(format!("execute {setuid} hold")),
                Attempt::new(
                    "set-group-ID",
                    "execute /work/rw/setuid hold",
                    Sign::Status("Gid"),
                    Control::Host,
                )
                .outside(format!("execute {setuid} hold")),
            ];
            if !lab.who.is_root() {
                attempts.push(
                    Attempt::new(
                        "file capabilities",
                        "execute /work/rw/capable hold",
                        Sign::Status("CapEff"),
                        Control::Host,
                    )
                    .outside(format!("execute {capable} hold")),
                );
            }
            withstand(lab, "AGENT privileged\nBIND ./rw /work/rw rw", &attempts);
        });
    });
}

#[test]
fn every_thread_of_every_process_inside_is_locked() {
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT threads");
        let made = sandbox.attempt("threads");
        assert_eq!(made.answer, agentrc_test_support::Answer::Value(0), "control: threads can be made");
        let host = fs::read_link("/proc/self/ns/pid").expect("pid namespace");
        let inside: Vec<u32> = outside::tree(sandbox.pid())
            .into_iter()
            .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns != host))
            .collect();
        // init, the attacker, and its child with the threads.
        assert!(inside.len() >= 3, "as {}: {inside:?}", lab.who.name);
        let mut threads = 0;
        for pid in inside {
            let own = Holding::of(pid).namespaces;
            for kind in NAMESPACES {
                let (inside, outside) =
                    (own.get(kind), fs::read_link(format!("/proc/self/ns/{kind}")).expect("namespace"));
                assert_ne!(
                    inside.map(String::as_str),
                    outside.to_str(),
                    "as {}: process {pid} is in the host's {kind} namespace",
                    lab.who.name
                );
            }
            for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads").filter_map(Result::ok) {
                threads += 1;
                let status = fs::read_to_string(task.path().join("status")).expect("status");
                let field = |name: &str| {
                    status
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::trim)
                        .unwrap_or_default()
                        .to_owned()
                };
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
                    if lab.who.is_root() { field("Groups:") } else { String::new() },
                    "supplementary groups of {}",
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
