//! Finds placeholders in whatever leaves the sandbox: request bodies, streams of which the gateway knows no more than that
//! they are bytes, and each part of a request's head. Raw, percent-encoded, in base64 at any alignment, or in base64 that is
//! percent-encoded, across any boundary between chunks.
//!
//! A placeholder is worth nothing by itself, so what is compressed, encrypted or otherwise disguised is nobody's loss: the
//! search is there to tell a mistake, and an attempt, from what was meant.

use std::fmt;
use std::sync::Arc;

use agentrc_secret::Placeholder;
use zeroize::Zeroizing;

use super::automaton::{Automaton, BEGIN, Pattern, State};
use super::percent::Decoder;
use super::{Place, Refusal, base64};

/// All forms in which placeholders are looked for.
pub(super) fn automaton<'a>(placeholders: impl IntoIterator<Item = &'a Placeholder>) -> Automaton {
    let mut patterns = Vec::new();
    for (owner, placeholder) in placeholders.into_iter().enumerate() {
        let text = placeholder.core().as_bytes();
        patterns.push(Pattern { owner, text: Zeroizing::new(text.to_vec()) });
        for alphabet in [base64::STANDARD, base64::URL] {
            patterns.extend(base64::within(text, alphabet).map(|text| Pattern { owner, text }));
        }
    }
    Automaton::new(&patterns)
}

/// One search, from the begin to the end of what is sent.
#[derive(Clone)]
pub(super) struct Search {
    automaton: Arc<Automaton>,
    state: State,
    /// The search in what the bytes are without their percent-encoding, once and as long as that is something else.
    decoded: Option<(Decoder, State)>,
}

impl Search {
    pub(super) fn new(automaton: &Arc<Automaton>) -> Self {
        Self { automaton: Arc::clone(automaton), state: BEGIN, decoded: None }
    }

    /// Whose placeholder ends within these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let automaton = &*self.automaton;
        let mut rest = bytes.iter();
        loop {
            if self.state == BEGIN && self.decoded.is_none() {
                let ordinary = rest.as_slice();
                let percent = ordinary.iter().position(|byte| *byte == b'%').unwrap_or(ordinary.len());
                let skip = automaton.skip(ordinary.get(..percent).unwrap_or_default());
                rest = ordinary.get(skip..).unwrap_or_default().iter();
            }
            let byte = *rest.next()?;
            if byte == b'%' && self.decoded.is_none() {
                self.decoded = Some((Decoder::Outside, self.state));
            }
            self.state = automaton.step(self.state, byte);
            let mut found = automaton.found(self.state);
            if let Some((decoder, state)) = &mut self.decoded {
                decoder.push(byte, |byte| {
                    *state = automaton.step(*state, byte);
                    found = found.or(automaton.found(*state));
                });
                if *decoder == Decoder::Outside && *state == self.state {
                    self.decoded = None;
                }
            }
            if let Some(found) = found {
                return Some(found.owner);
            }
        }
    }
}

/// A search in what is sent, chunk after chunk. Each chunk is sent on only after it was [pushed](Scanner::push).
#[derive(Clone)]
pub struct Scanner {
    search: Search,
    names: Arc<[String]>,
    place: Place,
    /// What was found, if it was: it stays.
    found: Option<usize>,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scanner")
            .field("place", &self.place)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl Scanner {
    pub(super) fn new(automaton: &Arc<Automaton>, names: Arc<[String]>, place: Place) -> Self {
        Self { search: Search::new(automaton), names, place, found: None }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// [`Refusal::Place`] if a placeholder ends in them, and for whatever comes after.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.found = self.found.or_else(|| self.search.push(bytes));
        match self.found {
            None => Ok(()),
            Some(owner) => Err(Refusal::Place {
                name: self.names.get(owner).cloned().unwrap_or_default(),
                place: self.place.clone(),
                help: "a body or a stream goes out as it is; send the placeholder in a header",
            }),
        }
    }
}
