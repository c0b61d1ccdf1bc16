//! The caller inside: it measures, prints its numbers, and stays until it is told to end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Counted calls of the built-in tool, and of programs.
const CALLS: usize = 5000;
const PROGRAMS: usize = 60;
/// Calls that are under way at a time, for how many there may be in a second.
const AT_ONCE: usize = 16;

/// Somebody who speaks the protocol: the broker, or a server.
struct Peer<R, W> {
    reader: BufReader<R>,
    writer: W,
    line: String,
}

fn broker() -> Result<Peer<UnixStream, UnixStream>, String> {
    let writer = UnixStream::connect("/agentrc/broker.sock").map_err(|error| error.to_string())?;
    let reader = writer.try_clone().map_err(|error| error.to_string())?;
    Peer::greeted(reader, writer)
}

impl<R: Read, W: Write> Peer<R, W> {
    fn greeted(reader: R, writer: W) -> Result<Self, String> {
        let mut broker = Self { reader: BufReader::new(reader), writer, line: String::new() };
        broker.send("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n")?;
        broker.hear()?;
        broker.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        Ok(broker)
    }

    fn send(&mut self, message: &str) -> Result<(), String> {
        self.writer.write_all(message.as_bytes()).map_err(|error| error.to_string())
    }

    fn hear(&mut self) -> Result<(), String> {
        self.line.clear();
        self.reader.read_line(&mut self.line).map_err(|error| error.to_string())?;
        let good = self.line.contains("\"result\"") && !self.line.contains("\"isError\":true");
        if good { Ok(()) } else { Err(format!("it said: {}", self.line.trim_end())) }
    }

    fn call(&mut self, id: usize, tool: &str) -> Result<(), String> {
        self.send(&message(id, tool))?;
        self.hear()
    }
}

fn message(id: usize, tool: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{{}}}}}}\n"
    )
}

/// `caller`: prints p50 and p99 in microseconds of a call, of a program's call, of that program alone, of `/agentrc/tools/NAME`, of a call
/// of a server's tool, of the same server asked directly, and how many calls there are in a second.
pub(crate) fn run() -> Result<(), String> {
    let mut broker = broker()?;
    let call = spread(CALLS, |n| broker.call(n + 1, "current_time"))?;
    let program = spread(PROGRAMS, |n| broker.call(n + 1, "true0"))?;
    let direct = spread(PROGRAMS, |_| execute("/agentrc/src/tools/true0"))?;
    let command = spread(PROGRAMS, |_| execute("/agentrc/tools/current_time"))?;
    let server = spread(CALLS, |n| broker.call(n + 1, "own.act"))?;
    let alone = alone()?;
    let start = Instant::now();
    for round in 0..CALLS / AT_ONCE {
        let messages: String =
            (0..AT_ONCE).map(|n| message(round * AT_ONCE + n + 1, "current_time")).collect();
        broker.send(&messages)?;
        (0..AT_ONCE).try_for_each(|_| broker.hear())?;
    }
    let per_second = (CALLS / AT_ONCE * AT_ONCE) as f64 / start.elapsed().as_secs_f64();
    let all = [call, program, direct, command, server, alone].concat();
    let words: Vec<_> = all.iter().map(|number| format!("{number:.1}")).collect();
    println!("{} {per_second:.0}", words.join(" "));
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    std::io::stdin().read(&mut [0]).map(drop).map_err(|error| error.to_string())
}

/// The same server, without a broker and a sandbox between.
fn alone() -> Result<Vec<f64>, String> {
    let mut server = Command::new("/agentrc/src/bench")
        .arg("server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (Some(stdin), Some(stdout)) = (server.stdin.take(), server.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut peer = Peer::greeted(stdout, stdin)?;
    let times = spread(CALLS, |n| peer.call(n + 1, "act"));
    drop(peer);
    server.wait().map_err(|error| error.to_string())?;
    times
}

fn execute(program: &str) -> Result<(), String> {
    let status = Command::new(program).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}`: {status}")),
        Err(error) => Err(format!("`{program}`: {error}")),
    }
}

/// p50 and p99 of so many, in microseconds, after a tenth of them that do not count.
fn spread(count: usize, mut act: impl FnMut(usize) -> Result<(), String>) -> Result<Vec<f64>, String> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count + count / 10 {
        let start = Instant::now();
        act(number)?;
        if number >= count / 10 {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(count * share / 100).copied().ok_or("nothing was measured");
    Ok(vec![at(50)?, at(99)?])
}
