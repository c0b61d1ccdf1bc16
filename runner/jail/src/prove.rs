//! Stage 5b, prove: what the agent's process tries, after every layer is armed and before it executes the command, and
//! what is read back about it. The sandbox only tries and reports; the supervisor judges.

use std::ffi::{CStr, CString};
use std::io::Read;
use std::os::fd::OwnedFd;

use agentrc_audit::event::{Evidence, LayerEvidence, Probe};
use rustix::io::Errno;

use crate::layer::Layer;
use crate::refusal::{self, Refusal};
use crate::step::{Step, run};
use crate::sys::process::attempt;

/// How many namespaces a process has a file for.
pub(crate) const NAMESPACES: usize = 7;
/// Those files.
pub(crate) const NAMESPACE_FILES: [&std::ffi::CStr; NAMESPACES] = [
    c"/proc/self/ns/user",
    c"/proc/self/ns/mnt",
    c"/proc/self/ns/pid",
    c"/proc/self/ns/ipc",
    c"/proc/self/ns/uts",
    c"/proc/self/ns/net",
    c"/proc/self/ns/cgroup",
];

/// Declares the acts: what is tried, and the answers that prove that it is denied.
macro_rules! acts {
    ($($variant:ident $words:literal [$($errno:ident),+])*) => {
        /// A forbidden act. Each is one bare system call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Act { $($variant),* }

        impl Act {
            /// All of them, in the order in which they are tried.
            pub(crate) const ALL: &'static [Act] = &[$(Act::$variant),*];

            /// What is tried.
            pub(crate) fn words(self) -> &'static str { match self { $(Act::$variant => $words),* } }

            /// The answers that prove the denial.
            fn expected(self) -> &'static [Errno] {
                match self { $(Act::$variant => &[$(Errno::$errno),+]),* }
            }
        }
    };
}

acts! {
    ReadUndeclared "read a file that no rule names" [ACCESS]
    ExecuteUndeclared "execute a file that no rule names" [ACCESS]
    CreateInRoot "create a file in /" [ROFS]
    ChangeHeld "set the times of a protected path" [ROFS]
    WriteSysctl "write /proc/sys/kernel/core_pattern" [ROFS, ACCESS]
    OpenInitRoot "open the root directory of init" [NOENT]
    Mount "mount a file system" [PERM]
    NewNamespace "make a user namespace" [PERM]
    PacketSocket "open a packet socket" [AFNOSUPPORT]
    VsockSocket "open a vsock socket" [AFNOSUPPORT]
    Trace "trace init" [PERM]
    LoadBpf "load a BPF program" [PERM]
    Keyring "read the session keyring" [PERM]
    IoUring "make an io_uring" [PERM]
    RaiseLoopback "bring a network interface up" [PERM]
    SignalSupervisor "signal the supervisor" [SRCH]
    ConnectAbstract "connect to the host's abstract socket" [CONNREFUSED, PERM]
    ConnectUndeclared "connect to a port of 127.0.0.1 that no line declares" [ACCESS, NETUNREACH, PERM, CONNREFUSED]
    ConnectElsewhere "connect to an address of the internet" [ACCESS, NETUNREACH, PERM]
    SendElsewhere "send a datagram to an address of the internet" [NETUNREACH, PERM]
}

/// How many acts there are.
pub(crate) const PROBES: usize = Act::ALL.len();

/// What the acts are aimed at.
pub(crate) struct Targets {
    supervisor: i32,
    /// A listening abstract socket of the host's network namespace; held open while the sandbox tries it.
    _listener: OwnedFd,
    abstract_address: libc::sockaddr_un,
    abstract_length: usize,
    /// A path that is held read-only.
    held: CString,
    /// A port that the plan does not declare, and one that it does if there is any: with that port, only the address is
    /// wrong.
    ports: [u16; 2],
}

/// Somebody's address on the internet (RFC 5737, documentation): with an open network the probe would reach nobody.
const ELSEWHERE: u32 = 0xcb00_7101; // 203.0.113.1

