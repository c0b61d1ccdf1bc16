//! Files: nothing that was not declared writable can be changed, and no node, mode or dump is made that the host would trust.
//! (`shared/attacks.md`, "Files"; what the host would later run has a test of its own, `protected_paths.rs`.)

use std::fs;
use std::os::unix::fs::PermissionsExt;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::{Attempt, Control, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn read_only_files_cannot_be_changed() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
        let rw = lab.project("rw").display().to_string();
        let look = || format!("{:?}{:?}", snapshot(&lab.project("ro")), snapshot(&lab.project("rw")));
        // Each act is made in the writable bind first. (`{}` is the folder.)
        let changes = |name: &str, line: &str| {
            Attempt::new(
                name,
                line.replace("{}", "/work/ro"),
                Sign::Host(Box::new(look)),
                Control::Declared(line.replace("{}", "/work/rw")),
            )
        };
        // Acts that the sandbox refuses everywhere, or that are about two folders: the control is on the host.
        let on_host = |name: &str, line: &str, control: &str| {
            Attempt::new(name, line, Sign::Host(Box::new(look)), Control::Host)
                .outside(control.replace("{}", &rw))
                .after(|| {
                    for name in ["moved", "linked", "exchanged"] {
                        // Left by the attempt before, if it succeeded.
                        let _ = fs::remove_file(lab.project("rw").join(name));
                    }
                    lab.file(lab.project("rw/exchanged"), "other\n");
                    lab.file(lab.project("rw/file"), "writable\n");
                })
        };
        withstand(
            lab,
            agentfile,
            &[
                changes("append", "append {}/file more"),
                changes("write through a mapping", "write-mmap {}/file"),
                changes("truncate", "truncate {}/file"),
                changes("open with O_TRUNC for reading", "open-truncate {}/sub/file"),
                changes("fallocate", "fallocate {}/file"),
                changes("overwrite", "write {}/file other"),
                changes("create", "write {}/new text"),
                changes("create below", "write {}/sub/new text"),
                changes("set an extended attribute", "setxattr {}/file"),
                changes("chmod", "chmod {}/file 0600"),
                changes("chmod of the bind itself", "chmod {} 0700"),
                changes("times", "utimes {}/file"),
                changes("times of a folder", "utimes {}/sub"),
                changes("chown to oneself", "chown {}/file"),
                changes("mkdir", "mkdir {}/made"),
                changes("rmdir", "rmdir {}/empty"),
                changes("symlink", "symlink /etc/passwd {}/link"),
                changes("a pipe", "mknod {}/pipe p 0 0"),
                changes("a hard link within", "link {}/file {}/hard"),
                changes("a hard link by descriptor, written through", "link-descriptor {}/file {}/hard2"),
                changes("rename within", "rename {}/sub/file {}/sub/renamed"),
                changes("unlink", "unlink {}/sub/new"),
                on_host("fchmodat2", "fchmodat2 /work/ro/file 0600", "fchmodat2 {}/file 0601"),
                on_host("rename out", "rename /work/ro/file /work/rw/moved", "rename {}/file {}/moved"),
                on_host("rename over", "rename /work/rw/file /work/ro/file", "rename {}/file {}/moved"),
                on_host(
                    "exchange",
                    "exchange /work/rw/exchanged /work/ro/file",
                    "exchange {}/exchanged {}/file",
                ),
                on_host(
                    "a hard link into the writable bind",
                    "link-descriptor /work/ro/file /work/rw/linked",
                    "link-descriptor {}/file {}/linked",
                ),
                on_host("the same by name", "link /work/ro/file /work/rw/linked", "link {}/file {}/linked"),
            ],
        );
        assert_eq!(fs::read_to_string(lab.project("ro/file")).expect("it is still there"), "read-only\n");
    });
}

#[test]
fn the_base_system_cannot_be_changed() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
        let canary = lab.outside("canary").display().to_string();
        let outside = lab.outside("").display().to_string();
        let hash = fs::read(lab.binary()).expect("the binary");
        // Nothing is written where nothing refuses it: the descriptor is the proof.
        let opens = |path: &str| {
            Attempt::new(format!("open {path}"), format!("open-write {path}"), Sign::Value, Control::Host)
                .outside(format!("open-write {canary}"))
        };
        let creates = |path: &str| {
            Attempt::new(
                format!("create in {path}"),
                format!("create-unnamed {path}"),
                Sign::Value,
                Control::Host,
            )
            .outside(format!("create-unnamed {outside}"))
        };
        let makes = |path: &str| {
            Attempt::new(
                format!("mkdir in {path}"),
                format!("make-and-remove {path}/agentrc-test"),
                Sign::Value,
                Control::Host,
            )
            .outside(format!("make-and-remove {outside}new"))
        };
        let folders = [
            "/",
            "/usr",
            "/usr/bin",
            "/usr/lib",
            "/bin",
            "/etc",
            "/dev",
            "/proc",
            "/agentrc",
            "/agentrc/src",
            "/agentrc/proc",
            "/work",
            "/sys",
        ];
        let files = [
            "/etc/passwd",
            "/etc/group",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/etc/ld.so.cache",
            "/usr/bin/env",
            "/bin/sh",
            "/agentrc/src/attack",
            "/agentrc/proc/policy",
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/vm/overcommit_memory",
            "/proc/sysrq-trigger",
            "/proc/1/oom_score_adj",
            "/proc/1/mem",
            "/proc/1/attr/current",
            "/proc/1/comm",
            "/proc/self/uid_map",
            "/sys/fs/cgroup/cgroup.procs",
            "/sys/fs/cgroup/unified/cgroup.procs",
            "/proc/1/uid_map",
        ];
        let mut attempts: Vec<_> = folders.iter().flat_map(|path| [creates(path), makes(path)]).collect();
        attempts.extend(files.iter().map(|path| opens(path)));
        let busy =
            || Control::None("a running program cannot be opened for writing on the host either (ETXTBSY)");
        attempts.push(Attempt::new("the program of pid 1", "overwrite-program 1", Sign::Value, busy()));
        attempts.push(Attempt::new("its own program", "overwrite-program self", Sign::Value, busy()));
        withstand(lab, agentfile, &attempts);
        assert!(hash == fs::read(lab.binary()).expect("the binary"), "the binary of agentrc was changed");
    });
}

