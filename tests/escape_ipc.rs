//! Interprocess communication: no signal, shared memory, queue or unix socket of the host is within reach.
//! (`shared/attacks.md`, "IPC".)

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::listener::Listener;
use agentrc_test_support::outcome::within;
use agentrc_test_support::outside;
use agentrc_test_support::{Attempt, Control, Helper, Sign, as_each, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn signals_reach_no_process_outside() {
    as_each(AGENTRC, |lab| {
        let signalled = lab.outside("signalled");
        lab.file(&signalled, "");
        // In the process group that `agentrc` and the control are started in, as the other end of a pipe is.
        let victim = Helper::start(lab, &["victim", signalled.to_str().expect("text"), &lab.secret]);
        let group = victim.pid();
        lab.join_group(group);
        let pid = victim.line().split(' ').next().map(str::to_owned).expect("its pid");
        let count = || {
            std::thread::sleep(Duration::from_millis(5));
            fs::read_to_string(&signalled).expect("the victim's file")
        };
        let nice = || format!("{:?}", outside::nice(group));
        let signals =
            |name: &str, line: String| Attempt::new(name, line, Sign::Host(Box::new(count)), Control::Host);
        let everyone = || Control::None("on the host it would signal everyone");
        withstand(
            lab,
            "AGENT signals",
            &[
                signals("kill", format!("kill {pid} urg")),
                signals("tgkill", format!("tgkill {pid} urg")),
                signals("tkill", format!("tkill {pid} urg")),
                signals("sigqueue", format!("sigqueue {pid} urg")),
                signals("pidfd_send_signal", format!("pidfd-kill {pid} urg")),
                signals("its process group by number", format!("kill -{group} urg")),
                signals("its own process group", "kill-group urg".into()),
                Attempt::new("everyone", "kill -1 urg", Sign::Host(Box::new(count)), everyone()),
                signals("F_SETOWN", format!("setown {pid}")),
                signals("F_SETOWN of a group by number", format!("setown -{group}")),
                signals("F_SETOWN of its own group", "setown 0".into()),
                Attempt::new(
                    "F_SETOWN on standard input",
                    "setown-of 0",
                    Sign::Host(Box::new(count)),
                    Control::None("a pipe sends no SIGIO here"),
                ),
                Attempt::new(
                    "priority of its group",
                    "setpriority-group 7",
                    Sign::Host(Box::new(nice)),
                    Control::Host,
                )
                .outside("setpriority-group 3"),
            ],
        );
        assert!(outside::all().contains(&group), "as {}: the victim is gone", lab.who.name);
    });
}

#[test]
fn shared_memory_semaphores_and_queues_of_the_host_are_not_there() {
    as_each(AGENTRC, |lab| {
        let key = 0x4000_0000 | std::process::id() << 4 | lab.who.uid & 0xf;
        let name = format!("/agentrc-test-{}-{}", std::process::id(), lab.who.uid);
        let keeper = Helper::start(lab, &["keeper", &key.to_string(), &name, &lab.secret]);
        let shm = keeper.line();
        assert!(!shm.is_empty(), "the keeper could not make its objects");
        let state = || keeper.ask();
        let secret = |name: &str, line: String| Attempt::new(name, line, Sign::Secret, Control::Host);
        let mut sandbox = lab.attack("AGENT ipc");
        let failures = in_session(
            lab,
            &mut sandbox,
            &[
                secret("System V shared memory by key", format!("shm {key}")),
                secret("System V shared memory by id", format!("shm-id {shm}")),
                secret("System V message queue", format!("msg {key}")),
                Attempt::new(
                    "System V semaphore",
                    format!("sem {key}"),
                    Sign::Host(Box::new(state)),
                    Control::Host,
                ),
                secret("POSIX message queue", format!("mq {name}")),
                secret("POSIX shared memory", format!("shm-open {name}")),
                secret("its file", format!("read /dev/shm{name}")),
            ],
        );
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn unix_sockets_outside_cannot_be_reached_by_any_path() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        let docker = lab.outside("docker.sock");
        let service = Listener::unix(&docker);
        let datagrams = Listener::unix_datagram(&lab.outside("log"));
        lab.symlink(&docker, lab.project("rw/absolute.sock"));
        lab.symlink("../../outside/docker.sock", lab.project("rw/relative.sock"));
        // A link in the folder that the agent sees, bound itself.
        let path = docker.display().to_string();
        let rw = lab.project("rw").display().to_string();
        let reach = |name: &str, line: String| {
            Attempt::new(name, line, Sign::Host(Box::new(|| service.reached().to_string())), Control::Host)
        };
        let send = |name: &str, line: String| {
            Attempt::new(name, line, Sign::Host(Box::new(|| datagrams.reached().to_string())), Control::Host)
        };
        withstand(
            lab,
            "AGENT sockets\nBIND ./rw /work rw",
            &[
                reach("by its path", format!("unix-connect {path}")),
                reach("through /proc/self/root", format!("unix-connect /proc/self/root{path}")),
                reach("through /proc/1/root", format!("unix-connect /proc/1/root{path}"))
                    .outside(format!("unix-connect /proc/self/root{path}")),
                reach("by an absolute link", "unix-connect /work/absolute.sock".into())
                    .outside(format!("unix-connect {rw}/absolute.sock")),
                reach("by a relative link", "unix-connect /work/relative.sock".into())
                    .outside(format!("unix-connect {rw}/relative.sock")),
                reach("relative to the working directory", "unix-connect ../outside/docker.sock".into()),
                send("datagram", format!("unix-send {}", lab.outside("log").display())),
                send("datagram from a pair", format!("unix-send-pair {}", lab.outside("log").display())),
            ],
        );
    });
}

#[test]
fn a_socket_that_lies_in_a_bind_is_not_a_way_out() {
    as_each(AGENTRC, |lab| {
        for (mode, target) in [("rw", "/work"), ("ro", "/work")] {
            let folder = lab.project(mode);
            lab.directory(&folder);
            let service = Listener::unix(&folder.join("docker.sock"));
            let log = Listener::unix_datagram(&folder.join("log"));
            let mut session = lab.attack(&format!("AGENT bound\nBIND ./{mode} {target} {mode}"));
            for line in ["unix-connect /work/docker.sock", "unix-send /work/log", "unix-send-pair /work/log"]
            {
                let answer = session.act(line).answer;
                assert_eq!(
                    (service.reached(), log.reached()),
                    (0, 0),
                    "as {}: `{line}` through a `{mode}` bind reached a service of the host ({answer:?})",
                    lab.who.name
                );
            }
            let inside = format!("unix-connect {}", folder.join("docker.sock").display());
            let mut control = agentrc_test_support::attempt::host(lab);
            control.act(&inside);
            assert!(within(Duration::from_secs(5), || service.reached() == 1), "positive control");
            control.end();
            session.end().expect_code(0);
        }
    });
}

/// Where X servers have their sockets. On a machine that has none the folder is made, and removed again.
struct X11 {
    made: bool,
    sockets: std::cell::RefCell<Vec<PathBuf>>,
}

impl X11 {
    const FOLDER: &str = "/tmp/.X11-unix";

    fn make() -> Self {
        Self { made: fs::create_dir(Self::FOLDER).is_ok(), sockets: Default::default() }
    }

    fn socket(&self, display: u32) -> PathBuf {
        let path = Path::new(Self::FOLDER).join(format!("X{display}"));
        self.sockets.borrow_mut().push(path.clone());
        path
    }
}

impl Drop for X11 {
    fn drop(&mut self) {
        for socket in self.sockets.take() {
            let _ = fs::remove_file(socket);
        }
        if self.made {
            let _ = fs::remove_dir(Self::FOLDER);
        }
    }
}

#[test]
fn the_sockets_of_a_desktop_session_are_not_there() {
    as_each(AGENTRC, |lab| {
        let runtime = lab.path("runtime");
        lab.directory(runtime.join("gnupg"));
        lab.directory(runtime.join("systemd"));
        let display = 600 + (std::process::id() + lab.who.uid) % 10_000;
        let x11 = X11::make();
        let names = [
            runtime.join("bus"),
            runtime.join("systemd/private"),
            runtime.join("gnupg/S.gpg-agent"),
            runtime.join("gnupg/S.gpg-agent.ssh"),
            runtime.join("wayland-0"),
            runtime.join("pipewire-0"),
            runtime.join("podman.sock"),
            lab.path("home/agent.sock"),
            lab.path("runtime/tmux"),
            x11.socket(display),
        ];
        let services: Vec<_> = names.iter().map(|name| (name, Listener::unix(name))).collect();
        let abstracts: Vec<_> = [
            format!("/tmp/.X11-unix/X{display}"),
            format!("agentrc-test-{display}"),
            format!("/tmp/dbus-{display}"),
        ]
        .into_iter()
        .map(|name| (Listener::abstract_name(&name), name))
        .collect();
        // The caller's environment names them, as in any desktop session.
        lab.attacker(lab.project("attack"));
        let agentfile = lab.agentfile("AGENT desktop\nCMD ./attack serve\n");
        let mut command = lab.agentrc(["run".as_ref(), agentfile.as_os_str()]);
        let path = |name: &Path| name.display().to_string();
        command
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path(&names[0])))
            .env("SSH_AUTH_SOCK", path(&names[7]))
            .env("TMUX", format!("{},1,0", path(&names[8])))
            .env("WAYLAND_DISPLAY", "wayland-0")
            .env("DISPLAY", format!(":{display}"));
        let mut sandbox = agentrc_test_support::Session::start(lab, command);
        let mut attempts = Vec::new();
        for (name, service) in &services {
            let look = || service.reached().to_string();
            attempts.push(Attempt::new(
                path(name),
                format!("unix-connect {}", path(name)),
                Sign::Host(Box::new(look)),
                Control::Host,
            ));
        }
        for (service, name) in &abstracts {
            let look = || service.reached().to_string();
            attempts.push(Attempt::new(
                format!("abstract {name}"),
                format!("unix-connect @{name}"),
                Sign::Host(Box::new(look)),
                Control::Host,
            ));
        }
        let failures = in_session(lab, &mut sandbox, &attempts);
        let environment = sandbox.act("read /proc/self/environ").text();
        sandbox.end().expect_code(0);
        for name in [
            "DBUS_SESSION_BUS_ADDRESS",
            "SSH_AUTH_SOCK",
            "TMUX",
            "WAYLAND_DISPLAY",
            "DISPLAY",
            "XDG_RUNTIME_DIR",
        ] {
            assert!(
                !environment.contains(name),
                "as {}: `{name}` is in the environment: {environment}",
                lab.who.name
            );
        }
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn the_supervisor_offers_no_socket_and_keeps_no_descriptor_open_inside() {
    as_each(AGENTRC, |lab| {
        let before = fs::read_to_string("/proc/net/unix").expect("unix sockets");
        let mut sandbox = lab.attack("AGENT supervisor");
        let names = |table: &str| {
            table
                .lines()
                .filter_map(|line| line.split_whitespace().nth(7))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let now = fs::read_to_string("/proc/net/unix").expect("unix sockets");
        let fresh: Vec<_> = names(&now)
            .into_iter()
            .filter(|name| {
                !names(&before).contains(name) && name.contains("agentrc") && !name.contains("agentrc-test")
            })
            .collect();
        assert!(fresh.is_empty(), "named sockets of the supervisor: {fresh:?}");
        let held = sandbox.at_start.descriptors.clone();
        assert_eq!(held.len(), 3, "as {}: {held:?}", lab.who.name);
        let seen = sandbox.act("read /proc/net/unix").text();
        assert!(
            !seen.contains("docker") && !seen.contains("/run/"),
            "as {}: the host's sockets are listed: {seen}",
            lab.who.name
        );
        sandbox.end().expect_code(0);
    });
}
