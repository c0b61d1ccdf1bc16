//! A program of the attacker's that runs outside, beside the sandbox: a victim, a keeper of shared memory.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::lab::Lab;
use crate::outcome::{PATIENCE, within};

/// A helper, ended when dropped.
pub struct Helper {
    process: Child,
    input: RefCell<Option<ChildStdin>>,
    output: RefCell<BufReader<ChildStdout>>,
    /// Whether it removes what it made, and ends, when its input does. Others wait for ever.
    removes: bool,
}

impl Helper {
    /// Starts one, as the lab's identity.
    pub fn start(lab: &Lab, words: &[&str]) -> Self {
        let mut command = lab.command(lab.attacker(lab.path("helper")));
        let mut process =
            command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("helper");
        let input = RefCell::new(process.stdin.take());
        let output = RefCell::new(BufReader::new(process.stdout.take().expect("stdout")));
        Self { process, input, output, removes: words.first() == Some(&"keeper") }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The next line that it writes.
    pub fn line(&self) -> String {
        let mut line = String::new();
        self.output.borrow_mut().read_line(&mut line).expect("a line of the helper");
        line.trim().to_owned()
    }

    /// Asks for its state.
    pub fn ask(&self) -> String {
        self.input.borrow_mut().as_mut().expect("its input").write_all(b"\n").expect("ask the helper");
        self.line()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.input.take();
        let ended = || self.process.try_wait().is_ok_and(|ended| ended.is_some());
        if !(self.removes && within(PATIENCE / 2, ended)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
