//! The socket of a run is that run's alone: a process of another run that is handed the way to it is not served.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{as_each, audit};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Hands its root, a connection of its own and nothing else to whoever connects; then says what its own call gives.
const GIVES: &str = r"
import os
b = Broker()
s = socket.socket(socket.AF_UNIX)
s.bind('/shared/way')
s.listen(1)
print('listens', flush=True)
other, _ = s.accept()
socket.send_fds(other, [b'x'], [os.open('/', os.O_PATH)])
other.recv(1)
say(b.call('current_time')[:3])
";

/// Takes it, and calls through it.
const TAKES: &str = r"
import os
s = socket.socket(socket.AF_UNIX)
s.connect('/shared/way')
_, fds, _, _ = socket.recv_fds(s, 1, 1)
own = Broker()
say('own', own.call('current_time')[:3])
class Theirs(Broker):
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        try: self.socket.connect('/proc/self/fd/%d/agentrc/broker.sock' % fds[0])
        except OSError as error:
            say('theirs', 'no', error.__class__.__name__)
            self.socket = None
            return
        self.read, self.number = b'', 0
        try: said = self.ask('initialize', {'protocolVersion': '2025-11-25', 'capabilities': {}, 'clientInfo': {'name': 't', 'version': '1'}})
        except OSError as error: said = None
        say('theirs', 'closed' if said is None else 'served')
Theirs()
s.send(b'x')
";

#[test]
fn a_process_of_another_run_is_not_served() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("shared"));
        lab.script(lab.project("gives.sh"), &python(GIVES));
        lab.script(lab.project("takes.sh"), &python(TAKES));
        let agentfile = |name: &str| {
            format!(
                "AGENT {name}\nBIND ./shared /shared rw\nTOOL utcp:current_time\nALLOW invoke current_time\nCMD /bin/sh ./{name}.sh\n"
            )
        };
        let child = lab.start(&agentfile("gives"));
        child.wait_for("listens");
        let theirs = lab.last_run();
        let taken = lab.run(&agentfile("takes"));
        let given = child.finish();
        assert_eq!(
            (given.code(), taken.code()),
            (0, 0),
            "as {}: {}{}",
            lab.who.name,
            given.stderr,
            taken.stderr
        );
        // Each is served by its own.
        assert!(given.out().ends_with("ok \n"), "as {}: {}", lab.who.name, given.out());
        let out = taken.out();
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], "own ok ", "as {}: {out}", lab.who.name);
        assert!(
            lines[1] == "theirs closed" || lines[1].starts_with("theirs no "),
            "as {}: {out}",
            lab.who.name
        );
        // Where the kernel let it come so far, the run that it came to has it on record.
        if lines[1] == "theirs closed" {
            let run = lab.runs().into_iter().find(|run| run.ends_with(&theirs)).expect("the run");
            let is_denied = |event: &Value| {
                audit::name(event) == "denial"
                    && event
                        .get("reason")
                        .and_then(Value::as_str)
                        .is_some_and(|reason| reason.contains("none of this run's"))
            };
            assert!(audit::events(&run).iter().any(is_denied), "as {}", lab.who.name);
        }
    });
}
