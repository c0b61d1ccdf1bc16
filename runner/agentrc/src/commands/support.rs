//! `agentrc support`: the runner support statement, from the table of directives that the parser itself reads, and what of
//! its layers this host has.

mod here;

use std::fmt::Write as _;

use agentfile::directive::{DIRECTIVES, Directive, Support};
use agentrc_broker::credential::Source;
use serde_json::json;

use self::here::{Here, Host};
use super::Outcome;
use crate::arguments;
use crate::terminal::{Style, Tone, escape};
use crate::{exit, terminal};

/// Layers, what each holds, and what holds it too.
const LAYERS: &[(&str, &str, &str)] = &[
    (
        "namespaces",
        "user, mount, pid, ipc, uts, net and cgroup are the sandbox's own",
        "probes, inode numbers read back",
    ),
    (
        "mounts",
        "a new root with what the plan shows; the first lock on files",
        "/proc/self/mountinfo read back, probes",
    ),
    ("limits", "rlimits, wall time, sizes of private folders", "/proc/self/limits read back"),
    (
        "cgroup",
        "memory, processes, CPU; where a cgroup v2 is delegated, otherwise such a limit is refused",
        "files read back",
    ),
    (
        "capabilities",
        "none in any set, secure bits locked, no_new_privs",
        "/proc/self/status read back, probes",
    ),
    (
        "landlock",
        "the second lock on files; TCP, signals and abstract sockets as far as the kernel has it",
        "probes",
    ),
    (
        "seccomp",
        "an allow-list of system calls, policies/seccomp.toml",
        "/proc/self/status read back, probes",
    ),
    (
        "ebpf",
        "the third lock on the network: addresses and ports on the run's cgroup; required where it can be loaded",
        "object read back, a refused datagram and its event",
    ),
    (
        "dns",
        "a declared name has addresses of the sandbox's own, any other is NXDOMAIN; no question of the agent leaves the host",
        "sockets made inside and handed over, the gateway's word that it serves",
    ),
    (
        "gateway",
        "a process outside that lets through what names a declared destination in its first bytes, judged and counted",
        "its system call filter read back, the gateway's word that it serves",
    ),
    (
        "tls",
        "ends at the gateway where requests must be seen, with the run's own authority; servers are verified with the host's roots",
        "the bundle inside, in the mount table",
    ),
    (
        "credentials",
        "values that only the gateway holds; placeholders inside; files of values hidden in every bind",
        "resolved before the start, mount table read back",
    ),
    ("audit", "chained and signed log outside the sandbox; first line before exec", "agentrc audit verify"),
];

const GROUPS: &[(Support, &str)] = &[
    (Support::Enforced, "enforced, or the run is refused"),
    (Support::Refused, "parsed, checked, in the plan; not yet enforced here, and therefore refused at run"),
    (Support::Hint, "hints: honoured where they name what this runner does, an error otherwise"),
];

/// Prints the statement.
///
/// # Errors
/// Standard output.
pub fn support(arguments: &arguments::Support) -> Outcome {
    let host = Host::probed();
    terminal::print(&if arguments.json { as_json(&host) } else { as_text(&host, Style::stdout()) })?;
    Ok(exit::SUCCESS)
}

fn as_text(host: &Host, style: Style) -> String {
    let mut out = format!("agentrc {}, Agentfile draft 4\n", env!("CARGO_PKG_VERSION"));
    for (support, title) in GROUPS {
        let tone = if *support == Support::Refused { Tone::Bad } else { Tone::Strong };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}", style.paint(tone, title));
        for directive in DIRECTIVES.iter().filter(|directive| directive.support == *support) {
            let _ = writeln!(out, "  {:<11} {}", directive.keyword, directive.summary);
        }
    }
    let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "Layers, in the order of arming"));
    for (layer, what, proof) in LAYERS {
        let _ = writeln!(out, "  {layer:<12} {what}\n  {:<12} proven by: {proof}", "");
        if let Some(Here { present, detail }) = host.layer(layer) {
            let _ = writeln!(out, "  {:<12} this host: {}{}", "", mark(*present, style), escape(detail));
        }
    }
    let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "Sources of credentials on this host"));
    for Source { form, present, detail } in &host.sources {
        let _ = writeln!(out, "  {form:<12} {}{}", mark(*present, style), escape(detail));
    }
    out
}

/// Before what was seen.
fn mark(present: bool, style: Style) -> String {
    if present { "yes, ".to_owned() } else { style.paint(Tone::Warn, "no: ") }
}

fn word(support: Support) -> &'static str {
    match support {
        Support::Enforced => "enforced",
        Support::Refused => "refused-at-run",
        Support::Hint => "hint",
    }
}

fn as_json(host: &Host) -> String {
    let entry = |directive: &Directive| {
        json!({
            "keyword": directive.keyword,
            "class": directive.class,
            "grammar": directive.grammar,
            "support": word(directive.support),
            "meaning": directive.meaning,
        })
    };
    let directives: Vec<_> = DIRECTIVES.iter().map(entry).collect();
    let layers: Vec<_> = LAYERS
        .iter()
        .map(|(layer, what, proof)| {
            let here = host.layer(layer).map(|here| json!({"present": here.present, "detail": here.detail}));
            json!({"layer": layer, "holds": what, "proven_by": proof, "this_host": here})
        })
        .collect();
    let sources: Vec<_> = host
        .sources
        .iter()
        .map(|source| json!({"source": source.form, "present": source.present, "detail": source.detail}))
        .collect();
    let statement = json!({
        "runner": "agentrc",
        "version": env!("CARGO_PKG_VERSION"),
        "syntax": "agentrc.agentfile/v0.1",
        "draft": 4,
        "directives": directives,
        "layers": layers,
        "credential_sources": sources,
    });
    format!("{statement:#}\n")
}
