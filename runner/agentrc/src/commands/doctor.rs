//! `agentrc doctor`: what this machine can hold, probed; what is missing, what that costs, and the exact fix.

use std::fmt::Write as _;
use std::path::Path;

use agentrc_ebpf::Support;
use agentrc_host::StateDir;
use agentrc_jail::probe::{Feature, Need, probe};
use serde_json::json;

use super::Outcome;
use crate::arguments::Doctor;
use crate::remedy::{Family, Machine, cost, family};
use crate::terminal::{Style, Tone, escape};
use crate::{exit, terminal};

/// Probes and reports. The exit code is 1 when something is missing without which nothing can be run.
///
/// # Errors
/// Standard output.
pub fn doctor(arguments: &Doctor) -> Outcome {
    let state = StateDir::of_this_user();
    // Where no state can be kept, nothing can be run, which is reported as such; overlayfs is then tried in /tmp.
    let scratch = state.as_ref().map_or(Path::new("/tmp"), |state| state.folder().path());
    let mut features = probe(scratch);
    features.push(ebpf());
    let state =
        state.as_ref().map(|state| terminal::path(state.folder().path())).map_err(ToString::to_string);
    let os_release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let machine = Machine {
        root: Path::new("/"),
        family: family(&os_release),
        exe: std::env::current_exe()
            .map_or_else(|_| "/usr/local/bin/agentrc".to_owned(), |exe| exe.display().to_string()),
    };
    let ready =
        state.is_ok() && features.iter().all(|feature| feature.present || feature.need != Need::Required);
    let report = Report { features: &features, state: &state, machine: &machine, ready };
    terminal::print(&if arguments.json { report.as_json() } else { report.as_text(Style::stdout()) })?;
    Ok(if ready { exit::SUCCESS } else { exit::FAILURE })
}

/// The third lock on the network, as a run would find it: maps made and a program loaded.
fn ebpf() -> Feature {
    let (present, detail) = match agentrc_ebpf::support() {
        Support::Available => (true, "programs load; they are attached to the cgroup of each run".to_owned()),
        Support::Unavailable { reason } => (false, reason),
    };
    Feature { name: "ebpf", present, detail, need: Need::Stronger }
}

struct Report<'a> {
    features: &'a [Feature],
    state: &'a Result<String, String>,
    machine: &'a Machine<'a>,
    ready: bool,
}

impl Report<'_> {
    fn as_text(&self, style: Style) -> String {
        let mut out = self.head();
        let state = match self.state {
            Ok(path) => {
                format!("{}  {:<20} {path}\n", style.paint(Tone::Good, "ok      "), "state-directory")
            }
            Err(error) => {
                format!(
                    "{}  {:<20} {}\n",
                    style.paint(Tone::Bad, "MISSING "),
                    "state-directory",
                    shown(error)
                )
            }
        };
        out.push_str(&state);
        let mut printed: Vec<String> = Vec::new();
        for feature in self.features {
            // Writing to a String cannot fail.
            let _ =
                writeln!(out, "{}  {:<20} {}", mark(feature, style), feature.name, escape(&feature.detail));
            if feature.present {
                continue;
            }
            if let Some(cost) = cost(feature.name) {
                let _ = writeln!(out, "          cost: {cost}");
            }
            for (cause, commands) in self.machine.remedies(feature.name) {
                let _ = writeln!(out, "          cause: {cause}");
                if printed.contains(&commands) {
                    let _ = writeln!(out, "          fix: the same as above");
                } else {
                    let _ = writeln!(
                        out,
                        "          fix: {}",
                        shown(&commands).replace('\n', "\n               ")
                    );
                    printed.push(commands);
                }
            }
        }
        out.push_str(if self.ready {
            "\nagentrc can run here; whatever is missing is refused only when an Agentfile asks for it\n"
        } else {
            "\nagentrc cannot run here\n"
        });
        out
    }

    fn head(&self) -> String {
        let kernel = rustix::system::uname();
        let family = match self.machine.family {
            Family::Debian => "Debian",
            Family::Ubuntu => "Ubuntu",
            Family::Fedora => "Fedora",
            Family::Other => "another distribution",
        };
        format!(
            "kernel {} ({}), commands for {family}, user {}\n",
            escape(&kernel.release().to_string_lossy()),
            escape(&kernel.machine().to_string_lossy()),
            rustix::process::geteuid().as_raw()
        )
    }

    fn as_json(&self) -> String {
        let kernel = rustix::system::uname();
        let features: Vec<_> = self
            .features
            .iter()
            .map(|feature| {
                let remedies = if feature.present { Vec::new() } else { self.machine.remedies(feature.name) };
                let remedies: Vec<_> = remedies
                    .iter()
                    .map(|(cause, commands)| json!({"cause": cause, "fix": commands}))
                    .collect();
                json!({
                    "name": feature.name,
                    "present": feature.present,
                    "detail": feature.detail,
                    "needed_for": needed_for(feature.need),
                    "cost": cost(feature.name),
                    "remedies": remedies,
                })
            })
            .collect();
        let report = json!({
            "ready": self.ready,
            "kernel": kernel.release().to_string_lossy(),
            "machine": kernel.machine().to_string_lossy(),
            "uid": rustix::process::geteuid().as_raw(),
            "state_directory": self.state.as_ref().ok(),
            "state_directory_error": self.state.as_ref().err(),
            "features": features,
        });
        format!("{report:#}\n")
    }
}

fn needed_for(need: Need) -> &'static str {
    match need {
        Need::Required => "every run",
        Need::Copies => "copies",
        Need::Limits => "limits",
        Need::Destinations => "destinations",
        Need::Stronger => "a stronger second lock",
    }
}

fn mark(feature: &Feature, style: Style) -> String {
    match (feature.present, feature.need) {
        (true, _) => style.paint(Tone::Good, "ok      "),
        (false, Need::Required) => style.paint(Tone::Bad, "MISSING "),
        (false, Need::Copies | Need::Limits | Need::Destinations | Need::Stronger) => {
            style.paint(Tone::Warn, "without ")
        }
    }
}

/// Our own words with paths in them: several lines, nothing that drives a terminal.
fn shown(text: &str) -> String {
    agentrc_audit::text::printable_text(text)
}
