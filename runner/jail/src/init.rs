//! Stage 5c, the sandbox's side of a launch: init (pid 1) arms the layers in order, forks the agent (pid 2), reaps, forwards
//! signals, and ends when the agent does, which ends everything. Nothing here allocates or takes a lock: all
//! of it was prepared in the supervisor, of which this process is a copy.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use crate::channel::{self, Answer, Message};
use crate::layer::Layer;
use crate::layer::landlock::Landlock;
use crate::layer::mounts::Mounts;
use crate::layer::namespaces::Namespaces;
use crate::layer::network::Network;
use crate::prove::{NAMESPACE_FILES, NAMESPACES, Targets};
use crate::step::{Failure, Step, run};
use crate::streams::Streams;
use crate::sys::process::{Strings, exec, exit, fork, kill, wait};
use crate::sys::{kernel, signal};

/// What becomes the agent.
pub(crate) struct Agent {
    /// Paths to try, in the order of PATH.
    pub(crate) candidates: Vec<CString>,
    /// Arguments.
    pub(crate) argv: Strings,
    /// Environment.
    pub(crate) environment: Strings,
    /// Working directory.
    pub(crate) directory: CString,
    /// Mode bits that new files do not get.
    pub(crate) umask: u32,
}

/// Everything that init needs.
pub(crate) struct Init<'a> {
    /// First: namespaces.
    pub(crate) namespaces: &'a Namespaces,
    /// The network namespace, whose sockets are the gateway's.
    pub(crate) network: &'a Network,
    /// Whether it waits, once it is armed, until it is in its cgroup and what belongs to that is attached: where there is a
    /// network, it is moved, since the gateway's sockets must have been made outside, or what the gateway sends were judged as
    /// the sandbox's.
    pub(crate) waits: bool,
    /// Before the terminal is opened: mounts.
    pub(crate) mounts: &'a Mounts,
    /// After it: capabilities.
    pub(crate) privilege: &'a dyn Layer,
    /// Last but one: Landlock.
    pub(crate) landlock: &'a Landlock,
    /// Last: seccomp.
    pub(crate) seccomp: &'a dyn Layer,
    /// Whether tools will enter: then the supervisor gets what that takes.
    pub(crate) entered: bool,
    /// In the agent's process, once it holds no descriptor of ours: a low `LIMIT open_files` must bound the agent's files,
    /// not those of the launch.
    pub(crate) limits: &'a dyn Layer,
    /// Which of the agent's standard streams are a terminal of its own.
    pub(crate) streams: &'a Streams,
    /// What the probes are aimed at.
    pub(crate) targets: &'a Targets,
    /// The agent.
    pub(crate) agent: &'a Agent,
    /// To the supervisor.
    pub(crate) channel: OwnedFd,
}

/// Exit code of init and of the agent's process when a step failed; the reason went over the channel.
const REFUSED: i32 = 125;

