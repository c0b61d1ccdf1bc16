//! A running attacker (`attack serve`), in a sandbox or outside, that makes one attempt per line and holds what it
//! gained until the test has looked.

use std::process::Command;

use crate::lab::Lab;
use crate::outcome::{Child, Outcome, PATIENCE};
use crate::outside::{self, Holding};

/// What the kernel answered to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A value.
    Value(i64),
    /// An error, by name.
    Error(String),
    /// The attempt was ended by this signal.
    Signal(i32),
    /// The attempt ended without an answer.
    Exited(i32),
    /// The attempt became another program.
    Became,
    /// Nothing came in ten seconds.
    Hang,
}

impl Answer {
    /// The value; anything else is a failed test.
    #[track_caller]
    pub fn value(&self) -> i64 {
        match self {
            Self::Value(value) => *value,
            other => panic!("not a value: {other:?}"),
        }
    }

    /// Whether something refused the call before the kernel looked at its arguments: EPERM, EACCES, ENOSYS, or death by
    /// a system call filter (SIGSYS).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Error(name) => matches!(name.as_str(), "EPERM" | "EACCES" | "ENOSYS"),
            Self::Signal(signal) => *signal == 31,
            _ => false,
        }
    }
}

/// An attempt that was made, and is held.
#[derive(Debug)]
pub struct Made {
    /// The kernel's answer, as the attacker reports it.
    pub answer: Answer,
    /// Bytes that came out.
    pub leaked: Vec<Vec<u8>>,
    /// Process id of the attempt on the host, when it is still there.
    pub pid: Option<u32>,
}

impl Made {
    /// Everything that came out, as text.
    pub fn text(&self) -> String {
        self.leaked.iter().map(|bytes| String::from_utf8_lossy(bytes) + "\n").collect()
    }
}

/// A running `attack serve`.
pub struct Session {
    child: Child,
    seen: usize,
    server: u32,
    /// What the attacker had when it started.
    pub at_start: Holding,
}

impl Session {
    /// Starts one: the command must lead to `attack serve` on its standard streams.
    #[track_caller]
    pub fn start(lab: &Lab, command: Command) -> Self {
        let mut session =
            Self { child: Child::start(lab, command), seen: 0, server: 0, at_start: Holding::default() };
        let line = session.line();
        let inside: u32 = line
            .strip_prefix("ready ")
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("not ready: {line}"));
        session.server =
            session.find(inside, None).expect("the attacker among the descendants of the command");
        session.at_start = Holding::of(session.server);
        session
    }

    /// Host process id of the command that was started.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Host process id of `attack serve`.
    pub fn server(&self) -> u32 {
        self.server
    }

    /// The process with this id inside, among the descendants of the command.
    fn find(&self, inside: u32, parent: Option<u32>) -> Option<u32> {
        outside::tree(parent.unwrap_or(self.child.pid())).into_iter().rev().find(|pid| {
            outside::pids_in_namespaces(*pid).last() == Some(&inside)
                && std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|comm| parent.is_some() || comm.trim() == "attack")
        })
    }

    #[track_caller]
    fn line(&mut self) -> String {
        match self.child.line_after(self.seen, PATIENCE / 2) {
            Some(line) => {
                self.seen += line.len() + 1;
                line
            }
            None => panic!(
                "the attacker {}:\n--- stdout\n{}\n--- stderr\n{}",
                if self.child.has_ended() { "has ended" } else { "does not answer" },
                self.child.out(),
                self.child.err()
            ),
        }
    }

    /// Makes an attempt and holds it.
    #[track_caller]
    pub fn attempt(&mut self, act: &str) -> Made {
        self.child.send(&format!("{act}\n"));
        let mut leaked = Vec::new();
        let line = loop {
            let line = self.line();
            match line.strip_prefix("< ") {
                Some(hex) => leaked.push(unhex(hex)),
                None => break line,
            }
        };
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, kind, value, pid] = words[..] else { panic!("not an answer: {line}") };
        let number = value.parse::<i64>().unwrap_or_default();
        let answer = match kind {
            "ok" => Answer::Value(number),
            "errno" => Answer::Error(value.to_owned()),
            "signal" => Answer::Signal(number as i32),
            "exited" => Answer::Exited(number as i32),
            "became" => Answer::Became,
            "timeout" => Answer::Hang,
            other => panic!("not an answer: {other}"),
        };
        Made { answer, leaked, pid: pid.parse().ok().and_then(|inside| self.find(inside, Some(self.server))) }
    }

    /// Lets go of what the last attempt held; returns what came out meanwhile.
    #[track_caller]
    pub fn release(&mut self) -> Vec<Vec<u8>> {
        self.child.send(".\n");
        let mut leaked = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix("< ") {
                Some(hex) => leaked.push(unhex(hex)),
                None => {
                    assert_eq!(line, ".", "the attacker's answer to a release");
                    return leaked;
                }
            }
        }
    }

    /// An attempt whose gain is not looked at: made and released.
    #[track_caller]
    pub fn act(&mut self, act: &str) -> Made {
        let mut made = self.attempt(act);
        made.leaked.extend(self.release());
        made
    }

    /// Whether the command has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.has_ended()
    }

    /// What was said on standard error so far.
    pub fn err(&self) -> String {
        self.child.err()
    }

    /// Ends the attacker and waits for the command.
    #[track_caller]
    pub fn end(mut self) -> Outcome {
        self.child.close_input();
        self.child.finish()
    }

    /// The command itself, to be signalled and waited for.
    pub fn into_child(self) -> Child {
        self.child
    }
}

/// Bytes of a line that [`leak`](self) wrote.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Writes bytes as one word of a line of the attacker.
pub fn word(bytes: impl AsRef<[u8]>) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'%';
    bytes
        .as_ref()
        .iter()
        .map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02x}") })
        .collect()
}
