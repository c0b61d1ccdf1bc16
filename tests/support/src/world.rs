//! A machine of a test's own: network and mount namespaces in which `agentrc` itself runs, with addresses that look like the
//! internet's, a hosts file of names, and servers of the test that write down what reaches them. The servers run in this
//! process, on sockets that were opened over there (`tests/attack/world.c`). No packet leaves the machine, and everything goes
//! with the [`World`], a failed test's as well.

mod certificates;

mod git;
mod hostile;
mod http;
mod log;
mod mcp;
mod noise;
mod raw;
mod servers;
mod strict;
mod websocket;

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::identity::started_as_root;
use crate::lab::Lab;
use crate::outcome::{Child, Outcome, within};
pub use hostile::Endless;
pub use log::{Arrival, Request};
pub use noise::noise;
pub use servers::{Kind, PORTS};

/// Names and where they lead. The addresses are all of this machine's loopback; what is at them is told apart by port.
pub const NAMES: &[(&str, &str)] = &[
    ("93.184.216.34", "api.example.com www.example.com mixed.example.com api.openai.com"),
    ("93.184.216.34", "a.wild.example.com b.wild.example.com deep.er.wild.example.com wild.example.com"),
    ("2606:2800:220:1::1", "api.example.com six.example.com"),
    ("93.184.216.35", "other.example.com"),
    ("93.184.216.66", "evil.example.org api.example.com.evil.example.org turning.example.com"),
    ("10.0.0.9", "private.example.com mixed.example.com internal.corp.example"),
    ("192.168.7.7", "home.example.com"),
    ("127.0.0.1", "localhost loopback.example.com"),
    ("::1", "loopback6.example.com"),
    ("169.254.169.254", "metadata.example.com"),
    ("fd00:ec2::254", "metadata6.example.com"),
    ("100.100.100.200", "metadata-of-another.example.com"),
    ("64:ff9b::a9fe:a9fe", "nat64.example.com"),
    ("2002:a9fe:a9fe::1", "six-to-four.example.com"),
];

/// Where programs look for root certificates: there the world's own are put.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The machine.
pub struct World<'lab> {
    lab: &'lab Lab,
    process: std::process::Child,
    channel: Option<UnixStream>,
    servers: Option<servers::Servers>,
    log: log::Log,
}

/// How to get into a world.
pub(crate) struct Entry {
    pid: u32,
    /// Made by an ordinary user: there is a user namespace, too.
    users: bool,
    roots: PathBuf,
}

impl Entry {
    /// A program in the world, from the lab's folder, as its identity.
    pub(crate) fn command(&self, lab: &Lab, program: &std::path::Path) -> Command {
        let mut command = Command::new("nsenter");
        command.env_clear().args(["--target", &self.pid.to_string(), "--net", "--mount"]);
        if self.users {
            command.args(["--user", "--preserve-credentials"]);
        } else if !lab.who.is_root() {
            command.arg(format!("--setuid={}", lab.who.uid)).arg(format!("--setgid={}", lab.who.gid));
        }
        // Another mount namespace is another working directory.
        command.args(["--", "env", "-C"]).arg(lab.project(""));
        if lab.bpf_is_refused() {
            command.arg(lab.attacker(lab.path("without-bpf"))).arg("without-bpf");
        }
        command.arg(program);
        command.env("SSL_CERT_FILE", &self.roots);
        command
    }
}

impl<'lab> World<'lab> {
    /// Its servers, which are in this process, may have some thousand connections: it gets as many descriptors as it may have.
    pub fn has_many_connections() {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("setrlimit");
    }

    /// A fresh one. From now on, what is started in the lab is started in there.
    pub fn new(lab: &'lab Lab) -> Self {
        let authority = certificates::Authority::new("the world's authority");
        let roots = lab.path("world/roots.pem");
        lab.file(&roots, authority.certificate());
        let hosts = lab.path("world/hosts");
        lab.file(&hosts, hosts_file(&[]));
        lab.directory(lab.path("world/served"));

        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        let mut unshare = lab.command("unshare");
        unshare.args(["--net", "--mount"]);
        if !started_as_root() {
            unshare.args(["--user", "--map-current-user", "--keep-caps"]);
        } else if !lab.who.is_root() {
            // Whoever lives in it, root builds it.
            use std::os::unix::process::CommandExt;
            unshare.uid(0).gid(0);
        }
        unshare.arg(lab.attacker(lab.path("world/machine"))).arg("world");
        for (file, over) in [(&hosts, "/etc/hosts"), (&roots, ROOTS)] {
            unshare.arg(format!("{}={over}", file.display()));
        }
        unshare.args(PORTS.iter().map(|(port, kind)| {
            format!("{}:{port}", if matches!(kind, Kind::Datagrams) { "udp" } else { "tcp" })
        }));
        let mut addresses: Vec<&str> = NAMES.iter().map(|(address, _)| *address).collect();
        addresses.retain(|address| !["127.0.0.1", "::1"].contains(address));
        addresses.dedup();
        unshare.args(&addresses[..1]).args(addresses[1..].iter().filter(|address| **address != addresses[0]));
        let process = unshare.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().expect("unshare");
        // Ours in that process is what keeps its end open.
        drop(unshare);
        let sockets: Vec<OwnedFd> = PORTS.iter().map(|_| socket_from(&ours)).collect();
        let log = log::Log::new(lab.state());
        let repositories =
            git::Repositories { folder: lab.path("world/served"), uid: lab.who.uid, gid: lab.who.gid };
        let place = servers::Place { log: log.clone(), repositories, authority };
        let servers = servers::Servers::start(sockets, place);
        lab.enter(Some(Entry { pid: process.id(), users: !started_as_root(), roots }));
        Self { lab, process, channel: Some(ours), servers: Some(servers), log }
    }

