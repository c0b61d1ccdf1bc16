//! Files: nothing outside what was declared is read or changed, by whatever way a file can be reached.
//! (`shared/attacks.md`, "Files"; what the host would later run or trust has a test of its own, `protected_paths.rs`.)

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use agentrc_test_support::attempt::{host, in_session};
use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::session::word;
use agentrc_test_support::{Attempt, Control, Lab, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Reading the lab's secret, with the same line on the host as the control.
fn reads<'a>(name: &str, line: String) -> Attempt<'a> {
    Attempt::new(name, line, Sign::Secret, Control::Host)
}

fn standard(lab: &Lab) -> &'static str {
    lab.file(lab.project("ro/file"), "read-only\n");
    lab.file(lab.project("ro/sub/file"), "read-only\n");
    lab.directory(lab.project("ro/empty"));
    lab.file(lab.project("rw/file"), "writable\n");
    lab.file(lab.project("rw/sub/file"), "writable\n");
    lab.directory(lab.project("rw/empty"));
    "AGENT files\nBIND ./rw /work/rw rw\nBIND ./ro /work/ro ro\n"
}

#[test]
fn a_file_outside_cannot_be_read_by_any_path() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        let secret = lab.outside("secret").display().to_string();
        lab.symlink("../../outside/secret", lab.project("rw/relative"));
        lab.symlink(&secret, lab.project("rw/absolute"));
        lab.symlink("../../outside", lab.project("rw/folder"));
        lab.file(lab.project("unlisted"), &lab.secret);
        let unlisted = lab.project("unlisted").display().to_string();
        let rw = lab.project("rw").display().to_string();
        withstand(
            lab,
            agentfile,
            &[
                reads("absolute path", format!("read {secret}")),
                reads("`..` from the working directory", "read ../../outside/secret".into())
                    .outside("read ../outside/secret"),
                reads("`..` from a bind", "read /work/rw/../../outside/secret".into())
                    .outside(format!("read {rw}/../../outside/secret")),
                reads("more `..` than there are folders", format!("read ../../../../../../../..{secret}")),
                reads("a doubled slash", format!("read //{secret}")),
                reads("a symlink out of the bind, relative", "read /work/rw/relative".into())
                    .outside(format!("read {rw}/relative")),
                reads("a symlink out of the bind, absolute", "read /work/rw/absolute".into())
                    .outside(format!("read {rw}/absolute")),
                reads("a symlinked folder out of the bind", "read /work/rw/folder/secret".into())
                    .outside(format!("read {rw}/folder/secret")),
                reads("a symlink that the agent makes", format!("read-by-symlink {secret} /work/rw/made"))
                    .outside(format!("read-by-symlink {secret} {rw}/made")),
                reads(
                    "a symlink through /proc/self/root",
                    format!("read-by-symlink /proc/self/root{secret} /work/rw/made"),
                )
                .outside(format!("read-by-symlink /proc/self/root{secret} {rw}/made")),
                reads("/proc/self/root", format!("read /proc/self/root{secret}")),
                reads("/proc/thread-self/root", format!("read /proc/thread-self/root{secret}")),
                reads("/proc/1/root", format!("read /proc/1/root{secret}"))
                    .outside(format!("read /proc/self/root{secret}")),
                reads("/proc/1/cwd", "read /proc/1/cwd/../outside/secret".into())
                    .outside("read /proc/self/cwd/../outside/secret"),
                reads("/proc/self/cwd", "read /proc/self/cwd/../../outside/secret".into())
                    .outside("read /proc/self/cwd/../outside/secret"),
                reads("openat2 without RESOLVE flags", format!("read-openat2 / {}", &secret[1..])),
                reads("openat2 up from a bind", "read-openat2 /work/rw ../../outside/secret".into())
                    .outside(format!("read-openat2 {rw} ../../outside/secret")),
                reads("O_PATH and fchdir", "read-fchdir /work/rw ../../outside/secret".into())
                    .outside(format!("read-fchdir {rw} ../../outside/secret")),
                reads("mmap instead of read", format!("read-mmap {secret}")),
                reads("a second thread", format!("read-by-thread {secret}")),
                reads("io_uring", format!("read-io-uring {secret}")),
                reads("a file beside the Agentfile that no line names", format!("read {unlisted}")),
                reads("the same, where named files are", "read /agentrc/src/unlisted".into())
                    .outside(format!("read {unlisted}")),
                reads("the same, beside the bind", "read /work/rw/../unlisted".into())
                    .outside(format!("read {rw}/../unlisted")),
            ],
        );
    });
}

