//! Files: nothing outside what was declared can be read, by whatever way a file can be reached.
//! (`shared/attacks.md`, "Files".) Changes are in `escape_changes.rs`, descriptors in `escape_descriptors.rs`.

use agentrc_test_support::attempt::{host, in_session};
use agentrc_test_support::{Attempt, Control, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Reading the lab's secret, with the same line on the host as the control.
fn reads<'a>(name: &str, line: String) -> Attempt<'a> {
    Attempt::new(name, line, Sign::Secret, Control::Host)
}

#[test]
fn a_file_outside_cannot_be_read_by_any_path() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
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
        let agentfile = lab.read_only_and_writable();
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
        let agentfile = lab.read_only_and_writable();
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
                Attempt::new("timers", "read /proc/timer_list", Sign::Bytes, Control::HostRoot),
            ],
        );
    });
}

#[test]
fn a_file_handle_made_outside_opens_nothing_inside() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
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
        let agentfile = lab.read_only_and_writable();
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
fn files_that_appear_outside_after_the_start_are_not_there() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.read_only_and_writable();
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

/// A folder that goes takes along what is hidden in it; but where it went, another mount may show it, on which nothing is hidden.
#[test]
fn what_is_hidden_cannot_be_moved_to_where_another_mount_shows_it() {
    as_each(AGENTRC, |lab| {
        for (path, text) in [
            ("deep/er/secret", lab.secret.as_str()),
            ("keys/there/token", lab.secret.as_str()),
            ("plain/file", "not hidden"),
            ("shown/x", ""),
            ("skills/probe/SKILL.md", "---\nname: probe\ndescription: Shows its folder.\n---\n"),
        ] {
            lab.file(lab.project(path), text);
        }
        lab.script(
            lab.project("go.sh"),
            "#!/bin/sh\nexec 2>&1\ncd /work\n\
             mv plain shown/; cat /shown/plain/file; mv shown/plain .\n\
             for to in shown skills/probe; do\n\
             for what in deep deep/er keys keys/there; do mv $what $to/moved && echo \"moved $what\"; done\n\
             done\n\
             find /shown /agentrc/skills -name secret -o -name token | xargs -r cat\n\
             touch deep/er/new keys/new && mv deep/er/new deep/newer && echo writable\n",
        );
        lab.agentfile(
            "AGENT mover\nBIND . /work rw\nBIND ./shown /shown ro\nSKILL ./skills/probe\nALLOW invoke ./skills/probe\nDENY read /work/deep/er/secret\n\
             CRED TOKEN file:./keys/there/token host:api.example.com\nCMD ./go.sh\n",
        );
        let outcome = lab.finish_command(lab.agentrc(["run", "--grant", "./Agentfile"]));
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(out.starts_with("not hidden"), "control: {out}");
        assert!(!out.contains("moved ") && !lab.leaked(&outcome), "as {}: {out}", lab.who.name);
        assert!(out.ends_with("writable\n"), "as {}: {out}", lab.who.name);
        assert!(lab.project("deep/er/secret").exists() && lab.project("keys/there/token").exists());
    });
}
