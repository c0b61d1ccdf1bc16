//! What a program finds: an environment made from scratch, ids, umask, working directory, names, devices; and nothing of the
//! caller's.

use std::fs;

use agentrc_test_support::identity::started_as_root;
use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn shell(lab: &Lab, lines: &str, script: &str) -> Outcome {
    lab.script(lab.project("go.sh"), script);
    let outcome = lab.run(&format!("AGENT finds\n{lines}CMD /bin/sh ./go.sh\n"));
    outcome.expect_code(0);
    outcome
}

#[test]
fn the_environment_is_made_from_scratch() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("AGENT env\nCMD /usr/bin/env\n");
        let mut command = lab.agentrc(["run".as_ref(), agentfile.as_os_str()]);
        // What would run or load something in a helper, an interpreter, or the program itself; and what only tells.
        for name in [
            "LD_LIBRARY_PATH",
            "LD_DEBUG_OUTPUT",
            "BASH_ENV",
            "ENV",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "NODE_OPTIONS",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "GIT_DIR",
            "GIT_SSH_COMMAND",
            "GIT_EXTERNAL_DIFF",
            "GIT_CONFIG_COUNT",
            "GIT_EDITOR",
            "EDITOR",
            "PAGER",
            "LESSOPEN",
            "SSH_AUTH_SOCK",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "ANTHROPIC_API_KEY",
            "http_proxy",
            "KUBECONFIG",
            "JAVA_TOOL_OPTIONS",
            "IFS",
            "PS4",
            "PROMPT_COMMAND",
            "XDG_DATA_HOME",
            "AGENTRC_FAULT",
            "AGENTRC_TEST",
            "TERM",
            "COLUMNS",
            "DISPLAY",
            "SUDO_USER",
            "LS_COLORS",
        ] {
            command.env(name, lab.outside("planted"));
        }
        command.env("odd name", "x").env("LD_PRELOAD", "");
        let outcome = lab.finish_command(command);
        outcome.expect_code(0);
        let out = outcome.out();
        let mut names: Vec<_> =
            out.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"],
            "as {}:\n{out}",
            lab.who.name
        );
        assert!(out.contains("LANG=C.UTF-8\n"), "{out}");
        assert!(!out.contains("agentrc-test-"), "as {}: a path of the host is in it:\n{out}", lab.who.name);
    });
}

#[test]
fn umask_directory_and_names_do_not_depend_on_the_caller() {
    as_each(AGENTRC, |lab| {
        lab.script(
            lab.project("go.sh"),
            "umask; pwd; uname -n; id -u; id -g; id -un; id -G; tty; echo $0; ulimit -c\n",
        );
        let agentfile = lab.agentfile("AGENT finds\nCMD /bin/sh ./go.sh\n");
        let outputs: Vec<String> =
            ["umask 000; cd /", "umask 022; cd /usr", "umask 002; ulimit -c 0; cd /tmp"]
                .iter()
                .map(|setup| {
                    let mut command = lab.command("/bin/sh");
                    command.args([
                        "-c",
                        &format!("{setup}; exec {} run {}", lab.binary().display(), agentfile.display()),
                    ]);
                    let outcome = lab.finish_command(command);
                    outcome.expect_code(0);
                    outcome.out()
                })
                .collect();
        assert!(outputs.iter().all(|output| *output == outputs[0]), "as {}: {outputs:#?}", lab.who.name);
        let lines: Vec<_> = outputs[0].lines().collect();
        // A stricter one stays.
        let mut command = lab.command("/bin/sh");
        let run = format!("umask 077; exec {} run {}", lab.binary().display(), agentfile.display());
        command.args(["-c", &run]);
        assert!(lab.finish_command(command).out().starts_with("0077\n"), "as {}", lab.who.name);
        assert_eq!(lines[0], "0022", "what it makes, others cannot write");
        assert_eq!(lines[1], "/agentrc/src", "working directory");
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("host name");
        assert_ne!(lines[2], host.trim(), "the host's name");
        // Supplementary groups are dropped where the kernel lets us (`docs/decisions/0007`); those that stay have no number.
        let groups: Vec<_> = lines[6].split(' ').collect();
        assert!(
            groups[0] == lines[4] && groups[1..].iter().all(|group| *group == "65534" && !started_as_root()),
            "as {}: {groups:?}",
            lab.who.name
        );
    });
}

#[test]
fn the_working_directory_is_the_first_writable_place_else_the_first_bind() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("a"));
        lab.directory(lab.project("b"));
        lab.file(lab.project("file"), "x");
        for (lines, expected) in [
            ("BIND ./a /a ro\nBIND ./b /b rw\n", "/b"),
            ("BIND ./a /a ro\nBIND ./b /b ro\n", "/a"),
            ("MOUNT /m rw\nBIND ./b /b rw\n", "/m"),
            ("BIND ./a /a\n", "/a"),
            ("BIND ./file /file rw\nBIND ./b /b rw\n", "/b"),
        ] {
            assert_eq!(shell(lab, lines, "pwd\n").out().trim(), expected, "as {}: {lines}", lab.who.name);
        }
    });
}

