//! The supervisor's side of an interactive run: the user's terminal in raw mode, bytes moved both ways, window sizes handed
//! on. The agent has a terminal of its own, so nothing that it does to it reaches the user's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Bytes on their way in one direction.
struct Buffer {
    bytes: [u8; 8192],
    start: usize,
    end: usize,
}

impl Buffer {
    const fn new() -> Self {
        Self { bytes: [0; 8192], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads once into an empty buffer. `Ok(false)`: end of file.
    fn fill(&mut self, from: BorrowedFd<'_>) -> Result<bool, Errno> {
        match rustix::io::read(from, &mut self.bytes) {
            Ok(count) => {
                (self.start, self.end) = (0, count);
                Ok(count > 0)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    fn drain(&mut self, to: BorrowedFd<'_>) -> Result<(), Errno> {
        match rustix::io::write(to, self.bytes.get(self.start..self.end).unwrap_or_default()) {
            Ok(count) => self.start += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// The relay between the user's terminal and the sandbox's. Dropping it restores the user's terminal.
pub(crate) struct Relay {
    master: OwnedFd,
    before: Termios,
    input: Buffer,
    output: Buffer,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    /// Takes over the user's terminal (standard input), whose settings the sandbox's gets.
    pub(crate) fn start(master: OwnedFd) -> Result<Self, Errno> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin)?;
        tcsetattr(&master, OptionalActions::Now, &before)?;
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        let relay = Self {
            master,
            before,
            input: Buffer::new(),
            output: Buffer::new(),
            input_open: true,
            output_open: true,
        };
        relay.resize();
        Ok(relay)
    }

    /// Hands the window size on; the kernel sends SIGWINCH to the agent's foreground group.
    pub(crate) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// What to poll for: standard input, the master, standard output.
    pub(crate) fn interests(&self) -> [(BorrowedFd<'_>, PollFlags); 3] {
        let when = |condition: bool, flags| if condition { flags } else { PollFlags::empty() };
        let master = when(self.output_open && self.output.is_empty(), PollFlags::IN)
            | when(!self.input.is_empty(), PollFlags::OUT);
        [
            (rustix::stdio::stdin(), when(self.input_open && self.input.is_empty(), PollFlags::IN)),
            (self.master.as_fd(), master),
            (rustix::stdio::stdout(), when(!self.output.is_empty(), PollFlags::OUT)),
        ]
    }

    /// Moves what can be moved. A user's terminal that is gone ends the input; the agent sees a hang-up of its own.
    pub(crate) fn move_bytes(&mut self, ready: [PollFlags; 3]) {
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let [stdin, master, stdout] = ready;
        if self.input_open && self.input.is_empty() && stdin.intersects(readable) {
            self.input_open = self.input.fill(rustix::stdio::stdin()).unwrap_or(false);
        }
        if !self.input.is_empty()
            && master.intersects(PollFlags::OUT)
            && self.input.drain(self.master.as_fd()).is_err()
        {
            self.input = Buffer::new();
        }
        if self.output_open && self.output.is_empty() && master.intersects(readable) {
            // EIO: the last process of the sandbox has closed the other side.
            self.output_open = self.output.fill(self.master.as_fd()).unwrap_or(false);
        }
        // Only when it will not block: the clock and the signals are this same loop's.
        if !self.output.is_empty()
            && stdout.intersects(PollFlags::OUT | PollFlags::ERR)
            && self.output.drain(rustix::stdio::stdout()).is_err()
        {
            self.output = Buffer::new();
            self.output_open = false;
        }
    }

    /// After the sandbox's end: what it has still written.
    pub(crate) fn finish(&mut self) {
        while self.output_open || !self.output.is_empty() {
            if self.output.is_empty() {
                match rustix::io::read(&self.master, &mut self.output.bytes) {
                    Ok(count) if count > 0 => (self.output.start, self.output.end) = (0, count),
                    _ => return,
                }
            } else {
                let mut watched = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
                let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
                let ready = rustix::event::poll(&mut watched, Some(&second));
                if ready.unwrap_or(0) == 0 || self.output.drain(rustix::stdio::stdout()).is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}
