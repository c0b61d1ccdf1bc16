//! Quantities and sources of a plan in the words that people read: shared by `describe` and `difference`.

use super::{
    Access, BrokerEntry, Calls, CgroupLimit, CommandTemplate, Egress, FunctionDefinition, Generated,
    HttpTemplate, Mapped, Mount, MountSource, Part, Plan, Runs, SKILLS, SkillDefinition, ToolDefinition,
    inside,
};

/// Bytes with the largest unit that leaves a whole number, such as `512 MiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, UNITS.iter());
    let mut name = unit.next().copied().unwrap_or_default();
    while value >= 1024 && value.is_multiple_of(1024) {
        let Some(next) = unit.next() else { break };
        value /= 1024;
        name = next;
    }
    format!("{value} {name}")
}

/// Seconds as `90 s`, `5 min`, `2 h`.
#[must_use]
pub fn seconds(value: u64) -> String {
    match value {
        0 => "0 s".to_owned(),
        _ if value.is_multiple_of(3600) => format!("{} h", value / 3600),
        _ if value.is_multiple_of(60) => format!("{} min", value / 60),
        _ => format!("{value} s"),
    }
}

/// A count in a window, such as `20 in 1 h`, or `100 in all`.
#[must_use]
pub fn rate(value: u64, per_seconds: Option<u64>) -> String {
    match per_seconds {
        Some(per) => format!("{value} in {}", seconds(per)),
        None => format!("{value} in all"),
    }
}

/// A destination as one would write it.
#[must_use]
pub fn egress(egress: &Egress) -> String {
    if egress.scheme == inside::BROKER_SCHEME {
        return format!("the broker, http://{}{}", inside::BROKER, inside::BROKER_PATH);
    }
    let path = egress.path.as_deref().unwrap_or_default();
    format!("{}://{}{path}", egress.scheme, authority(&egress.host, egress.port))
}

/// Where a URL leads, without the port that its scheme has anyway.
#[must_use]
pub fn url(scheme: &str, host: &str, port: u16) -> String {
    let usual = matches!((scheme, port), ("https", 443) | ("http", 80));
    let authority = authority(host, port);
    let port = format!(":{port}");
    let shown = authority.strip_suffix(&port).filter(|_| usual).unwrap_or(&authority);
    format!("{scheme}://{shown}")
}

/// Host and port as a URL has them: an IPv6 address in brackets (RFC 3986, section 3.2.2).
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What may be done at a mount: `read`, `read and write`, `connect`, `nothing`.
#[must_use]
pub fn access(mount: &Mount) -> &'static str {
    match (&mount.source, mount.access) {
        (MountSource::Mask, _) => "nothing",
        (MountSource::Socket, _) => "connect",
        (_, Access::ReadOnly) => "read",
        (_, Access::ReadWrite) => "read and write",
    }
}

/// What a mount shows.
#[must_use]
pub fn source(source: &MountSource) -> String {
    match source {
        MountSource::Bind { source, .. } => format!("the host's `{}`", String::from(source.clone())),
        MountSource::Copy { source, .. } => {
            format!("a private copy of the host's `{}`", String::from(source.clone()))
        }
        MountSource::Private { size_bytes, .. } => format!("a private folder of {}", bytes(*size_bytes)),
        MountSource::Directory => "an empty folder".to_owned(),
        MountSource::Proc { .. } => "the sandbox's own processes".to_owned(),
        MountSource::Dev { nodes } => format!("devices: {}", nodes.join(", ")),
        MountSource::Symlink { to } => format!("a link to `{to}`"),
        MountSource::File { .. } => "a file of the plan's own".to_owned(),
        MountSource::Generated { what: Generated::TrustBundle } => {
            "the host's certificates, and the run's own".to_owned()
        }
        MountSource::Generated { what: Generated::Client } => {
            "agentrc's own program that talks to the broker".to_owned()
        }
        MountSource::Generated { what: Generated::Passwd | Generated::Group } => {
            "a file made for the run".to_owned()
        }
        MountSource::Generated { what: Generated::Audit } => "what is recorded of the run".to_owned(),
        MountSource::Generated { what: Generated::Policy } => "the policies of the run".to_owned(),
        MountSource::Generated { what: Generated::Limits } => "the limits of the run".to_owned(),
        MountSource::Generated { what: Generated::Status } => "what the agent can ask for".to_owned(),
        MountSource::Socket => "the broker's socket".to_owned(),
        MountSource::Mask => "hidden".to_owned(),
        MountSource::Narrow => "read-only here".to_owned(),
    }
}

