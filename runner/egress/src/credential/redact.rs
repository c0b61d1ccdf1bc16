//! Takes values out of what comes back: a server that echoes a request must not thereby tell the agent what the gateway put
//! in. Raw, percent-encoded, in JSON's escapes, in base64 at any alignment, and in base64 that is escaped in turn.
//!
//! What is held back is what may yet become a value, and nothing else: an event stream is delayed by no more than such bytes.
//! Of base64, up to four bits of a value's first and last byte stay.

use std::fmt;
use std::sync::Arc;

use agentrc_secret::{Placeholder, SHORTEST};
use zeroize::Zeroizing;

use super::automaton::{Automaton, BEGIN, Pattern, State};
use super::{Bound, Way, base64, percent};

/// All forms in which values are looked for.
pub(super) fn automaton(bound: &[Bound]) -> Automaton {
    let mut patterns = Vec::new();
    for (owner, credential) in bound.iter().enumerate() {
        let value = credential.secret.expose();
        // Of `user:password`, a server may well repeat the password alone.
        let password = value.iter().position(|byte| *byte == b':').and_then(|colon| value.get(colon + 1..));
        let password = password.filter(|word| credential.way == Way::Basic && word.len() >= SHORTEST);
        let mut forms = Forms(Vec::new());
        for plain in [Some(value), password].into_iter().flatten() {
            forms.add(Zeroizing::new(plain.to_vec()));
            for alphabet in [base64::STANDARD, base64::URL] {
                base64::within(plain, alphabet).into_iter().for_each(|form| forms.add(form));
            }
        }
        for plain in 0..forms.0.len() {
            let Some(plain) = forms.0.get(plain).cloned() else { continue };
            percent_encoded(&plain).into_iter().for_each(|form| forms.add(form));
            json_escaped(&plain).into_iter().for_each(|form| forms.add(form));
        }
        patterns.extend(forms.0.into_iter().map(|text| Pattern { owner, text }));
    }
    Automaton::new(&patterns)
}

/// Spellings, each once.
struct Forms(Vec<Zeroizing<Vec<u8>>>);

impl Forms {
    fn add(&mut self, form: Zeroizing<Vec<u8>>) {
        if !self.0.contains(&form) {
            self.0.push(form);
        }
    }
}

/// As RFC 3986, `encodeURIComponent` and HTML forms (WHATWG URL §5.2) write it, in either case of the digits.
fn percent_encoded(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let component = |byte: u8| percent::is_unreserved(byte) || b"!*'()".contains(&byte);
    let form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._ ".contains(&byte);
    let mut forms = Vec::new();
    for digits in [percent::UPPER, percent::LOWER] {
        forms.push(percent::encode(text, digits, percent::is_unreserved));
        forms.push(percent::encode(text, digits, component));
        let mut plus = percent::encode(text, digits, form);
        plus.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
        forms.push(plus);
    }
    forms
}

/// As encoders of JSON (RFC 8259 §7) write it: all escape what they must; some a slash, what HTML knows, what is not ASCII.
fn json_escaped(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = Vec::new();
    for (slash, html) in [(false, false), (true, false), (false, true), (true, true)] {
        for ascii in [None, Some(percent::LOWER), Some(percent::UPPER)] {
            let mut form = Zeroizing::new(Vec::with_capacity(text.len() * 6));
            for chunk in text.utf8_chunks() {
                for sign in chunk.valid().chars() {
                    let escaped =
                        html && matches!(sign, '<' | '>' | '&') || !sign.is_ascii() && ascii.is_some();
                    match sign {
                        _ if escaped => unicode(sign, ascii.unwrap_or(percent::LOWER), &mut form),
                        '"' | '\\' => form.extend([b'\\', u8::try_from(sign).unwrap_or_default()]),
                        '/' if slash => form.extend(*b"\\/"),
                        _ => form.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
                form.extend_from_slice(chunk.invalid());
            }
            forms.push(form);
        }
    }
    forms
}

fn unicode(sign: char, digits: &[u8; 16], form: &mut Vec<u8>) {
    for unit in sign.encode_utf16(&mut [0; 2]) {
        form.extend(*b"\\u");
        let of = |shift: u16| digits.get(usize::from(*unit >> shift & 15)).copied();
        form.extend([12, 8, 4, 0].into_iter().filter_map(of));
    }
}

/// A redaction, from the begin to the end of a body or a stream.
pub struct Redactor {
    automaton: Arc<Automaton>,
    placeholders: Arc<[Placeholder]>,
    state: State,
    /// What may yet become a value: as many bytes as the automaton is deep.
    held: Zeroizing<Vec<u8>>,
    /// For each byte that is held, the match that it is part of.
    marks: Vec<Option<Mark>>,
    /// The match that was last given out as its placeholder.
    last: Option<Mark>,
    matches: u64,
    same_length: bool,
}

/// One match, by its number, and whose value it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    number: u64,
    owner: usize,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Redactor")
            .field("held", &self.held.len())
            .field("matches", &self.matches)
            .finish_non_exhaustive()
    }
}

impl Redactor {
    pub(super) fn new(
        automaton: &Arc<Automaton>,
        placeholders: &Arc<[Placeholder]>,
        same_length: bool,
    ) -> Self {
        Self {
            automaton: Arc::clone(automaton),
            placeholders: Arc::clone(placeholders),
            state: BEGIN,
            held: Zeroizing::new(Vec::new()),
            marks: Vec::new(),
            last: None,
            matches: 0,
            same_length,
        }
    }

    /// How often a value was found.
    #[must_use]
    pub fn matches(&self) -> u64 {
        self.matches
    }

    /// Takes the next bytes, and appends to `out` what may be passed on.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        loop {
            if self.held.is_empty() {
                let (plain, from) = rest.split_at(self.automaton.skip(rest).min(rest.len()));
                if !plain.is_empty() {
                    out.extend_from_slice(plain);
                    self.last = None;
                }
                rest = from;
            }
            let Some((byte, from)) = rest.split_first() else { return };
            rest = from;
            self.byte(*byte, out);
        }
    }

    /// Gives out what was held back: the stream has ended, and so nothing becomes of it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.state = BEGIN;
        self.release(out);
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.held.len() == self.held.capacity() {
            // Moved by hand, since a buffer that grows leaves its content behind.
            let mut larger = Zeroizing::new(Vec::with_capacity((2 * self.held.capacity()).max(64)));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
        self.held.push(byte);
        self.marks.push(None);
        self.state = self.automaton.step(self.state, byte);
        if let Some(found) = self.automaton.found(self.state) {
            self.matches += 1;
            let mark = Mark { number: self.matches, owner: found.owner };
            let covered = self.marks.iter_mut().rev().take(found.length);
            covered.filter(|other| other.is_none()).for_each(|other| *other = Some(mark));
            self.state = self.automaton.settle(self.state);
        }
        self.release(out);
    }

    /// Gives out what is longer ago than the automaton looks back.
    fn release(&mut self, out: &mut Vec<u8>) {
        let count = self.held.len().saturating_sub(self.automaton.depth(self.state));
        for (byte, mark) in self.held.iter().zip(&self.marks).take(count) {
            match mark {
                None => out.push(*byte),
                Some(_) if self.same_length => out.push(b'*'),
                Some(mark) if self.last == Some(*mark) => {}
                Some(mark) => {
                    let placeholder = self.placeholders.get(mark.owner).map(Placeholder::as_str);
                    out.extend_from_slice(placeholder.unwrap_or_default().as_bytes());
                }
            }
            self.last = *mark;
        }
        self.held.drain(..count);
        self.marks.drain(..count);
    }
}
