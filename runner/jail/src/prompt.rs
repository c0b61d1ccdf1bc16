//! A question on the user's terminal, while nothing of the agent's passes: which keys answer it, and which bytes must not.
//!
//! The agent has written to this terminal before, so it may have asked it for reports (its title, a colour), which the terminal types
//! as a person would. A report begins with an escape, or is a text that somebody has set (the answer to ENQ); what is pasted is a text,
//! too. Whatever is not exactly one of the keys makes deaf: everything is ignored until it has been quiet for a while, so that the end of
//! a text, read by itself, is no answer.

use std::time::{Duration, Instant};

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// This once.
    Once,
    /// Also the same again, in this run.
    Run,
    /// No.
    No,
}

/// How long it has to be quiet after what may be the terminal's own words.
const QUIET: Duration = Duration::from_millis(400);
/// Ends what the agent may have begun (a control string, a colour, a character set, margins), and begins a line.
const BEFORE: &[u8] = b"\x18\x1b\\\x1b[!p\x1b[0m\r\n";

/// A question that is shown.
#[derive(Debug)]
pub(crate) struct Prompt {
    /// Its number.
    pub(crate) number: u64,
    text: Vec<u8>,
    written: usize,
    approvable: bool,
    /// Nothing counts before this.
    deaf_until: Option<Instant>,
    reply: Option<Reply>,
}

impl Prompt {
    /// A question in `text`, which has no control characters but line ends. Without `approvable`, the only answer is no.
    pub(crate) fn new(number: u64, text: &str, approvable: bool) -> Self {
        let mut bytes = BEFORE.to_vec();
        for line in text.lines() {
            bytes.extend(line.as_bytes());
            bytes.extend(b"\r\n");
        }
        bytes.extend(if approvable {
            &b"approve? [y] once  [a] for this run  [n] deny (default): "[..]
        } else {
            b"[n] deny (default): "
        });
        Self { number, text: bytes, written: 0, approvable, deaf_until: None, reply: None }
    }

    /// What is still to be shown.
    pub(crate) fn rest(&self) -> &[u8] {
        self.text.get(self.written..).unwrap_or_default()
    }

    /// So much of it was shown. `true`: it is whole now, and what was typed before it was is no answer.
    pub(crate) fn wrote(&mut self, count: usize, now: Instant) -> bool {
        self.written += count;
        let whole = self.rest().is_empty();
        if whole {
            // Reports that the agent asked for are on their way.
            self.deaf_until = now.checked_add(QUIET);
        }
        whole
    }

    /// Bytes were typed.
    pub(crate) fn hear(&mut self, bytes: &[u8], now: Instant) {
        let deaf = self.deaf_until.is_none_or(|until| now < until);
        let reply = match bytes {
            b"y" | b"Y" if self.approvable => Some(Reply::Once),
            b"a" | b"A" if self.approvable => Some(Reply::Run),
            // Enter, and what interrupts elsewhere.
            b"n" | b"N" | b"\r" | b"\n" | b"\x03" | b"\x04" => Some(Reply::No),
            _ => None,
        };
        if deaf || reply.is_none() {
            self.deaf_until = now.checked_add(QUIET);
            return;
        }
        self.reply = reply;
    }

    /// Nobody is there any more.
    pub(crate) fn gone(&mut self) {
        self.reply = Some(Reply::No);
    }

    /// The answer, when there is one.
    pub(crate) fn reply(&self) -> Option<Reply> {
        self.reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(approvable: bool) -> (Prompt, Instant) {
        let mut prompt = Prompt::new(1, "one\ntwo", approvable);
        let start = Instant::now();
        let length = prompt.rest().len();
        assert!(!prompt.wrote(3, start) && prompt.wrote(length - 3, start));
        (prompt, start + QUIET)
    }

    #[test]
    fn the_end_of_a_text_is_no_answer() {
        for text in [&[b'Y'; 256][..], b"PuTT", b"x", b"\x05"] {
            let (mut prompt, now) = shown(true);
            prompt.hear(text, now);
            prompt.hear(b"Y", now + QUIET / 2);
            assert_eq!(prompt.reply(), None, "{text:?}");
            // Each of them begins the wait anew.
            prompt.hear(b"y", now + QUIET);
            assert_eq!(prompt.reply(), None, "{text:?}");
            prompt.hear(b"y", now + QUIET * 3);
            assert_eq!(prompt.reply(), Some(Reply::Once), "{text:?}");
        }
    }

    #[test]
    fn a_key_answers_and_what_is_no_key_does_not() {
        for (typed, wanted) in [
            (&b"y"[..], Some(Reply::Once)),
            (b"A", Some(Reply::Run)),
            (b"n", Some(Reply::No)),
            (b"\r", Some(Reply::No)),
            (b"\x03", Some(Reply::No)),
            (b"x", None),
            (b"yy", None),
            (b"y\r", None),
            (b"\x1b", None),
            (b"", None),
        ] {
            let (mut prompt, now) = shown(true);
            prompt.hear(typed, now);
            assert_eq!(prompt.reply(), wanted, "{typed:?}");
        }
        let (mut prompt, now) = shown(false);
        prompt.hear(b"y", now);
        assert_eq!(prompt.reply(), None);
        prompt.hear(b"n", now + QUIET);
        assert_eq!(prompt.reply(), Some(Reply::No));
    }

    #[test]
    fn what_came_before_or_from_the_terminal_itself_answers_nothing() {
        let mut unshown = Prompt::new(1, "", true);
        unshown.hear(b"y", Instant::now() + QUIET);
        assert_eq!(unshown.reply(), None);
        let (mut prompt, ready) = shown(true);
        prompt.hear(b"y", ready - Duration::from_millis(1));
        assert_eq!(prompt.reply(), None);
        // The title of a window, as it is reported, in pieces.
        for split in 0..7 {
            let (mut prompt, mut now) = shown(true);
            let (one, other) = b"\x1b]ly\x1b\\y".split_at(split);
            for piece in [one, other].into_iter().filter(|piece| !piece.is_empty()) {
                prompt.hear(piece, now);
                now += QUIET / 2;
            }
            for byte in b"aay" {
                prompt.hear(&[*byte], now);
            }
            assert_eq!(prompt.reply(), None, "{split}");
            prompt.hear(b"y", now + QUIET);
            assert_eq!(prompt.reply(), Some(Reply::Once));
        }
    }
}
