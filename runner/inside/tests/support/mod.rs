//! The program as it is called inside, and a broker that says what a test wants.

#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// The program, called `mcp`, with pipes.
pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentrc-inside"));
    command.arg0("mcp").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Gives `child` its input to the end, and waits for it.
pub(crate) fn finish(mut child: Child, input: &[u8]) -> Output {
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The result of a built-in tool; whether it succeeded.
pub(crate) fn builtin(name: &str, arguments: &Value) -> (bool, Value) {
    raw(program(&["--builtin", name]), arguments.to_string().as_bytes())
}

pub(crate) fn raw(mut command: Command, input: &[u8]) -> (bool, Value) {
    let output = finish(command.spawn().unwrap(), input);
    let line = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(line.matches('\n').count(), 1, "one line: {line} {}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), serde_json::from_str(line).unwrap())
}

/// What a failed call of a built-in tool says.
pub(crate) fn error(name: &str, arguments: &Value) -> String {
    let (ok, said) = builtin(name, arguments);
    assert!(!ok, "{name} {arguments}: {said}");
    assert_eq!(said.as_object().unwrap().len(), 1, "{said}");
    said["error"].as_str().unwrap().to_owned()
}

/// A folder of a test's own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in it, without symbolic links.
    pub(crate) fn at(&self, name: &str) -> String {
        let root = self.0.path().canonicalize().unwrap();
        let path = if name.is_empty() { root } else { root.join(name) };
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = PathBuf::from(self.at(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        self.at(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A broker that serves one connection.
pub(crate) struct Broker {
    _folder: Folder,
    pub(crate) socket: String,
    thread: JoinHandle<Vec<Value>>,
}

/// Its side of the connection.
pub(crate) struct Connection {
    reader: BufReader<UnixStream>,
    pub(crate) stream: UnixStream,
    /// What it was told.
    pub(crate) heard: Vec<Value>,
}

impl Connection {
    /// The next message; `None` at the end.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        assert!(line.ends_with('\n'), "half a line: {line}");
        let message: Value = serde_json::from_str(&line).unwrap();
        self.heard.push(message.clone());
        Some(message)
    }

    /// Lines that it says; it does not mind whether anybody listens.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = self.stream.write_all(format!("{line}\n").as_bytes());
    }

    pub(crate) fn answer(&mut self, to: &Value, result: &Value) {
        self.say(&json!({ "jsonrpc": "2.0", "id": to["id"], "result": result }).to_string());
    }

    /// The handshake, and then the call.
    pub(crate) fn called(&mut self) -> Value {
        let hello = self.hear().unwrap();
        assert_eq!(hello["method"], "initialize");
        assert_eq!(hello["params"]["protocolVersion"], "2025-11-25");
        assert!(hello["params"]["clientInfo"]["name"].is_string());
        let info = json!({ "name": "broker", "version": "1" });
        let result =
            json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": info });
        self.answer(&hello, &result);
        assert_eq!(self.hear().unwrap(), json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let call = self.hear().unwrap();
        assert_eq!(call["method"], "tools/call");
        call
    }
}

impl Broker {
    pub(crate) fn new(serve: impl FnOnce(&mut Connection) + Send + 'static) -> Self {
        let folder = Folder::new();
        let socket = folder.at("broker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let reader = BufReader::new(stream.try_clone().unwrap());
            let mut connection = Connection { reader, stream, heard: Vec::new() };
            serve(&mut connection);
            connection.heard
        });
        Self { _folder: folder, socket, thread }
    }

    /// One that answers a call with `result`.
    pub(crate) fn answering(result: Value) -> Self {
        Self::new(move |connection| {
            let call = connection.called();
            connection.answer(&call, &result);
        })
    }

    /// The program, called as `link` with `words`, asks it.
    pub(crate) fn ask(&self, link: &str, words: &[&str], input: &[u8]) -> Output {
        let words = [&["--socket", &self.socket, "--call", link], words].concat();
        finish(program(&words).spawn().unwrap(), input)
    }

    /// What it was told, when it has ended.
    pub(crate) fn heard(self) -> Vec<Value> {
        self.thread.join().unwrap()
    }
}

/// Exit code, output, complaint.
pub(crate) fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
