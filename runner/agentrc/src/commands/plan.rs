//! `agentrc plan`: what will be enforced, each rule with its line; or what changes from another plan, in words.

use std::path::Path;

use agentfile::compile::Validate;
use agentfile::plan::difference::difference;
use agentfile::plan::{FORMAT, Plan, digest};
use agentrc_ebpf::Support;
use agentrc_host::config::{Config, Requirement};

use super::Outcome;
use crate::arguments;
use crate::package::{FILE_LIMIT, Folder};
use crate::refusal::Refusal;
use crate::source::{Compiled, Source};
use crate::terminal::Style;
use crate::{exit, host, terminal, view};

/// Prints the plan, or the differences.
///
/// # Errors
/// The Agentfile, or the other one, does not compile or cannot be read.
pub fn plan(arguments: &arguments::Plan) -> Outcome {
    let Compiled { plan, digest } = Source::open(&arguments.at.path)?.compile(Validate::Always)?;
    if let Some(other) = &arguments.diff {
        return diff(&read_other(other)?, &plan, &digest);
    }
    let text = if arguments.json {
        let canonical = digest::canonical(&plan);
        format!("{}\n", canonical.map_err(|error| Refusal::new(format!("cannot print the plan: {error}")))?)
    } else {
        let mut text = view::plan(&plan, &digest, Style::stdout());
        if let Some(line) = on_this_host(&plan)? {
            text.push_str(&format!("\n{}\n", terminal::escape(&line)));
        }
        text
    };
    terminal::print(&text)?;
    Ok(exit::SUCCESS)
}

/// What a plan cannot say of its network, since it is the same on every host: whether the third lock is there.
fn on_this_host(plan: &Plan) -> Result<Option<String>, Refusal> {
    if !plan.egress.iter().any(|egress| egress.agent) {
        return Ok(None);
    }
    let config = Config::of_this_host().map_err(|error| host::refusal(&error))?;
    let required = config.requires(Requirement::Ebpf);
    // An ordinary user's run has a cgroup only when something else needs one (`runner/agentrc/src/filter.rs`).
    let has_cgroup =
        rustix::process::geteuid().is_root() || required.is_some() || !plan.limits.cgroup.is_empty();
    let missing = match agentrc_ebpf::support() {
        Support::Available if has_cgroup => None,
        Support::Available => Some("there is no cgroup for it".to_owned()),
        Support::Unavailable { reason } => Some(reason),
    };
    Ok(Some(match (missing, required) {
        (None, _) => "on this host: the eBPF egress filter will be attached".to_owned(),
        (Some(reason), None) => format!(
            "on this host: the eBPF egress filter is not available: {reason}; the network namespace and the gateway hold alone"
        ),
        (Some(reason), Some(place)) => format!(
            "on this host: the eBPF egress filter is not available: {reason}; `{place}` requires it, so this will not be run"
        ),
    }))
}

fn diff(old: &Compiled, new: &Plan, digest: &str) -> Outcome {
    if old.digest == digest {
        terminal::print("no difference\n")?;
        return Ok(exit::SUCCESS);
    }
    let found = difference(&old.plan, new);
    let mut text = view::differences(&found, Style::stdout());
    if found.is_empty() {
        // The sentences are for people: never say "the same" of what they do not mention.
        text.push_str(if view::same_rules(&old.plan, new) {
            "the same rules, from other lines; the digest differs, so consents do not carry over\n"
        } else {
            "differs in details that have no words here: compare the output of agentrc plan --json\n"
        });
    }
    terminal::print(&text)?;
    Ok(exit::FAILURE)
}

/// An Agentfile, a folder with one, or a plan in JSON: told apart by what the file holds.
fn read_other(path: &Path) -> Result<Compiled, crate::refusal::Failure> {
    match read_json(path)? {
        Some(plan) => {
            let digest = digest::digest(&plan);
            let digest =
                digest.map_err(|error| Refusal::new(format!("the plan has no canonical form: {error}")))?;
            Ok(Compiled { plan, digest })
        }
        None => Source::open(path)?.compile(Validate::Always),
    }
}

/// The plan in the file; `None` when it is not JSON.
fn read_json(path: &Path) -> Result<Option<Plan>, Refusal> {
    if path.is_dir() {
        return Ok(None);
    }
    let shown = terminal::path(path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bytes = Folder::open(parent)
        .and_then(|folder| folder.read_bounded(Path::new(path.file_name().unwrap_or_default()), FILE_LIMIT))
        .map_err(|error| Refusal::new(format!("cannot read `{shown}`: {error}")))?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Ok(None);
    }
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(format!("`{shown}` is not a plan: {error}")).help("`agentrc plan --json` writes one")
    })?;
    if plan.format != FORMAT {
        return Err(Refusal::new(format!("`{shown}` is a plan of format {}, not {FORMAT}", plan.format))
            .help("make it again from its Agentfile"));
    }
    Ok(Some(plan))
}

#[cfg(test)]
mod tests {
    use agentfile::plan::{Egress, Origin};

    use super::*;

    #[test]
    fn only_a_plan_with_a_network_of_the_agents_speaks_of_this_host() {
        let mut plan = crate::sample::plan();
        assert!(matches!(on_this_host(&plan), Ok(None)));
        let mut add = |agent| {
            plan.egress.push(Egress {
                scheme: "https".to_owned(),
                host: "api.example.com".to_owned(),
                port: 443,
                path: None,
                agent,
                terminate_tls: false,
                origin: Origin::builtin("test"),
            });
            on_this_host(&plan)
        };
        assert!(matches!(add(false), Ok(None)), "the broker's is none of the sandbox's");
        let Ok(Some(line)) = add(true) else { panic!("a network") };
        let possible =
            ["will be attached", "the network namespace and the gateway hold alone", "this will not be run"];
        assert!(line.starts_with("on this host: the eBPF egress filter "), "{line}");
        assert!(possible.iter().any(|words| line.ends_with(words)), "{line}");
    }
}