#[test]
fn names_and_attributes_outside_cannot_be_seen() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        let outside = lab.outside("").display().to_string();
        let see = |name: &str, line: String| Attempt::new(name, line, Sign::Value, Control::Host);
        withstand(
            lab,
            agentfile,
            &[
                see("stat", format!("stat {outside}secret")),
                see("stat through /proc", format!("stat /proc/self/root{outside}secret")),
                see("list", format!("list {outside}")),
                see("list the home", format!("list {}", lab.path("home").display())),
                see("list the Agentfile's folder", format!("list {}", lab.project("").display())),
                see("the Agentfile itself", format!("read {}", lab.project("Agentfile").display())),
                see("the state of agentrc", format!("list {}", lab.path("state").display())),
                see("a handle", format!("handle {outside}secret")),
                see("the binary of agentrc", format!("stat {}", lab.binary().display())),
            ],
        );
    });
}

#[test]
fn secrets_of_the_host_system_are_not_in_the_base() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        let root = |name: &str, line: &str| Attempt::new(name, line, Sign::Bytes, Control::HostRoot);
        withstand(
            lab,
            agentfile,
            &[
                root("shadow", "read /etc/shadow"),
                root("the root user's home", "list /root"),
                root("the kernel log", "read /dev/kmsg"),
                Attempt::new("/run", "list /run", Sign::Bytes, Control::Host),
                Attempt::new("/var/lib", "list /var/lib", Sign::Bytes, Control::Host),
                Attempt::new("/sys", "list /sys/kernel", Sign::Bytes, Control::Host),
                Attempt::new(
                    "keys",
                    "read /proc/keys",
                    Sign::Bytes,
                    Control::None("the caller may have none"),
                ),
                Attempt::new("kernel memory", "read /proc/kcore", Sign::Bytes, Control::HostRoot),
                Attempt::new("timers", "read /proc/timer_list", Sign::Bytes, Control::HostRoot),
            ],
        );
    });
}

#[test]
fn a_file_handle_made_outside_opens_nothing_inside() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        let mut outside = host(lab);
        let handle = outside.act(&format!("handle {}", lab.outside("secret").display())).text();
        outside.end();
        let line = |mount: &str| format!("read-handle {mount} {}", handle.trim());
        // The bind is on the same file system, so it is a valid mount to open the handle on.
        withstand(
            lab,
            agentfile,
            &[
                Attempt::new(
                    "open_by_handle_at on a bind",
                    line("/work/rw"),
                    Sign::Secret,
                    Control::HostRoot,
                )
                .outside(line(&lab.project("rw").display().to_string())),
                Attempt::new("open_by_handle_at on the root", line("/"), Sign::Secret, Control::HostRoot)
                    .outside(line(&lab.project("rw").display().to_string())),
            ],
        );
    });
}

