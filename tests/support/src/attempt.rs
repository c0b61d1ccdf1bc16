//! Tables of attempts. Each is first made outside the sandbox, or where it is declared, and must succeed there (the positive
//! control); then it is made inside, and must not. What counts is a sign that the test sees from outside.

use std::time::Duration;

use crate::lab::Lab;
use crate::outcome::within;
use crate::outside::{self, Holding};
use crate::session::{Answer, Made, Session};

/// How long the host may take to show an attempt of which the kernel says that it was done: one that must succeed, and one that must not.
const CONTROL: Duration = Duration::from_secs(5);
const INSIDE: Duration = Duration::from_millis(300);

/// A look at the host that changes when an attempt succeeds.
pub type Look<'a> = Box<dyn Fn() -> String + 'a>;

/// What shows from outside that an attempt succeeded.
pub enum Sign<'a> {
    /// The lab's secret came out on standard output.
    Secret,
    /// Anything at all came out.
    Bytes,
    /// A descriptor beyond those it started with, whose `/proc/PID/fd` link begins so.
    Descriptor(&'static str),
    /// It, or a child of it, is in a namespace in which the attacker was not.
    Namespace,
    /// Its mount table is another.
    MountTable,
    /// This field of `/proc/PID/status` is another.
    Status(&'static str),
    /// Its `/proc/PID/personality` is another.
    Personality,
    /// Its `/proc/PID/root` is another.
    Root,
    /// This line of `/proc/PID/limits` is another.
    Limit(&'static str),
    /// Some process of the session is traced.
    Traced,
    /// This look at the host changed.
    Host(Look<'a>),
    /// Nothing of it can be seen from outside, or what could be seen would harm the machine: the kernel's answer, other
    /// than a refusal (EPERM, EACCES, ENOSYS, SIGSYS), shows that the call got through to its arguments.
    Reached,
    /// Likewise, and the answer is a value.
    Value,
}

/// Where an attempt must succeed.
pub enum Control {
    /// On the host, as the same user.
    Host,
    /// On the host, as the same user, in namespaces of its own where it is root: an ordinary user may do there what the
    /// host allows only to root, and what it changes goes away with it.
    OwnNamespaces,
    /// On the host as root. As an ordinary user the same is tried without a control, which the output says.
    HostRoot,
    /// In the same sandbox, with this other line: the same act where it is declared.
    Declared(String),
    /// The test itself shows, with acts of the same kind, that they work where nothing forbids them.
    Elsewhere,
    /// It cannot be made to succeed on this machine; why.
    None(&'static str),
}

/// One attempt.
pub struct Attempt<'a> {
    name: String,
    inside: String,
    outside: Option<String>,
    sign: Sign<'a>,
    control: Control,
    arrange: Option<Box<dyn Fn() + 'a>>,
}

impl<'a> Attempt<'a> {
    /// An attempt by its name and the attacker's line.
    pub fn new(name: impl Into<String>, line: impl Into<String>, sign: Sign<'a>, control: Control) -> Self {
        Self { name: name.into(), inside: line.into(), outside: None, sign, control, arrange: None }
    }

    /// The attacker's line for the control on the host, where it is another.
    pub fn outside(mut self, line: impl Into<String>) -> Self {
        self.outside = Some(line.into());
        self
    }

    /// What to do on the host before each time it is made.
    pub fn after(mut self, arrange: impl Fn() + 'a) -> Self {
        self.arrange = Some(Box::new(arrange));
        self
    }

    /// Makes it, and looks for its sign on the host for so long.
    fn succeeds(&self, lab: &Lab, session: &mut Session, line: &str, time: Duration) -> (bool, Answer) {
        if let Some(arrange) = &self.arrange {
            arrange();
        }
        let look = || if let Sign::Host(look) = &self.sign { look() } else { String::new() };
        let (seen, start) = (look(), Holding::of(session.server()));
        let mut made = session.attempt(line);
        let mut shown = self.shown(lab, session, &made, &start) || seen != look();
        if let (false, Sign::Host(_), Answer::Value(_)) = (shown, &self.sign, &made.answer) {
            // The kernel says that it was done: whoever counts it outside may need a moment.
            shown = within(time, || seen != look());
        }
        // A program that an attempt became may speak late.
        made.leaked.extend(session.release());
        (shown || matches!(self.sign, Sign::Secret) && made.text().contains(&lab.secret), made.answer)
    }

    fn shown(&self, lab: &Lab, session: &Session, made: &Made, start: &Holding) -> bool {
        let now = made.pid.map(Holding::of).unwrap_or_else(|| start.clone());
        match &self.sign {
            Sign::Secret => made.text().contains(&lab.secret),
            Sign::Bytes => !made.leaked.is_empty(),
            Sign::Descriptor(kind) => now.descriptors.values().any(|link| link.starts_with(kind)),
            Sign::Namespace => made
                .pid
                .into_iter()
                .flat_map(outside::tree)
                .any(|pid| !Holding::of(pid).namespaces_beyond(start).is_empty()),
            Sign::MountTable => now.mounts != start.mounts,
            Sign::Status(field) => now.status.get(*field) != start.status.get(*field),
            Sign::Personality => now.personality != start.personality,
            Sign::Root => now.places.0 != start.places.0,
            Sign::Limit(name) => line_of(&now.limits, name) != line_of(&start.limits, name),
            Sign::Traced => outside::tree(session.pid())
                .into_iter()
                .any(|pid| outside::status(pid).get("TracerPid").is_some_and(|tracer| tracer != "0")),
            Sign::Host(_) => false,
            Sign::Reached => !made.answer.is_refusal(),
            Sign::Value => matches!(made.answer, Answer::Value(_)),
        }
    }
}

fn line_of<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.lines().find(|line| line.starts_with(start))
}

/// Makes each attempt under its control, and then inside a sandbox made of `agentfile`; fails with the list of those
/// that succeeded inside, or that did not outside.
#[track_caller]
pub fn withstand(lab: &Lab, agentfile: &str, attempts: &[Attempt<'_>]) {
    let mut sandbox = lab.attack(agentfile);
    let failures = in_session(lab, &mut sandbox, attempts);
    let outcome = sandbox.end();
    assert!(failures.is_empty(), "as {}:\n  {}\n{}", lab.who.name, failures.join("\n  "), outcome.stderr);
    outcome.expect_code(0);
}

/// As [`withstand`], in a sandbox that the caller started.
pub fn in_session(lab: &Lab, sandbox: &mut Session, attempts: &[Attempt<'_>]) -> Vec<String> {
    assert!(!attempts.is_empty());
    let mut controls = Controls::default();
    let mut failures = Vec::new();
    for attempt in attempts {
        let name = &attempt.name;
        match controls.succeeds(lab, sandbox, attempt) {
            Ok((true, _)) => {}
            Ok((false, Answer::Error(error))) if error == "ENOSYS" => {
                eprintln!("note: `{name}` has no positive control here: this kernel does not have it")
            }
            Ok((false, answer)) => failures.push(format!("{name}: the positive control failed ({answer:?})")),
            Err(why) => eprintln!("note: `{name}` has no positive control here: {why}"),
        }
        let (succeeded, answer) = attempt.succeeds(lab, sandbox, &attempt.inside, INSIDE);
        if succeeded {
            failures.push(format!("{name}: SUCCEEDED inside ({answer:?}): `{}`", attempt.inside));
        }
        if answer == Answer::Hang {
            failures.push(format!("{name}: hangs instead of failing at once"));
        }
    }
    failures
}

#[derive(Default)]
struct Controls {
    host: Option<Session>,
    own: Option<Session>,
}

impl Controls {
    fn succeeds(
        &mut self,
        lab: &Lab,
        sandbox: &mut Session,
        attempt: &Attempt<'_>,
    ) -> Result<(bool, Answer), &'static str> {
        let line = attempt.outside.as_ref().unwrap_or(&attempt.inside);
        match &attempt.control {
            Control::HostRoot if !lab.who.is_root() => Err("the host allows it to root only"),
            Control::Host | Control::HostRoot => {
                Ok(attempt.succeeds(lab, self.host.get_or_insert_with(|| host(lab)), line, CONTROL))
            }
            Control::OwnNamespaces => {
                let own = self.own.get_or_insert_with(|| own_namespaces(lab));
                Ok(attempt.succeeds(lab, own, line, CONTROL))
            }
            Control::Declared(line) => Ok(attempt.succeeds(lab, sandbox, line, CONTROL)),
            Control::Elsewhere => Ok((true, Answer::Value(0))),
            Control::None(why) => Err(why),
        }
    }
}

/// The attacker on the host, as the lab's identity.
pub fn host(lab: &Lab) -> Session {
    let program = lab.attacker(lab.path("attack"));
    let mut command = lab.command(program);
    command.arg("serve");
    Session::start(lab, command)
}

/// The attacker on the host, in namespaces of its own.
pub fn own_namespaces(lab: &Lab) -> Session {
    let program = lab.attacker(lab.path("attack"));
    let mut command = lab.command("unshare");
    command.args([
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--cgroup",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    if !lab.who.is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(program).arg("serve");
    Session::start(lab, command)
}
