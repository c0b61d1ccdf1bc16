//! The broker's socket: it is there, it can be connected to, and nothing else can be done with it.

use crate::program::{ASK, as_each, run};

#[test]
fn the_agent_can_ask_and_neither_remove_nor_replace_what_it_asks() {
    as_each(|lab| {
        let script = format!(
            "{ASK}
print(ask('echo hello'))
mode = os.stat(SOCKET).st_mode
print(stat.S_ISSOCK(mode), oct(stat.S_IMODE(mode)))
def bind():
    socket.socket(socket.AF_UNIX).bind(SOCKET)
for name, act in [
    ('unlink', lambda: os.unlink(SOCKET)),
    ('rename', lambda: os.rename(SOCKET, '/agentrc/other')),
    ('over', lambda: os.rename('/tmp', SOCKET)),
    ('chmod', lambda: os.chmod(SOCKET, 0o777)),
    ('bind', bind),
    ('beside', lambda: open('/agentrc/other', 'w')),
]:
    try:
        act()
        print(name, 'DONE')
    except OSError as error:
        print(name, 'refused')
print(ask('echo still there'))
"
        );
        let outcome = run(lab, "", &script, &[]);
        outcome.expect_code(0);
        let expected = "hello\nTrue 0o600\nunlink refused\nrename refused\nover refused\nchmod refused\nbind refused\n\
                        beside refused\nstill there\n";
        assert_eq!(outcome.out(), expected, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("\"socket\": \"/agentrc/broker.sock\""),
            "evidence: {}",
            outcome.stderr
        );
    });
}

#[test]
fn nobody_outside_has_it_at_any_path() {
    as_each(|lab| {
        let script = format!("{ASK}\nprint(ask('echo hello'))");
        run(lab, "", &script, &[]).expect_code(0);
        assert!(!std::path::Path::new("/agentrc").exists());
        let state = std::fs::read_dir(lab.path("state/run")).expect("the run's folder");
        assert_eq!(state.count(), 0);
    });
}

#[test]
fn without_a_broker_that_serves_it_nothing_is_executed() {
    as_each(|lab| {
        for (words, expected) in [
            (&["no-broker"][..], "refused at broker: nothing serves the broker's socket"),
            (&["unready"], "refused at serve-broker: it does not want to"),
            (&["socket", "/tmp/broker.sock"], "refused at prepare-mounts: the broker's socket"),
            (&["socket", "/usr/broker.sock"], "refused at prepare-mounts: the broker's socket"),
            (&["fault", "make-socket"], "refused at make-socket: could not make the broker's socket"),
            (&["fault", "send-sockets"], "refused at send-sockets:"),
            (&["fault", "serve-broker"], "refused at serve-broker:"),
        ] {
            let outcome = run(lab, "", "print('executed')", words);
            outcome.expect_code(125);
            assert!(outcome.stderr.contains(expected), "{words:?}: {}", outcome.stderr);
            assert!(outcome.stdout.is_empty(), "{words:?}: {}", outcome.out());
        }
        // Control: with it, it is.
        assert_eq!(run(lab, "", "print('executed')", &[]).out(), "executed\n");
    });
}

#[test]
fn a_broker_that_fails_ends_the_run() {
    as_each(|lab| {
        let script = format!("{ASK}\nask('die')\nopen('/tmp/never', 'w')\nprint('went on')");
        let outcome = run(lab, "", &script, &[]);
        outcome.expect_code(137);
        assert!(outcome.stderr.contains("killed: the broker ended before the agent"), "{}", outcome.stderr);
        assert!(!outcome.out().contains("went on"));
    });
}
