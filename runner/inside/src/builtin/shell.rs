//! `shell`: a command for `/bin/sh`, with what it says on both streams.

use std::io::{self, Read, copy, sink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde_json::{Value, json};

use super::Arguments;

/// Bytes of each stream that are kept; the rest is counted.
const KEPT: u64 = 256 << 10;
/// Seconds that a command may take that says nothing else.
const USUAL: u64 = 60;

pub(super) fn shell(arguments: &Arguments) -> Result<Value, String> {
    let command = arguments.text("command")?;
    let seconds = arguments.number("timeout_seconds", 1..=600, USUAL)?;
    let directory = arguments.optional_text("directory")?;
    let mut child = start(command, directory)?;
    let group = Pid::from_child(&child);
    let (said, heard) = channel();
    let open = "a stream of the command could not be opened";
    listen(child.stdout.take().ok_or(open)?, said.clone(), Event::Output);
    listen(child.stderr.take().ok_or(open)?, said.clone(), Event::Complaint);
    thread::spawn(move || said.send(Event::Ended(wait(child, group))));

    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut output, mut complaint, mut ended) = (None, None, None);
    loop {
        if let (Some(output), Some(complaint), Some(status)) = (&output, &complaint, ended) {
            return Ok(result(status, output, complaint));
        }
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Output(kept)) => output = Some(kept.map_err(lost)?),
            Ok(Event::Complaint(kept)) => complaint = Some(kept.map_err(lost)?),
            Ok(Event::Ended(status)) => ended = Some(status.map_err(lost)?),
            Err(_) => {
                let _ = kill_process_group(group, Signal::KILL);
                return Err(match ended {
                    None => format!("the command took more than {seconds} s, and was ended"),
                    Some(_) => format!(
                        "the command ended, but what it left behind held its output open for more than {seconds} s"
                    ),
                });
            }
        }
    }
}

fn start(command: &str, directory: Option<&str>) -> Result<Child, String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).process_group(0);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if command.contains('\0') {
        return Err("`command` has a NUL in it".to_owned());
    }
    if let Some(directory) = directory {
        // Told apart from a shell that is not there.
        match Path::new(directory).metadata() {
            Ok(found) if found.is_dir() => shell.current_dir(directory),
            Ok(_) => return Err(format!("`{directory}` is no folder")),
            Err(error) => return Err(format!("`{directory}`: {error}")),
        };
    }
    shell.spawn().map_err(|error| format!("`/bin/sh` cannot be executed: {error}"))
}

/// What happens to a command.
enum Event {
    Output(io::Result<Kept>),
    Complaint(io::Result<Kept>),
    Ended(io::Result<ExitStatus>),
}

/// The first bytes of a stream, and how many it had.
struct Kept {
    bytes: Vec<u8>,
    all: u64,
}

/// Reads a stream to its end.
fn listen(mut stream: impl Read + Send + 'static, to: Sender<Event>, event: fn(io::Result<Kept>) -> Event) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let kept = (&mut stream).take(KEPT).read_to_end(&mut bytes);
        let rest = kept.and_then(|_| copy(&mut stream, &mut sink()));
        to.send(event(rest.map(|rest| Kept { all: bytes.len() as u64 + rest, bytes })))
    });
}

/// Waits for the shell's end. What it left in the background is ended before the shell is reaped: until then its number is nobody
/// else's.
fn wait(mut child: Child, group: Pid) -> io::Result<ExitStatus> {
    while let Err(errno) = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if errno != Errno::INTR {
            return Err(errno.into());
        }
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()
}

fn result(status: ExitStatus, output: &Kept, complaint: &Kept) -> Value {
    let truncated = [output, complaint].iter().any(|kept| kept.all > KEPT);
    let mut result = json!({
        "stdout": String::from_utf8_lossy(&output.bytes),
        "stderr": String::from_utf8_lossy(&complaint.bytes),
        "truncated": truncated,
    });
    if let Some(members) = result.as_object_mut() {
        let (name, number) = match (status.code(), status.signal()) {
            (Some(code), _) => ("exit_code", code.into()),
            (None, signal) => ("signal", signal.into()),
        };
        members.insert(name.to_owned(), number);
        if truncated {
            members.insert("bytes".to_owned(), json!({ "stdout": output.all, "stderr": complaint.all }));
        }
    }
    result
}

fn lost(error: io::Error) -> String {
    format!("the command cannot be waited for: {error}")
}