/// A cgroup file as class and amount.
#[must_use]
pub fn cgroup(limit: &CgroupLimit) -> (&str, String) {
    match limit.file.as_str() {
        "memory.max" => ("memory", limit.value.parse().map_or_else(|_| limit.value.clone(), bytes)),
        "memory.swap.max" => ("swap", limit.value.parse().map_or_else(|_| limit.value.clone(), bytes)),
        "pids.max" => ("processes", limit.value.clone()),
        "cpu.max" => {
            let quota = limit.value.split_whitespace().next().and_then(|quota| quota.parse::<u64>().ok());
            // Microseconds of a period of 100 ms are hundred-thousandths of a CPU.
            let cpus = quota.map(|quota| format!("{}.{:02} CPUs", quota / 100_000, quota % 100_000 / 1000));
            ("cpu", cpus.unwrap_or_else(|| limit.value.clone()))
        }
        other => (other, limit.value.clone()),
    }
}

/// A broker entry as the directive and its name, and what else it says.
#[must_use]
pub fn entry(entry: &BrokerEntry) -> (&'static str, String, String) {
    let permitted = |permitted: bool| if permitted { "permitted" } else { "not permitted" }.to_owned();
    match entry {
        BrokerEntry::Tool { namespace, name, permitted: yes, definition, toolset, mapped, .. } => {
            let mut by =
                toolset.as_ref().map_or_else(String::new, |toolset| format!(", of TOOLSET {toolset}"));
            if let Some(Mapped { written, by: place }) = mapped {
                by += &format!(", which is `{written}` here ({place})");
            }
            let more = definition.as_deref().map_or_else(String::new, tool);
            ("TOOL", format!("{namespace}:{name}"), permitted(*yes) + &by + &more)
        }
        BrokerEntry::Toolset { reference, .. } => ("TOOLSET", reference.clone(), String::new()),
        BrokerEntry::Function { path, symbol, permitted: yes, definition, .. } => {
            let name = path.as_ref().map_or_else(|| symbol.clone(), |path| format!("./{path}:{symbol}"));
            let more = definition.as_deref().map_or_else(String::new, function);
            ("FUNCTION", name, permitted(*yes) + &more)
        }
        BrokerEntry::Skill { reference, permitted: yes, definition, .. } => {
            let more = definition.as_deref().map_or_else(String::new, skill);
            ("SKILL", reference.clone(), permitted(*yes) + &more)
        }
        BrokerEntry::Server { name, host, port, scheme, path, credential, more, .. } => {
            let path = path.as_deref().unwrap_or_default();
            let with = credential.as_ref().map_or_else(String::new, |name| format!(", asked with {name}"));
            ("SERVER", name.clone(), format!("{scheme}://{host}:{port}{path}{with}{}", beyond(*more)))
        }
        BrokerEntry::Mcp { reference, plan, more, .. } => {
            let plan = plan.as_deref().map_or_else(String::new, server);
            ("MCP", reference.clone(), plan + beyond(*more))
        }
        BrokerEntry::Memory { name, schema_path, schema_type, readable, writable, schema_sha256, .. } => {
            let mode = match (readable, writable) {
                (true, true) => "read and write",
                (true, false) => "read",
                (false, true) => "write",
                (false, false) => "nothing, by policies that forbid it",
            };
            let digest = schema_sha256.get(..12).unwrap_or(schema_sha256);
            ("MEMORY", name.clone(), format!("{mode}, `{schema_type}` of ./{schema_path} ({digest})"))
        }
        BrokerEntry::Credential { name, source, hosts, inject, .. } => {
            let towards = if hosts.is_empty() { "no host".to_owned() } else { hosts.join(", ") };
            let inject = inject.as_deref().unwrap_or("header");
            ("CRED", name.clone(), format!("from {source}, towards {towards}, in the {inject}"))
        }
        BrokerEntry::CredentialBroker { family, .. } => ("BROKER", family.clone(), String::new()),
        BrokerEntry::HealthCheck { interval_seconds, timeout_seconds, retries, argv, .. } => {
            let every = seconds(*interval_seconds);
            let within = seconds(*timeout_seconds);
            ("HEALTHCHECK", argv.join(" "), format!("every {every}, within {within}, {retries} failures"))
        }
        BrokerEntry::Trace { target, .. } => ("TRACE", target.clone(), String::new()),
    }
}

