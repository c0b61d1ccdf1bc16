//! The supervisor's side of the gateway: starts its process, hands it what the jail opened inside, and puts what it reports
//! into the log. It decides nothing: the policies are asked in the gateway's process.

mod inward;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agentfile::plan::inside::takes_in;
use agentfile::plan::{AuditLevel, Egress, Plan, words};
use agentrc_audit::Event;
use agentrc_audit::event::LayerEvidence;
use agentrc_decide::Act;
use agentrc_egress::Config;
use agentrc_egress::judge::{Asked, BROKER, Judge, Verdict};
use agentrc_egress::reason::PERMITTED;
use agentrc_egress::report::{self, Client, Order, Report};
use agentrc_egress::upstream::Proxy;
use agentrc_jail::service::{Role, Service, confine};
use agentrc_jail::{Recorder, Unopened};
use agentrc_service::channel::{self, cut};
use rustix::io::Errno;

use self::inward::Inward;
use crate::policies::{Answer, Policies};
use crate::refusal::Refusal;
use crate::socket::Process;
use crate::{denial, exit, socket};

/// The layer's name in the log.
pub const LAYER: &str = "gateway";
/// How long the gateway may take for one step of its start. It asks nobody on the network for anything.
const STARTING: Duration = Duration::from_secs(10);
/// How long a run may spend on telling whose sockets were denied.
const LOOKING: Duration = Duration::from_secs(5);
/// Most reports that are heard in one go, and how long that may take: to find whose a socket is takes milliseconds.
const AT_ONCE: usize = 64;
const IN_ONE_GO: Duration = Duration::from_millis(20);

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    service: Service,
    certificate: Option<String>,
    /// What the host's operator excepts, for the evidence.
    exceptions: Vec<(String, String)>,
    /// Time that was spent on telling whose sockets were denied.
    spent: Duration,
    inward: Inward,
}

/// The plan's policies, asked in the gateway's process.
struct Egresses {
    policies: Policies,
    /// All destinations.
    lines: Vec<Egress>,
}

impl Egresses {
    fn of(plan: &Plan) -> Self {
        let lines = plan.egress.clone();
        Self { policies: Policies::of(plan), lines }
    }

    /// The lines of a destination, when none of them permits a request: one of these is to be changed.
    fn lines_of(&self, asked: &Asked<'_>) -> String {
        let to = |line: &&Egress| {
            (line.agent || asked.via == BROKER)
                && line.scheme == asked.scheme
                && line.port == asked.port
                && takes_in(&line.host, asked.host)
        };
        let lines = self.lines.iter().filter(to);
        let lines = lines.map(|line| format!("{} [{}]", words::egress(line), line.origin));
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() { String::new() } else { format!("{PERMITTED}{}", lines.join(", ")) }
    }

    fn decide(&self, act: Act) -> Verdict {
        let Answer { permitted, determining, approvals, reason } = self.policies.decide(act);
        let rule = determining.first().map(|policy| policy.origin.to_string()).unwrap_or_default();
        match approvals.first() {
            // A plan that asks a person about a connection is refused before the start; this is the second lock on that.
            Some(approval) if permitted => Verdict {
                permitted: false,
                rule: approval.policy.origin.to_string(),
                reason: "a person must approve it first, and a connection waits for nobody".to_owned(),
            },
            _ => Verdict { permitted, rule, reason },
        }
    }
}

impl Judge for Egresses {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let Asked { via, scheme, host, port, method, path, url, bytes } = *asked;
        let mut verdict = self.decide(Act::Egress {
            via: via.to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
            method: method.to_owned(),
            path: path.to_owned(),
            url: url.to_owned(),
            bytes,
        });
        if !verdict.permitted && verdict.rule.is_empty() {
            verdict.reason.push_str(&self.lines_of(asked));
        }
        verdict
    }

    fn resolve(&self, credential: &str, host: &str, port: u16, inject: &str) -> Verdict {
        self.decide(Act::Resolve {
            name: credential.to_owned(),
            host: host.to_owned(),
            port,
            inject: inject.to_owned(),
        })
    }
}

/// mlock(2), as far as RLIMIT_MEMLOCK goes; beyond it, the value may be swapped out like everything else.
fn keep_from_swap(value: &[u8]) {
    drop(agentrc_jail::service::keep_from_swap(value));
}

