//! What the kernel says is attached, a full ring buffer, and that nothing is left: after a drop, after SIGKILL.
#![cfg(test)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use agentrc_ebpf::{Error, Filter, Hook, Protocol};
use rustix::event::epoll;
use support::{Lab, all_gone, events, kill, lab, outside, programs, rule};

#[test]
fn a_full_ring_buffer_refuses_and_is_counted() {
    let Some(lab) = lab() else { return };
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut filter = lab.filter(&[rule(Protocol::Udp, "127.0.0.1", 32, port)]);
    let act = format!("udp:127.0.0.1:{port}");
    let acts: Vec<_> = std::iter::repeat_n(act.as_str(), 4000).collect();
    let answers = lab.attempt(&acts);
    let passed = answers.iter().take_while(|answer| *answer == "ok").count();
    assert!((3000..4000).contains(&passed), "{passed} of 72 bytes in 256 KiB");
    assert!(answers[passed..].iter().all(|answer| answer == "EPERM"));
    let counters = filter.counters().unwrap();
    assert_eq!((counters.allowed as usize, counters.lost as usize), (passed, 4000 - passed));
    assert_eq!(counters.denied, counters.lost);
    // Denials are not recorded either, and stay denials.
    assert_eq!(lab.attempt(&["udp:127.0.0.2:1"]), ["EPERM"]);
    assert_eq!(filter.counters().unwrap().lost, counters.lost + 1);
    // Once read, it has room again.
    assert_eq!(events(&mut filter).len(), passed);
    assert_eq!(lab.attempt(&[&act]), ["ok"]);
    // Round the end of the buffer no record is torn.
    for _ in 0..3 {
        assert_eq!(lab.attempt(&acts[..2000]).iter().filter(|answer| *answer == "ok").count(), 2000);
        let seen = events(&mut filter);
        assert!(seen.iter().all(|event| event.destination == support::address(&format!("127.0.0.1:{port}"))));
    }
}

#[test]
fn permissions_are_silent_unless_they_are_asked_for() {
    let Some(lab) = lab() else { return };
    let allowed = [rule(Protocol::Udp, "127.0.0.1", 32, 9)];
    let mut filter = Filter::attach(lab.directory.as_fd(), &allowed, false).unwrap();
    assert_eq!(lab.attempt(&["udp:127.0.0.1:9", "udp:127.0.0.1:10"]), ["ok", "EPERM"]);
    assert_eq!(support::denied(&events(&mut filter)).len(), 1);
    assert_eq!(filter.counters().unwrap().hooks[&Hook::Sendmsg4], (1, 1));
}

#[test]
fn a_denial_wakes_its_reader_and_a_permission_does_not() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[rule(Protocol::Udp, "127.0.0.1", 32, 9)]);
    let waits = |filter: &Filter, acts: &str, seconds: i64| {
        // What woke it since it was made, when there was nothing: unlike poll(2), it does not look again at its limit.
        let woken = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&woken, filter.ring(), epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        lab.attempt(&acts.split_whitespace().collect::<Vec<_>>());
        let limit = rustix::event::Timespec { tv_sec: seconds, tv_nsec: 0 };
        let mut seen = Vec::<epoll::Event>::with_capacity(1);
        epoll::wait(&woken, rustix::buffer::spare_capacity(&mut seen), Some(&limit)).unwrap();
        !seen.is_empty()
    };
    assert!(!waits(&filter, "udp:127.0.0.1:9", 2));
    assert_eq!(events(&mut filter).len(), 1);
    // Unless there are so many that room gets scarce.
    assert!(waits(&filter, &"udp:127.0.0.1:9 ".repeat(1000), 20));
    assert_eq!(events(&mut filter).len(), 1000);
    assert!(waits(&filter, "udp:127.0.0.1:10", 20));
}

#[test]
fn a_dropped_filter_is_gone_from_the_kernel() {
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[]);
    let ids = programs(&filter);
    assert_eq!(ids.len(), 7);
    let asked: Vec<_> = std::iter::once("exists").chain(ids.iter().map(String::as_str)).collect();
    assert_eq!(outside(&asked), ["ok"; 7]);
    drop(filter);
    assert!(all_gone(&ids));
    assert_eq!(lab.attempt(&["udp:127.0.0.1:9"]), ["ok"]);
}

