//! The supervisor's side of an interactive run: the user's terminal in raw mode, bytes moved both ways, window sizes handed
//! on. The agent has a terminal of its own, so nothing that it does to it reaches the user's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::prompt::{Prompt, Reply};

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
    /// The user's terminal, for output; a description of our own, so that it can be non-blocking.
    screen: OwnedFd,
    /// The settings of the user's terminal from before, when the agent has its keyboard.
    before: Option<Termios>,
    input: Buffer,
    output: Buffer,
    input_open: bool,
    output_open: bool,
    /// What the user is asked; nothing of the agent's passes meanwhile.
    prompt: Option<Prompt>,
}

impl Relay {
    /// Takes over the user's terminal `shown`: its settings go to the sandbox's; `interactive`: its keyboard too.
    pub(crate) fn start(master: OwnedFd, shown: BorrowedFd<'_>, interactive: bool) -> Result<Self, Errno> {
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        // A terminal of another user (after su(1)) cannot be opened again, only used.
        let path = rustix::path::DecInt::from_fd(shown);
        let how = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let screen = rustix::fs::open("/proc/self/fd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .and_then(|folder| rustix::fs::openat(&folder, path, how, Mode::empty()))
            .or_else(|_| rustix::io::fcntl_dupfd_cloexec(shown, 3))?;
        let settings = tcgetattr(&screen)?;
        let mut inner = settings.clone();
        if !interactive {
            // Only output passes, and the user's terminal still does its own processing.
            inner.make_raw();
        }
        tcsetattr(&master, OptionalActions::Now, &inner)?;
        if interactive {
            let mut raw = settings.clone();
            raw.make_raw();
            tcsetattr(&screen, OptionalActions::Now, &raw)?;
        }
        let relay = Self {
            master,
            screen,
            before: interactive.then_some(settings),
            input: Buffer::new(),
            output: Buffer::new(),
            input_open: interactive,
            output_open: true,
            prompt: None,
        };
        relay.resize();
        Ok(relay)
    }

    /// Before the supervisor stops: the user's terminal as it was.
    pub(crate) fn suspend(&self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(&self.screen, OptionalActions::Now, before);
        }
    }

    /// After the supervisor was stopped: the shell has put the terminal into its own state.
    pub(crate) fn resume(&self) {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(&self.screen, OptionalActions::Now, &raw);
        }
        self.resize();
    }

    /// Hands the window size on; the kernel sends SIGWINCH to the agent's foreground group.
    pub(crate) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(&self.screen) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Whether the user can be asked: the keyboard is ours, and somebody may be at it.
    pub(crate) fn can_ask(&self) -> bool {
        self.before.is_some() && (self.input_open || self.prompt.is_some())
    }

    /// The number of the question that is shown.
    pub(crate) fn asks(&self) -> Option<u64> {
        self.prompt.as_ref().map(|prompt| prompt.number)
    }

    /// Shows a question.
    pub(crate) fn ask(&mut self, number: u64, text: &str, approvable: bool) {
        self.prompt = Some(Prompt::new(number, text, approvable));
    }

    /// The answer to it.
    pub(crate) fn reply(&self) -> Option<(u64, Reply)> {
        let prompt = self.prompt.as_ref()?;
        Some((prompt.number, prompt.reply()?))
    }

    /// The agent goes on.
    pub(crate) fn asked(&mut self, outcome: &str) {
        if self.prompt.take().is_some() {
            // If it does not fit now, it matters no more.
            let _ = rustix::io::write(&self.screen, format!("{outcome}\r\n").as_bytes());
        }
    }

    /// [`Relay::interests`] while a question is shown: the agent's output that was read before it, the question, and keys.
    fn interests_of(&self, prompt: &Prompt) -> [(BorrowedFd<'_>, PollFlags); 3] {
        let when = |condition: bool, flags| if condition { flags } else { PollFlags::empty() };
        let shown = self.output.is_empty() && prompt.rest().is_empty();
        [
            (rustix::stdio::stdin(), when(shown && self.input_open, PollFlags::IN)),
            (self.master.as_fd(), PollFlags::empty()),
            (self.screen.as_fd(), when(!shown, PollFlags::OUT)),
        ]
    }

    /// [`Relay::move_bytes`] while a question is shown.
    fn converse(&mut self, [stdin, _, stdout]: [PollFlags; 3]) {
        let Some(prompt) = &mut self.prompt else { return };
        let now = std::time::Instant::now();
        if stdout.intersects(PollFlags::OUT | PollFlags::ERR) && self.output.is_empty() {
            match rustix::io::write(&self.screen, prompt.rest()) {
                Ok(count) => {
                    if prompt.wrote(count, now) {
                        // What was typed before it was shown is no answer to it.
                        let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => prompt.gone(),
            }
        }
        if stdin.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && prompt.rest().is_empty() {
            let mut typed = [0; 256];
            match rustix::io::read(rustix::stdio::stdin(), &mut typed) {
                Ok(0) => {
                    self.input_open = false;
                    prompt.gone();
                }
                Ok(count) => prompt.hear(typed.get(..count).unwrap_or_default(), now),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => prompt.gone(),
            }
        }
    }

    /// What to poll for: standard input, the master, standard output.
    pub(crate) fn interests(&self) -> [(BorrowedFd<'_>, PollFlags); 3] {
        if let Some(prompt) = &self.prompt {
            return self.interests_of(prompt);
        }
        let when = |condition: bool, flags| if condition { flags } else { PollFlags::empty() };
        let master = when(self.output_open && self.output.is_empty(), PollFlags::IN)
            | when(!self.input.is_empty(), PollFlags::OUT);
        [
            (rustix::stdio::stdin(), when(self.input_open && self.input.is_empty(), PollFlags::IN)),
            (self.master.as_fd(), master),
            (self.screen.as_fd(), when(!self.output.is_empty(), PollFlags::OUT)),
        ]
    }

    /// Moves what can be moved. A user's terminal that is gone ends the input; the agent sees a hang-up of its own.
    pub(crate) fn move_bytes(&mut self, ready: [PollFlags; 3]) {
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let [stdin, master, stdout] = ready;
        let passes = self.prompt.is_none();
        self.converse(ready);
        if passes && self.input_open && self.input.is_empty() && stdin.intersects(readable) {
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
            && self.output.drain(self.screen.as_fd()).is_err()
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
                let mut watched = [PollFd::from_borrowed_fd(self.screen.as_fd(), PollFlags::OUT)];
                let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
                let ready = rustix::event::poll(&mut watched, Some(&second));
                if ready.unwrap_or(0) == 0 || self.output.drain(self.screen.as_fd()).is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        self.suspend();
    }
}
