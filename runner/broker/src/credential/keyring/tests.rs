//! The keyring on a real bus: `dbus-daemon`, and a Secret Service with a few items.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;

use super::super::message::{Cursor, Writer};
use super::super::value;
use super::*;

/// A bus of the test's own.
struct Daemon {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn daemon() -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.conf");
    let socket = folder.path().join("socket");
    let policy = "<policy context='default'><allow send_destination='*'/><allow eavesdrop='false'/><allow own='*'/></policy>";
    let configuration = format!(
        "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' 'busconfig.dtd'>\
         <busconfig><type>session</type><listen>unix:path={}</listen>{policy}</busconfig>",
        socket.display()
    );
    std::fs::write(&path, configuration).unwrap();
    let mut child = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", path.display()))
        .args(["--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs dbus-daemon (Debian: `dbus-daemon`)");
    let mut address = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    Daemon { child, address: address.trim().to_owned(), folder }
}

fn environment(daemon: &Daemon) -> Environment {
    let address = daemon.address.clone();
    let folder = daemon.folder.path();
    Environment {
        folder: folder.to_owned(),
        home: None,
        keyring: folder.join("keyring"),
        variables: Box::new(move |name| {
            (name == "DBUS_SESSION_BUS_ADDRESS").then(|| OsString::from(address.clone()))
        }),
    }
}

/// Serves `items`: the key and how often it is found unlocked, how often locked.
fn serve(environment: &Environment, items: &'static [(&'static str, usize, usize)]) {
    let mut bus = Bus::connect(environment).unwrap();
    let body = {
        let mut body = Writer::default();
        body.text("org.freedesktop.secrets");
        body.number(4);
        body.0
    };
    let fields = [
        (1, "o", "/org/freedesktop/DBus"),
        (2, "s", "org.freedesktop.DBus"),
        (3, "s", "RequestName"),
        (6, "s", "org.freedesktop.DBus"),
        (8, "g", "su"),
    ];
    bus.write(&message::message(1, 2, None, &fields, &body)).unwrap();
    while bus.message().unwrap().to != Some(2) {}
    std::thread::spawn(move || {
        let mut serial = 2;
        loop {
            bus.until = Instant::now() + Duration::from_secs(60);
            let mut fixed = [0; message::FIXED];
            // The bus ends with the test.
            if bus.read(&mut fixed).is_err() {
                return;
            }
            let (fields, body) = message::lengths(&fixed).unwrap();
            let mut rest = vec![0; fields + body];
            bus.read(&mut rest).unwrap();
            if fixed[1] != 1 {
                continue;
            }
            serial += 1;
            let (caller, member) = (field(&rest, 7), field(&rest, 3));
            let number = u32::from_le_bytes(fixed[8..12].try_into().unwrap());
            let (signature, body) = answer(&member, &rest[fields..], items);
            let fields = [(6, "s", caller.as_str()), (8, "g", signature)];
            bus.write(&message::message(2, serial, Some(number), &fields, &body)).unwrap();
        }
    });
}

/// A field of a message that is a text.
fn field(rest: &[u8], wanted: u8) -> String {
    let mut at = 0_usize;
    loop {
        at = at.next_multiple_of(8);
        let code = rest[at];
        let is_signature = rest[at + 2] == b'g';
        let mut cursor = Cursor::new(rest);
        cursor.align(8).unwrap();
        let from = at + 4;
        let length = if is_signature {
            usize::from(rest[from])
        } else {
            u32::from_le_bytes(rest[from..from + 4].try_into().unwrap()) as usize
        };
        let begin = from + if is_signature { 1 } else { 4 };
        if code == wanted {
            return String::from_utf8(rest[begin..begin + length].to_vec()).unwrap();
        }
        at = begin + length + 1;
    }
}

fn answer(member: &str, body: &[u8], items: &[(&str, usize, usize)]) -> (&'static str, Vec<u8>) {
    let mut out = Writer::default();
    match member {
        "OpenSession" => {
            let mut arguments = Cursor::new(body);
            assert_eq!((arguments.text(), arguments.variant_of_text()), (Some("plain"), Some("")));
            out.signature("s");
            out.text("");
            out.text("/org/freedesktop/secrets/session/1");
            ("vo", out.0)
        }
        "SearchItems" => {
            let mut arguments = Cursor::new(body);
            arguments.number().unwrap();
            let mut pairs = Vec::new();
            while arguments.align(8).is_some() {
                let Some(name) = arguments.text() else { break };
                pairs.push((name, arguments.text().unwrap()));
            }
            assert_eq!(pairs[0], ("service", "agentrc"));
            assert_eq!(pairs[1].0, "key");
            let (_, unlocked, locked) = items.iter().find(|item| item.0 == pairs[1].1).unwrap_or(&("", 0, 0));
            for count in [unlocked, locked] {
                out.array(4, |out| {
                    (0..*count).for_each(|n| out.text(&format!("/org/freedesktop/secrets/item/{n}")))
                });
            }
            ("aoao", out.0)
        }
        "GetSecret" => {
            out.text("/org/freedesktop/secrets/session/1");
            out.array(1, |_| ());
            out.array(1, |out| out.0.extend(b"canary-in-keyring"));
            out.text("text/plain");
            ("(oayays)", out.0)
        }
        other => unreachable!("{other}"),
    }
}