/// In this process, and, with a cgroup in the environment, in the one that the next test kills.
#[test]
fn an_attached_filter_says_what_it_is() {
    if let Some(cgroup) = std::env::var_os("HOLD") {
        let directory = std::fs::File::open(Path::new(&cgroup)).unwrap();
        let filter = Filter::attach(directory.as_fd(), &[], false).unwrap();
        writeln!(std::io::stderr(), "ids {}", programs(&filter).join(" ")).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[rule(Protocol::Tcp, "10.0.0.0", 8, 443)]);
    let evidence = filter.read_back().unwrap();
    let keys: Vec<_> = evidence.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["connect4", "connect6", "egress", "ingress", "rules", "sendmsg4", "sendmsg6", "sock_create"]
    );
    assert_eq!(evidence["rules"], "1");
}

#[test]
fn a_loader_killed_by_sigkill_leaves_nothing() {
    let Some(lab) = lab() else { return };
    let mut loader = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_attached_filter_says_what_it_is", "--nocapture"])
        .env("HOLD", &lab.path)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(loader.stderr.take().unwrap()).lines().map(Result::unwrap);
    let ids = lines.into_iter().find_map(|line| line.strip_prefix("ids ").map(str::to_owned)).unwrap();
    let ids: Vec<_> = ids.split(' ').map(str::to_owned).collect();
    assert_eq!(ids.len(), 7);
    assert_eq!(lab.attempt(&["udp:127.0.0.1:9"]), ["EPERM"]);
    kill(loader);
    assert!(all_gone(&ids));
    assert_eq!(lab.attempt(&["udp:127.0.0.1:9"]), ["ok"]);
}

#[test]
fn a_program_of_somebody_else_on_the_runs_cgroup_is_seen() {
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[]);
    filter.verify().unwrap();
    assert_eq!(outside(&["foreign", lab.path.to_str().unwrap()]), ["ok"]);
    for error in [filter.verify().unwrap_err(), filter.read_back().unwrap_err()] {
        assert!(
            matches!(&error, Error::NotOurs { program: "connect4", found, own } if found.len() == 2 && found.contains(own)),
            "{error}"
        );
    }
    // It may say yes as often as it likes.
    assert_eq!(lab.attempt(&["tcp:127.0.0.1:1"]), ["EPERM"]);
    // And a second filter refuses to share the cgroup with it.
    drop(filter);
    assert!(matches!(Filter::attach(lab.directory.as_fd(), &[], false), Err(Error::NotOurs { .. })));
}

#[test]
fn a_program_that_was_replaced_or_detached_is_missed() {
    let Some(lab) = lab() else { return };
    for act in ["replace", "detach"] {
        let filter = lab.filter(&[]);
        let evidence = filter.read_back().unwrap();
        let id = evidence["connect4"].split(' ').nth(1).unwrap();
        assert_eq!(outside(&[act, id]), ["ok"]);
        let error = filter.read_back().unwrap_err();
        assert!(
            matches!(&error, Error::NotOurs { program: "connect4", found, own } if !found.contains(own)),
            "{act}: {error}"
        );
    }
}

#[test]
fn a_removed_cgroup_is_no_longer_attached() {
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[]);
    std::fs::remove_dir(&lab.path).unwrap();
    let removed = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        filter.verify().is_err()
    });
    assert!(removed);
    std::fs::create_dir(&lab.path).unwrap();
}

#[test]
fn a_directory_that_is_no_cgroup_is_refused() {
    let Some(lab) = lab() else { return };
    let here = std::fs::File::open("/").unwrap();
    assert!(matches!(Filter::attach(here.as_fd(), &[], false), Err(Error::Attach { .. })));
    let many: Vec<_> = (0..4097).map(|port| rule(Protocol::Tcp, "10.0.0.0", 8, port + 1)).collect();
    assert!(matches!(Filter::attach(lab.directory.as_fd(), &many, false), Err(Error::TooManyRules(4097))));
    let full = Filter::attach(lab.directory.as_fd(), &many[..4096], false).unwrap();
    assert_eq!(full.read_back().unwrap()["rules"], "4096");
}

/// Below the filter's cgroup it holds as well.
#[test]
fn a_cgroup_inside_the_runs_does_not_escape() {
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[]);
    let inner = Lab { path: lab.path.join("inner"), directory: lab.directory.try_clone().unwrap() };
    std::fs::create_dir(&inner.path).unwrap();
    assert_eq!(inner.attempt(&["udp:127.0.0.1:9"]), ["EPERM"]);
    assert_eq!(filter.counters().unwrap().denied, 1);
}

/// As root too: the same binary, as somebody.
#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    if !rustix::process::geteuid().is_root() {
        return support::without_privilege();
    }
    let folder = std::env::temp_dir().join(format!("agentrc-ebpf-user.{}", std::process::id()));
    let copy = folder.join("test");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command
        .args(["--exact", "an_ordinary_user_is_told_what_is_missing"])
        .current_dir("/")
        .uid(61400)
        .gid(61400);
    let output = command.output();
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
