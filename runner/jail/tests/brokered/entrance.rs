//! A tool's sandbox: what it has of the agent's, what it has of its own, and what it has not.

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Child, Lab, outside};

use crate::program::{ASK, as_each, built, command, run};

/// The agent's `script`, in a project that can be written to at `/work`.
fn agent(lab: &Lab, script: &str, words: &[&str]) -> (String, String) {
    lab.directory(lab.project("rw"));
    let outcome = run(lab, "BIND ./rw /work rw", &format!("{ASK}\n{script}"), words);
    outcome.expect_code(0);
    (outcome.out(), outcome.stderr)
}

#[test]
fn a_tool_has_the_agents_files_and_nothing_else_of_it() {
    as_each(|lab| {
        let script = r#"
open('/tmp/private', 'w').write('of the agent\n')
print(ask('run cat /tmp/private; echo made > /work/made; pwd; echo $TOOL; cat /proc/sys/kernel/hostname'), end='')
print(ask('run id -u; umask'), end='')
print(open('/work/made').read(), end='')
print(os.getuid())
"#;
        let (out, stderr) = agent(lab, script, &[]);
        let uid = lab.who.uid;
        let expected = format!("of the agent\n/work\n1\nbrokered\n{uid}\n0022\nmade\n{uid}\n");
        assert_eq!(out, expected, "{stderr}");
    });
}

#[test]
fn a_tool_has_processes_a_network_and_namespaces_of_its_own() {
    as_each(|lab| {
        let script = r#"
KINDS = ['user', 'mnt', 'pid', 'ipc', 'uts', 'net', 'cgroup']
own = {kind: os.readlink(f'/proc/self/ns/{kind}') for kind in KINDS}
tool = dict(zip(KINDS, ask('run for kind in %s; do readlink /proc/self/ns/$kind; done' % ' '.join(KINDS)).split()))
print([kind for kind in KINDS if own[kind] == tool[kind]])
print(ask('run exec 2>&1; cd /proc; echo [0-9]*; echo $$; readlink /proc/$$/exe'), end='')
print(ask('run sed -n 3,\\$p /proc/net/dev | cut -d: -f1; cat /sys/class/net/lo/flags /proc/net/route 2>&1'), end='')
print(ask('run tail -n +1 /proc/1/environ 2>&1; ls /dev/pts; tty; cut -d" " -f5,6 /proc/self/stat'), end='')
"#;
        let (out, stderr) = agent(lab, script, &[]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.first(), Some(&"['user']"), "{out}{stderr}");
        assert_eq!(lines.get(1..3), Some(&["2", "2"][..]), "no process but its own, as 2: {out}");
        assert!(out.contains("\n    lo\n"), "{out}");
        assert!(out.contains("'/proc/1/environ'") || out.contains("No such file"), "{out}");
        assert!(out.contains("\nptmx\nnot a tty\n"), "no terminal of the agent's: {out}");
    });
}

/// What a tool attempts: one line each, with the kernel's answer.
const ATTEMPTS: &str = r#"
import errno, fcntl, os, socket, subprocess, sys, termios
def connect(family, address):
    with socket.socket(family) as one:
        one.connect(address)
def trace():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, 1, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), '')
for name, act in [
    ('read-only', lambda: open('/ro/file', 'a')),
    ('system', lambda: open('/usr/made', 'w')),
    ('root', lambda: open('/agentrc/made', 'w')),
    ('landlock', lambda: open('/.agentrc/denied')),
    ('sysctl', lambda: open('/proc/sys/kernel/core_pattern', 'w')),
    ('init', lambda: os.listdir('/proc/1/root')),
    ('trace', trace),
    ('internet', lambda: connect(socket.AF_INET, ('203.0.113.1', 80))),
    ('abstract', lambda: connect(socket.AF_UNIX, '\0of-the-agent')),
    ('broker', lambda: connect(socket.AF_UNIX, '/agentrc/broker.sock')),
    ('cover', lambda: os.unlink('/agentrc/broker.sock')),
    ('input', lambda: fcntl.ioctl(0, termios.TIOCSTI, b'x')),
    ('mount', lambda: subprocess.run(['mount', '-t', 'tmpfs', 'x', '/tmp'], check=True, capture_output=True)),
    ('namespace', lambda: subprocess.run(['unshare', '-U', 'true'], check=True, capture_output=True)),
]:
    try:
        act()
        print(name, 'DONE')
    except OSError as error:
        print(name, errno.errorcode[error.errno])
    except subprocess.CalledProcessError:
        print(name, 'failed')
print('descriptors', sorted(os.listdir('/proc/self/fd'))[:-1])
"#;

