//! The lines of a run's Agentfile that deny and bound files. A log holds the plan's digest, not the plan: lines are quoted
//! only when the Agentfile on disk still compiles to the plan that was run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use agentfile::compile::Validate;
use agentfile::plan::digest::digest;
use agentfile::plan::{MountSource, Origin, Plan, words};

use crate::source::Source;
use crate::terminal::{self, Style, Tone, escape};
use crate::view::shortened;

/// No more lines than this are shown; `agentrc plan` has the rest.
const MOST: usize = 40;

/// One line, as it stands in the file, and what it comes to.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    origin: Origin,
    written: String,
    means: Vec<String>,
}

/// The section of `why`: the lines, those that deny first, or why there are none to show.
pub(super) fn section(agentfile: &Path, plan_sha256: &str, style: Style) -> String {
    let mut out = format!("\n{}\n", style.paint(Tone::Strong, "lines that deny or bound files"));
    let rules = match lines_of(agentfile, plan_sha256) {
        Ok(rules) => rules,
        Err(why) => {
            out.push_str(&format!("  cannot be quoted: {why}\n"));
            return out;
        }
    };
    let shown = terminal::path(agentfile);
    // Writing to a String cannot fail.
    let _ = match rules.len() {
        0 => writeln!(out, "  `{shown}` has none: the run saw the base system and its own empty folders"),
        _ => writeln!(out, "  of `{shown}`, whose plan is still that of the run:"),
    };
    for rule in rules.iter().take(MOST) {
        let place = style.paint(Tone::Faint, &format!("[{}]", escape(&rule.origin.to_string())));
        let _ = writeln!(out, "  - {}  {place}", escape(&shortened(&rule.written)));
        for meaning in &rule.means {
            let _ = writeln!(out, "      {}", escape(&shortened(meaning)));
        }
    }
    if rules.len() > MOST {
        let _ = writeln!(out, "  and {} more: see `agentrc plan`", rules.len() - MOST);
    }
    out
}

/// The lines, when the file is still what was run.
fn lines_of(agentfile: &Path, plan_sha256: &str) -> Result<Vec<Rule>, String> {
    let source = Source::open(agentfile).map_err(|refusal| refusal.reason)?;
    let plan = source.check(Validate::WhenWritten).plan;
    let plan = plan.filter(|plan| digest(plan).is_ok_and(|digest| digest == plan_sha256));
    let changed = || {
        format!(
            "`{}` no longer compiles to the plan of this run, sha256:{}: it, a file that it names, or agentrc has changed",
            source.shown(),
            escape(plan_sha256)
        )
    };
    Ok(rules(&plan.ok_or_else(changed)?, source.bytes()))
}

fn rules(plan: &Plan, text: &[u8]) -> Vec<Rule> {
    // By whether it only gives, then by place: what denies comes first.
    let mut found: BTreeMap<(bool, Origin), Vec<String>> = BTreeMap::new();
    let mut add = |gives, origin: &Origin, means: String| {
        if origin.is_written() {
            found.entry((gives, origin.clone())).or_default().push(means);
        }
    };
    for mount in &plan.mounts {
        let denies = matches!(mount.source, MountSource::Mask | MountSource::Narrow);
        let mut means =
            format!("{}: {}, {}", mount.target, words::access(mount), words::source(&mount.source));
        if let MountSource::Bind { protected, .. } | MountSource::Copy { protected, .. } = &mount.source {
            let (written, own): (Vec<_>, Vec<_>) =
                protected.iter().partition(|protected| protected.origin.is_written());
            for protected in written {
                let means = format!("{}/{}: stays read-only", mount.target, protected.path);
                add(false, &protected.origin, means);
            }
            if !own.is_empty() {
                means.push_str(&format!("; {} protected paths in it stay read-only", own.len()));
            }
        }
        add(!denies, &mount.origin, means);
    }
    let written = |origin: &Origin| {
        let at = usize::try_from(origin.line).unwrap_or(usize::MAX).saturating_sub(1);
        let line = text.split(|byte| *byte == b'\n').nth(at).unwrap_or_default();
        String::from_utf8_lossy(line.trim_ascii()).into_owned()
    };
    found.into_iter().map(|((_, origin), means)| Rule { written: written(&origin), origin, means }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "AGENT a\n\nBIND ./src /work rw\nDENY read /work/.env\n\
                        DENY write /work/kept # not ours\nCMD ls\n";

    fn folder(text: &str) -> (tempfile::TempDir, std::path::PathBuf, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        for file in [".env", "kept"] {
            std::fs::write(folder.path().join("src").join(file), "x").unwrap();
        }
        let path = folder.path().join("Agentfile");
        std::fs::write(&path, text).unwrap();
        let digest = Source::open(&path).unwrap().compile(Validate::WhenWritten).unwrap().digest;
        (folder, path, digest)
    }

    #[test]
    fn what_denies_is_quoted_with_its_place_before_what_binds() {
        let (_keep, path, digest) = folder(TEXT);
        let text = section(&path, &digest, Style::plain());
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("  - ")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "  - DENY read /work/.env  [Agentfile:4:1]");
        assert!(lines[1].contains("DENY write /work/kept") && lines[1].contains("[Agentfile:5:1]"), "{text}");
        assert_eq!(lines[2], "  - BIND ./src /work rw  [Agentfile:3:1]");
        assert!(text.contains("/work/.env: nothing, hidden"), "{text}");
        assert!(text.contains("protected paths in it stay read-only"), "{text}");
    }

    #[test]
    fn no_line_is_quoted_of_a_file_that_is_another_now() {
        let (_keep, path, digest) = folder(TEXT);
        std::fs::write(&path, TEXT.replace("rw", "ro")).unwrap();
        let text = section(&path, &digest, Style::plain());
        assert!(text.contains("no longer compiles to the plan of this run"), "{text}");
        assert!(!text.contains("DENY"), "{text}");
        std::fs::write(&path, "BOGUS\n").unwrap();
        assert!(section(&path, &digest, Style::plain()).contains("no longer compiles"));
        std::fs::remove_file(&path).unwrap();
        assert!(section(&path, &digest, Style::plain()).contains("cannot read"));
    }

    #[test]
    fn a_file_without_such_lines_is_said_to_have_none() {
        let (_keep, path, digest) = folder("AGENT a\nCMD ls\n");
        assert!(section(&path, &digest, Style::plain()).contains("has none"));
    }

    #[test]
    fn hundreds_of_lines_are_counted_and_not_all_shown() {
        let binds: String = (0..100).map(|at| format!("BIND ./src /work{at} ro\n")).collect();
        let (_keep, path, digest) = folder(&format!("AGENT a\n{binds}CMD ls\n"));
        let text = section(&path, &digest, Style::plain());
        assert!(text.contains("and 60 more") && !text.contains("/work99"), "{text}");
    }
}
