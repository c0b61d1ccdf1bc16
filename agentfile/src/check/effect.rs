//! Rules on files that are well-formed and change nothing: denials of paths at which the sandbox has nothing (most often
//! misspelt, and what they were to protect lies open), permits beyond what BIND and MOUNT give, or on conditions that
//! nothing could hold.

use super::Check;
use super::access::Access;
use crate::directive;
use crate::plan::Base;
use crate::policy::Policy;
use crate::policy::names;
use crate::policy::region::Pattern;
use crate::span::Span;

/// How many findings of a file name the nearest path, and of how many paths: the search must not cost the square of
/// the file's length.
const SEARCHES: usize = 16;
const CANDIDATES: usize = 256;
/// Longer paths are not compared letter by letter.
const LETTERS: usize = 64;

impl Check<'_> {
    /// Warns when an ALLOW of a path gives nothing.
    pub(super) fn allowed_path(&mut self, access: &Access, path: &str, write: bool, span: Span) {
        if !access.gives(path, write) {
            let (verb, mode) = if write { ("write", "rw") } else { ("read", "ro") };
            self.warn(
                "W014",
                span,
                format!("this allows nothing: no BIND or MOUNT lets the agent {verb} `{path}`"),
                format!("write `BIND ./folder {path} {mode}` or `MOUNT {path} {mode}`, which are allowed by themselves"),
            );
        }
    }

    /// The same for what a `permit` is about.
    pub(super) fn permitted(&mut self, access: &Access, pattern: &Pattern, write: bool, span: Span) {
        match pattern {
            Pattern::Subtree { path, .. } => self.allowed_path(access, path, write, span),
            Pattern::Prefix(prefix) if !access.gives_prefix(prefix, write) => {
                let verb = if write { "write" } else { "read" };
                self.warn(
                    "W014",
                    span,
                    format!("this allows nothing: no BIND or MOUNT lets the agent {verb} a path that begins with `{prefix}`"),
                    "write a BIND or MOUNT for what is meant, which is allowed by itself",
                );
            }
            Pattern::Prefix(_) => {}
        }
    }

    /// A `permit` on files whose condition no layer could hold: it neither gives what nothing shows, nor narrows what a
    /// line does, as its text seems to say.
    pub(super) fn idle_permit(&mut self, met: &str, span: Span) {
        self.warn(
            "W014",
            span,
            format!("on files this permit has no effect: it depends on {met}, which no layer of the kernel can hold"),
            "BIND and MOUNT give all that they show, whatever a permit says: bind only what is meant, and take parts of it \
             away with `DENY read` or `DENY write`",
        );
    }

    /// An approval of a permit on files.
    pub(super) fn no_approval(&mut self, policy: &Policy, any_action: bool) {
        if policy.approval.is_some() && !any_action {
            self.error(
                "E067",
                policy.place.span,
                "`@approval` on files: the kernel does not wait for a person",
                "declare the path with BIND, as far as it may be used without asking",
            );
        }
    }

    /// Warns when a denial of `path` takes nothing away. One above what is shown does: it holds everything beneath.
    pub(super) fn denied_path(&mut self, access: &mut Access, path: &str, span: Span) {
        if !access.has(path) {
            self.denies_nothing(access, path, span);
        }
    }

    /// The same for what a `forbid` is about.
    pub(super) fn forbidden(&mut self, access: &mut Access, pattern: &Pattern, span: Span) {
        match pattern {
            Pattern::Subtree { path, .. } => self.denied_path(access, path, span),
            Pattern::Prefix(prefix) if !access.has_prefix(prefix) => {
                self.denies_nothing(access, prefix, span);
            }
            Pattern::Prefix(_) => {}
        }
    }

    fn denies_nothing(&mut self, access: &mut Access, path: &str, span: Span) {
        // What an image holds is not known here.
        if matches!(self.out.base, Base::Reference { .. }) {
            return;
        }
        access.searches += 1;
        let nearest = if access.searches > SEARCHES { None } else { self.nearest(access, path) };
        self.warn(
            "W026",
            span,
            format!("this denies no file: no BIND, no MOUNT and nothing of the base system is at `{path}`"),
            nearest.unwrap_or_else(|| {
                "check the spelling: what no line shows is not there in the first place".to_owned()
            }),
        );
    }

    /// What was probably meant, or else what comes nearest.
    fn nearest(&self, access: &Access, path: &str) -> Option<String> {
        let shares = || self.out.shares.iter().take(CANDIDATES);
        let candidates = shares().map(|share| share.target.as_str()).chain(access.base_targets());
        let meant = candidates
            .filter_map(|target| {
                let (edits, corrected) = corrected(path, target)?;
                Some((edits, target, corrected))
            })
            .min_by_key(|(edits, ..)| *edits);
        if let Some((_, target, corrected)) = meant {
            let line = shares().find(|share| share.target == target).map(|share| share.place.origin.line);
            let by =
                line.map_or_else(|| "the base system has".to_owned(), |line| format!("line {line} shows"));
            return Some(format!("did you mean `{corrected}`? ({by} `{target}`)"));
        }
        let common =
            |target: &str| target.bytes().zip(path.bytes()).take_while(|(one, other)| one == other).count();
        let share = shares().rev().max_by_key(|share| common(&share.target))?;
        Some(format!(
            "the nearest path is `{}`, which line {} shows: what no line shows is not there in the first place",
            share.target, share.place.origin.line
        ))
    }

    /// Warns when no path can meet the conditions of `policy`, which speaks of files only.
    pub(super) fn no_path(&mut self, policy: &Policy) {
        // That it is for another agent is W024's to say.
        if !names::only_actions(&policy.body.action, "filesystem.")
            || names::other_principal(&policy.body, &self.out.agent)
        {
            return;
        }
        let verb = if policy.permits() { "permits" } else { "denies" };
        let code = if policy.permits() { "W014" } else { "W026" };
        self.warn(
            code,
            policy.place.span,
            format!("this {verb} no file: no path meets its conditions"),
            "a path is absolute, such as `/workspace/secrets`; conditions that are joined by `&&` must all hold of it",
        );
    }
}

/// `path` with its front spelt as `target`, when it is a few edits from it, and how many.
fn corrected(path: &str, target: &str) -> Option<(usize, String)> {
    let parts = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let depth = parts(path).min(parts(target));
    let (front, rest) = path.split_at(end_of(path, depth));
    let target = target.get(..end_of(target, depth))?;
    if front.len() > LETTERS || target.len() > LETTERS {
        return None;
    }
    let edits = directive::distance(front, target);
    let letters = target.bytes().filter(|byte| *byte != b'/').count();
    (edits <= 2 && edits * 2 <= letters).then(|| (edits, format!("{target}{rest}")))
}

/// Where the part number `count` (from 1) of an absolute path ends.
fn end_of(path: &str, count: usize) -> usize {
    path.match_indices('/').nth(count).map_or(path.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_corrected_at_its_front_only() {
        let of = |path: &str, target: &str| corrected(path, target).map(|(_, corrected)| corrected);
        assert_eq!(of("/wrok/secret", "/work").as_deref(), Some("/work/secret"));
        assert_eq!(of("/wrok", "/work/src").as_deref(), Some("/work"));
        assert_eq!(of("/work/scr/x", "/work/src").as_deref(), Some("/work/src/x"));
        assert_eq!(of("/b/x", "/a"), None);
        assert_eq!(of("/root/.ssh", "/data"), None);
        assert_eq!(of(&format!("/{}", "é".repeat(200)), "/work"), None);
        assert_eq!(of("/wörk/é", "/work").as_deref(), Some("/work/é"));
    }
}