impl Gateway {
    /// Starts one for a plan in which the agent has a network, the broker connects for it, or what the broker gives it is searched for
    /// values, which nobody else has; otherwise there is nothing to serve.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(
        plan: &Plan,
        host: &agentrc_host::config::Config,
        values: Option<&UnixStream>,
    ) -> Result<Option<Self>, Refusal> {
        let networked = plan.egress.iter().any(|egress| egress.agent) || plan.broker_connects();
        if !networked && !plan.output_is_searched() {
            return Ok(None);
        }
        let kept: Vec<_> = values.iter().map(|values| values.as_fd()).collect();
        let service = Service::start(Role::Gateway, &kept, |channel| {
            let Ok(values) = values.map(UnixStream::try_clone).transpose() else { return exit::REFUSED };
            let config = Config {
                plan,
                judge: Box::new(Egresses::of(plan)),
                private: host.private.iter().map(|private| private.value.clone()).collect(),
                proxy: host.proxy.as_ref().map(|proxy| {
                    let agentrc_host::config::Proxy { host, port } = &proxy.value;
                    Proxy { host: host.clone(), port: *port }
                }),
                values,
                keep: keep_from_swap,
                intents: matches!(plan.audit.level, AuditLevel::All | AuditLevel::Compliance),
                confine: Box::new(|| {
                    // The step goes with its reason: it is the gateway that tells of it.
                    confine().map_err(|refusal| format!("{} ({})", refusal.reason, refusal.step.name()))
                }),
            };
            agentrc_egress::run(config, channel)
        })
        .map_err(|refusal| Refusal::from(&refusal))?;
        let exceptions = exceptions(host);
        let inward = Inward::default();
        let mut gateway = Self { service, certificate: None, exceptions, spent: Duration::ZERO, inward };
        if plan.egress.iter().any(|egress| egress.agent && egress.terminate_tls) {
            match gateway.next(STARTING).map_err(|reason| refused(&reason))? {
                Report::Authority { certificate } => gateway.certificate = Some(certificate),
                other => return Err(refused(&unexpected(&other))),
            }
        }
        Ok(Some(gateway))
    }

    /// The broker, which the agent finds at its name.
    ///
    /// # Errors
    /// fcntl(2).
    pub fn leads_to(&mut self, broker: BorrowedFd<'_>) -> Result<(), Refusal> {
        self.inward = Inward::to(broker).map_err(|errno| refused(&describe(errno)))?;
        Ok(())
    }

    /// The certificate (PEM) that programs inside must trust, when TLS is terminated.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The next report, waited for.
    fn next(&self, patience: Duration) -> Result<Report, String> {
        match channel::receive_within::<Report>(self.service.channel(), patience) {
            Ok(Some(Report::Failed { reason })) => Err(format!("the gateway failed: {reason}")),
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err("the gateway ended".to_owned()),
            Err(Errno::TIMEDOUT) => Err("the gateway did not answer in time".to_owned()),
            Err(errno) => Err(format!("the gateway cannot be heard: {}", describe(errno))),
        }
    }

    /// Whose socket it was, as long as a run has not spent all its time on that: the agent makes as many denials as it likes.
    fn process_of(&mut self, client: &Client, init: i32) -> Option<Process> {
        if self.spent > LOOKING {
            return None;
        }
        let start = Instant::now();
        let found = socket::process_of(client, init);
        self.spent += start.elapsed();
        found
    }

    fn order(&self, order: &Order, attached: &[BorrowedFd<'_>]) -> Result<(), String> {
        channel::send(self.service.channel(), order, attached)
            .map_err(|errno| format!("the gateway cannot be told: {}", describe(errno)))
    }

    /// Puts one report on record. The number that somebody waits for.
    fn take(
        &mut self,
        report: Report,
        init: i32,
        recorder: &mut dyn Recorder,
    ) -> Result<Option<u64>, String> {
        let unrecorded = |reason: String| format!("the audit log cannot be written: {reason}");
        match report {
            Report::Denied { number, denied, count, client } => {
                // Whose socket it was is looked up where it is told.
                let client = client.filter(|client| denied.limit.is_none() && *client != Client::BROKER);
                let process = client.and_then(|client| self.process_of(&client, init));
                let event = denial::event(LAYER, denied, count, process);
                recorder.record(&event).map_err(unrecorded)?;
                Ok(number)
            }
            Report::Intent { number, act, rule } => {
                recorder
                    .record(&Event::Permitted { act: cut(&act), rule: cut(&rule) })
                    .map_err(unrecorded)?;
                Ok(Some(number))
            }
            Report::Join { number, client } => match self.inward.join(&client, init)? {
                Some(connection) => {
                    self.order(&Order::Joined { number }, &[connection.as_fd()])?;
                    Ok(None)
                }
                None => Ok(Some(number)),
            },
            Report::Failed { reason } => Err(format!("the gateway failed: {reason}")),
            other @ (Report::Authority { .. } | Report::Ready { .. }) => Err(unexpected(&other)),
        }
    }
}

