//! The world's git server: `git http-backend` behind a front of CGI (RFC 3875), as a forge has it. Repositories are folders
//! among the served files.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

/// The repositories, and whose they are: only their owner may serve them.
#[derive(Debug, Clone)]
pub(super) struct Repositories {
    pub(super) folder: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Answers a request below `/git/`. On a thread of its own, so that other connections go on.
pub(super) async fn answer(served: &Repositories, parts: &Parts, body: Vec<u8>) -> Response<Bytes> {
    let backend = backend(served, parts, body.len());
    let output = tokio::task::spawn_blocking(move || run(backend, &body)).await.expect("git http-backend");
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("the head of an answer of CGI");
    let head = std::str::from_utf8(&output[..end]).expect("text");
    let mut response = Response::new(Bytes::copy_from_slice(&output[end + 4..]));
    for (name, value) in head.split("\r\n").filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = StatusCode::from_bytes(&value.as_bytes()[..3]).expect("a status");
        } else {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).expect("a field");
            response.headers_mut().append(name, value.parse().expect("a value"));
        }
    }
    response
}

fn backend(served: &Repositories, parts: &Parts, length: usize) -> Command {
    let mut command = Command::new("/usr/bin/git");
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GIT_PROJECT_ROOT", &served.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path().strip_prefix("/git").unwrap_or_default())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", length.to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "somebody")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if crate::identity::started_as_root() {
        command.uid(served.uid).gid(served.gid);
    }
    command
}

fn run(mut command: Command, body: &[u8]) -> Vec<u8> {
    let mut backend = command.spawn().expect("git http-backend");
    let mut input = backend.stdin.take().expect("its standard input");
    std::thread::scope(|scope| {
        // One that has read enough closes its end.
        scope.spawn(move || input.write_all(body));
        backend.wait_with_output().expect("its answer").stdout
    })
}