#[test]
fn no_set_user_id_file_can_be_planted_on_the_host() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
        let bits = || {
            let modes = fs::read_dir(lab.project("rw"))
                .expect("rw")
                .filter_map(Result::ok)
                .filter_map(|entry| entry.metadata().ok());
            modes
                .map(|m| m.permissions().mode() & 0o6000)
                .max()
                .map(|bits| format!("{bits:o}"))
                .unwrap_or_default()
        };
        let rw = lab.project("rw").display().to_string();
        let plant = |name: &str, line: &str| {
            Attempt::new(name, line.replace("{}", "/work/rw"), Sign::Host(Box::new(bits)), Control::Host)
                .outside(line.replace("{}", &rw))
                .after(|| {
                    lab.file(lab.project("rw/file"), "writable\n");
                    fs::set_permissions(lab.project("rw/file"), fs::Permissions::from_mode(0o755))
                        .expect("chmod");
                    let _ = fs::remove_file(lab.project("rw/suid"));
                })
        };
        withstand(
            lab,
            agentfile,
            &[
                plant("fchmod", "make-setuid {}/suid"),
                plant("chmod", "chmod {}/file 4755"),
                plant("set-group-ID", "chmod {}/file 2755"),
                plant("fchmodat2", "fchmodat2 {}/file 4755"),
            ],
        );
    });
}

#[test]
fn devices_cannot_be_made_or_reached() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
        let rw = lab.project("rw").display().to_string();
        let nodes = || {
            format!(
                "{:?}",
                fs::read_dir(lab.project("rw"))
                    .expect("rw")
                    .filter_map(Result::ok)
                    .map(|e| e.file_name())
                    .collect::<Vec<_>>()
            )
        };
        let node = |name: &str, kind: &str| {
            Attempt::new(
                name,
                format!("mknod /work/rw/node {kind}"),
                Sign::Host(Box::new(nodes)),
                Control::HostRoot,
            )
            .outside(format!("mknod {rw}/node {kind}"))
            .after(|| {
                let _ = fs::remove_file(lab.project("rw/node"));
            })
        };
        let opens = |path: &'static str| {
            Attempt::new(
                format!("open {path}"),
                format!("open-device {path}"),
                Sign::Descriptor(path),
                Control::HostRoot,
            )
        };
        let mut attempts = vec![
            node("a block device", "b 254 0"),
            node("kernel memory", "c 1 1"),
            node("a whiteout", "c 0 0"),
            node("a FUSE device", "c 10 229"),
            Attempt::new("a loop device", "loop-device", Sign::Value, Control::HostRoot),
        ];
        // Only those that this host has can be a control.
        let here = [
            "/dev/kmsg",
            "/dev/fuse",
            "/dev/vda",
            "/dev/sda",
            "/dev/loop0",
            "/dev/kvm",
            "/dev/userfaultfd",
            "/dev/net/tun",
            "/dev/mem",
            "/dev/port",
            "/dev/vsock",
            "/dev/hwrng",
            "/dev/console",
            "/dev/tty0",
            "/dev/vcs",
            "/dev/cpu_dma_latency",
        ];
        attempts.extend(
            here.into_iter().filter(|path| fs::symlink_metadata(path).is_ok() && openable(path)).map(opens),
        );
        withstand(lab, agentfile, &attempts);
    });
}

/// Whether root can open a device here: a control that this host cannot give is none.
fn openable(path: &str) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = fs::OpenOptions::new().read(true).write(true).custom_flags(0o4000).open(path);
    opened.is_ok() || !agentrc_test_support::identity::started_as_root()
}

#[test]
fn a_core_dump_is_not_written() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
        lab.directory(lab.path("cores"));
        let cores = |folder: std::path::PathBuf| {
            move || {
                let names =
                    fs::read_dir(&folder).expect("folder").filter_map(Result::ok).map(|e| e.file_name());
                names.filter(|name| name.to_string_lossy().starts_with("core")).count().to_string()
            }
        };
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
        let in_place = !pattern.starts_with(['|', '/', '@']);
        let control = if in_place {
            Control::Host
        } else {
            Control::None("the host's core_pattern does not write beside the program")
        };
        let mut sandbox = lab.attack(agentfile);
        let inside = cores(lab.project("rw"));
        let before = inside();
        // The control looks at its own folder, the attempt at the bind.
        let failures = in_session(
            lab,
            &mut sandbox,
            &[
                Attempt::new(
                    "core",
                    "core-dump /work/rw",
                    Sign::Host(Box::new(cores(lab.path("cores")))),
                    control,
                )
                .outside(format!("core-dump {}", lab.path("cores").display())),
                Attempt::new(
                    "unlimited core size",
                    "setrlimit 4 18446744073709551615",
                    Sign::Limit("Max core file size"),
                    Control::None("the host's limit may be unlimited already"),
                ),
            ],
        );
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(before, inside(), "a core dump was written into the bind");
    });
}