#[test]
fn a_key_of_the_secret_service_is_read() {
    let daemon = daemon();
    let environment = environment(&daemon);
    serve(&environment, &[("api", 1, 0), ("two", 2, 0), ("locked", 0, 1)]);
    assert_eq!(*value("api", &environment).unwrap(), b"canary-in-keyring");
    let none = value("none", &environment).unwrap_err();
    assert!(
        none.contains("no item") && none.contains("secret-tool store") && none.contains("keyring/none"),
        "{none}"
    );
    assert!(value("two", &environment).unwrap_err().contains("several items"));
    // A file does not take the place of a keyring that is locked.
    keep(&environment, "locked", "canary-in-file", 0o600);
    assert!(value("locked", &environment).unwrap_err().contains("locked: unlock it"));
    keep(&environment, "none", "canary-in-file\n", 0o600);
    assert_eq!(*value("none", &environment).unwrap(), b"canary-in-file");
}

fn keep(environment: &Environment, key: &str, text: &str, mode: u32) {
    std::fs::create_dir_all(&environment.keyring).unwrap();
    let path = environment.keyring.join(key);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_bus_without_a_secret_service_says_so() {
    let daemon = daemon();
    let environment = environment(&daemon);
    let why = value("api", &environment).unwrap_err();
    assert!(why.contains("no Secret Service is on the session's bus"), "{why}");
    keep(&environment, "api", "canary-in-file", 0o640);
    let why = value("api", &environment).unwrap_err();
    assert!(why.contains("by others: run `chmod go=`") && !why.contains("canary"), "{why}");
}

#[test]
fn without_a_bus_the_file_is_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let of = |address: Option<String>| Environment {
        folder: folder.path().to_owned(),
        home: None,
        keyring: folder.path().to_owned(),
        variables: Box::new(move |name| {
            address.clone().filter(|_| name == "DBUS_SESSION_BUS_ADDRESS").map(OsString::from)
        }),
    };
    keep(&of(None), "api", "canary-in-file", 0o600);
    for address in
        [None, Some("unix:path=/nonexistent".to_owned()), Some("tcp:host=localhost,port=1".to_owned())]
    {
        assert_eq!(*value("api", &of(address.clone())).unwrap(), b"canary-in-file");
        let why = value("none", &of(address)).unwrap_err();
        assert!(why.contains("bus") || why.contains("DBUS_SESSION_BUS_ADDRESS"), "{why}");
        for key in ["../api", ".api", "a/b", "/api"] {
            assert!(value(key, &of(None)).unwrap_err().contains("under a name of letters"));
        }
    }
}

#[test]
fn a_bus_that_says_nothing_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("bus")).unwrap();
    let path = folder.path().to_owned();
    let environment = Environment {
        folder: path.clone(),
        home: None,
        keyring: path.join("keyring"),
        variables: Box::new(move |name| (name == "XDG_RUNTIME_DIR").then(|| path.clone().into_os_string())),
    };
    let started = Instant::now();
    let why = value("api", &environment).unwrap_err();
    assert!(why.contains("no answer in time"), "{why}");
    assert!(started.elapsed() < TIME * 2);
    drop(listener);
}

#[test]
fn addresses_are_read_as_the_specification_writes_them() {
    let path = |text: &str| parse(text).and_then(|address| address.as_pathname().map(Path::to_owned));
    assert_eq!(path("unix:path=/run/user/1000/bus,guid=00").unwrap(), Path::new("/run/user/1000/bus"));
    assert_eq!(path("tcp:host=x,port=1;unix:guid=0,path=/a%20b").unwrap(), Path::new("/a b"));
    assert_eq!(parse("unix:abstract=/tmp/x").unwrap().as_abstract_name(), Some(&b"/tmp/x"[..]));
    for text in ["", "unix:", "unix:tmpdir=/tmp", "unix:path=%zz", "unix:path=%4", "autolaunch:"] {
        assert!(parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_message_makes_the_reader_panic(fixed: [u8; 16], rest in prop::collection::vec(any::<u8>(), 0..64), fields in 0..80_usize) {
        let _ = message::lengths(&fixed);
        let _ = message::reply(&fixed, &rest, fields);
        let mut cursor = Cursor::new(&rest);
        let _ = (cursor.texts(), cursor.bytes(), cursor.variant_of_text());
    }
}
