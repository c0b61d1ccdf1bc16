//! What the filter costs: making one, and asking it. As root, in cgroups of its own; a Markdown table.
//! `cargo run --release -p agentrc-ebpf --example cost`

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agentrc_ebpf::{Allowed, Filter, Protocol, support};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, connect, sendto, socket_with};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds of each variant, one after the other, so that a change of the machine's load hits all.
const ROUNDS: usize = 30;
const CALLS: usize = 400;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = act();
    (start.elapsed(), result)
}

/// The median time of one connect(2) or sendto(2) alone, without making and closing its socket.
fn call(kind: SocketType, to: SocketAddr) -> Outcome<Duration> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
        let (time, result) = match kind {
            SocketType::STREAM => timed(|| connect(&socket, &to)),
            _ => timed(|| sendto(&socket, b"x", SendFlags::empty(), &to).map(|_| ())),
        };
        // A refusal of the filter would be measured as a fast call.
        match result {
            Ok(()) | Err(Errno::CONNREFUSED) => {}
            Err(errno) => return Err(errno.into()),
        }
        times.push(time);
    }
    Ok(median(times))
}

fn join(cgroup: &Path) -> std::io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string())
}

/// A hundred destinations, among them the ones that are measured.
fn list() -> Vec<Allowed> {
    let declared = (0..98).map(|host| (Protocol::Tcp, Ipv4Addr::new(198, 18, 0, host), 32, Some(443)));
    let local =
        [Protocol::Tcp, Protocol::Udp].map(|protocol| (protocol, Ipv4Addr::new(127, 0, 0, 0), 8, None));
    let rules = declared.chain(local);
    rules
        .map(|(protocol, address, prefix, port)| Allowed { protocol, address: address.into(), prefix, port })
        .collect()
}

fn main() -> Outcome<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount =
        mounts.lines().filter(|line| line.contains(" - cgroup2 ")).find_map(|line| line.split(' ').nth(4));
    let root = PathBuf::from(mount.ok_or("no cgroup v2")?);
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = root.join(own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("in no cgroup v2")?);
    let cgroup = root.join(format!("agentrc-ebpf-cost.{}", std::process::id()));
    fs::create_dir(&cgroup)?;
    let result = measure(&cgroup);
    join(&own)?;
    fs::remove_dir(&cgroup)?;
    result
}

/// As a supervisor reads: woken by denials, and every 20 ms.
fn reader(mut filter: Filter, stop: &AtomicBool) {
    let timer = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(Ordering::Relaxed) {
        let mut ring = [PollFd::from_borrowed_fd(filter.ring(), PollFlags::IN)];
        if poll(&mut ring, Some(&timer)).is_err() || filter.events(drop).is_err() {
            return;
        }
    }
}

fn measure(cgroup: &Path) -> Outcome<()> {
    let directory = fs::File::open(cgroup)?;
    let mut made = Vec::new();
    let mut dropped = Vec::new();
    let mut asked = Vec::new();
    let mut read = Vec::new();
    for _ in 0..50 {
        asked.push(timed(support).0);
        let (time, filter) = timed(|| Filter::attach(directory.as_fd(), &list(), false));
        made.push(time);
        let filter = filter?;
        read.push(timed(|| filter.read_back()).0);
        dropped.push(timed(|| drop(filter)).0);
    }
    println!("| what | median of 50 |\n|---|---|");
    for (what, times) in [
        ("`support`", asked),
        ("`Filter::attach`, 100 rules", made),
        ("`read_back`", read),
        ("drop", dropped),
    ] {
        println!("| {what} | {:?} |", median(times));
    }

    join(cgroup)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let open = listener.local_addr()?;
    let acceptor = std::thread::spawn(move || {
        // Ends with the process.
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    let closed = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));
    let acts = [
        ("connect, closed port", SocketType::STREAM, closed),
        ("connect, open port", SocketType::STREAM, open),
        ("sendto, UDP", SocketType::DGRAM, closed),
    ];
    let variants = ["none", "denials reported", "all reported", "none"];
    let mut times = vec![vec![Vec::new(); variants.len()]; acts.len()];
    for _ in 0..ROUNDS {
        for variant in 0..variants.len() {
            let filter = match variant {
                1 | 2 => Some(Filter::attach(directory.as_fd(), &list(), variant == 2)?),
                _ => None,
            };
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| -> Outcome<()> {
                if let Some(filter) = filter {
                    let stop = &stop;
                    scope.spawn(move || reader(filter, stop));
                }
                for ((_, kind, to), times) in acts.iter().zip(&mut times) {
                    if let Some(times) = times.get_mut(variant) {
                        times.push(call(*kind, *to)?);
                    }
                }
                stop.store(true, Ordering::Relaxed);
                Ok(())
            })?;
        }
    }
    println!("\n| call | {} |\n|---|---|---|---|---|", variants.join(" | "));
    for ((name, ..), times) in acts.iter().zip(times) {
        let times: Vec<_> = times.into_iter().map(median).collect();
        let base = times.first().copied().unwrap_or_default();
        let cell = |time: &Duration| format!("{time:?} ({:.2}×)", time.as_secs_f64() / base.as_secs_f64());
        println!("| {name} | {} |", times.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    drop(acceptor);
    Ok(())
}