/// A request as one would write it, `‹name›` where an argument stands.
fn request(template: &HttpTemplate) -> String {
    let path: String = template.path.iter().map(part).collect();
    let authority = authority(&template.host, template.port);
    let mut text = format!("`{} {}://{authority}{path}`", template.method, template.scheme);
    let arguments = |text: &mut String, of: &str, names: Vec<&String>| {
        if !names.is_empty() {
            let names: Vec<_> = names.into_iter().map(|name| format!("‹{name}›")).collect();
            text.push_str(&format!(", {of} {}", names.join(" ")));
        }
    };
    arguments(&mut text, "query", template.query.iter().collect());
    arguments(&mut text, "headers", template.header_arguments.iter().collect());
    arguments(&mut text, "body", template.body.iter().collect());
    text
}

fn part(part: &Part) -> String {
    match part {
        Part::Text(text) => text.clone(),
        Part::Argument(name) => format!("‹{name}›"),
    }
}

/// A command as one would write it, `‹name›` where an argument stands.
fn command(template: &CommandTemplate) -> String {
    let words = template.words.iter().map(|word| {
        let text: String = word.iter().map(part).collect();
        word_shown(&text)
    });
    let variables = template.environment.iter().map(|(name, value)| format!("{name}={value:?}"));
    let words: Vec<_> = variables.chain(words).collect();
    let place = template.directory.as_ref().map_or_else(String::new, |folder| format!(" in {folder}"));
    format!("`{}`{place}", words.join(" "))
}

/// A word of a command such that it is told from its neighbours.
fn word_shown(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '`' | '\\' | '\'') && !c.is_control();
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("{word:?}") }
}

/// Where a tool runs and what policies see of its arguments, with the digest of what it takes.
fn tool(definition: &ToolDefinition) -> String {
    let mut text = match &definition.runs {
        Runs::Broker => ", built in, in the broker itself".to_owned(),
        Runs::Gateway => ", built in, by the gateway".to_owned(),
        Runs::Inside => ", built in, in a sandbox of its own".to_owned(),
        Runs::Program(path) => format!(", {path} in a sandbox of its own"),
        Runs::Server => ", in its server".to_owned(),
        Runs::Http(template) => format!(", the request {}", request(template)),
        Runs::Command(template) => format!(", the command {} in a sandbox of its own", command(template)),
    };
    let facts: Vec<_> =
        definition.facts.each().map(|(fact, argument)| format!("`{argument}` as {fact}")).collect();
    if !facts.is_empty() {
        text.push_str(", policies see ");
        text.push_str(&facts.join(", "));
    }
    let digest = definition.schema_sha256.get(..12).unwrap_or(&definition.schema_sha256);
    format!("{text} ({digest})")
}