impl Targets {
    /// Opens the socket that the sandbox must not reach.
    pub(crate) fn prepare(held: &CStr, ports: [u16; 2]) -> Result<Self, Refusal> {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let supervisor = rustix::process::getpid().as_raw_nonzero().get();
        let (listener, name) = run(Step::Channel, 1, || {
            let kind = SocketType::STREAM;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
            // An unnamed address: the kernel picks an abstract name that nobody has (unix(7), autobind).
            rustix::net::bind(&socket, &SocketAddrUnix::new_unnamed())?;
            rustix::net::listen(&socket, 1)?;
            let address = SocketAddrUnix::try_from(rustix::net::getsockname(&socket)?)?;
            let name = address.abstract_name().ok_or(Errno::INVAL)?.to_vec();
            Ok((socket, name))
        })
        .map_err(|failure| Refusal::kernel(failure.step, "abstract socket", failure.errno))?;
        let mut raw = libc::sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: [0; 108] };
        for (to, from) in raw.sun_path.iter_mut().skip(1).zip(&name) {
            *to = from.cast_signed();
        }
        // A pid that is ours outside and in use inside (1 and 2) would prove nothing; the largest pid never is.
        let supervisor = if supervisor > 2 { supervisor } else { 4_194_303 };
        Ok(Self {
            supervisor,
            _listener: listener,
            abstract_address: raw,
            abstract_length: 3 + name.len(),
            held: held.to_owned(),
            ports,
        })
    }

    /// Tries everything. In the sandbox: no allocation. 0 stands for success.
    pub(crate) fn try_all(&self) -> [i32; PROBES] {
        let mut answers = [0; PROBES];
        for (answer, act) in answers.iter_mut().zip(Act::ALL) {
            *answer = self.attempt(*act).map_or(0, Errno::raw_os_error);
        }
        answers
    }

    fn attempt(&self, act: Act) -> Option<Errno> {
        let at = |text: &'static std::ffi::CStr| text.as_ptr() as u64;
        let cwd = i64::from(libc::AT_FDCWD).cast_unsigned();
        let open = |path, flags: libc::c_int| {
            attempt(libc::SYS_openat, [cwd, at(path), flags.unsigned_abs().into(), 0o600, 0, 0])
        };
        let socket = |family: libc::c_int, kind: libc::c_int| {
            attempt(libc::SYS_socket, [family.unsigned_abs().into(), kind.unsigned_abs().into(), 0, 0, 0, 0])
        };
        match act {
            Act::ReadUndeclared => open(c"/.agentrc/denied", libc::O_RDONLY),
            Act::ExecuteUndeclared => attempt(libc::SYS_execve, [at(c"/.agentrc/denied"), 0, 0, 0, 0, 0]),
            Act::CreateInRoot => open(c"/.agentrc-probe", libc::O_CREAT | libc::O_WRONLY),
            Act::WriteSysctl => open(c"/proc/sys/kernel/core_pattern", libc::O_WRONLY),
            Act::OpenInitRoot => open(c"/proc/1/root", libc::O_PATH),
            Act::Mount => attempt(libc::SYS_mount, [at(c"none"), at(c"/"), at(c"tmpfs"), 0, 0, 0]),
            Act::NewNamespace => {
                attempt(libc::SYS_unshare, [libc::CLONE_NEWUSER.unsigned_abs().into(), 0, 0, 0, 0, 0])
            }
            Act::PacketSocket => socket(libc::AF_PACKET, libc::SOCK_RAW),
            Act::VsockSocket => socket(libc::AF_VSOCK, libc::SOCK_STREAM),
            Act::Trace => attempt(libc::SYS_ptrace, [0x4206, 1, 0, 0, 0, 0]), // PTRACE_SEIZE of init
            Act::LoadBpf => attempt(libc::SYS_bpf, [5, 0, 0, 0, 0, 0]),
            Act::Keyring => {
                // KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING
                attempt(libc::SYS_keyctl, [0, (-3_i64).cast_unsigned(), 0, 0, 0, 0])
            }
            Act::IoUring => attempt(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]),
            Act::RaiseLoopback => raise_loopback(),
            Act::ChangeHeld => attempt(libc::SYS_utimensat, [cwd, self.held.as_ptr() as u64, 0, 0, 0, 0]),
            Act::SignalSupervisor => {
                attempt(libc::SYS_kill, [i64::from(self.supervisor).cast_unsigned(), 0, 0, 0, 0, 0])
            }
            Act::ConnectAbstract => {
                let address = (&raw const self.abstract_address) as u64;
                connect(libc::AF_UNIX, libc::SOCK_STREAM, address, self.abstract_length as u64)
            }
            Act::ConnectUndeclared => internet(libc::SOCK_STREAM, 0x7f00_0001, self.ports[0]),
            Act::ConnectElsewhere => internet(libc::SOCK_STREAM, ELSEWHERE, self.ports[1]),
            Act::SendElsewhere => internet(libc::SOCK_DGRAM, ELSEWHERE, self.ports[1]),
        }
    }
}

