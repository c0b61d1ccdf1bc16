//! A connection to the session's bus (D-Bus Specification 0.43): authentication, calls, and replies. Replies may hold a
//! secret and are wiped.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::super::Environment;
use super::message::{self, Call, Kind, Reply};

/// For the connection and for each call. A service may have to be started.
const TIME: Duration = Duration::from_secs(5);
/// The most bytes of a message.
const LARGEST: usize = 256 * 1024;
/// The most messages that are not the reply before it comes.
const OTHERS: usize = 64;

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it answers with the error `{0}`")]
    Named(String),
    #[error("the bus: {0}")]
    Bus(#[from] io::Error),
    #[error("what it answers is not what its API describes")]
    Malformed,
}

/// Errors of the bus itself that say that nobody has the name.
pub(super) fn is_no_service(name: &str) -> bool {
    let behind = name.strip_prefix("org.freedesktop.DBus.Error.").unwrap_or_default();
    behind.starts_with("Spawn.") || ["ServiceUnknown", "NameHasNoOwner"].contains(&behind)
}

/// A connection.
pub(super) struct Bus {
    stream: UnixStream,
    until: Instant,
    serial: u32,
}

impl Bus {
    /// Connects to the session's bus.
    ///
    /// # Errors
    /// That there is none, in words.
    pub(super) fn connect(environment: &Environment) -> Result<Self, String> {
        let address = match environment.text_of("DBUS_SESSION_BUS_ADDRESS") {
            Some(text) => parse(&text).ok_or("`DBUS_SESSION_BUS_ADDRESS` names no unix socket")?,
            None => {
                let folder = environment.text_of("XDG_RUNTIME_DIR").map(PathBuf::from);
                let path = folder.map(|folder| folder.join("bus")).filter(|path| path.exists());
                let path = path.ok_or("there is no session bus, so no Secret Service")?;
                SocketAddr::from_pathname(path).map_err(|why| format!("the session's bus: {why}"))?
            }
        };
        let none = |why: io::Error| {
            format!("the session's bus, and with it the Secret Service, cannot be reached: {why}")
        };
        let stream = UnixStream::connect_addr(&address).map_err(none)?;
        let mut bus = Self { stream, until: Instant::now() + TIME, serial: 0 };
        bus.authenticate().map_err(none)?;
        let hello = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            signature: "",
            arguments: &[],
        };
        bus.call(&hello, "s")
            .map_err(|why| format!("the session's bus does not take the connection: {why}"))?;
        Ok(bus)
    }

    /// "Authentication Protocol": as the user that the socket says.
    fn authenticate(&mut self) -> io::Result<()> {
        let user: String = rustix::process::geteuid()
            .as_raw()
            .to_string()
            .bytes()
            .map(|digit| format!("{digit:02x}"))
            .collect();
        self.write(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.read(&mut byte)?;
            line.extend(byte);
            if line.len() > 512 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak D-Bus"));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it does not accept this user"));
        }
        self.write(b"BEGIN\r\n")
    }

    /// The body of the reply, which must have this signature.
    pub(super) fn call(&mut self, call: &Call<'_>, signature: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.until = Instant::now() + TIME;
        self.serial += 1;
        let bytes = message::call(self.serial, call);
        self.write(&bytes)?;
        for _ in 0..OTHERS {
            let reply = self.message()?;
            // A bus also sends signals.
            if reply.to != Some(self.serial) {
                continue;
            }
            return match reply.kind {
                Kind::Return if reply.signature == signature => Ok(reply.body),
                Kind::Error => Err(Error::Named(reply.error)),
                _ => Err(Error::Malformed),
            };
        }
        Err(Error::Malformed)
    }

    /// The next message.
    pub(super) fn message(&mut self) -> Result<Reply, Error> {
        let mut fixed = [0; message::FIXED];
        self.read(&mut fixed)?;
        let (fields, body) = message::lengths(&fixed)
            .filter(|(fields, body)| fields + body <= LARGEST)
            .ok_or(Error::Malformed)?;
        let mut rest = Zeroizing::new(vec![0; fields + body]);
        self.read(&mut rest)?;
        message::reply(&fixed, &rest, fields).ok_or(Error::Malformed)
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
        } else {
            Ok(Some(left))
        }
    }

    fn read(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            self.stream.set_read_timeout(self.left()?)?;
            match self.stream.read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => into = into.get_mut(count..).unwrap_or_default(),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write_all(bytes)
    }
}

/// "Server Addresses": the first that is a unix socket.
fn parse(addresses: &str) -> Option<SocketAddr> {
    addresses.split(';').find_map(|address| {
        let mut keys = address.strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
        keys.find_map(|(key, value)| match key {
            "path" => SocketAddr::from_pathname(unescaped(value)?).ok(),
            "abstract" => SocketAddr::from_abstract_name(unescaped(value)?).ok(),
            _ => None,
        })
    })
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