impl Init<'_> {
    /// The whole life of init.
    pub(crate) fn run(self) -> ! {
        // A caller that ignores SIGCHLD would leave init without it, waiting for ever.
        signal::default_dispositions();
        match self.arm() {
            Ok(agent) => self.serve(agent),
            Err(failure) => {
                self.fail(failure);
                exit(REFUSED)
            }
        }
    }

    /// Nothing can be done about a failure to send: the supervisor sees the end of the channel, and refuses.
    fn fail(&self, failure: Failure) {
        let _ = channel::send(self.channel.as_fd(), &Message::Failed(failure));
    }

    /// Arms everything, and forks the agent's process. Returns its pid.
    fn arm(&self) -> Result<i32, Failure> {
        self.namespaces.apply()?;
        if self.entered {
            self.namespaces.open()?.into_iter().try_for_each(|namespace| self.open_door(namespace))?;
        }
        self.network.apply()?;
        for socket in self.network.sockets() {
            run(Step::SendSockets, 0, || channel::send(self.channel.as_fd(), &Message::Socket(socket)))?;
        }
        self.mounts.apply()?;
        if let Some(listener) = self.mounts.listener() {
            run(Step::SendSockets, 1, || channel::send(self.channel.as_fd(), &Message::Listener(listener)))?;
        }
        let terminal = if self.streams.pty() { Some(self.open_terminal()?) } else { None };
        self.privilege.apply()?;
        // The supervisor may have died before the line above tied this process to it: then nobody holds the other end.
        run(Step::ParentAlive, 0, || {
            let mut watched = [PollFd::new(&self.channel, PollFlags::empty())];
            poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            let gone = watched.iter().any(|one| !one.revents().is_empty());
            if gone { Err(Errno::PIPE) } else { Ok(()) }
        })?;
        self.landlock.apply()?;
        self.seccomp.apply()?;
        if self.entered {
            self.landlock.opened().try_for_each(|path| self.open_door(path))?;
        }
        // Before there is a second process.
        if self.waits {
            run(Step::EnterCgroup, 2, || channel::await_answer(self.channel.as_fd(), Answer::Inside))?;
        }
        match run(Step::Fork, 0, fork)? {
            Some(agent) => {
                drop(terminal);
                // Init keeps the channel and nothing else: no file of the host, no part of the log, no terminal.
                run(Step::CloseDescriptors, 1, || {
                    rustix::stdio::dup2_stdin(&self.channel)?;
                    kernel::close_from(1)
                })?;
                Ok(agent)
            }
            None => self.become_agent(terminal.as_ref()),
        }
    }

    fn open_door(&self, descriptor: OwnedFd) -> Result<(), Failure> {
        run(Step::SendDoor, 0, || channel::send(self.channel.as_fd(), &Message::Door(descriptor)))
    }

    /// A pseudo-terminal in the sandbox's own devpts: the master goes to the supervisor, the slave to the agent.
    fn open_terminal(&self) -> Result<OwnedFd, Failure> {
        let (master, slave) = run(Step::OpenPty, 0, || {
            let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let master = rustix::fs::openat(CWD, c"/dev/pts/ptmx", how, Mode::empty())?;
            rustix::pty::unlockpt(&master)?;
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
            Ok((master, slave))
        })?;
        run(Step::SendPty, 0, || channel::send(self.channel.as_fd(), &Message::Pty(master)))?;
        Ok(slave)
    }

    /// Reaps whatever ends, forwards what the supervisor sends, and ends with the agent. The channel is descriptor 0.
    fn serve(&self, agent: i32) -> ! {
        let all = signal::Set::full();
        loop {
            match all.wait() {
                Ok(libc::SIGCHLD) => {
                    while let Ok(Some(reaped)) = wait(-1, false) {
                        if reaped.pid == agent {
                            let _ = channel::send(rustix::stdio::stdin(), &Message::Exited(reaped.status));
                            exit(0);
                        }
                    }
                }
                // Stopping and going on is for everything, whatever groups it is in; the rest for the agent's group, as from
                // a terminal. An agent that has just ended is reaped on the SIGCHLD that follows.
                Ok(libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
                    let _ = kill(-1, libc::SIGSTOP);
                }
                Ok(libc::SIGCONT) => {
                    let _ = kill(-1, libc::SIGCONT);
                }
                Ok(signal) => {
                    let _ = kill(-agent, signal);
                }
                Err(_) => {}
            }
        }
    }

    fn become_agent(&self, terminal: Option<&OwnedFd>) -> ! {
        let errno = match self.prepare_agent(terminal) {
            Ok(()) => self.exec(),
            Err(failure) => {
                self.fail(failure);
                exit(REFUSED)
            }
        };
        let _ = channel::send(self.channel.as_fd(), &Message::ExecFailed(errno));
        exit(not_executed(errno))
    }

    fn prepare_agent(&self, slave: Option<&OwnedFd>) -> Result<(), Failure> {
        run(Step::Session, 0, || {
            rustix::process::setsid()?;
            rustix::process::umask(Mode::from_raw_mode(self.agent.umask));
            signal::default_dispositions();
            signal::Set::empty().block().map(drop)
        })?;
        run(Step::Terminal, 0, || self.streams.give(slave))?;
        // Only the channel is left, and the standard streams.
        run(Step::CloseDescriptors, 2, || kernel::close_others(self.channel.as_fd()))?;
        self.limits.apply()?;
        run(Step::WorkingDirectory, 0, || rustix::process::chdir(self.agent.directory.as_c_str()))?;
        let message = run(Step::OpenReadings, 0, || self.readings())?;
        run(Step::Evidence, 0, || channel::send(self.channel.as_fd(), &message))?;
        run(Step::Go, 1, || channel::await_answer(self.channel.as_fd(), Answer::Go))?;
        run(Step::CloseDescriptors, 0, || kernel::close_on_exec_from(3))
    }

    /// Opens what the supervisor reads back, and tries the forbidden acts.
    fn readings(&self) -> Result<Message, Errno> {
        let open = |path: &std::ffi::CStr| {
            rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        };
        let mut namespaces = [0; NAMESPACES];
        for (inode, file) in namespaces.iter_mut().zip(NAMESPACE_FILES) {
            *inode = rustix::fs::stat(file)?.st_ino;
        }
        Ok(Message::Evidence {
            status: open(c"/proc/self/status")?,
            mountinfo: open(c"/proc/self/mountinfo")?,
            limits: open(c"/proc/self/limits")?,
            namespaces,
            answers: self.targets.try_all(),
        })
    }

    /// execve(2) along PATH, as execvp(3): a permission problem is remembered, a missing file is not.
    fn exec(&self) -> Errno {
        let mut last = Errno::NOENT;
        for path in &self.agent.candidates {
            match exec(path, &self.agent.argv, &self.agent.environment) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => last = Errno::ACCESS,
                errno => return errno,
            }
        }
        last
    }
}

/// Docker's and the shell's: 127 when there is no such command, 126 when it cannot be executed.
pub(crate) fn not_executed(errno: Errno) -> i32 {
    if matches!(errno, Errno::NOENT | Errno::NOTDIR) { 127 } else { 126 }
}