/// SIOCSIFFLAGS on the sandbox's own `lo` (netdevice(7)): seccomp lets it through, and CAP_NET_ADMIN over the sandbox's own
/// network namespace would be enough, so that only the missing capability denies it.
fn raise_loopback() -> Option<Errno> {
    use std::os::fd::AsRawFd;
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        padding: [u8; 22],
    }
    let mut request = Request { name: [0; 16], flags: libc::IFF_UP as i16, padding: [0; 22] };
    for (to, from) in request.name.iter_mut().zip(b"lo") {
        *to = *from;
    }
    let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM);
    match rustix::net::socket_with(family, kind, rustix::net::SocketFlags::CLOEXEC, None) {
        Ok(socket) => attempt(
            libc::SYS_ioctl,
            [
                u64::from(socket.as_raw_fd().unsigned_abs()),
                libc::SIOCSIFFLAGS,
                (&raw const request) as u64,
                0,
                0,
                0,
            ],
        ),
        Err(errno) => Some(errno),
    }
}

/// connect(2) to an IPv4 address, in host byte order.
fn internet(kind: libc::c_int, address: u32, port: u16) -> Option<Errno> {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: address.to_be() },
        sin_zero: [0; 8],
    };
    connect(libc::AF_INET, kind, (&raw const address) as u64, size_of::<libc::sockaddr_in>() as u64)
}

/// connect(2) of a fresh socket. That a socket cannot even be made is no proof, and is reported as it is.
fn connect(family: libc::c_int, kind: libc::c_int, address: u64, length: u64) -> Option<Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    use std::os::fd::AsRawFd;
    let family = AddressFamily::from_raw(family.unsigned_abs() as u16);
    let kind = SocketType::from_raw(kind.unsigned_abs());
    match socket_with(family, kind, SocketFlags::CLOEXEC, None) {
        Ok(socket) => attempt(
            libc::SYS_connect,
            [u64::from(socket.as_raw_fd().unsigned_abs()), address, length, 0, 0, 0],
        ),
        Err(errno) => Some(errno),
    }
}

/// What the kernel says about the agent's process.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    pub(crate) status: String,
    /// One line per mount (proc_pid_mountinfo(5)).
    pub(crate) mountinfo: String,
    /// proc_pid_limits(5).
    pub(crate) limits: String,
    /// Inode numbers, in the order of [`NAMESPACE_FILES`].
    pub(crate) namespaces: [u64; NAMESPACES],
    pub(crate) answers: [i32; PROBES],
}

impl Readings {
    /// Reads the files through the descriptors that the agent's process opened of itself.
    pub(crate) fn read(
        status: OwnedFd,
        mountinfo: &std::fs::File,
        limits: OwnedFd,
        namespaces: [u64; NAMESPACES],
        answers: [i32; PROBES],
    ) -> Result<Self, Refusal> {
        let text = |mut file: &std::fs::File| {
            let mut text = Vec::with_capacity(8192);
            run(Step::ReadBack, 0, || {
                file.read_to_end(&mut text).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            })
            .map_err(|failure| Refusal::kernel(Step::ReadBack, "/proc/self", failure.errno))?;
            Ok::<_, Refusal>(String::from_utf8_lossy(&text).into_owned())
        };
        Ok(Self {
            status: text(&status.into())?,
            mountinfo: text(mountinfo)?,
            limits: text(&limits.into())?,
            namespaces,
            answers,
        })
    }