#[test]
fn the_process_that_set_the_sandbox_up_gives_nothing_away() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        // The caller's environment holds the secret (`Lab::command`): pid 1 was cloned from a process that has it.
        let own = |file: &str| format!("read /proc/self/{file}");
        let bytes = |file: &str, control: &str| {
            Attempt::new(
                format!("/proc/1/{file}"),
                format!("read /proc/1/{file}"),
                Sign::Bytes,
                Control::Host,
            )
            .outside(own(control))
        };
        let mut attempts = vec![
            Attempt::new("the environment of pid 1", "read /proc/1/environ", Sign::Secret, Control::Host)
                .outside(own("environ")),
            Attempt::new(
                "the environment of a thread of pid 1",
                "read /proc/1/task/1/environ",
                Sign::Secret,
                Control::Host,
            )
            .outside(own("environ")),
            Attempt::new("the agent's own environment", own("environ"), Sign::Secret, Control::Host),
            Attempt::new("the program of pid 1", "read-link /proc/1/exe", Sign::Bytes, Control::Host)
                .outside("read-link /proc/self/exe"),
            Attempt::new("descriptors of pid 1", "list /proc/1/fd", Sign::Bytes, Control::Host)
                .outside("list /proc/self/fd"),
            Attempt::new(
                "descriptors of pid 1, described",
                "list /proc/1/fdinfo",
                Sign::Bytes,
                Control::Host,
            )
            .outside("list /proc/self/fdinfo"),
            Attempt::new("mapped files of pid 1", "list /proc/1/map_files", Sign::Bytes, Control::Host)
                .outside("list /proc/self/map_files"),
        ];
        attempts.extend(["maps", "smaps", "auxv", "syscall", "personality"].map(|file| bytes(file, file)));
        for fd in 0..8 {
            attempts.push(
                Attempt::new(
                    format!("descriptor {fd} of pid 1"),
                    format!("read-link /proc/1/fd/{fd}"),
                    Sign::Bytes,
                    Control::Host,
                )
                .outside("read-link /proc/self/fd/0"),
            );
        }
        withstand(lab, agentfile, &attempts);
    });
}

#[test]
fn read_only_files_cannot_be_changed() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
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
        let agentfile = standard(lab);
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
        let agentfile = standard(lab);
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
        let agentfile = standard(lab);
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
        let agentfile = standard(lab);
        lab.directory(lab.path("cores"));
        let cores = |folder: std::path::PathBuf| {
            move || {
                format!(
                    "{:?}",
                    fs::read_dir(&folder)
                        .expect("folder")
                        .filter_map(Result::ok)
                        .map(|e| e.file_name())
                        .collect::<Vec<_>>()
                )
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

#[test]
fn descriptors_of_the_caller_are_closed() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let agentfile = lab.agentfile("AGENT descriptors\nCMD ./attack serve\n");
        // A shell that has the secret and the folder outside open, and starts the program with both.
        let with_descriptors = |program: &str| {
            let mut command = lab.command("/bin/sh");
            let (secret, folder) = (lab.outside("secret"), lab.outside(""));
            command.args([
                "-c",
                &format!(
                    "exec 7<{} 8<{} 9<>{}; exec {program}",
                    secret.display(),
                    folder.display(),
                    lab.outside("canary").display()
                ),
            ]);
            command
        };
        let look = |session: &mut agentrc_test_support::Session| {
            let mut leaked = String::new();
            for line in [
                "read-descriptor 7",
                "read-beneath 8 secret",
                "read-fchdir-descriptor 8 secret",
                "reopen 7 read",
                "read /dev/fd/7",
                "read /proc/self/fd/7",
            ] {
                leaked += &session.act(line).text();
            }
            (leaked, session.at_start.descriptors.clone())
        };
        let mut control = agentrc_test_support::Session::start(
            lab,
            with_descriptors(&format!("{} serve", lab.attacker(lab.path("attack")).display())),
        );
        let (leaked, _) = look(&mut control);
        control.end();
        assert_eq!(leaked.matches(&lab.secret).count(), 6, "positive control: {leaked}");

        let mut inside = agentrc_test_support::Session::start(
            lab,
            with_descriptors(&format!("{} run {}", lab.binary().display(), agentfile.display())),
        );
        let (leaked, held) = look(&mut inside);
        assert!(!leaked.contains(&lab.secret), "as {}: {leaked}", lab.who.name);
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "as {}: {held:?}", lab.who.name);
        inside.end().expect_code(0);
    });
}

