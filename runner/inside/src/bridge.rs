//! MCP's stdio transport (2025-11-25, "Transports"): lines of standard input go to the broker, its lines to standard output.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use crate::{session, words};

/// Bytes that are passed on at a time.
const PIECE: usize = 64 * 1024;

/// Until the broker ends the connection; the end of standard input ends what is sent, not what is still answered.
///
/// # Errors
/// There is no broker, or its answers cannot be passed on.
pub(crate) fn serve(path: &str) -> Result<(), String> {
    let stream = session::connect(path)?;
    let mut to = stream.try_clone().map_err(|error| format!("cannot use the socket: {error}"))?;
    // It ends with the process: nobody waits for input that does not come.
    std::thread::spawn(move || {
        // A broker that hears no more may still answer; when it is gone, its end of the connection says so.
        if let Err(Failure::Read(error)) = copy(&mut io::stdin().lock(), &mut to) {
            words::complain(&format!("agentrc: cannot read standard input: {error}"));
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    copy(&mut &stream, &mut io::stdout().lock()).map_err(|failure| match failure {
        Failure::Read(error) => {
            format!("the broker closed the connection before it had heard everything: {error}")
        }
        Failure::Write(error) => format!("cannot write to standard output: {error}"),
    })
}

/// Which side a copy failed on.
enum Failure {
    Read(io::Error),
    Write(io::Error),
}

/// As io::copy, but each piece at once: who reads lines waits for them.
fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<(), Failure> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Read(error)),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        to.write_all(piece).and_then(|()| to.flush()).map_err(Failure::Write)?;
    }
}