/// What is said of a server of which policies may permit more than its tools.
fn beyond(more: bool) -> &'static str {
    if more { ", and what policies permit of its resources and prompts, and of what it asks for" } else { "" }
}

/// What a server may touch.
fn server(plan: &Plan) -> String {
    let given = plan.environment.iter().filter(|variable| variable.origin.is_written());
    let given = given.map(|variable| format!("{}={:?}", variable.name, variable.value));
    let words = plan.command.iter().flat_map(|command| &command.argv).map(|word| word_shown(word));
    let command = given.chain(words).collect::<Vec<_>>().join(" ");
    let binds = plan.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { source, .. } | MountSource::Copy { source, .. } if mount.origin.is_written() => {
            Some(format!("{} `{}`", access(mount), String::from(source.clone())))
        }
        _ => None,
    });
    let hosts = plan.egress.iter().map(|one| format!("connect to {}", egress(one)));
    let credentials = plan.broker.iter().filter_map(|entry| match entry {
        BrokerEntry::Credential { name, hosts, .. } => {
            Some(format!("use the credential {name} towards {}", hosts.join(", ")))
        }
        _ => None,
    });
    format!("`{command}` in a sandbox of its own, which may {}", all(binds.chain(hosts).chain(credentials)))
}

fn all(touches: impl Iterator<Item = String>) -> String {
    let touches: Vec<_> = touches.collect();
    if touches.is_empty() { "touch nothing".to_owned() } else { touches.join(", ") }
}

/// What calls a function, with the digest of what it takes.
fn function(definition: &FunctionDefinition) -> String {
    let what = match definition.runs {
        Calls::Python => "called by Python",
        Calls::Program => "a program",
    };
    let digest = definition.schema_sha256.get(..12).unwrap_or(&definition.schema_sha256);
    format!(", {what} in a sandbox of its own ({digest})")
}

/// What a skill executes, with the digest of what it takes.
fn skill(definition: &SkillDefinition) -> String {
    let digest = definition.schema_sha256.get(..12).unwrap_or(&definition.schema_sha256);
    let touches = definition.plan.as_deref().map_or_else(String::new, |plan| {
        let lines = plan.mounts.iter().filter(|mount| mount.origin.is_written());
        let paths = lines.filter(|mount| matches!(mount.source, MountSource::Bind { .. }));
        let own = format!("{SKILLS}/{}", definition.name);
        let paths = paths.filter(|mount| mount.target != own);
        let paths = paths.map(|mount| format!("{} `{}`", access(mount), mount.target));
        let hosts = plan.egress.iter().map(|one| format!("connect to {}", egress(one)));
        format!(", which may {}", all(paths.chain(hosts)))
    });
    format!(", executes {} in a sandbox of its own{touches} ({digest})", definition.scripts.join(", "))
}

/// Where a broker entry was written.
#[must_use]
pub fn entry_origin(entry: &BrokerEntry) -> &super::Origin {
    match entry {
        BrokerEntry::Tool { origin, .. }
        | BrokerEntry::Toolset { origin, .. }
        | BrokerEntry::Function { origin, .. }
        | BrokerEntry::Skill { origin, .. }
        | BrokerEntry::Server { origin, .. }
        | BrokerEntry::Mcp { origin, .. }
        | BrokerEntry::Memory { origin, .. }
        | BrokerEntry::Credential { origin, .. }
        | BrokerEntry::CredentialBroker { origin, .. }
        | BrokerEntry::HealthCheck { origin, .. }
        | BrokerEntry::Trace { origin, .. } => origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_their_exact_value() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1 << 30), "1 GiB");
        assert_eq!(bytes((1 << 30) + 1), "1073741825 B");
        assert_eq!(bytes(1536 << 20), "1536 MiB");
        assert_eq!(seconds(90), "90 s");
        assert_eq!(seconds(7200), "2 h");
        assert_eq!(rate(3, Some(60)), "3 in 1 min");
    }
}
