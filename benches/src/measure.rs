//! One run of one command: wall time, CPU time and peak memory, as wait4(2) reports them.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::options::Caller;

/// What one run cost.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// From just before fork to the return of wait4.
    pub(crate) wall: Duration,
    /// User and system time of the child and of every descendant that was waited for.
    pub(crate) cpu: Duration,
    /// Peak resident set in KiB of the largest of them. It starts at what this process had when it forked.
    pub(crate) peak_kib: i64,
    /// What it wrote to standard output.
    pub(crate) output: String,
}

/// `argv` as `caller`, in `folder`, with an environment that says nothing of ours.
///
/// # Errors
/// It names no program.
pub(crate) fn command(argv: &[String], caller: &Caller, folder: &Path) -> Result<Command, String> {
    let (program, rest) = argv.split_first().ok_or("an empty command")?;
    let mut command = Command::new(program);
    command
        .args(rest)
        .current_dir(folder)
        .uid(caller.id)
        .gid(caller.id)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", &caller.home)
        .env("XDG_STATE_HOME", caller.home.join("state"))
        .env("XDG_CONFIG_HOME", caller.home.join("config"))
        .env("XDG_RUNTIME_DIR", caller.home.join("run"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs `argv` as `caller`, in `folder`.
///
/// # Errors
/// It could not be started, or did not exit with 0: its words.
pub(crate) fn run(argv: &[String], caller: &Caller, folder: &Path) -> Result<Sample, String> {
    finish(command(argv, caller, folder)?)
}

/// Runs a [`command`] to its end.
///
/// # Errors
/// It could not be started, or did not exit with 0: its words.
pub(crate) fn finish(mut command: Command) -> Result<Sample, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("`{program}` could not be started: {error}"))?;
    let ended = wait4(child.id());
    let wall = start.elapsed();
    let mut output = String::new();
    let mut words = String::new();
    // Less than a pipe's buffer by the nature of what is run, so reading after the end cannot have blocked it.
    if let (Some(stdout), Some(stderr)) = (child.stdout.as_mut(), child.stderr.as_mut()) {
        let _: std::io::Result<usize> = stdout.read_to_string(&mut output);
        let _: std::io::Result<usize> = stderr.read_to_string(&mut words);
    }
    let (status, cpu, peak_kib) = ended?;
    if status == 0 {
        Ok(Sample { wall, cpu, peak_kib, output })
    } else {
        let words = words.trim().lines().next_back().unwrap_or("said nothing").to_owned();
        Err(format!("wait status {status}: {words}"))
    }
}

/// Waits for `pid`; its wait status, CPU time and peak memory.
fn wait4(pid: u32) -> Result<(i32, Duration, i64), String> {
    let pid = libc::pid_t::try_from(pid).map_err(|error| error.to_string())?;
    let mut status = 0;
    // SAFETY: rusage is a C struct of integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live, exclusively borrowed locals of the types that wait4(2) writes. The pid is
        // a child of ours that nothing else waits for.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if got == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("wait4: {error}"));
        }
    }
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    Ok((status, cpu, usage.ru_maxrss))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
