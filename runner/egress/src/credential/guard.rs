//! All credentials of a run, with the searches for them prepared: made once, and asked for each request.

use std::fmt;
use std::sync::Arc;

use agentrc_secret::Placeholder;
use zeroize::Zeroizing;

use super::automaton::{Automaton, Pattern};
use super::scan::{self, Search};
use super::{Bound, Injection, Place, Redactor, Refusal, Scanner, Way, covers, redact};

/// All credentials of a run.
pub struct Guard {
    pub(super) bound: Vec<Bound>,
    names: Arc<[String]>,
    placeholders: Arc<[Placeholder]>,
    /// For placeholders, in what goes out.
    sent: Arc<Automaton>,
    /// The same where no case is kept: in names of headers and hosts.
    lower: Arc<Automaton>,
    /// For values, in what comes back.
    received: Arc<Automaton>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guard").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl Guard {
    /// Takes the credentials of a run, those without a host too: their placeholders go nowhere.
    ///
    /// # Errors
    /// [`Refusal::NotUserAndPassword`]; [`Refusal::Conflict`] for two credentials that would be put at one place of one
    /// request; [`Refusal::Way`] for a name that comes twice.
    pub fn new(bound: Vec<Bound>) -> Result<Self, Refusal> {
        for (at, one) in bound.iter().enumerate() {
            if one.way == Way::Basic && !one.secret.expose().contains(&b':') {
                return Err(Refusal::NotUserAndPassword { name: one.name.clone() });
            }
            bound.iter().skip(at + 1).try_for_each(|other| agree(one, other))?;
        }
        let lower = |(owner, one): (usize, &Bound)| {
            let text = one.placeholder.core().to_ascii_lowercase().into_bytes();
            Pattern { owner, text: Zeroizing::new(text) }
        };
        let lower = bound.iter().enumerate().map(lower).collect::<Vec<_>>();
        Ok(Self {
            names: bound.iter().map(|one| one.name.clone()).collect(),
            placeholders: bound.iter().map(|one| one.placeholder.clone()).collect(),
            sent: Arc::new(scan::automaton(bound.iter().map(|one| &one.placeholder))),
            lower: Arc::new(Automaton::new(&lower)),
            received: Arc::new(redact::automaton(&bound)),
            bound,
        })
    }

    /// Whether any credential may go to this host, given in the plan's spelling. If one may, TLS is terminated there, and
    /// all that this module's documentation asks for is done.
    #[must_use]
    pub fn concerns(&self, host: &str) -> bool {
        self.bound.iter().any(|one| one.goes_to(host))
    }

    /// The name of an injection's credential.
    #[must_use]
    pub fn name(&self, injection: &Injection) -> &str {
        self.names.get(injection.credential).map_or("", String::as_str)
    }

    /// A search for placeholders in a body, or in a stream.
    #[must_use]
    pub fn scanner(&self, place: Place) -> Scanner {
        Scanner::new(&self.sent, Arc::clone(&self.names), place)
    }

    /// A redaction of a response's body: each value that is found becomes its placeholder, so the length changes.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.received, &self.placeholders, false)
    }

    /// A redaction of what is framed by its length (WebSocket): each byte of a value becomes `*`.
    #[must_use]
    pub fn redactor_of_same_length(&self) -> Redactor {
        Redactor::new(&self.received, &self.placeholders, true)
    }

    /// Whose placeholder is in a part of a head.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        Search::new(&self.sent).push(text)
    }

    /// The same, where case is not kept.
    pub(super) fn find_in_any_case(&self, text: &str) -> Option<usize> {
        self.find(text.as_bytes())
            .or_else(|| Search::new(&self.lower).push(text.to_ascii_lowercase().as_bytes()))
    }
}

/// Whether two credentials can be in one run.
fn agree(one: &Bound, other: &Bound) -> Result<(), Refusal> {
    if one.name == other.name {
        return Err(Refusal::Way { name: one.name.clone(), why: "this name comes twice" });
    }
    // What each writes on every request to its hosts.
    let writes = |bound: &Bound| match bound.way {
        Way::AwsSignature => Some(http::header::AUTHORIZATION),
        way => way.older().map(|(header, _)| header),
    };
    if writes(one).is_none() || writes(one) != writes(other) {
        return Ok(());
    }
    let both = |host: &&String| other.hosts.iter().any(|also| covers(host, also) || covers(also, host));
    one.hosts.iter().find(both).map_or(Ok(()), |host| {
        Err(Refusal::Conflict { one: one.name.clone(), other: other.name.clone(), host: host.clone() })
    })
}
