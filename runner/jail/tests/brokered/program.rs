//! The program that launches.
// A broken assumption in a test is a panic, and that is what a test is for.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use agentrc_test_support::{Lab, Outcome};

/// Builds it beside this test, the same way.
pub(crate) fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().expect("this test");
        let profile = own.parent().and_then(Path::parent).expect("the profile's folder");
        let target = profile.parent().expect("the target folder");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "agentrc-jail", "--example", "brokered"]);
        cargo.args(["--features", "fault-injection", "--target-dir"]).arg(target);
        if profile.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo");
        assert!(status.success(), "the example `brokered` does not build");
        profile.join("examples/brokered")
    })
}

/// A test as root and as a user.
pub(crate) fn as_each(test: impl Fn(&Lab)) {
    agentrc_test_support::as_each(&built().display().to_string(), test);
}

/// Runs `script` (Python) as the agent, with these words for the program.
pub(crate) fn run(lab: &Lab, lines: &str, script: &str, words: &[&str]) -> Outcome {
    lab.finish_command(command(lab, lines, script, words))
}

/// The same, to be started.
pub(crate) fn command(lab: &Lab, lines: &str, script: &str, words: &[&str]) -> Command {
    lab.file(lab.project("agent.py"), script);
    lab.agentfile(&format!("AGENT brokered\n{lines}\nCMD python3 -I ./agent.py\n"));
    let (agentfile, state) = (lab.project("Agentfile"), lab.path("state"));
    let mut command = lab.agentrc([agentfile.as_os_str(), state.as_os_str()]);
    command.args(words);
    command
}

/// What scripts begin with: `start` sends a line and gives what is to be read, the output of a tool or an answer; `ask` reads all
/// of it.
pub(crate) const ASK: &str = "\
import io, os, socket, stat, sys
SOCKET = '/agentrc/broker.sock'
def start(line):
    one = socket.socket(socket.AF_UNIX)
    one.connect(SOCKET)
    one.sendall(line.encode() + b'\\n')
    first, pipes, *_ = socket.recv_fds(one, 1 << 16, 1)
    if pipes:
        return os.fdopen(pipes[0])
    return io.StringIO(first.decode() + one.makefile().read())
def ask(line):
    with start(line) as one:
        return one.read()
";
