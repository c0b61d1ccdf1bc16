//! `shell`: a command for `/bin/sh`, with what it says on both streams.

use std::io::{Read, copy, sink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::Arguments;

/// Bytes of each stream that are kept.
const KEPT: u64 = 256 << 10;
/// Seconds that a command may take that says nothing else.
const USUAL: u64 = 60;

pub(super) fn shell(arguments: &Arguments) -> Result<Value, String> {
    let command = arguments.text("command")?;
    let seconds = arguments.number("timeout_seconds", 1..=600, USUAL)?;
    let mut made = Command::new("/bin/sh");
    made.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = arguments.optional_text("directory")? {
        made.current_dir(directory);
    }
    let mut child = made.spawn().map_err(|error| format!("`/bin/sh` cannot be executed: {error}"))?;
    let streams = [child.stdout.take().map(keep), child.stderr.take().map(keep)];
    let (ended, wait) = channel();
    // It is ended with this process, which is all that is left of the call then.
    thread::spawn(move || {
        let _ = ended.send(child.wait());
    });
    let status = wait.recv_timeout(Duration::from_secs(seconds));
    let status = status.map_err(|_| format!("the command took more than {seconds} s, and was ended"))?;
    let status = status.map_err(|error| format!("the command cannot be waited for: {error}"))?;
    let [stdout, stderr] =
        streams.map(|stream| stream.and_then(|stream| stream.join().ok()).unwrap_or_default());
    Ok(json!({
        "exit_code": status.code(),
        "signal": status.signal(),
        "stdout": String::from_utf8_lossy(&stdout.0),
        "stderr": String::from_utf8_lossy(&stderr.0),
        "truncated": stdout.1 || stderr.1,
    }))
}

/// Reads a stream to its end. Its first bytes, and whether there were more.
fn keep(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<(Vec<u8>, bool)> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = (&mut stream).take(KEPT).read_to_end(&mut bytes);
        let more = copy(&mut stream, &mut sink()).unwrap_or(0);
        (bytes, more > 0)
    })
}
