//! Why a run does not start: one step, one reason, one way out.

use agentfile::plan::Origin;
use rustix::io::Errno;

use crate::step::{Failure, Step};

/// A refusal. The command was not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The step that refused.
    pub step: Step,
    /// The line that asked for what could not be had, when there is one.
    pub origin: Option<Origin>,
    /// Why, as a clause in lower case.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Refusal {
    /// A refusal for a reason of our own.
    pub(crate) fn new(step: Step, reason: impl Into<String>) -> Self {
        let help = step.help();
        Self { step, origin: None, reason: reason.into(), help: (!help.is_empty()).then(|| help.to_owned()) }
    }

    /// A refusal for what the kernel answered, about `subject` (empty: nothing in particular).
    pub(crate) fn kernel(step: Step, subject: &str, errno: Errno) -> Self {
        let subject = if subject.is_empty() { String::new() } else { format!(" (`{subject}`)") };
        Self::new(step, format!("could not {}{subject}: {}", step.doing(), describe(errno)))
    }

    /// The same with the line that asked for it.
    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    /// The same with another way out.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A failed step whose operation was about nothing in particular.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::kernel(failure.step, "", failure.errno)
    }
}

/// `errno` in words and by name.
pub(crate) fn describe(errno: Errno) -> String {
    let words = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let words = words.split(" (os error").next().unwrap_or(&words).to_owned();
    format!("{} ({words})", name(errno))
}

/// The symbolic name of `errno` (errno(3)), or its number.
pub(crate) fn name(errno: Errno) -> String {
    let known = [
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::SRCH, "ESRCH"),
        (Errno::IO, "EIO"),
        (Errno::BADF, "EBADF"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::ACCESS, "EACCES"),
        (Errno::BUSY, "EBUSY"),
        (Errno::EXIST, "EEXIST"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::ISDIR, "EISDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::MFILE, "EMFILE"),
        (Errno::NFILE, "ENFILE"),
        (Errno::NOTTY, "ENOTTY"),
        (Errno::TXTBSY, "ETXTBSY"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::ROFS, "EROFS"),
        (Errno::PIPE, "EPIPE"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::LOOP, "ELOOP"),
        (Errno::XDEV, "EXDEV"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
        (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
        (Errno::NETUNREACH, "ENETUNREACH"),
        (Errno::CONNREFUSED, "ECONNREFUSED"),
        (Errno::USERS, "EUSERS"),
        (Errno::NOEXEC, "ENOEXEC"),
        (Errno::TOOBIG, "E2BIG"),
        (Errno::STALE, "ESTALE"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("errno {}", errno.raw_os_error()), |(_, name)| (*name).to_owned())
}
