//! The broker as the launch and the supervisor's loop know it: handed its socket, heard, and told when time has passed.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agentrc_audit::Event;
use agentrc_audit::event::LayerEvidence;
use agentrc_broker::report::{Order, Report};
use agentrc_jail::{Entrance, Recorder, Reply, Unopened};
use agentrc_service::channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Broker, LAYER, describe, no_sense, unopened, unrecorded};
use crate::servers::each;

/// How long the broker may take for one step of its start. It asks nobody for anything.
const STARTING: Duration = Duration::from_secs(10);
/// The same when it has to hear what the tools of servers are: more than it gives them.
const GREETING: Duration = Duration::from_secs(25);
/// Between two looks at what else there is to hear meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// Most reports that are heard in one go, and how long that may take: starting a program takes milliseconds.
const AT_ONCE: usize = 64;
const IN_ONE_GO: Duration = Duration::from_millis(20);

impl Broker {
    /// Tells the broker what was decided meanwhile about what it asked.
    fn decided(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        for order in self.approvals.look(recorder)? {
            self.order(&order, &[])?;
        }
        Ok(())
    }

    /// Whether a report comes within that time, or the end.
    fn says_something(&self, within: Duration) -> bool {
        let channel = self.service.channel();
        let mut polled = [PollFd::new(&channel, PollFlags::IN)];
        let within = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
        match poll(&mut polled, Some(&within)) {
            Ok(ready) => ready > 0,
            Err(Errno::INTR) => false,
            // What cannot be polled is heard, which says why.
            Err(_) => true,
        }
    }
}

impl agentrc_jail::Broker for Broker {
    fn channel(&self) -> BorrowedFd<'_> {
        self.service.channel()
    }

    fn hand_over(&mut self, listener: OwnedFd, init: i32) -> Result<(), Unopened> {
        use std::os::fd::AsFd;
        self.init = init;
        let pipes = std::mem::take(&mut self.pipes);
        let search = self.connections.search().map_err(unopened)?;
        let attached: Vec<_> = std::iter::once(&listener).chain(&search).map(AsFd::as_fd).collect();
        let told = self.order(&Order::Serve, &attached).and_then(|()| {
            pipes
                .iter()
                .try_for_each(|(server, pipes)| self.order(&Order::Server { server: *server }, &each(pipes)))
        });
        told.map_err(|reason| {
            // One that is gone has said why.
            unopened(self.next(Duration::ZERO).err().unwrap_or(reason))
        })
    }

    fn ready(&mut self, go_on: &dyn Fn() -> Result<(), Unopened>) -> Result<LayerEvidence, Unopened> {
        let deadline = Instant::now() + if self.servers.is_empty() { STARTING } else { GREETING };
        let mut read_back = loop {
            go_on()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left > LOOK && !self.says_something(LOOK) {
                // A server that nobody listens to may wait for that.
                self.servers.listen();
                continue;
            }
            match self.next(left) {
                Ok(Report::Ready { read_back }) => break read_back,
                Ok(Report::Pin { server, tool, part, more }) => {
                    let name = self.servers.name(server).ok_or_else(|| no_sense("a server of no plan"));
                    let name = name.map_err(unopened)?.to_owned();
                    self.pins.take(&name, &tool, &part, more).map_err(|reason| {
                        let help = self.help(&reason);
                        Unopened { reason, help }
                    })?;
                }
                Ok(_) => return Err(unopened(no_sense("something else than that it serves"))),
                Err(reason) => {
                    let said = self.servers.complaints(&reason);
                    let said = if said.is_empty() { said } else { format!("; {said}") };
                    let help = self.help(&reason);
                    return Err(Unopened { reason: format!("{reason}{said}"), help });
                }
            }
        };
        let filter = self.service.filter().map_err(|refusal| unopened(refusal.reason))?;
        read_back.insert("system calls".to_owned(), format!("those of the table `{filter}`"));
        read_back.extend(self.servers.each().map(|(name, plan_sha256, origin)| {
            (format!("server {name}"), format!("plan sha256:{plan_sha256} [{origin}]"))
        }));
        read_back.extend(self.scripts.each().map(|(name, plan_sha256, origin)| {
            (format!("skill {name}"), format!("plan sha256:{plan_sha256} [{origin}]"))
        }));
        read_back.extend(self.pins.source());
        read_back.extend(self.pins.keep().map_err(unopened)?);
        Ok(LayerEvidence { layer: LAYER.to_owned(), read_back, probes: Vec::new() })
    }

    fn is_up(&mut self) -> Result<bool, Unopened> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + GREETING);
        // One that nobody listens to may be held up by that.
        self.servers.listen();
        if !self.awaited.is_empty() && Instant::now() > deadline {
            return Err(unopened("the broker did not reach the servers in time".to_owned()));
        }
        Ok(self.awaited.is_empty())
    }

    fn help(&self, reason: &str) -> Option<String> {
        self.pins.help(reason)
    }

    fn heard(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String> {
        // Not all that there may ever be: the supervisor has a clock to watch, and signals to hear.
        let started = Instant::now();
        for _ in 0..AT_ONCE {
            if started.elapsed() > IN_ONE_GO {
                return Ok(());
            }
            match channel::receive::<Report>(self.service.channel(), false) {
                Ok(Some((report, attached))) => {
                    if let Some(order) = self.take(report, attached, Some(entrance), recorder)? {
                        self.order(&order, &[])?;
                    }
                }
                Ok(None) => return Err("the broker ended before the agent".to_owned()),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(errno) => return Err(format!("the broker cannot be heard: {}", describe(errno))),
            }
        }
        Ok(())
    }

    fn tick(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String> {
        let place = (self.environment.as_slice(), &self.directory);
        if let Some(health) = &mut self.health {
            health.tick(entrance, place, recorder)?;
        }
        self.decided(recorder)?;
        self.scripts.tick();
        let Some((server, started)) = self.servers.tick() else { return Ok(()) };
        let name = self.servers.name(server).unwrap_or_default().to_owned();
        match started {
            Ok(pipes) => {
                let event = Event::Server { server: name, state: "started".to_owned(), reason: None };
                recorder.record(&event).map_err(unrecorded)?;
                self.order(&Order::Server { server }, &each(&pipes))
            }
            Err(reason) => {
                let event =
                    Event::Server { server: name, state: "not started".to_owned(), reason: Some(reason) };
                recorder.record(&event).map_err(unrecorded)
            }
        }
    }

    fn question(&self) -> Option<u64> {
        self.approvals.question()
    }

    fn words(&self, number: u64) -> Option<(String, bool)> {
        self.approvals.words(number)
    }

    fn reply(&mut self, number: u64, reply: Reply, recorder: &mut dyn Recorder) -> Result<String, String> {
        let came = self.approvals.reply(number, reply);
        self.decided(recorder)?;
        Ok(came)
    }

    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        self.health.as_mut().map_or(Ok(()), |health| health.finish(recorder))?;
        self.approvals.end(recorder)?;
        self.scripts.end();
        // What is gone has reported all that it will.
        if self.order(&Order::Stop, &[]).is_err() {
            return Ok(());
        }
        let deadline = Instant::now() + channel::ENDING;
        while let Some(report) = channel::last(self.service.channel(), LAYER, deadline)? {
            match report {
                Report::Failed { .. } => break,
                // Nobody waits any more, and nothing is started any more.
                report => drop(self.take(report, Vec::new(), None, recorder)?),
            }
        }
        Ok(())
    }
}