#[test]
fn the_system_is_small_and_has_what_programs_need() {
    as_each(AGENTRC, |lab| {
        let out = shell(
            lab,
            "",
            "ls -1 / | tr '\\n' ' '; echo\nls -1 /dev | tr '\\n' ' '; echo\ncat /etc/passwd; echo --; cat /etc/group; echo --\n\
             echo x > /tmp/x && cat /tmp/x; stat -c %a /tmp; echo y > /dev/null; head -c 4 /dev/urandom | wc -c; echo z > /dev/shm/z && cat /dev/shm/z\n\
             ls /proc | grep -c '^[0-9]'; ls /home /root /run /var 2>&1 | tr '\\n' ' '\n",
        )
        .out();
        let lines: Vec<_> = out.lines().collect();
        for folder in ["root", "boot", "media", "opt", "srv", "lost+found"] {
            assert!(
                !lines[0].split(' ').any(|name| name == folder)
                    || shell(lab, "", &format!("ls -A /{folder} | wc -l\n")).out().trim() == "0",
                "as {}: /{folder} of the host",
                lab.who.name
            );
        }
        // Ours, and nothing of the host's.
        assert_eq!(shell(lab, "", "ls -A /mnt\n").out(), "proc\n", "as {}", lab.who.name);
        for node in [
            "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin",
            "stdout", "stderr",
        ] {
            assert!(lines[1].split(' ').any(|name| name == node), "/dev/{node} is missing: {}", lines[1]);
        }
        assert!(
            lines[1].split_whitespace().count() <= 16,
            "as {}: /dev has more than it should: {}",
            lab.who.name,
            lines[1]
        );
        let users: Vec<_> = out.lines().take_while(|line| *line != "--").skip(2).collect();
        assert!(users.len() <= 3, "as {}: the host's users are listed: {users:?}", lab.who.name);
        assert!(out.contains("\nx\n1777\n4\nz\n"), "as {}:\n{out}", lab.who.name);
    });
}

#[test]
fn an_agent_finds_what_it_is_and_may_at_both_places_and_changes_nothing_there() {
    as_each(AGENTRC, |lab| {
        let outcome = shell(
            lab,
            "URL https://api.example.com\nTOOL utcp:current_time\nALLOW invoke current_time\nLIMIT tool_calls 9\nAUDIT all\nBIND . /there ro\n",
            "cd /agentrc/proc && ls && cat audit limits policy status && diff -r . /mnt/proc/ && cmp /agentrc/tools/current_time /mnt/tools/current_time\n\
             for file in *; do { echo x >>$file; } 2>/dev/null && echo changed $file; rm -f $file 2>/dev/null && echo removed $file; done; exit 0\n",
        );
        let out = outcome.out();
        let plan = outcome.events_named("run.armed")[0].get("plan_sha256").cloned().expect("a digest");
        let plan = plan.as_str().expect("a text").trim_start_matches("sha256:").to_owned();
        for line in [
            "audit",
            "limits",
            "policy",
            "status",
            "level: all",
            "tool_calls: 9 in all [Agentfile:5:1]",
            "// allow@4 [Agentfile:4:1]",
            "agent: finds",
            &format!("plan: sha256:{plan}"),
            "network: https://api.example.com",
            "tool: current_time",
        ] {
            assert!(out.lines().any(|said| said == line), "as {}: `{line}` in {out}", lab.who.name);
        }
        assert!(!out.contains("changed") && !out.contains("removed"), "as {}: {out}", lab.who.name);
        let home = lab.path("").canonicalize().expect("the lab");
        assert!(!out.contains(&*home.to_string_lossy()), "as {}: {out}", lab.who.name);
    });
}

#[test]
fn ordinary_programs_work() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        let out = shell(
            lab,
            "BIND ./rw /work rw\n",
            "set -e\ncd /work\n\
             printf 'int main(void){return 0;}' > a.c && cc a.c -o a && ./a && echo compiled\n\
             git init -q . 2>/dev/null || echo no repository where hooks are held; git init -q sub && cd sub && git config user.name x 2>/dev/null; git -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m m && git log --format=%s && cd ..\n\
             perl -e 'print \"perl \", 6*7, \"\\n\"'\n\
             mkfifo p; (echo piped > p &) ; cat p\n\
             find /usr/bin -name env | head -1\nseq 1 1000 | sort -R | sort -n | tail -1\ndate +%Y > /dev/null; sleep 0.01; tar cf t.tar a.c; ls t.tar\n",
        )
        .out();
        for expected in [
            "compiled\n",
            "no repository where hooks are held\n",
            "m\n",
            "perl 42\n",
            "piped\n",
            "/usr/bin/env\n",
            "1000\n",
            "t.tar\n",
        ] {
            assert!(out.contains(expected), "as {}: `{expected}` in\n{out}", lab.who.name);
        }
    });
}

#[test]
fn terminal_escapes_in_names_do_not_reach_the_terminal() {
    as_each(AGENTRC, |lab| {
        for line in [
            "BIND ./\u{1b}[31mevil /work rw",
            "BIND ./no\u{7}bell /work rw",
            "\u{1b}]0;title\u{7} x",
            "CMD \u{1b}[2J",
            "BIND /etc/\u{1b}[8m /x ro",
        ] {
            let outcome = lab.run(&format!("AGENT escapes\n{line}\nCMD /bin/true\n"));
            let raw = outcome
                .stderr
                .bytes()
                .chain(outcome.stdout.iter().copied())
                .any(|byte| byte == 0x1b || byte == 7);
            assert!(!raw, "as {}: {line:?}: {:?}", lab.who.name, outcome.stderr);
        }
    });
}

#[test]
fn a_file_from_outside_is_no_place_to_start_in() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.outside("f"), "x\n");
        lab.directory(lab.outside("folder"));
        for (bind, directory) in
            [("f /cfg ro", "/agentrc/src\n"), ("f /cfg rw", "/agentrc/src\n"), ("folder /work rw", "/work\n")]
        {
            lab.agentfile(&format!("AGENT place\nBIND ../outside/{bind}\nCMD /bin/pwd\n"));
            let command =
                lab.agentrc(["run".as_ref(), "--grant".as_ref(), lab.project("Agentfile").as_os_str()]);
            let outcome = lab.finish_command(command);
            outcome.expect_code(0);
            assert_eq!(outcome.out(), directory, "as {}: {bind}", lab.who.name);
        }
    });
}
