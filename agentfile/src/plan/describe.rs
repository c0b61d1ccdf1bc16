//! The plan by class, each line with its origin: the data of `agentrc plan`.

use super::{Base, MountSource, Origin, Plan, words};

/// One class of boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `command`, `files`, `network`, …
    pub class: &'static str,
    /// Its lines; never empty.
    pub lines: Vec<Line>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In words.
    pub text: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// What `plan` will enforce.
#[must_use]
pub fn describe(plan: &Plan) -> Vec<Section> {
    let sections = [
        ("command", command(plan)),
        ("files", files(plan)),
        ("network", network(plan)),
        ("broker", broker(plan)),
        ("limits", limits(plan)),
        ("policies", policies(plan)),
        ("audit", audit(plan)),
        ("system", system(plan)),
        ("asks for consent", grants(plan)),
    ];
    sections
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(class, lines)| Section { class, lines })
        .collect()
}

fn line(text: impl Into<String>, origin: &Origin) -> Line {
    Line { text: text.into(), origin: origin.clone() }
}

fn command(plan: &Plan) -> Vec<Line> {
    let base = Origin::builtin(crate::base::BASE_FILE);
    let mut lines = Vec::new();
    match &plan.command {
        Some(command) => {
            lines.push(line(
                format!("runs `{}` as agent `{}`", command.argv.join(" "), plan.agent),
                &command.origin,
            ));
        }
        None => lines.push(line("runs nothing: there is no CMD", &base)),
    }
    lines.push(line(format!("in `{}`", plan.workdir), plan.command.as_ref().map_or(&base, |c| &c.origin)));
    match &plan.base {
        Base::Host => lines.push(line("on the host's /usr, read-only", &base)),
        Base::Scratch { origin } => lines.push(line("on an empty root", origin)),
        Base::Reference { reference, origin } => lines.push(line(format!("on `{reference}`"), origin)),
    }
    for variable in &plan.environment {
        lines.push(line(format!("with {}={}", variable.name, variable.value), &variable.origin));
    }
    lines
}

fn files(plan: &Plan) -> Vec<Line> {
    let mut lines = Vec::new();
    for mount in &plan.mounts {
        // Folders that only hold others say nothing.
        if mount.source == MountSource::Directory {
            continue;
        }
        let text = format!("{}: {}, {}", mount.target, words::access(mount), words::source(&mount.source));
        let text = if mount.optional { format!("{text}, if there is one") } else { text };
        lines.push(line(text, &mount.origin));
        if let MountSource::Bind { protected, .. } | MountSource::Copy { protected, .. } = &mount.source {
            for entry in protected {
                lines.push(line(format!("{}/{}: stays read-only", mount.target, entry.path), &entry.origin));
            }
        }
    }
    lines
}

fn network(plan: &Plan) -> Vec<Line> {
    if plan.egress.is_empty() {
        return vec![line("none at all", &Origin::builtin(crate::base::BASE_FILE))];
    }
    plan.egress
        .iter()
        .map(|egress| {
            let who = if egress.agent { "the agent" } else { "the broker" };
            let seen = if egress.terminate_tls { ", its requests seen" } else { "" };
            line(format!("{who} to {}{seen}", words::egress(egress)), &egress.origin)
        })
        .collect()
}

fn broker(plan: &Plan) -> Vec<Line> {
    plan.broker
        .iter()
        .map(|entry| {
            let (directive, name, more) = words::entry(entry);
            let text = if more.is_empty() {
                format!("{directive} {name}")
            } else {
                format!("{directive} {name}: {more}")
            };
            line(text, words::entry_origin(entry))
        })
        .collect()
}

pub(super) fn limits(plan: &Plan) -> Vec<Line> {
    let limits = &plan.limits;
    let mut lines = Vec::new();
    for limit in &limits.cgroup {
        let (what, amount) = words::cgroup(limit);
        lines.push(line(format!("{what}: {amount}"), &limit.origin));
    }
    for rlimit in &limits.rlimits {
        lines.push(line(format!("{}: {}", rlimit.resource, rlimit.value), &rlimit.origin));
    }
    if let Some(wall) = &limits.wall_seconds {
        lines.push(line(format!("wall time: {}", words::seconds(wall.value)), &wall.origin));
    }
    if let Some(disk) = &limits.disk_bytes {
        lines.push(line(format!("private disk: {}", words::bytes(disk.value)), &disk.origin));
    }
    for counted in &limits.counted {
        let amount = words::rate(counted.value, counted.per_seconds);
        lines.push(line(format!("{}: {amount}", counted.name), &counted.origin));
    }
    lines
}

fn policies(plan: &Plan) -> Vec<Line> {
    plan.cedar
        .policies
        .iter()
        .map(|policy| {
            let text = policy.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text = match &policy.approval {
                Some(reason) => format!("{}: asks a person ({reason}): {text}", policy.id),
                None => format!("{}: {text}", policy.id),
            };
            line(text, &policy.origin)
        })
        .collect()
}

pub(super) fn audit(plan: &Plan) -> Vec<Line> {
    let level = match plan.audit.level {
        super::AuditLevel::Off => "start and end only",
        super::AuditLevel::Basic => {
            "start, end, limits reached, calls of tools, what agentrc denies (the kernel's own denials are not seen)"
        }
        super::AuditLevel::All => "as `basic`, and what agentrc permits",
        super::AuditLevel::Compliance => "as `all`, on disk before it takes effect",
    };
    vec![line(level, &plan.audit.origin)]
}

fn system(plan: &Plan) -> Vec<Line> {
    let runner = Origin::builtin(crate::base::BASE_FILE);
    let digest = plan.seccomp.table_sha256.get(..12).unwrap_or(&plan.seccomp.table_sha256);
    let kept =
        if plan.capabilities.keep.is_empty() { "none".to_owned() } else { plan.capabilities.keep.join(", ") };
    let namespaces: Vec<String> =
        plan.namespaces.iter().map(|namespace| format!("{namespace:?}").to_lowercase()).collect();
    vec![
        line(format!("namespaces of its own: {}", namespaces.join(", ")), &runner),
        line(format!("capabilities: {kept}"), &runner),
        line(format!("system calls: profile `{}` ({digest})", plan.seccomp.profile), &plan.seccomp.origin),
        line(
            format!(
                "Landlock: {} rules, ABI {} or newer{}",
                plan.landlock.rules.len(),
                plan.landlock.minimum_abi,
                ports(plan)
            ),
            &runner,
        ),
    ]
}

/// What Landlock lets the agent connect to.
fn ports(plan: &Plan) -> String {
    let ports: Vec<_> = plan.landlock.connect.iter().map(|rule| rule.port.to_string()).collect();
    if ports.is_empty() {
        "; no TCP from ABI 4 on".to_owned()
    } else {
        format!("; TCP to port {} only, from ABI 4 on", ports.join(", "))
    }
}

fn grants(plan: &Plan) -> Vec<Line> {
    plan.grants.iter().map(|grant| line(grant.asks.clone(), &grant.origin)).collect()
}
