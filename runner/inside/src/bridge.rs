//! MCP's stdio transport (2025-11-25, "Transports"): lines of standard input go to the broker, its lines to standard output.

use std::io::{self, Read, Write};
use std::net::Shutdown;

/// Until the broker ends the connection; the end of standard input ends what is sent, not what is still answered.
///
/// # Errors
/// There is no broker, or its answers cannot be passed on.
pub(crate) fn serve(path: &str) -> Result<(), String> {
    let stream = crate::connect(path)?;
    let mut to = stream.try_clone().map_err(|error| format!("cannot use the socket: {error}"))?;
    // It ends with the process: nobody waits for input that does not come.
    std::thread::spawn(move || {
        let _ = copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    copy(&mut &stream, &mut io::stdout().lock()).map_err(|error| format!("cannot pass on: {error}"))
}

/// As io::copy, but each piece at once: who reads lines waits for them.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}
