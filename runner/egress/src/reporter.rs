//! What the gateway tells the supervisor while it serves. What the agent can repeat as often as it likes is counted and told
//! ever more rarely, so that it fills no disk; what must be on record before it happens waits for the answer.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::time::Instant;

use agentrc_service::channel::cut;
use agentrc_service::denied::Denied;
use agentrc_service::limit::Limit;
use agentrc_service::tally::Tally;
use agentrc_service::voice::Voice;

use crate::counted::Key;
use crate::report::{Client, Report};

/// Most reports that are told in one go.
const AT_ONCE: usize = 32;

/// The gateway's voice.
#[derive(Debug)]
pub struct Reporter {
    /// Some answers have a descriptor.
    voice: Voice<Option<OwnedFd>>,
    /// Whether what is permitted is told, too, and waited for.
    intents: bool,
    denied: RefCell<Tally<Key>>,
}

impl Reporter {
    /// Speaks through `channel`.
    #[must_use]
    pub fn new(channel: OwnedFd, intents: bool) -> Self {
        Self { voice: Voice::new(channel), intents, denied: RefCell::default() }
    }

    /// The channel, to hear orders.
    #[must_use]
    pub fn channel(&self) -> &OwnedFd {
        self.voice.channel()
    }

    /// Tells it now.
    pub fn tell(&self, report: &Report) {
        self.voice.tell(report, &[]);
    }

    /// Whether the supervisor can be told no more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.voice.is_broken()
    }

    /// Something is denied. Returns when it is on record, or counted: then the program may be told.
    pub async fn denied(&self, act: &str, verdict: &str, reason: &str, rule: &str, client: Client) {
        self.count(Denied::new(act, verdict, reason, rule), client).await;
    }

    /// A limit is reached.
    pub async fn limited(&self, limit: &Limit, act: &str, client: Client) {
        self.count(Denied::limited(limit, act), client).await;
    }

    async fn count(&self, denied: Denied, client: Client) {
        let counted = self.denied.borrow_mut().count(Key(denied), Instant::now());
        let Some((Key(denied), count)) = counted else { return };
        let (number, recorded) = self.voice.numbered();
        self.tell(&Report::Denied { number: Some(number), denied, count, client: Some(client) });
        // That nobody answers is noticed by whoever listens to the supervisor.
        let _ = recorded.await;
    }

    /// Tells what has been counted and is due; all of it when the run ends.
    pub fn catch_up(&self, all: bool) {
        // While this tells, it hears nothing: only as much as a socket holds, unless it is the end.
        let most = if all { usize::MAX } else { AT_ONCE };
        let due = self.denied.borrow_mut().due(all, most, Instant::now());
        for (Key(denied), count) in due {
            self.tell(&Report::Denied { number: None, denied, count, client: None });
        }
    }

    /// Something is about to be permitted. Returns whether it may be: always at once when permissions are not recorded.
    pub async fn intent(&self, act: &str, rule: &str) -> bool {
        if self.voice.is_broken() {
            return false;
        }
        if !self.intents {
            return true;
        }
        let (number, waits) = self.voice.numbered();
        self.tell(&Report::Intent { number, act: cut(act), rule: cut(rule) });
        waits.await.is_ok()
    }

    /// A connection to the broker, for the agent's. `None`: it may not have one, which is on record.
    pub(crate) async fn join(&self, client: Client) -> Option<OwnedFd> {
        if self.voice.is_broken() {
            return None;
        }
        let (number, joined) = self.voice.numbered();
        self.tell(&Report::Join { number, client });
        joined.await.ok().flatten()
    }

    /// The answer to a [`Report::Join`]. One to nothing that was asked is none of the supervisor's.
    #[must_use]
    pub(crate) fn joined(&self, number: u64, connection: OwnedFd) -> bool {
        self.voice.answered(number, Some(connection))
    }

    /// It is on record. An answer to nothing that was asked is none of the supervisor's.
    #[must_use]
    pub fn recorded(&self, number: u64) -> bool {
        self.voice.answered(number, None)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::os::fd::AsFd;

    use agentrc_service::channel::receive;
    use agentrc_service::tally::DISTINCT;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn reporter(intents: bool) -> (Reporter, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        (Reporter::new(ours, intents), theirs)
    }

    fn heard(channel: &OwnedFd) -> Vec<Report> {
        std::iter::from_fn(|| receive::<Report>(channel.as_fd(), false).ok().flatten())
            .map(|(one, _)| one)
            .collect()
    }

    const CLIENT: Client =
        Client { tcp: false, address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1) };

    /// Denies, and records what is told.
    async fn deny(reporter: &Reporter, supervisor: &OwnedFd, act: &str) -> Vec<u64> {
        let mut counts = Vec::new();
        let record = async {
            tokio::task::yield_now().await;
            for report in heard(supervisor) {
                let Report::Denied { number, count, .. } = report else { panic!("{report:?}") };
                assert!(number.is_some_and(|number| reporter.recorded(number)));
                counts.push(count);
            }
        };
        tokio::join!(reporter.denied(act, "NXDOMAIN", "no line declares it", "", CLIENT), record);
        counts
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn the_same_denial_is_told_at_once_and_then_counted() {
        let (reporter, supervisor) = reporter(false);
        let counts = || {
            heard(&supervisor).into_iter().map(|report| match report {
                Report::Denied { count, number: None, .. } => count,
                other => panic!("{other:?}"),
            })
        };
        let start = Instant::now();
        let mut again = Vec::new();
        block_on(async {
            assert_eq!(deny(&reporter, &supervisor, "resolve evil.example").await, [1]);
            for _ in 0..999 {
                again.extend(deny(&reporter, &supervisor, "resolve evil.example").await);
            }
        });
        reporter.catch_up(false);
        again.extend(counts());
        // It is told again after a second, after three, and so on, which pass here where the machine stalls.
        assert!(again.len() as u64 <= start.elapsed().as_secs(), "{again:?}");
        reporter.catch_up(true);
        again.extend(counts());
        assert_eq!(again.iter().sum::<u64>(), 999);
    }

    #[test]
    fn names_without_end_do_not_hide_a_connection_or_a_request() {
        let (reporter, supervisor) = reporter(false);
        let denied = |act: &str, verdict: &str| Key(Denied::new(act, verdict, "no line declares it", ""));
        let now = Instant::now();
        for n in 0..2 * DISTINCT {
            let _ =
                reporter.denied.borrow_mut().count(denied(&format!("resolve n{n}.example"), "NXDOMAIN"), now);
        }
        for (act, verdict) in [("connect 10.0.0.5:22", "reset"), ("resolve https://a.example/", "403")] {
            let told = reporter.denied.borrow_mut().count(denied(act, verdict), now).unwrap();
            assert_eq!((told.0.0.act.as_str(), told.1), (act, 1));
        }
        reporter.catch_up(true);
        let [Report::Denied { denied, count, .. }] = &heard(&supervisor)[..] else {
            panic!("the other names")
        };
        assert_eq!((denied.act.as_str(), *count), ("resolve other names", DISTINCT as u64 - 1));
    }

    #[test]
    fn what_must_be_on_record_waits_for_it() {
        let (reporter, supervisor) = reporter(true);
        let permitted = block_on(async {
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
        let (reporter, supervisor) = reporter(false);
        assert!(block_on(reporter.intent("connect a:1", "")));
        drop(supervisor);
        reporter.tell(&Report::Failed { reason: String::new() });
        assert!(!block_on(reporter.intent("connect a:1", "")));
    }
}
