//! A pseudo-terminal on which a command runs, as under a shell or a terminal emulator.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::lab::Lab;
use crate::outcome::{Child, Outcome, PATIENCE, within};

/// A terminal with a command on it.
pub struct Terminal {
    master: std::fs::File,
    shown: Arc<Mutex<Vec<u8>>>,
    closed: Arc<AtomicBool>,
    drained: Arc<AtomicBool>,
    child: Child,
    /// Path of the slave on the host.
    pub slave: PathBuf,
}

impl Terminal {
    /// Runs a program on a terminal of its own, leader of its session.
    pub fn run(lab: &Lab, program: &Path, words: &[&str]) -> Self {
        Self::start(lab, "on-terminal", program, words)
    }

    /// Runs a program as a job of a shell-like parent that shows `[stopped]`, `[exit N]` and `[signal N]`, and continues
    /// it at the next line that is typed.
    pub fn run_as_job(lab: &Lab, program: &Path, words: &[&str]) -> Self {
        Self::start(lab, "job", program, words)
    }

    fn start(lab: &Lab, tool: &str, program: &Path, words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("unlock the pseudo-terminal");
        let slave = PathBuf::from(
            ptsname(&master, Vec::new()).expect("its name").into_string().expect("an ASCII name"),
        );
        std::os::unix::fs::chown(&slave, Some(lab.who.uid), Some(lab.who.gid)).expect("chown the terminal");
        tcsetwinsize(&master, size(24, 80)).expect("window size");
        let mut command = lab.command(lab.attacker(lab.path("attack")));
        command.arg(tool).arg(&slave).arg(program).args(words).env("TERM", "xterm");
        // The leader of a process group could not begin a session.
        command.process_group(rustix::process::getpgrp().as_raw_nonzero().get());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = Child::start_with(lab, command);
        let master = std::fs::File::from(master);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut screen, into) = (master.try_clone().expect("dup"), Arc::clone(&shown));
        let closed = Arc::new(AtomicBool::new(false));
        let drained = Arc::new(AtomicBool::new(false));
        let (stop, empty) = (Arc::clone(&closed), Arc::clone(&drained));
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 4096];
            while !stop.load(Ordering::SeqCst) {
                let mut ready = [PollFd::new(&screen, PollFlags::IN)];
                let patience = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                if rustix::event::poll(&mut ready, Some(&patience)).is_err() || ready[0].revents().is_empty()
                {
                    continue;
                }
                match screen.read(&mut buffer) {
                    Ok(n @ 1..) => into.lock().expect("lock").extend_from_slice(&buffer[..n]),
                    // EIO until the slave is opened, and after its last user has gone.
                    _ => {
                        empty.store(true, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            }
        });
        Self { master, shown, closed, drained, child, slave }
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("type");
    }

    /// Changes the window's size, as dragging its corner does.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).expect("window size");
    }

    /// All that was shown so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("lock")).into_owned()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let found = within(PATIENCE / 3, || self.screen().contains(text));
        assert!(found, "no `{text}` on the screen:\n{}\n{}", self.screen(), self.child.err());
    }

    /// Process id of the program's parent-most process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Closes the terminal, as a closed window does.
    pub fn hang_up(self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.master);
        // The reader has a descriptor, too: it notices within a few milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        self.child.finish();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(self) -> (Outcome, String) {
        let outcome = self.child.finish();
        // Nobody has the slave open any more: what is left comes out, then EIO.
        self.drained.store(false, Ordering::SeqCst);
        within(PATIENCE / 3, || self.drained.load(Ordering::SeqCst));
        self.closed.store(true, Ordering::SeqCst);
        let screen = String::from_utf8_lossy(&self.shown.lock().expect("lock")).into_owned();
        (outcome, screen)
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