#[test]
fn a_folder_as_standard_input_opens_nothing() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        for act in
            ["read-beneath 0 secret", "read-fchdir-descriptor 0 secret", "read-beneath 0 ../outside/secret"]
        {
            let agentfile = lab.agentfile(&format!("AGENT stdin\nCMD ./attack {act}\n"));
            let run = |mut command: std::process::Command| {
                command.stdin(fs::File::open(lab.outside("")).expect("the folder"));
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                agentrc_test_support::Child::start_with(lab, command).finish()
            };
            let mut control = lab.command(lab.attacker(lab.path("attack")));
            control.args(act.split(' '));
            assert!(lab.leaked(&run(control)), "positive control: {act}");
            let outcome = run(lab.agentrc(["run".as_ref(), agentfile.as_os_str()]));
            assert!(!lab.leaked(&outcome), "as {}: `{act}` read the secret", lab.who.name);
        }
    });
}

#[test]
fn standard_output_cannot_be_read_back_or_reopened() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let file = lab.outside("log");
        for act in ["reopen 1 read", "reopen 2 read", "read-descriptor 1"] {
            let run = |mut command: std::process::Command| {
                lab.file(&file, format!("{}\n", lab.secret));
                let append = || fs::OpenOptions::new().append(true).open(&file).expect("log");
                command.stdin(std::process::Stdio::null()).stdout(append()).stderr(append());
                agentrc_test_support::Child::start_with(lab, command).finish();
                // The attacker writes what it reads to the same file, in hexadecimal.
                let text = fs::read(&file).expect("log");
                lab.leaked_in(&text)
            };
            let mut control = lab.command(lab.attacker(lab.path("attack")));
            control.args(act.split(' '));
            assert_eq!(run(control), act.starts_with("reopen"), "positive control: {act}");
            let agentfile = lab.agentfile(&format!("AGENT stdout\nCMD ./attack {act}\n"));
            assert!(
                !run(lab.agentrc(["run".as_ref(), agentfile.as_os_str()])),
                "as {}: `{act}`",
                lab.who.name
            );
        }
    });
}

