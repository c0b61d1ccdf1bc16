//! How two plans differ, in words: "adds write to /output". A difference that gives the agent more is marked, so that a
//! reviewer sees it first.

use std::collections::BTreeMap;

use super::{
    Access, BrokerEntry, FunctionDefinition, Mount, MountSource, Origin, Plan, SkillDefinition,
    ToolDefinition, words,
};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Class, as in `describe`.
    pub class: &'static str,
    /// In words.
    pub text: String,
    /// Whether the newer plan gives the agent more.
    pub widens: bool,
    /// The line of the plan that has it.
    pub origin: Option<Origin>,
    /// Whether that is a line of the older plan: something of it is gone.
    pub of_older: bool,
}

/// What turns `old` into `new`. Empty when both enforce the same; origins alone are no difference.
#[must_use]
pub fn difference(old: &Plan, new: &Plan) -> Vec<Difference> {
    let mut found = Differences { found: Vec::new() };
    found.command(old, new);
    found.files(old, new);
    found.network(old, new);
    found.broker(old, new);
    found.limits(old, new);
    found.policies(old, new);
    found.rest(old, new);
    found.found
}

struct Differences {
    found: Vec<Difference>,
}

impl Differences {
    fn add(&mut self, class: &'static str, widens: bool, text: String, origin: Option<&Origin>) {
        self.found.push(Difference { class, text, widens, origin: origin.cloned(), of_older: false });
    }

    /// Something that only the older plan has, at a line of that.
    fn gone(&mut self, class: &'static str, widens: bool, text: String, origin: &Origin) {
        self.found.push(Difference { class, text, widens, origin: Some(origin.clone()), of_older: true });
    }

    fn command(&mut self, old: &Plan, new: &Plan) {
        let argv = |plan: &Plan| plan.command.as_ref().map(|command| command.argv.join(" "));
        let origin = new.command.as_ref().map(|command| &command.origin);
        if argv(old) != argv(new) {
            let word = |argv: Option<String>| argv.map_or("nothing".to_owned(), |argv| format!("`{argv}`"));
            let text = format!("runs {} instead of {}", word(argv(new)), word(argv(old)));
            self.add("command", true, text, origin);
        }
        if old.agent != new.agent {
            self.add("command", false, format!("names the agent `{}`, not `{}`", new.agent, old.agent), None);
        }
        if old.workdir != new.workdir {
            self.add("command", false, format!("works in `{}`, not `{}`", new.workdir, old.workdir), origin);
        }
        let base = |plan: &Plan| match &plan.base {
            super::Base::Host => "the host's /usr".to_owned(),
            super::Base::Scratch { .. } => "an empty root".to_owned(),
            super::Base::Reference { reference, .. } => format!("`{reference}`"),
        };
        if base(old) != base(new) {
            self.add("command", true, format!("stands on {}, not on {}", base(new), base(old)), None);
        }
        let environment = |plan: &Plan| -> Vec<(String, String)> {
            plan.environment.iter().map(|entry| (entry.name.clone(), entry.value.clone())).collect()
        };
        if environment(old) != environment(new) {
            self.add("command", false, "changes the environment".to_owned(), None);
        }
    }

    fn files(&mut self, old: &Plan, new: &Plan) {
        let table = |plan: &Plan| -> BTreeMap<String, Mount> {
            plan.mounts.iter().map(|mount| (mount.target.clone(), mount.clone())).collect()
        };
        let (before, after) = (table(old), table(new));
        for (target, mount) in &before {
            if !after.contains_key(target) {
                // What hid or narrowed something, and is gone, gives more.
                let widens = matches!(mount.source, MountSource::Mask | MountSource::Narrow);
                self.gone("files", widens, format!("removes {}", at(mount)), &mount.origin);
            }
        }
        for (target, mount) in &after {
            let Some(earlier) = before.get(target) else {
                let widens =
                    !matches!(mount.source, MountSource::Mask | MountSource::Narrow | MountSource::Directory);
                self.add("files", widens, format!("adds {}", at(mount)), Some(&mount.origin));
                continue;
            };
            self.mount(earlier, mount);
        }
    }

