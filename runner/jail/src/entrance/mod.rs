//! The sandbox of one tool call, entered from outside: the agent's user namespace, a copy of its mounts, and everything else of
//! its own; the same limits, capabilities, Landlock rules and system call filter. This is the supervisor's side.
//!
//! ```text
//! supervisor:  work ──────────────────────────────────────────────────────────── entered, or a refusal
//! zygote:        └ clone3 (born in the run's cgroup)                             │
//! (outer):          └ join the user namespace ─ unshare ─ clone3 (pid 1) ─ exit  │
//! tool's init (1):     └ proc, pts ─ the sandbox's mounts ─ every lock ─ fork    │
//! tool (2):                                                      └ prove ─ (go) ─ exec
//! ```
//!
//! The processes come from a zygote, forked before the log was open: a tool's init is a copy of what made it, and nothing in
//! any sandbox ever had the key that signs the log. All of them die with the zygote, and it with the supervisor.

mod proof;
mod tool;
mod wire;
mod zygote;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::channel::{self, Message};
use crate::launch::blame;
use crate::layer::Layer;
use crate::layer::landlock::Landlock;
use crate::layer::mounts::{Again, Mounts};
use crate::layer::namespaces::Namespaces;
use crate::prove::NAMESPACES;
use crate::refusal::Refusal;
use crate::resolve::c_string;
use crate::service::{Role, Service};
use crate::step::{Failure, Step, run};
use crate::sys::process::signal_pidfd;

/// How long the zygote may take to answer. It gives up on a process itself before that.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the last processes may take to be gone once they are killed.
const ENDING: Duration = Duration::from_secs(5);

/// What a process of a tool's is to do.
#[derive(Debug)]
pub struct Work {
    /// Arguments. The first is the path of the program inside: it is not looked for in PATH.
    pub argv: Vec<CString>,
    /// The whole environment.
    pub environment: Vec<CString>,
    /// Working directory inside.
    pub directory: CString,
    /// Standard input, output and error: pipes. Anything else is refused: a folder or a socket would lead out of the sandbox.
    pub streams: [OwnedFd; 3],
    /// A pipe: the tool's init writes the status of wait(2) there, four bytes in native order, when the tool has ended. An end of
    /// file without them: it was killed.
    pub status: OwnedFd,
}

/// A tool's process, and whatever it starts.
#[derive(Debug)]
pub struct Entered {
    pidfd: OwnedFd,
}

impl Entered {
    /// Ends all of it. One that has ended already is none to end.
    pub fn kill(&self) {
        let _ = signal_pidfd(self.pidfd.as_fd(), libc::SIGKILL);
    }
}

/// The layers that a tool's process is armed with: the agent's own.
pub(crate) struct Prepared<'a> {
    namespaces: &'a Namespaces,
    limits: &'a dyn Layer,
    privilege: &'a dyn Layer,
    landlock: &'a Landlock,
    seccomp: &'a dyn Layer,
    again: Again,
    /// For each of Landlock's rules, whether its path leads to something else for a tool.
    anew: Vec<bool>,
    /// The broker's socket.
    socket: CString,
    /// Mode bits that new files do not get.
    umask: u32,
}

impl<'a> Prepared<'a> {
    /// For a plan with a broker's socket; without one, nothing ever enters.
    pub(crate) fn of(
        namespaces: &'a Namespaces,
        mounts: &Mounts,
        [limits, privilege, seccomp]: [&'a dyn Layer; 3],
        landlock: &'a Landlock,
        umask: u32,
    ) -> Result<Option<Self>, Refusal> {
        let Some(socket) = mounts.socket() else { return Ok(None) };
        let again = Again::prepare(mounts)?;
        let mut anew: Vec<bool> = landlock.beneath("").map(|_| false).collect();
        for place in again.covered() {
            for (anew, beneath) in anew.iter_mut().zip(landlock.beneath(&place)) {
                *anew |= beneath;
            }
        }
        let socket = c_string(socket.as_bytes())?;
        Ok(Some(Self { namespaces, limits, privilege, landlock, seccomp, again, anew, socket, umask }))
    }

    /// How many descriptors of the sandbox it takes: two namespaces, and each of Landlock's paths.
    pub(crate) fn door(&self) -> usize {
        2 + self.anew.len()
    }

    /// Forks the zygote, which waits for those descriptors.
    pub(crate) fn start(&self, cgroup: Option<&Cgroup>) -> Result<Service, Refusal> {
        let cgroup = cgroup.map(Cgroup::descriptor);
        let kept: Vec<BorrowedFd<'_>> = cgroup.into_iter().collect();
        Service::start(Role::Zygote, &kept, |channel| zygote::serve(self, cgroup, &channel))
    }
}

/// Where tools' processes come from, while the agent runs. Dropping it ends all of them.
pub struct Entrance<'a> {
    zygote: Service,
    prepared: &'a Prepared<'a>,
    layers: &'a [&'a dyn Layer],
    /// The agent's namespaces.
    namespaces: [u64; NAMESPACES],
    /// The pidfds of those that may still run.
    running: Vec<OwnedFd>,
    /// The zygote did not answer. It was killed, and that ends the run.
    lost: bool,
}