/// The answers that prove that it was denied.
const DENIED: &[(&str, &[&str])] = &[
    ("read-only", &["EROFS", "EACCES"]),
    ("system", &["EROFS", "EACCES"]),
    ("root", &["EROFS", "EACCES"]),
    ("landlock", &["EACCES"]),
    ("sysctl", &["EROFS", "EACCES"]),
    ("init", &["ENOENT"]),
    ("trace", &["EPERM"]),
    ("internet", &["ENETUNREACH", "EACCES"]),
    ("abstract", &["ECONNREFUSED"]),
    ("broker", &["EACCES", "ECONNREFUSED"]),
    ("cover", &["EBUSY", "EROFS", "EACCES"]),
    ("input", &["EPERM", "ENOTTY"]),
    ("mount", &["failed"]),
    ("namespace", &["failed"]),
    ("descriptors", &["['0', '1', '2']"]),
];

#[test]
fn a_tool_is_held_by_every_lock_that_holds_the_agent() {
    as_each(|lab| {
        lab.file(lab.project("ro/file"), "kept\n");
        lab.file(lab.project("rw/attempts.py"), ATTEMPTS);
        let script = format!(
            r#"{ASK}
FIELDS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters', 'Uid', 'Gid']
def held(status):
    return [line for line in status.splitlines() if line.split(':')[0] in FIELDS]
own = held(open('/proc/self/status').read())
print(own == held(ask('run cat /proc/self/status')), own)
print(open('/proc/self/limits').read() == ask('run cat /proc/self/limits'), ask('run ulimit -n'), end='')
listener = socket.socket(socket.AF_UNIX)
listener.bind('\0of-the-agent')
listener.listen()
socket.socket(socket.AF_UNIX).connect('\0of-the-agent')
print(ask('run exec python3 -I /work/attempts.py 2>&1'), end='')
"#
        );
        let lines = "BIND ./rw /work rw\nBIND ./ro /ro ro\nLIMIT open_files 128";
        let outcome = run(lab, lines, &script, &[]);
        outcome.expect_code(0);
        let out = outcome.out();
        assert!(out.starts_with("True ['Uid"), "{out}{}", outcome.stderr);
        assert!(out.contains("'CapEff:\\t0000000000000000'"), "{out}");
        assert!(out.contains("'NoNewPrivs:\\t1'") && out.contains("'Seccomp:\\t2'"), "{out}");
        assert!(out.contains("\nTrue 128\n"), "{out}");
        for (act, answers) in DENIED {
            let answer = out.lines().find_map(|line| line.strip_prefix(act)).map(str::trim);
            assert!(answer.is_some_and(|answer| answers.contains(&answer)), "{act}: {answer:?}\n{out}");
        }
        assert_eq!(std::fs::read_to_string(lab.project("ro/file")).ok().as_deref(), Some("kept\n"));
    });
}

#[test]
fn a_tool_is_born_in_the_runs_cgroup() {
    agentrc_test_support::as_root_only(&built().display().to_string(), |lab| {
        let script = r#"
one = start('run echo up; exec sleep 4322.5')
print(one.readline(), end='')
found = '[]'
while found.startswith('[]'):
    found = ask('cgroup-of sleep 4322.5')
print(found)
"#;
        let (out, stderr) = agent(lab, script, &["cgroup"]);
        assert_eq!(out, "up\nthe run's\n", "{stderr}");
    });
}

#[test]
fn the_agent_cannot_see_or_end_a_tool() {
    as_each(|lab| {
        let script = r#"
one = start('run echo $$; exec sleep 987.125')
print(one.readline(), end='')
found = [pid for pid in os.listdir('/proc') if pid.isdigit()]
print(sorted(found, key=int))
named = [pid for pid in found if b'987.125' in open(f'/proc/{pid}/cmdline', 'rb').read()]
print(named)
"#;
        let (out, stderr) = agent(lab, script, &[]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.first(), Some(&"2"), "{out}{stderr}");
        assert_eq!(lines.last(), Some(&"[]"), "{out}");
        // What still runs when the agent ends, ends with it: the lab finds what is left.
    });
}

#[test]
fn the_broker_hears_how_a_tool_ended_and_ends_it_when_it_wants() {
    as_each(|lab| {
        let script = r#"
for line in ['exit 7', 'kill -TERM $$', 'sleep 4321 & exit 0', 'true']:
    ask('run ' + line)
one = start('run echo up; sleep 4321 & sleep 4321; echo never')
print(one.readline(), end='')
ask('kill')
print(repr(one.read()))
print(ask('ends'), end='')
"#;
        let (out, stderr) = agent(lab, script, &[]);
        let expected = "up\n''\nSome(1792)\nSome(15)\nSome(0)\nSome(0)\nNone\n";
        assert_eq!(out, expected, "{stderr}");
    });
}