    fn mount(&mut self, old: &Mount, new: &Mount) {
        let origin = Some(&new.origin);
        let target = &new.target;
        match (old.access, new.access) {
            (Access::ReadOnly, Access::ReadWrite) => {
                self.add("files", true, format!("adds write to {target}"), origin);
            }
            (Access::ReadWrite, Access::ReadOnly) => {
                self.add("files", false, format!("removes write to {target}"), origin);
            }
            _ => {}
        }
        let (before, after) = (words::source(&old.source), words::source(&new.source));
        if before != after {
            self.add("files", true, format!("shows {after} at {target}, not {before}"), origin);
        } else if let (Some(before), Some(after)) = (protected(&old.source), protected(&new.source)) {
            for path in before.iter().filter(|path| !after.contains(path)) {
                self.add("files", true, format!("no longer protects {target}/{path}"), origin);
            }
            for path in after.iter().filter(|path| !before.contains(path)) {
                self.add("files", false, format!("protects {target}/{path}"), origin);
            }
        } else if old.source != new.source {
            self.add("files", true, format!("changes what {target} is"), origin);
        }
    }

    fn network(&mut self, old: &Plan, new: &Plan) {
        let table = |plan: &Plan| -> BTreeMap<String, (bool, Origin)> {
            plan.egress
                .iter()
                .map(|egress| {
                    let who = if egress.agent { "" } else { " for the broker" };
                    let key = format!("network to {}{who}", words::egress(egress));
                    (key, (egress.terminate_tls, egress.origin.clone()))
                })
                .collect()
        };
        let (before, after) = (table(old), table(new));
        self.sets("network", &before, &after, |_| true);
        for (key, (seen, origin)) in &after {
            if before.get(key).is_some_and(|(earlier, _)| earlier != seen) {
                let text = if *seen { "sees the requests of" } else { "no longer sees the requests of" };
                self.add("network", !seen, format!("{text} {key}"), Some(origin));
            }
        }
    }

    fn sets<V>(
        &mut self,
        class: &'static str,
        before: &BTreeMap<String, (V, Origin)>,
        after: &BTreeMap<String, (V, Origin)>,
        gives: impl Fn(&V) -> bool,
    ) {
        for (key, (value, origin)) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
            self.gone(class, !gives(value), format!("removes {key}"), origin);
        }
        for (key, (value, origin)) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.add(class, gives(value), format!("adds {key}"), Some(origin));
        }
    }

    fn broker(&mut self, old: &Plan, new: &Plan) {
        let table = |plan: &Plan| -> BTreeMap<String, (BrokerEntry, Origin)> {
            plan.broker
                .iter()
                .map(|entry| {
                    let (directive, name, _) = words::entry(entry);
                    (format!("{directive} {name}"), (entry.clone(), words::entry_origin(entry).clone()))
                })
                .collect()
        };
        let (before, after) = (table(old), table(new));
        // A health check is a bound on the agent, the rest gives it something.
        self.sets("broker", &before, &after, |entry| !matches!(entry, BrokerEntry::HealthCheck { .. }));
        for (key, (entry, origin)) in &after {
            let Some((earlier, _)) = before.get(key) else { continue };
            let (more, less) = (words::entry(entry).2, words::entry(earlier).2);
            if more != less {
                self.add("broker", true, format!("changes {key}: {more}, not {less}"), Some(origin));
            } else if told(entry) != told(earlier) {
                // Another description may make a model use it for something else.
                self.add("broker", true, format!("changes what an agent is told of {key}"), Some(origin));
            }
        }
    }

    fn limits(&mut self, old: &Plan, new: &Plan) {
        let (before, after) = (amounts(old), amounts(new));
        for (name, amount) in &before {
            if !after.contains_key(name) {
                let text = format!("removes the limit of {name} ({})", amount.words);
                self.gone("limits", true, text, &amount.origin);
            }
        }
        for (name, amount) in &after {
            let origin = Some(&amount.origin);
            match before.get(name) {
                None => {
                    self.add("limits", false, format!("limits {name} to {}", amount.words), origin);
                }
                Some(earlier) if earlier.words == amount.words => {}
                Some(earlier) => {
                    let raises = amount.value > earlier.value || amount.per_seconds != earlier.per_seconds;
                    let verb = if amount.per_seconds != earlier.per_seconds {
                        "changes"
                    } else if raises {
                        "raises"
                    } else {
                        "lowers"
                    };
                    let text = format!("{verb} {name} from {} to {}", earlier.words, amount.words);
                    self.add("limits", raises, text, origin);
                }
            }
        }
    }

    fn policies(&mut self, old: &Plan, new: &Plan) {
        // By text, since an id that is made from a line moves with it.
        let table = |plan: &Plan| -> BTreeMap<String, (bool, Origin)> {
            plan.cedar
                .policies
                .iter()
                .map(|policy| {
                    let text = policy.text.split_whitespace().collect::<Vec<_>>().join(" ");
                    // Annotations come first.
                    let permits = text.contains("permit") && !text.contains("forbid");
                    (format!("the policy {text}"), (permits, policy.origin.clone()))
                })
                .collect()
        };
        self.sets("policies", &table(old), &table(new), |permits| *permits);
    }

    fn rest(&mut self, old: &Plan, new: &Plan) {
        if old.audit.level != new.audit.level {
            let verb = if new.audit.level < old.audit.level { "lowers" } else { "raises" };
            let level = |plan: &Plan| format!("{:?}", plan.audit.level).to_lowercase();
            let text = format!("{verb} the audit from {} to {}", level(old), level(new));
            self.add("audit", new.audit.level < old.audit.level, text, Some(&new.audit.origin));
        }
        if old.capabilities != new.capabilities {
            self.add("system", true, "changes the capabilities".to_owned(), None);
        }
        if old.namespaces != new.namespaces {
            self.add("system", true, "changes the namespaces".to_owned(), None);
        }
        if (&old.seccomp.profile, &old.seccomp.table_sha256)
            != (&new.seccomp.profile, &new.seccomp.table_sha256)
        {
            self.add("system", true, "changes the system call filter".to_owned(), None);
        }
        let rules = |plan: &Plan| -> Vec<_> {
            plan.landlock.rules.iter().map(|rule| (rule.path.clone(), rule.rights, rule.optional)).collect()
        };
        // Rules follow the mounts; what is left is a change of the base.
        if self.found.iter().all(|difference| difference.class != "files") && rules(old) != rules(new) {
            self.add("system", true, "changes the Landlock rules".to_owned(), None);
        }
        // They follow the destinations.
        let ports = |plan: &Plan| -> Vec<_> { plan.landlock.connect.iter().map(|rule| rule.port).collect() };
        if self.found.iter().all(|difference| difference.class != "network") && ports(old) != ports(new) {
            self.add("system", true, "changes the ports that Landlock lets through".to_owned(), None);
        }
        if old.cedar.schema_sha256 != new.cedar.schema_sha256 {
            self.add("system", true, "changes the policy schema".to_owned(), None);
        }
    }
}