impl std::fmt::Debug for Entrance<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance")
            .field("zygote", &self.zygote)
            .field("running", &self.running.len())
            .finish()
    }
}

impl<'a> Entrance<'a> {
    /// Hands the zygote what it waits for.
    pub(crate) fn open(
        zygote: Service,
        prepared: &'a Prepared<'a>,
        layers: &'a [&'a dyn Layer],
        door: Vec<OwnedFd>,
        namespaces: [u64; NAMESPACES],
    ) -> Result<Self, Refusal> {
        if door.len() != prepared.door() {
            return Err(Refusal::new(
                Step::SendDoor,
                "the sandbox did not hand over all that tools enter by",
            ));
        }
        for descriptor in door {
            run(Step::SendDoor, 1, || channel::send(zygote.channel(), &Message::Door(descriptor)))?;
        }
        Ok(Self { zygote, prepared, layers, namespaces, running: Vec::new(), lost: false })
    }

    /// The zygote's channel: readable, while nobody enters, only when it has ended.
    pub(crate) fn channel(&self) -> BorrowedFd<'_> {
        self.zygote.channel()
    }

    /// Starts the work in a sandbox of its own. When this returns, the sandbox has proven itself and the program is being
    /// executed, a few milliseconds later. It waits for that, and for eight seconds at most: one who enters is slowed down by
    /// what the run's own limits leave it.
    ///
    /// # Errors
    /// The step that failed. Then nothing was executed, nothing is left, and `status` is closed without a word.
    pub fn enter(&mut self, work: Work) -> Result<Entered, Refusal> {
        self.reap();
        if self.lost {
            return Err(Refusal::new(
                Step::ToolRequest,
                "the process that tools come from did not answer before",
            ));
        }
        let Some(program) = work.argv.first().map(|program| program.to_string_lossy().into_owned()) else {
            return Err(Refusal::new(Step::ToolRequest, "there is no program to execute"));
        };
        for stream in work.streams.iter().chain([&work.status]) {
            run(Step::ToolRequest, 3, || pipe(stream)).map_err(|failure| {
                Refusal::kernel(failure.step, "a stream that is no pipe", failure.errno)
            })?;
        }
        run(Step::ToolRequest, 0, || wire::send(self.zygote.channel(), &work, &self.namespaces))
            .map_err(|failure| Refusal::kernel(failure.step, &program, failure.errno))?;
        drop(work);
        match self.answer() {
            Ok(Some(Message::Entered(pidfd))) => {
                let kept = run(Step::ToolRequest, 1, || rustix::io::fcntl_dupfd_cloexec(&pidfd, 0));
                let entered = Entered { pidfd };
                match kept {
                    Ok(kept) => self.running.push(kept),
                    Err(failure) => {
                        entered.kill();
                        return Err(failure.into());
                    }
                }
                Ok(entered)
            }
            Ok(Some(Message::Failed(failure))) => Err(self.refusal(&failure)),
            Ok(Some(Message::ExecFailed(errno))) => Err(Refusal::kernel(Step::ToolProgram, &program, errno)),
            Ok(_) => Err(self.lose("the process that tools come from ended, or said what it must not")),
            Err(errno) => Err(self.lose(&format!(
                "the process that tools come from did not answer: {}",
                crate::refusal::describe(errno)
            ))),
        }
    }

    fn answer(&self) -> Result<Option<Message>, Errno> {
        if wait(self.zygote.channel(), ANSWER)? {
            channel::receive(self.zygote.channel())
        } else {
            Err(Errno::TIMEDOUT)
        }
    }

    fn lose(&mut self, reason: &str) -> Refusal {
        self.lost = true;
        self.zygote.kill();
        Refusal::new(Step::ToolRequest, reason)
    }

    /// Names what the failed operation was about.
    fn refusal(&self, failure: &Failure) -> Refusal {
        let about = self.prepared.again.blame(failure).or_else(|| proof::blame(failure));
        match about {
            Some(subject) => Refusal::kernel(failure.step, &subject, failure.errno),
            None => blame(failure, self.layers),
        }
    }

    /// Forgets those that have ended.
    pub(crate) fn reap(&mut self) {
        // One of which the kernel does not say whether it has ended is kept, and killed in the end.
        self.running.retain(|pidfd| !wait(pidfd.as_fd(), Duration::ZERO).unwrap_or(false));
    }

    /// Kills all that still run, and waits until they are gone.
    pub(crate) fn end(&mut self) {
        for pidfd in &self.running {
            let _ = signal_pidfd(pidfd.as_fd(), libc::SIGKILL);
        }
        let deadline = Instant::now() + ENDING;
        for pidfd in self.running.drain(..) {
            // One that cannot be killed hangs in the kernel, and is left to it.
            let _ = wait(pidfd.as_fd(), deadline.saturating_duration_since(Instant::now()));
        }
    }
}

impl Drop for Entrance<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether it is a pipe.
fn pipe(descriptor: &OwnedFd) -> Result<(), Errno> {
    let found = rustix::fs::fstat(descriptor)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::Fifo { Ok(()) } else { Err(Errno::INVAL) }
}

/// Waits until something can be read there, or a process has ended.
fn wait(descriptor: BorrowedFd<'_>, patience: Duration) -> Result<bool, Errno> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}