#[test]
fn what_a_deny_line_hides_stays_hidden() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("work/private/secret"), &lab.secret);
        lab.file(lab.project("work/file.key"), &lab.secret);
        lab.file(lab.project("work/frozen/file"), "frozen\n");
        lab.file(lab.project("work/sub/private/secret"), &lab.secret);
        lab.file(lab.project("work/open"), &lab.secret);
        let work = lab.project("work").display().to_string();
        let agentfile = "AGENT deny\nBIND ./work /work rw\nDENY read /work/private\nDENY read /work/file.key\nDENY read /work/sub/private\nDENY write /work/frozen\n";
        let mut sandbox = lab.attack(agentfile);
        // Made after the start, with names that are no ASCII and no UTF-8.
        let odd: &[&[u8]] =
            &[b"later", "schlüssel-鍵".as_bytes(), b"\xff\xfe\x80", b"new\nline", b"-rf", b" "];
        for name in odd {
            lab.file(lab.project("work/private").join(std::ffi::OsStr::from_bytes(name)), &lab.secret);
        }
        let frozen = || format!("{:?}", snapshot(&lab.project("work/frozen")));
        let reads = |name: String, line: String| {
            let control = line.replace("/work", &work);
            Attempt::new(name, line, Sign::Secret, Control::Host).outside(control)
        };
        let mut attempts = vec![
            reads("a file in a hidden folder".into(), "read /work/private/secret".into()),
            reads("a hidden file".into(), "read /work/file.key".into()),
            reads("openat2".into(), "read-openat2 /work private/secret".into()),
            reads("through a symlink".into(), "read-by-symlink private/secret /work/link".into()),
            reads("through /proc".into(), "read /proc/self/root/work/private/secret".into()),
            reads("`..`".into(), "read /work/sub/../private/secret".into()),
            reads("deeper".into(), "read /work/sub/private/secret".into()),
        ];
        for name in odd {
            attempts.push(reads(
                format!("later file {:?}", String::from_utf8_lossy(name)),
                format!("read /work/private/{}", word(name)),
            ));
        }
        for (name, line) in [
            ("append", "append /work/frozen/file x"),
            ("create", "write /work/frozen/new x"),
            ("remove", "unlink /work/frozen/file"),
            ("chmod", "chmod /work/frozen/file 0600"),
        ] {
            attempts.push(
                Attempt::new(name, line, Sign::Host(Box::new(frozen)), Control::Host)
                    .outside(line.replace("/work", &work))
                    .after(|| {
                        let _ = fs::remove_file(lab.project("work/frozen/new"));
                        lab.file(lab.project("work/frozen/file"), "frozen\n");
                    }),
            );
        }
        let failures = in_session(lab, &mut sandbox, &attempts);
        // Moved away and looked at from there: the folder above a hidden one is the agent's to rename, if anything is.
        for (act, then) in [
            ("rename /work/sub /work/moved", "read /work/moved/private/secret"),
            ("rename /work/private /work/shown", "read /work/shown/secret"),
            ("exchange /work/private /work/sub", "read /work/sub/secret"),
            ("rename /work/file.key /work/file.txt", "read /work/file.txt"),
            ("link /work/file.key /work/hard", "read /work/hard"),
            ("umount /work/private", "read /work/private/secret"),
        ] {
            sandbox.act(act);
            assert!(
                !sandbox.act(then).text().contains(&lab.secret),
                "as {}: {act}, then {then}",
                lab.who.name
            );
        }
        let open = sandbox.act("read /work/open").text();
        assert!(open.contains(&lab.secret), "what is not denied must stay readable");
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn files_that_appear_outside_after_the_start_are_not_there() {
    as_each(AGENTRC, |lab| {
        let agentfile = standard(lab);
        let mut sandbox = lab.attack(agentfile);
        lab.file(lab.outside("later"), &lab.secret);
        lab.file(lab.project("later"), &lab.secret);
        lab.symlink(lab.outside("later"), lab.project("rw/later"));
        let failures = in_session(
            lab,
            &mut sandbox,
            &[
                reads("a file", format!("read {}", lab.outside("later").display())),
                reads("a file beside the Agentfile", format!("read {}", lab.project("later").display())),
                reads("a link that the host makes in the bind", "read /work/rw/later".into())
                    .outside(format!("read {}", lab.project("rw/later").display())),
            ],
        );
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn the_runs_own_audit_log_and_the_binary_are_out_of_reach_even_of_a_bind_over_them() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        lab.file(
            lab.outside("Agentfile"),
            format!("AGENT wide\nBIND {} /lab rw\nCMD ./attack serve\n", lab.path("").display()),
        );
        lab.attacker(lab.outside("attack"));
        let mut command =
            lab.agentrc(["run".as_ref(), "--grant".as_ref(), lab.outside("Agentfile").as_os_str()]);
        // A refusal is an answer, too: then nothing ran.
        command.stdin(std::process::Stdio::piped());
        let mut child = agentrc_test_support::Child::start(lab, command);
        child.send("list /lab/state/agentrc/runs\n.\n");
        child.send("list /lab/state/agentrc\n.\n");
        child.close_input();
        let outcome = child.finish();
        let runs: Vec<String> = lab
            .runs()
            .iter()
            .map(|run| run.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        let leaked = lab.leaks(&outcome.stdout);
        assert!(
            outcome.code() == 125 || !runs.iter().any(|run| leaked.contains(run.as_str())),
            "as {}: the agent can reach the audit log of its own run {runs:?}: {leaked}",
            lab.who.name
        );
    });
}
