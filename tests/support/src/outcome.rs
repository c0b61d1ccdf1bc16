//! A command that was started, and what came of it.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::audit;
use crate::lab::Lab;

/// How long anything may take before the test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// Events of the last run in the lab's state folder, when the command made one.
    pub events: Vec<Value>,
}

impl Outcome {
    /// Exit code, or minus the signal that ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Says that it ended with this code.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.out(), self.stderr);
        self
    }

    /// Says that it was refused, with all of these words in the message.
    #[track_caller]
    pub fn expect_refusal(&self, words: &[&str]) -> &Self {
        self.expect_code(125);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in the refusal:\n{}", self.stderr);
        }
        self
    }

    /// The denial of this act, which must be on record.
    #[track_caller]
    pub fn denial_of(&self, act: &str) -> &Value {
        let denials = self.events_named("denial");
        let found = denials.iter().find(|event| event.get("act").and_then(Value::as_str) == Some(act));
        found.unwrap_or_else(|| panic!("no denial of `{act}` in {denials:?}\n--- stdout\n{}", self.out()))
    }

    /// The events with this name, such as `run.armed`.
    pub fn events_named(&self, name: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| audit::name(event) == name).collect()
    }
}

/// A command that is running.
pub struct Child {
    process: std::process::Child,
    started: Instant,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    state: std::path::PathBuf,
    runs_before: usize,
}

impl Child {
    /// Starts it, with pipes for whatever the command does not set otherwise.
    pub fn start(lab: &Lab, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start_with(lab, command)
    }

    /// Starts it with the standard streams that the command has.
    pub fn start_with(lab: &Lab, mut command: Command) -> Self {
        let runs_before = lab.runs().len();
        let mut process = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let (stdout, stderr) = (Arc::<Output>::default(), Arc::<Output>::default());
        let mut readers = Vec::new();
        if let Some(stream) = process.stdout.take() {
            readers.push(collect(stream, Arc::clone(&stdout)));
        }
        if let Some(stream) = process.stderr.take() {
            readers.push(collect(stream, Arc::clone(&stderr)));
        }
        Self { process, started: Instant::now(), stdout, stderr, readers, state: lab.state(), runs_before }
    }

    /// Process id on the host.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Writes to its standard input.
    pub fn send(&mut self, text: &str) {
        let input = self.process.stdin.as_mut().expect("standard input");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("write to standard input");
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.process.stdin.take();
    }

    /// What it wrote so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// What it said so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// The next whole line of its output after `seen` bytes; nothing when none came in time, or its output has ended.
    pub(crate) fn line_after(&self, seen: usize, patience: Duration) -> Option<String> {
        self.stdout.line_after(seen, patience)
    }

    /// Waits until standard output contains a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let found = within(PATIENCE / 2, || self.out().contains(text));
        assert!(
            found,
            "no `{text}` on standard output\n--- stdout\n{}\n--- stderr\n{}",
            self.out(),
            self.err()
        );
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), signal).expect("kill");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("wait").is_some()
    }

    /// Waits for its end. One that does not end is killed, and fails the test.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let ended = within(PATIENCE, || self.process.try_wait().expect("wait").is_some());
        if !ended {
            self.process.kill().expect("kill");
        }
        let status = self.process.wait().expect("wait");
        let took = self.started.elapsed();
        // A process that outlives the command would hold the pipes open: do not wait for ever.
        let done = within(Duration::from_secs(20), || self.readers.iter().all(JoinHandle::is_finished));
        let outcome = Outcome {
            status,
            stdout: self.stdout.so_far(),
            stderr: self.err(),
            took,
            events: audit::runs(&self.state)
                .get(self.runs_before..)
                .and_then(<[_]>::last)
                .map(|run| audit::events(run))
                .unwrap_or_default(),
        };
        assert!(
            ended,
            "it did not end within {PATIENCE:?}\n--- stdout\n{}\n--- stderr\n{}",
            outcome.out(),
            outcome.stderr
        );
        assert!(done, "somebody still holds its standard output after its end");
        outcome
    }
}

/// What came out of a stream so far.
#[derive(Default)]
struct Output {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Output {
    fn so_far(&self) -> Vec<u8> {
        self.state.lock().expect("lock").0.clone()
    }

    fn line_after(&self, seen: usize, patience: Duration) -> Option<String> {
        let end = Instant::now() + patience;
        let mut state = self.state.lock().expect("lock");
        loop {
            let rest = state.0.get(seen..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                return Some(String::from_utf8_lossy(&rest[..length]).into_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).expect("lock").0;
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static, into: Arc<Output>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 65536];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            into.state.lock().expect("lock").0.extend_from_slice(&buffer[..n]);
            into.changed.notify_all();
        }
        into.state.lock().expect("lock").1 = true;
        into.changed.notify_all();
    })
}

/// Says that what an attempt measures is less than promised, in one of three attempts: a machine that stalls for a moment delays one
/// of them, a program that is slow delays all.
#[track_caller]
pub fn prompt(promised: Duration, mut attempt: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 {
        let time = attempt();
        if time < promised {
            return;
        }
        took.push(time);
    }
    panic!("it took {took:?}, and {promised:?} is promised");
}

/// Asks again and again until the answer is yes or the time is over.
pub fn within(time: Duration, mut question: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if question() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