#[test]
fn when_the_supervisor_is_killed_a_tool_is_gone_with_it() {
    as_each(|lab| {
        lab.directory(lab.project("rw"));
        let script = format!(
            "{ASK}\none = start('run echo up; sleep 4323.5 & exec sleep 4323.5')\n\
             print(one.readline(), flush=True)\none.read()"
        );
        let child = Child::start(lab, command(lab, "BIND ./rw /work rw", &script, &[]));
        child.wait_for("up");
        let tools = || outside::all().into_iter().filter(|pid| is_sleeping(*pid)).count();
        assert!(within(Duration::from_secs(20), || tools() == 2), "control");
        child.signal(rustix::process::Signal::KILL);
        child.finish();
        assert!(within(Duration::from_secs(20), || tools() == 0), "a tool outlived its supervisor");
    });
}

fn is_sleeping(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x004323.5\0")
}

#[test]
fn what_is_no_pipe_is_no_stream_of_a_tool() {
    as_each(|lab| {
        let script = "ask('folder')\nprint(ask('run ls /proc/self/fd/0/'))";
        let (out, stderr) = agent(lab, script, &[]);
        let expected =
            "refused at tool-request: could not ask for a tool's process (`a stream that is no pipe`)";
        assert!(out.starts_with(expected), "{out}{stderr}");
    });
}

#[test]
fn what_cannot_be_executed_is_a_refusal() {
    as_each(|lab| {
        lab.file(lab.project("rw/no-program"), "text\n");
        let script = r#"
for program in ['/nowhere', '/work', '/work/no-program', 'sh']:
    print(ask('execute ' + program))
"#;
        let (out, stderr) = agent(lab, script, &[]);
        let lines: Vec<&str> = out.lines().collect();
        for (line, errno) in lines.iter().zip(["ENOENT", "EACCES", "EACCES", "ENOENT"]) {
            assert!(
                line.starts_with("refused at tool-program: could not execute a tool's program"),
                "{line}"
            );
            assert!(line.contains(errno) && line.ends_with(" []"), "{line}");
        }
        assert_eq!(lines.len(), 4, "{out}{stderr}");
    });
}

/// Steps on the way of a tool into its sandbox, every one of which is passed.
const STEPS: &[&str] = &[
    "tool-process",
    "tool-namespaces",
    "hostname",
    "make-proc",
    "make-pts",
    "tool-mounts",
    "find-target",
    "attach",
    "hold",
    "secure-bits",
    "bounding-set",
    "ambient-set",
    "capability-sets",
    "no-new-privs",
    "undumpable",
    "die-with-parent",
    "parent-alive",
    "landlock-path",
    "landlock-rule",
    "landlock-restrict",
    "seccomp",
    "fork",
    "session",
    "close-descriptors",
    "rlimit",
    "working-directory",
    "tool-proof",
    "go",
    "tool-program",
];

#[test]
fn every_step_that_fails_is_a_refusal_that_names_it_and_nothing_is_executed() {
    as_each(|lab| {
        let script = "print(ask('run touch /work/executed'))";
        let executed = lab.project("rw/executed");
        let (out, _) = agent(lab, script, &[]);
        assert!(executed.exists(), "control: {out}");
        std::fs::remove_file(&executed).expect("the canary");
        for step in STEPS {
            let (out, stderr) = agent(lab, script, &["tool-fault", step]);
            assert!(out.starts_with(&format!("refused at {step}: ")), "{step}: {out}{stderr}");
            assert!(out.ends_with(" []\n"), "{step}: the status was told: {out}");
            assert!(!executed.exists(), "{step}");
        }
    });
}

#[test]
fn without_the_way_in_nothing_is_executed() {
    as_each(|lab| {
        for step in ["zygote", "namespace-file", "send-door"] {
            let outcome = run(lab, "", "print('executed')", &["fault", step]);
            outcome.expect_code(125);
            assert!(outcome.stderr.contains(&format!("refused at {step}:")), "{step}: {}", outcome.stderr);
            assert!(outcome.stdout.is_empty(), "{step}");
        }
    });
}

#[test]
fn when_what_tools_come_from_ends_so_does_the_run() {
    as_each(|lab| {
        lab.directory(lab.project("rw"));
        let script =
            format!("{ASK}\none = start('run exec sleep 4321')\nask('kill-zygote')\nprint('went on')");
        let outcome = run(lab, "BIND ./rw /work rw", &script, &[]);
        outcome.expect_code(137);
        let expected = "killed: the process that tools come from ended before the agent";
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
        assert!(!outcome.out().contains("went on"));
    });
}
