//! How a service speaks to the supervisor while it serves, and how what it does waits for the answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::channel::send;

/// A service's voice; `A` is what it waits for.
#[derive(Debug)]
pub struct Voice<A> {
    channel: OwnedFd,
    number: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<A>>>,
    /// The supervisor is gone, or cannot be told: nothing more is permitted.
    broken: Cell<bool>,
}

impl<A> Voice<A> {
    /// Speaks through `channel`.
    #[must_use]
    pub fn new(channel: OwnedFd) -> Self {
        Self { channel, number: Cell::new(0), waiting: RefCell::default(), broken: Cell::new(false) }
    }

    /// The channel, to hear orders.
    #[must_use]
    pub fn channel(&self) -> &OwnedFd {
        &self.channel
    }

    /// Tells it now, with `attached`, and waits while the supervisor is busy: an agent that makes more reports than can be
    /// written down waits, too.
    pub fn tell(&self, report: &impl Serialize, attached: &[BorrowedFd<'_>]) {
        loop {
            match send(self.channel.as_fd(), report, attached) {
                Ok(()) => return,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut watched = [PollFd::new(&self.channel, PollFlags::OUT)];
                    // Interrupted or not: it is tried again.
                    let _ = poll(&mut watched, None);
                }
                Err(_) => return self.broken.set(true),
            }
        }
    }

    /// Whether the supervisor can be told no more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// A number for a report that has an answer, and where that arrives.
    pub fn numbered(&self) -> (u64, oneshot::Receiver<A>) {
        let number = self.number.get();
        self.number.set(number + 1);
        let (answer, waits) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, answer);
        (number, waits)
    }

    /// The answer to the report of this number. `false`: nothing that was asked, so it is none of the supervisor's.
    #[must_use]
    pub fn answered(&self, number: u64, answer: A) -> bool {
        let waiting = self.waiting.borrow_mut().remove(&number);
        // Whoever waited may be gone with its connection.
        waiting.map(|waiting| drop(waiting.send(answer))).is_some()
    }
}