/// What an agent is told of a tool, function or skill.
fn told(
    entry: &BrokerEntry,
) -> (Option<&ToolDefinition>, Option<&FunctionDefinition>, Option<&SkillDefinition>) {
    match entry {
        BrokerEntry::Tool { definition, .. } => (definition.as_deref(), None, None),
        BrokerEntry::Function { definition, .. } => (None, definition.as_deref(), None),
        BrokerEntry::Skill { definition, .. } => (None, None, definition.as_deref()),
        _ => (None, None, None),
    }
}

fn at(mount: &Mount) -> String {
    let source = words::source(&mount.source);
    match &mount.source {
        MountSource::Mask | MountSource::Narrow => format!("the restriction of {} ({source})", mount.target),
        MountSource::Directory => format!("the folder {}", mount.target),
        MountSource::Socket => format!("{source} {}", mount.target),
        _ => {
            let access = match mount.access {
                Access::ReadOnly => "read of",
                Access::ReadWrite => "read of and write to",
            };
            format!("{access} {} ({source})", mount.target)
        }
    }
}

fn protected(source: &MountSource) -> Option<Vec<&str>> {
    match source {
        MountSource::Bind { protected, .. } | MountSource::Copy { protected, .. } => {
            Some(protected.iter().map(|entry| entry.path.as_str()).collect())
        }
        _ => None,
    }
}

struct Amount {
    value: u64,
    per_seconds: Option<u64>,
    words: String,
    origin: Origin,
}

fn amounts(plan: &Plan) -> BTreeMap<String, Amount> {
    let limits = &plan.limits;
    let mut amounts = BTreeMap::new();
    let mut put = |name: &str, value: u64, per_seconds: Option<u64>, words: String, origin: &Origin| {
        amounts.insert(name.to_owned(), Amount { value, per_seconds, words, origin: origin.clone() });
    };
    for limit in &limits.cgroup {
        let (name, words) = words::cgroup(limit);
        let value = limit.value.split_whitespace().next().and_then(|value| value.parse().ok());
        put(name, value.unwrap_or(u64::MAX), None, words, &limit.origin);
    }
    for rlimit in &limits.rlimits {
        put(
            &format!("rlimit {}", rlimit.resource),
            rlimit.value,
            None,
            rlimit.value.to_string(),
            &rlimit.origin,
        );
    }
    if let Some(wall) = &limits.wall_seconds {
        put("wall time", wall.value, None, words::seconds(wall.value), &wall.origin);
    }
    if let Some(disk) = &limits.disk_bytes {
        put("private disk", disk.value, None, words::bytes(disk.value), &disk.origin);
    }
    for counted in &limits.counted {
        let words = words::rate(counted.value, counted.per_seconds);
        put(&counted.name, counted.value, counted.per_seconds, words, &counted.origin);
    }
    amounts
}
