//! `HEALTHCHECK`: a program of the agent's files, executed again and again in a sandbox of its own while the agent runs. How it ended is on
//! record; too many failures in a row end the run. The supervisor looks after it by its clock, and never waits for it.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use agentfile::plan::{BrokerEntry, CLIENT, Plan};
use agentrc_audit::Event;
use agentrc_audit::text::printable_text;
use agentrc_jail::{Entered, Entrance, Recorder, Work};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// Bytes of what a probe says that are kept, for the reason.
const KEPT: usize = 512;
/// Most bytes that are read in one go of a probe that says much.
const AT_ONCE: usize = 64 * 1024;

/// A check, and where it is in its round.
pub struct Health {
    argv: Vec<CString>,
    interval: Duration,
    timeout: Duration,
    retries: u32,
    origin: String,
    /// When the next probe is due. None: the clock has not been looked at yet, or it never comes.
    due: Option<Instant>,
    begun: bool,
    probe: Option<Probe>,
    /// Failures in a row.
    failures: u32,
    /// Whether the last probe was well, and how many that were are not on record yet.
    well: bool,
    unsaid: u64,
}

/// One that runs.
struct Probe {
    entered: Entered,
    deadline: Option<Instant>,
    output: [OwnedFd; 2],
    status: OwnedFd,
    said: Vec<u8>,
}

/// How one ended.
enum Outcome {
    Ok,
    Failed(String),
    TimedOut(String),
}

impl Health {
    /// The plan's, if it has one.
    ///
    /// # Errors
    /// The word that has a NUL byte.
    pub fn of(plan: &Plan) -> Result<Option<Self>, String> {
        let check = plan.broker.iter().find_map(|entry| match entry {
            BrokerEntry::HealthCheck { interval_seconds, timeout_seconds, retries, argv, origin } => {
                Some((*interval_seconds, *timeout_seconds, *retries, argv, origin))
            }
            _ => None,
        });
        let Some((interval, timeout, retries, argv, origin)) = check else { return Ok(None) };
        let words = [CLIENT, "--probe"].into_iter().chain(argv.iter().map(String::as_str));
        let words = words.map(|word| CString::new(word).map_err(|_| format!("`{word}` has a NUL byte")));
        Ok(Some(Self {
            argv: words.collect::<Result<_, _>>()?,
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(timeout),
            retries,
            origin: origin.to_string(),
            due: None,
            begun: false,
            probe: None,
            failures: 0,
            well: false,
            unsaid: 0,
        }))
    }

    /// Starts a probe that is due, and looks after one that runs.
    ///
    /// # Errors
    /// Why the run must be killed: too many failures in a row, or one that cannot be recorded.
    pub fn tick(
        &mut self,
        entrance: &mut Entrance<'_>,
        place: (&[CString], &CString),
        recorder: &mut dyn Recorder,
    ) -> Result<(), String> {
        let now = Instant::now();
        if !self.begun {
            self.begun = true;
            // A time that no clock reaches never comes.
            self.due = now.checked_add(self.interval);
        }
        if let Some(outcome) = self.probe.as_mut().and_then(|probe| probe.look(now, self.timeout)) {
            if let Some(probe) = self.probe.take() {
                probe.entered.kill();
            }
            return self.ended(outcome, recorder);
        }
        if self.probe.is_none() && self.due.is_some_and(|due| now >= due) {
            self.due = now.checked_add(self.interval);
            match self.start(entrance, place, now) {
                Ok(probe) => self.probe = Some(probe),
                Err(reason) => return self.ended(Outcome::Failed(reason), recorder),
            }
        }
        Ok(())
    }

