//! Whose decision it is: the gateway asks, somebody else (`runner/decide`) judges. Everything that goes wrong denies.

use std::collections::HashMap;

/// [`Asked::via`] of the agent's own connections.
pub const AGENT: &str = "agent";
/// Of those that the broker makes on its behalf.
pub const BROKER: &str = "broker";

/// What is asked: `network.egress` of `policies/agentrc.cedarschema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Who: `agent`, or `broker` on its behalf.
    pub via: &'static str,
    /// `https`, `http`, `tcp`.
    pub scheme: &'a str,
    /// Name in lower case, or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Method of the request; empty where requests are not seen, as the two below.
    pub method: &'a str,
    /// Its path, canonical.
    pub path: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// Announced length of its body; [`i64::MAX`] when it is not announced.
    pub bytes: i64,
}

impl<'a> Asked<'a> {
    /// A connection of the agent's, of whose requests nothing is known.
    #[must_use]
    pub fn connection(scheme: &'a str, host: &'a str, port: u16) -> Self {
        Self { via: AGENT, scheme, host, port, method: "", path: "", url: "", bytes: 0 }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be.
    pub permitted: bool,
    /// The policies that decided, with their lines.
    pub rule: String,
    /// Why not, as a clause in lower case; empty when it is permitted.
    pub reason: String,
}

/// Decides.
pub trait Judge {
    /// Whether the agent may.
    fn judge(&self, asked: &Asked<'_>) -> Verdict;

    /// Whether the value of a credential may be put into a request to this host: `cred.resolve`.
    fn resolve(&self, credential: &str, host: &str, port: u16, inject: &str) -> Verdict;
}

/// Answers that are kept.
const KEPT: usize = 256;
/// Longest texts of a question whose answer is kept, in bytes: an agent that asks for ever longer paths fills nothing.
const LONGEST: usize = 2048;

/// A question, as its owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    via: &'static str,
    scheme: String,
    host: String,
    port: u16,
    method: String,
    path: String,
    url: String,
    bytes: i64,
}

/// Verdicts that were given: policies are fixed for a run and know no time, so the same question has the same answer.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    given: HashMap<Question, Verdict>,
}

impl Verdicts {
    /// The answer, from `judge` if it is not known.
    pub(crate) fn of(&mut self, asked: &Asked<'_>, judge: &dyn Judge) -> Verdict {
        let Asked { via, scheme, host, port, method, path, url, bytes } = *asked;
        if method.len() + path.len() + url.len() > LONGEST {
            return judge.judge(asked);
        }
        let question = Question {
            via,
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
            method: method.to_owned(),
            path: path.to_owned(),
            url: url.to_owned(),
            bytes,
        };
        if let Some(verdict) = self.given.get(&question) {
            return verdict.clone();
        }
        let verdict = judge.judge(asked);
        if self.given.len() >= KEPT {
            self.given.clear();
        }
        self.given.insert(question, verdict.clone());
        verdict
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts what it is asked.
    struct Counts(Cell<usize>);

    impl Judge for Counts {
        fn judge(&self, asked: &Asked<'_>) -> Verdict {
            self.0.set(self.0.get() + 1);
            Verdict { permitted: asked.bytes < 10, rule: asked.url.to_owned(), reason: String::new() }
        }

        fn resolve(&self, _: &str, _: &str, _: u16, _: &str) -> Verdict {
            Verdict { permitted: false, rule: String::new(), reason: String::new() }
        }
    }

    fn asked<'a>(url: &'a str, method: &'a str, bytes: i64) -> Asked<'a> {
        Asked { via: AGENT, scheme: "http", host: "api.example.com", port: 80, method, path: "/", url, bytes }
    }

    #[test]
    fn each_question_is_asked_once_and_no_two_are_taken_for_one() {
        let (judge, mut verdicts) = (Counts(Cell::new(0)), Verdicts::default());
        let different = [
            asked("a", "GET", 0),
            asked("b", "GET", 0),
            asked("a", "POST", 0),
            asked("a", "GET", 10),
            Asked { port: 81, ..asked("a", "GET", 0) },
            Asked { scheme: "https", ..asked("a", "GET", 0) },
            Asked { host: "b.example.com", ..asked("a", "GET", 0) },
            Asked { path: "/x", ..asked("a", "GET", 0) },
        ];
        for _ in 0..3 {
            for one in &different {
                assert_eq!(verdicts.of(one, &judge), Counts(Cell::new(0)).judge(one));
            }
        }
        assert_eq!(judge.0.get(), different.len());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (judge, mut verdicts) = (Counts(Cell::new(0)), Verdicts::default());
        for number in 0..3 * KEPT {
            let url = number.to_string();
            assert_eq!(verdicts.of(&asked(&url, "GET", 0), &judge).rule, url);
            assert!(verdicts.given.len() <= KEPT);
        }
        let long = "x".repeat(LONGEST);
        let before = verdicts.given.len();
        assert_eq!(verdicts.of(&asked(&long, "GET", 0), &judge).rule, long);
        assert_eq!(verdicts.given.len(), before);
    }
}