impl agentrc_jail::Gateway for Gateway {
    fn channel(&self) -> BorrowedFd<'_> {
        self.service.channel()
    }

    fn hand_over(&mut self, sockets: Vec<OwnedFd>, filtered: bool) -> Result<(), Unopened> {
        report::send_sockets(self.service.channel().as_fd(), &sockets, filtered).map_err(|errno| {
            // One that is gone has said why.
            let reason = self.next(Duration::ZERO).err();
            unopened(reason.unwrap_or_else(|| format!("the gateway cannot be told: {}", describe(errno))))
        })
    }

    fn ready(&mut self) -> Result<LayerEvidence, Unopened> {
        match self.next(STARTING).map_err(unopened)? {
            Report::Ready { mut read_back } => {
                let filter = self.service.filter().map_err(|refusal| unopened(refusal.reason))?;
                read_back.insert("system calls".to_owned(), format!("those of the table `{filter}`"));
                read_back.extend(self.exceptions.drain(..));
                Ok(LayerEvidence { layer: LAYER.to_owned(), read_back, probes: Vec::new() })
            }
            other => Err(unopened(unexpected(&other))),
        }
    }

    fn heard(&mut self, init: i32, recorder: &mut dyn Recorder) -> Result<(), String> {
        // Not all that there may ever be: the supervisor has a clock to watch, and signals to hear.
        let started = Instant::now();
        for _ in 0..AT_ONCE {
            if started.elapsed() > IN_ONE_GO {
                return Ok(());
            }
            match channel::receive::<Report>(self.service.channel(), false) {
                Ok(Some((report, _))) => {
                    if let Some(number) = self.take(report, init, recorder)? {
                        self.order(&Order::Recorded { number }, &[])?;
                    }
                }
                Ok(None) => return Err("the gateway ended before the agent".to_owned()),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(errno) => return Err(format!("the gateway cannot be heard: {}", describe(errno))),
            }
        }
        Ok(())
    }

    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        // What is gone has reported all that it will.
        if self.order(&Order::Stop, &[]).is_err() {
            return Ok(());
        }
        let deadline = Instant::now() + channel::ENDING;
        while let Some(report) = channel::last(self.service.channel(), LAYER, deadline)? {
            match report {
                // Nothing is asked any more, and nobody waits.
                Report::Join { .. } => {}
                Report::Failed { .. } => break,
                report => drop(self.take(report, 0, recorder)?),
            }
        }
        Ok(())
    }
}

/// The named exceptions of the host's operator, each with its place.
fn exceptions(host: &agentrc_host::config::Config) -> Vec<(String, String)> {
    let private =
        host.private.iter().map(|one| (format!("may be private: {}", one.value), one.place.to_string()));
    let proxy =
        host.proxy.iter().map(|one| (format!("through the proxy {}", one.value), one.place.to_string()));
    private.chain(proxy).collect()
}

fn unexpected(report: &Report) -> String {
    let what = match report {
        Report::Authority { .. } => "a certificate",
        Report::Ready { .. } => "that it serves",
        Report::Denied { .. } => "a denial",
        Report::Intent { .. } => "an intent",
        Report::Join { .. } => "who asks the broker",
        Report::Failed { .. } => "that it failed",
    };
    format!("the gateway said {what} when it must not")
}

fn unopened(reason: String) -> Unopened {
    Unopened { reason, help: None }
}

fn refused(reason: &str) -> Refusal {
    Refusal::new(reason).step(LAYER)
}

fn describe(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