    /// Whether this was the answer to an act.
    pub(crate) fn answered(&self, act: Act, errno: Errno) -> bool {
        self.answers.get(act as usize).is_some_and(|answer| *answer == errno.raw_os_error())
    }

    /// A field of `/proc/self/status` (proc_pid_status(5)). One that is missing is a refusal: it proves nothing.
    pub(crate) fn status(&self, field: &str) -> Result<&str, Refusal> {
        self.status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .map(str::trim)
            .ok_or_else(|| Refusal::new(Step::ReadBack, format!("`{field}` is missing in /proc/self/status")))
    }
}

/// Judges: every layer as armed, every act denied as it must be. Returns the evidence to record.
pub(crate) fn judge(layers: &[&dyn Layer], readings: &Readings) -> Result<Evidence, Refusal> {
    run(Step::Probe, 0, || Ok(())).map_err(|failure| Refusal::kernel(Step::Probe, "", failure.errno))?;
    for (act, answer) in Act::ALL.iter().zip(readings.answers) {
        if !act.expected().iter().any(|errno| errno.raw_os_error() == answer) {
            let got = match answer {
                0 => "it succeeded".to_owned(),
                other => format!("the kernel answered {}", refusal::name(Errno::from_raw_os_error(other))),
            };
            let expected: Vec<_> = act.expected().iter().map(|errno| refusal::name(*errno)).collect();
            return Err(Refusal::new(
                Step::Probe,
                format!(
                    "tried to {} from inside, which must fail with {}: {got}",
                    act.words(),
                    expected.join(" or ")
                ),
            ));
        }
    }
    let mut evidence = Evidence { kernel: kernel_release(), layers: Vec::with_capacity(layers.len()) };
    for layer in layers {
        let probes = layer
            .probes()
            .iter()
            .map(|act| {
                let answer = readings.answers.get(*act as usize).copied().unwrap_or_default();
                Probe { act: act.words().to_owned(), answer: refusal::name(Errno::from_raw_os_error(answer)) }
            })
            .collect();
        let read_back = run(Step::ReadBack, 1, || Ok(()))
            .map_err(|failure| Refusal::kernel(Step::ReadBack, layer.name(), failure.errno))
            .and_then(|()| layer.read_back(readings))?;
        evidence.layers.push(LayerEvidence { layer: layer.name().to_owned(), read_back, probes });
    }
    Ok(evidence)
}

/// The kernel's release, for the record only.
fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Readings {
        let mut answers = [0; PROBES];
        for (answer, act) in answers.iter_mut().zip(Act::ALL) {
            *answer = act.expected()[0].raw_os_error();
        }
        Readings { answers, ..Readings::default() }
    }

    #[test]
    fn all_expected_answers_are_accepted() {
        assert!(judge(&[], &readings()).is_ok());
    }

    #[test]
    fn an_act_that_succeeds_is_a_refusal_that_names_it() {
        for act in Act::ALL {
            let mut readings = readings();
            readings.answers[*act as usize] = 0;
            let refusal = judge(&[], &readings).unwrap_err();
            assert_eq!(refusal.step, Step::Probe);
            assert!(refusal.reason.contains(act.words()), "{}", refusal.reason);
            assert!(refusal.reason.contains("it succeeded"), "{}", refusal.reason);
        }
    }

    #[test]
    fn an_answer_that_does_not_prove_the_denial_is_a_refusal() {
        let mut readings = readings();
        readings.answers[Act::ReadUndeclared as usize] = Errno::NOENT.raw_os_error();
        assert!(judge(&[], &readings).unwrap_err().reason.contains("ENOENT"));
    }

    #[test]
    fn a_field_that_is_missing_in_status_is_a_refusal() {
        let readings = Readings { status: "Seccomp:\t2\n".to_owned(), ..Readings::default() };
        assert_eq!(readings.status("Seccomp").ok(), Some("2"));
        assert!(readings.status("NoNewPrivs").is_err());
        assert!(readings.status("Sec").is_err());
    }
}