    /// Puts on record what is not yet.
    ///
    /// # Errors
    /// It cannot be.
    pub fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        // One that was well just before the end, and not looked at since. Any other was ended with the run.
        let last = self.probe.take().and_then(|mut probe| probe.look(Instant::now(), self.timeout));
        if let Some(Outcome::Ok) = last {
            self.unsaid += 1;
        }
        self.said(recorder)
    }

    /// Puts on record how many were well since the first.
    fn said(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        match std::mem::take(&mut self.unsaid) {
            0 => Ok(()),
            count => self.record("ok", String::new(), count, recorder),
        }
    }

    fn start(
        &self,
        entrance: &mut Entrance<'_>,
        (environment, directory): (&[CString], &CString),
        now: Instant,
    ) -> Result<Probe, String> {
        let pair = || pipe_with(PipeFlags::CLOEXEC);
        let ours = |end: OwnedFd| rustix::io::ioctl_fionbio(&end, true).map(|()| end);
        let pipes = || -> Result<_, Errno> {
            // Standard input is at its end.
            let (stdin, _) = pair()?;
            let (output, stdout) = pair()?;
            let (complaint, stderr) = pair()?;
            let (status, theirs) = pair()?;
            Ok(([stdin, stdout, stderr], theirs, [ours(output)?, ours(complaint)?], ours(status)?))
        };
        let (streams, theirs, output, status) =
            pipes().map_err(|errno| format!("no pipes for it: {}", std::io::Error::from(errno)))?;
        let work = Work {
            argv: self.argv.clone(),
            environment: environment.to_vec(),
            directory: directory.clone(),
            streams,
            status: theirs,
        };
        let entered = entrance.enter(work);
        let entered = entered
            .map_err(|refusal| format!("it was not started: {} ({})", refusal.reason, refusal.step.name()))?;
        Ok(Probe { entered, deadline: now.checked_add(self.timeout), output, status, said: Vec::new() })
    }

    fn ended(&mut self, outcome: Outcome, recorder: &mut dyn Recorder) -> Result<(), String> {
        let (word, reason) = match outcome {
            Outcome::Ok => {
                self.failures = 0;
                if !self.well {
                    self.well = true;
                    return self.record("ok", String::new(), 1, recorder);
                }
                self.unsaid += 1;
                return Ok(());
            }
            Outcome::Failed(reason) => ("failed", reason),
            Outcome::TimedOut(reason) => ("timeout", reason),
        };
        self.said(recorder)?;
        self.well = false;
        self.failures = self.failures.saturating_add(1);
        self.record(word, reason.clone(), 1, recorder)?;
        if self.failures < self.retries {
            return Ok(());
        }
        let times =
            if self.retries == 1 { "once".to_owned() } else { format!("{} times in a row", self.retries) };
        Err(format!("its health check failed {times}, the most that {} allows; last: {reason}", self.origin))
    }

    fn record(
        &self,
        outcome: &str,
        reason: String,
        count: u64,
        recorder: &mut dyn Recorder,
    ) -> Result<(), String> {
        let (outcome, origin) = (outcome.to_owned(), self.origin.clone());
        recorder
            .record(&Event::Health { outcome, reason, count, origin })
            .map_err(|reason| format!("the audit log cannot be written: {reason}"))
    }
}

impl Probe {
    /// How it ended, if it has.
    fn look(&mut self, now: Instant, timeout: Duration) -> Option<Outcome> {
        for output in &self.output {
            drain(output, &mut self.said);
        }
        let mut bytes = [0; 4];
        match rustix::io::read(&self.status, &mut bytes) {
            // Its init writes the four bytes in one go.
            Ok(4) => {
                for output in &self.output {
                    drain(output, &mut self.said);
                }
                // wait(2): the low seven bits are the signal, 0 for an exit, whose code is above them.
                let status = i32::from_ne_bytes(bytes);
                Some(match (status & 0x7f, (status >> 8) & 0xff) {
                    (0, 0) => Outcome::Ok,
                    (0, code) => Outcome::Failed(format!("it exited with {code}{}", self.words())),
                    (signal, _) => Outcome::Failed(format!("signal {signal} ended it{}", self.words())),
                })
            }
            Ok(_) => Some(Outcome::Failed("its sandbox ended before it did".to_owned())),
            Err(Errno::AGAIN | Errno::INTR) if self.deadline.is_none_or(|deadline| now < deadline) => None,
            Err(Errno::AGAIN | Errno::INTR) => {
                Some(Outcome::TimedOut(format!("it took more than {} s, and was ended", timeout.as_secs())))
            }
            Err(errno) => {
                Some(Outcome::Failed(format!("it cannot be waited for: {}", std::io::Error::from(errno))))
            }
        }
    }

    /// The first line of what it said, behind a colon.
    fn words(&self) -> String {
        let said = String::from_utf8_lossy(&self.said);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if line.is_empty() { String::new() } else { format!(": {}", printable_text(line.trim())) }
    }
}

/// Reads what is there, and keeps the first of it.
fn drain(output: &OwnedFd, said: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    for _ in 0..AT_ONCE / buffer.len() {
        match rustix::io::read(output, &mut buffer) {
            Ok(read @ 1..) => {
                let room = KEPT.saturating_sub(said.len()).min(read);
                said.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            _ => return,
        }
    }
}