    /// Runs a shell script inside a sandbox with these lines in its Agentfile, under `--grant`. `/scratch` is writable.
    pub fn run(&self, lines: &str, script: &str) -> Outcome {
        let lab = self.lab;
        lab.finish_command(self.prepared(None, lines, script))
    }

    /// Likewise, started only.
    pub fn start(&self, lines: &str, script: &str) -> Child {
        self.start_limited(None, lines, script)
    }

    /// Likewise, with at most so many descriptors in any process (RLIMIT_NOFILE, the hard limit as well).
    pub fn start_limited(&self, descriptors: Option<u64>, lines: &str, script: &str) -> Child {
        Child::start(self.lab, self.prepared(descriptors, lines, script))
    }

    fn prepared(&self, descriptors: Option<u64>, lines: &str, script: &str) -> Command {
        let lab = self.lab;
        lab.script(lab.project("go.sh"), &format!("#!/bin/sh\nexec 2>&1\n{script}\n"));
        let path = lab.agentfile(&format!("AGENT client\n{lines}\nMOUNT /scratch rw\nCMD ./go.sh\n"));
        let words = ["run".as_ref(), "--grant".as_ref(), path.as_os_str()];
        let Some(most) = descriptors else { return lab.agentrc(words) };
        let mut limited = lab.command("prlimit");
        limited.arg(format!("--nofile={most}:{most}")).arg(lab.binary()).args(words);
        limited
    }

    /// Runs a shell script in the world itself, as the lab's identity: where nothing forbids anything.
    pub fn outside(&self, script: &str) -> Outcome {
        let mut shell = self.lab.command("/bin/sh");
        shell.args(["-c", &format!("exec 2>&1\n{script}")]);
        self.lab.finish_command(shell)
    }

    /// What connected, or sent a datagram, so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.log.arrivals()
    }

    /// Likewise, when so many have: what was sent, and not answered, may be on its way. For 5 s at most.
    pub fn arrived(&self, least: usize) -> Vec<Arrival> {
        within(Duration::from_secs(20), || self.arrivals().len() >= least);
        self.arrivals()
    }

    /// Requests over HTTP so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// The targets of the requests that came to the ports where bytes are kept, read strictly.
    #[track_caller]
    pub fn targets(&self) -> Vec<String> {
        self.strictly_read().into_iter().map(|(target, _)| target).collect()
    }

    /// Those of them whose bodies came to their ends.
    #[track_caller]
    pub fn whole_targets(&self) -> Vec<String> {
        self.strictly_read().into_iter().filter(|(_, whole)| *whole).map(|(target, _)| target).collect()
    }

    #[track_caller]
    fn strictly_read(&self) -> Vec<(String, bool)> {
        self.arrivals().iter().flat_map(|one| strict::strictly_read(&one.bytes)).collect()
    }

    /// Waits until so many have come to a port, and for a while no more; for 40 s at most.
    pub fn settled(&self, port: u16, least: usize, quiet: Duration) {
        let (mut last, mut since) = (0, Instant::now());
        within(Duration::from_secs(40), || {
            let now = self.arrivals().iter().filter(|one| one.port == port).count();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            now >= least && since.elapsed() > quiet
        });
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.log.forget();
    }

    /// The requests as `METHOD http://HOST:PORT/TARGET`, for comparing.
    pub fn asked(&self) -> Vec<String> {
        self.requests().iter().map(ToString::to_string).collect()
    }

    /// Lets names lead elsewhere, beside [`NAMES`] and before them.
    pub fn names(&self, lines: &[(&str, &str)]) {
        // Written over, not replaced: it is a mount on this very file.
        fs::write(self.lab.path("world/hosts"), hosts_file(lines)).expect("the hosts file");
    }

    /// Where files are that the servers give out below `/files/`.
    pub fn served(&self, name: &str) -> PathBuf {
        self.lab.path("world/served").join(name)
    }
}

fn hosts_file(before: &[(&str, &str)]) -> String {
    let taken: Vec<&str> = before.iter().flat_map(|(_, names)| names.split(' ')).collect();
    let mut text = String::new();
    for (address, names) in before.iter().filter(|(address, _)| !address.is_empty()) {
        text += &format!("{address} {names}\n");
    }
    for (address, names) in NAMES {
        for name in names.split(' ').filter(|name| !taken.contains(name)) {
            text += &format!("{address} {name}\n");
        }
    }
    text
}

fn socket_from(channel: &UnixStream) -> OwnedFd {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(channel, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .expect("recvmsg");
    let sockets = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    // What went wrong over there was said on standard error.
    sockets.last().expect("a socket of the world; it needs `unshare`, `nsenter` and IPv6")
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.lab.enter(None);
        // A namespace lives as long as a socket of it.
        self.servers.take();
        self.channel.take();
        let _ = self.process.wait();
    }
}
