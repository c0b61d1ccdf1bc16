//! What the gateway tells the supervisor while it serves. What the agent can repeat as often as it likes is counted and told
//! ever more rarely, so that it fills no disk; what must be on record before it happens waits for the answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::report::{Client, Denied, Report, cut, send};

/// Different denials that are told apart in a run; all others count as one.
const DISTINCT: usize = 2048;
/// How long the same denial waits before it is told again; doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest it waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Told {
    untold: u64,
    next: Instant,
    wait: Duration,
}

/// The gateway's voice.
#[derive(Debug)]
pub struct Reporter {
    channel: OwnedFd,
    /// Whether what is permitted is told, too, and waited for.
    intents: bool,
    denied: RefCell<HashMap<Denied, Told>>,
    number: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<()>>>,
    /// The supervisor is gone, or cannot be told: nothing more is permitted.
    broken: Cell<bool>,
}

impl Reporter {
    /// Speaks through `channel`.
    #[must_use]
    pub fn new(channel: OwnedFd, intents: bool) -> Self {
        Self {
            channel,
            intents,
            denied: RefCell::default(),
            number: Cell::new(0),
            waiting: RefCell::default(),
            broken: Cell::new(false),
        }
    }

    /// The channel, to hear orders.
    #[must_use]
    pub fn channel(&self) -> &OwnedFd {
        &self.channel
    }

    /// Tells it now, and waits while the supervisor is busy: an agent that is denied faster than can be written down waits,
    /// too.
    pub fn tell(&self, report: &Report) {
        let mut told = send(self.channel.as_fd(), report, &[]);
        while told == Err(Errno::INTR) {
            told = send(self.channel.as_fd(), report, &[]);
        }
        if told.is_err() {
            self.broken.set(true);
        }
    }

    /// Whether the supervisor can be told no more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Something was denied.
    pub fn denied(&self, act: &str, verdict: &str, reason: &str, rule: &str, client: Option<Client>) {
        let key = Denied {
            act: cut(act),
            verdict: verdict.to_owned(),
            reason: cut(reason),
            rule: cut(rule),
            client: None,
            count: 0,
        };
        let now = Instant::now();
        let mut denied = self.denied.borrow_mut();
        let key = if denied.len() >= DISTINCT && !denied.contains_key(&key) {
            Denied {
                act: "other acts".to_owned(),
                verdict: "denied".to_owned(),
                reason: format!("more than {DISTINCT} different acts were denied"),
                rule: String::new(),
                client: None,
                count: 0,
            }
        } else {
            key
        };
        let told = denied.entry(key.clone()).or_insert(Told { untold: 0, next: now, wait: FIRST_WAIT });
        told.untold += 1;
        if let Some(report) = due(&key, told, client, now) {
            self.tell(&report);
        }
    }

    /// A limit was reached.
    pub fn limited(&self, limit: &crate::limits::Limit, act: &str, client: Option<Client>) {
        let reason = format!("the limit `{}` is reached", limit.name());
        self.denied(act, "limited", &reason, limit.origin(), client);
    }

    /// Tells what has been counted and is due; all of it when the run ends.
    pub fn catch_up(&self, all: bool) {
        let now = Instant::now();
        let mut reports = Vec::new();
        for (key, told) in self.denied.borrow_mut().iter_mut() {
            if all {
                told.next = now;
            }
            reports.extend(due(key, told, None, now));
        }
        reports.iter().for_each(|report| self.tell(report));
    }

    /// Something is about to be permitted. Returns whether it may be: always at once when permissions are not recorded.
    pub async fn intent(&self, act: &str, rule: &str) -> bool {
        if self.broken.get() {
            return false;
        }
        if !self.intents {
            return true;
        }
        let number = self.number.get();
        self.number.set(number + 1);
        let (recorded, waits) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, recorded);
        self.tell(&Report::Intent { number, act: cut(act), rule: cut(rule) });
        waits.await.is_ok()
    }

    /// An intent is on record. An answer to nothing that was asked is none of the supervisor's.
    #[must_use]
    pub fn recorded(&self, number: u64) -> bool {
        let waiting = self.waiting.borrow_mut().remove(&number);
        waiting.map(|waiting| waiting.send(())).is_some()
    }
}

fn due(key: &Denied, told: &mut Told, client: Option<Client>, now: Instant) -> Option<Report> {
    if told.untold == 0 || now < told.next {
        return None;
    }
    let report = Report::Denied(Denied { client, count: told.untold, ..key.clone() });
    told.untold = 0;
    told.next = now + told.wait;
    told.wait = (told.wait * 2).min(LONGEST_WAIT);
    Some(report)
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::report::receive;

    fn reporter(intents: bool) -> (Reporter, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        (Reporter::new(ours, intents), theirs)
    }

    fn heard(channel: &OwnedFd) -> Vec<Report> {
        std::iter::from_fn(|| receive::<Report>(channel.as_fd(), false).ok().flatten()).map(|(one, _)| one).collect()
    }

    #[test]
    fn the_same_denial_is_told_at_once_and_then_counted() {
        let (reporter, supervisor) = reporter(false);
        for _ in 0..1000 {
            reporter.denied("resolve evil.example", "NXDOMAIN", "no line declares it", "", None);
        }
        let counts = |reports: Vec<Report>| {
            reports
                .into_iter()
                .map(|report| match report {
                    Report::Denied(denied) => denied.count,
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(heard(&supervisor)), [1]);
        reporter.catch_up(false);
        assert!(heard(&supervisor).is_empty());
        reporter.catch_up(true);
        assert_eq!(counts(heard(&supervisor)), [999]);
    }

    #[test]
    fn different_denials_without_end_are_one_in_the_end() {
        let (reporter, supervisor) = reporter(false);
        let mut reports = Vec::new();
        for n in 0..3 * DISTINCT {
            reporter.denied(&format!("resolve n{n}.example"), "NXDOMAIN", "", "", None);
            reports.extend(heard(&supervisor));
        }
        assert_eq!(reports.len(), DISTINCT + 1);
    }

    #[test]
    fn what_must_be_on_record_waits_for_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (reporter, supervisor) = reporter(true);
        let permitted = runtime.block_on(async {
            let answer = async {
                tokio::task::yield_now().await;
                let [Report::Intent { number, .. }] = heard(&supervisor)[..] else { panic!("an intent") };
                assert!(!reporter.recorded(number + 1));
                assert!(reporter.recorded(number));
            };
            tokio::join!(reporter.intent("connect a:1", "url@3"), answer).0
        });
        assert!(permitted);
    }

    #[test]
    fn without_a_supervisor_nothing_is_permitted() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (reporter, supervisor) = reporter(false);
        assert!(runtime.block_on(reporter.intent("connect a:1", "")));
        drop(supervisor);
        reporter.denied("resolve x", "NXDOMAIN", "", "", None);
        assert!(!runtime.block_on(reporter.intent("connect a:1", "")));
    }
}
