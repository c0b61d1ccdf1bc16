//! `BIND` and `MOUNT`: which paths of the sandbox are asked for, and whether the lines agree.

use std::collections::HashMap;

use super::{Check, Once};
use crate::Kind;
use crate::base::{HOME, MOUNTS, REFUSED_ALWAYS, REFUSED_WITH_HOST_BASE};
use crate::boundary::{Content, Share};
use crate::diag::Diagnostic;
use crate::lower::protected;
use crate::path::{self, PathFault};
use crate::place::Place;
use crate::plan::{Base, HostPath};
use crate::span::Span;
use crate::syntax::{BindMode, Word};

impl Check<'_> {
    pub(super) fn bind(&mut self, source: &Word, target: &Word, mode: BindMode, place: Place) {
        let resolved = self.bind_source(source, mode);
        let inside = self.target(target);
        let (Some(host), Some(inside)) = (resolved, inside) else { return };
        if !self.once_target("BIND", &inside, target.span) {
            return;
        }
        let is_file = self.is_file(source, &host, mode);
        if is_file == Some(true) && mode == BindMode::Copy {
            self.error(
                "E042",
                source.span,
                format!("`{}` is a file, and only folders can be copied", source.text),
                "write the mode: `ro` or `rw`",
            );
        }
        self.out.shares.push(Share {
            target: inside,
            content: Content::Bind { source: host, mode, is_file },
            word: target.span,
            place,
        });
    }

    pub(super) fn mount(&mut self, path: &Word, writable: bool, place: Place) {
        let Some(target) = self.target(path) else { return };
        if self.once_target("MOUNT", &target, path.span) {
            self.out.shares.push(Share {
                target,
                content: Content::Private { writable },
                word: path.span,
                place,
            });
        }
    }

    /// Whether the source is a file. Outside the Agentfile's folder its spelling says so, or nothing does: a plan must not
    /// depend on what lies there.
    fn is_file(&mut self, source: &Word, host: &HostPath, mode: BindMode) -> Option<bool> {
        let HostPath::Project(relative) = host else {
            let folder = mode == BindMode::Copy
                || source.text.ends_with('/')
                || matches!(source.text.rsplit('/').next(), Some("~" | ".."));
            return folder.then_some(false);
        };
        match if relative.is_empty() { Kind::Directory } else { self.package.kind(relative) } {
            Kind::File => Some(true),
            Kind::Directory => Some(false),
            Kind::Other => {
                self.error(
                    "E048",
                    source.span,
                    format!("`{}` is neither a file nor a folder", source.text),
                    "sockets, pipes and devices of the host are not bound, nor links that lead nowhere or out of the \
                     Agentfile's folder; bind a file or a folder",
                );
                None
            }
            Kind::Missing => {
                self.error(
                    "E048",
                    source.span,
                    format!("there is no `{}` beside the Agentfile", source.text),
                    "a BIND shows what exists; for an empty folder of the sandbox's own write `MOUNT /path rw`",
                );
                None
            }
        }
    }

    fn once_target(&mut self, keyword: &'static str, target: &str, span: Span) -> bool {
        use super::InsertFirst as _;
        let Some(first) = self.first.insert_first(Once::Name(keyword, target.to_owned()), span) else {
            return true;
        };
        let lines = (self.places.line(first.start), self.places.line(span.start));
        self.diagnostics.push(
            Diagnostic::error(
                "E045",
                span,
                format!("two `{keyword}` lines are for `{target}`, {} and {}", lines.0, lines.1),
            )
            .help("one path shows one thing: remove a line, or choose another path")
            .related(first, "the first is here"),
        );
        false
    }

    fn bind_source(&mut self, source: &Word, mode: BindMode) -> Option<HostPath> {
        let host = match path::host(&source.text) {
            Ok(host) => host,
            Err(fault) => {
                let mut diagnostic =
                    Diagnostic::error("E042", source.span, format!("the source `{}` {fault}", source.text))
                        .help("write `./x`, `../x`, `~/x` or `/x`, without `.` or `..` after its beginning");
                if fault == PathFault::NotAHostPath && path::packaged(&source.text).is_ok() {
                    diagnostic = diagnostic.fix(source.span, format!("./{}", source.text));
                }
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let wide = match &host {
            HostPath::Home(rest) => rest.is_empty(),
            HostPath::Absolute(path) => {
                matches!(path.as_str(), "/" | "/etc" | "/home" | "/root" | "/var" | "/run" | "/var/run")
                    || path.strip_prefix("/home/").is_some_and(|rest| !rest.contains('/'))
            }
            HostPath::Outside(path) => path.split('/').all(|part| part == ".."),
            HostPath::Project(_) => false,
        };
        if wide {
            self.warn(
                "W016",
                source.span,
                format!("`{}` shows the agent far more than one project", source.text),
                "bind the folder that it works on; keys, tokens and other projects lie in a home",
            );
        }
        let holds_agentfile = match &host {
            HostPath::Project(rest) => rest.is_empty(),
            HostPath::Outside(path) => path.split('/').all(|part| part == ".."),
            _ => false,
        };
        let above = matches!(host, HostPath::Outside(_));
        if holds_agentfile && above && mode == BindMode::ReadWrite {
            self.error(
                "E042",
                source.span,
                format!("`{}` holds the Agentfile's folder, which the agent could then rewrite", source.text),
                "bind the folder that is meant, or use `copy`",
            );
        } else if holds_agentfile && mode == BindMode::ReadWrite {
            self.warn(
                "W017",
                source.span,
                format!("`{}` holds the Agentfile, and the agent may write there", source.text),
                "the Agentfile itself stays read-only, scripts that it names do not: bind a folder below, or use `copy`",
            );
        }
        if mode == BindMode::ReadWrite
            && let Some(entry) = protected::containing(&host)
        {
            self.warn(
                "W021",
                source.span,
                format!("`{}` is written by the agent and used by the host: {}", source.text, entry.reason),
                "use `ro`, or `copy` and a review",
            );
        }
        Some(host)
    }

    fn target(&mut self, word: &Word) -> Option<String> {
        let target = match path::inside(&word.text) {
            Ok(target) => target,
            Err(fault) => {
                let code = if fault == PathFault::Root { "E044" } else { "E043" };
                self.error(
                    code,
                    word.span,
                    format!("the target `{}` {fault}", word.text),
                    "write an absolute path without `.`, `..` or `//`, such as `/workspace`",
                );
                return None;
            }
        };
        Some(target)
    }

    pub(super) fn finish_shares(&mut self) {
        self.system_targets();
        self.merge_mounts();
        let targets = self.out.shares.iter().enumerate().map(|(at, share)| (share.target.clone(), at));
        self.by_target = targets.collect();
        self.nested();
        self.same_source();
    }

    /// No share may cover, or lie in, what the base system or the projection is made of.
    fn system_targets(&mut self) {
        let scratch = matches!(self.out.base, Base::Scratch { .. });
        let with_host = if scratch { &[] } else { REFUSED_WITH_HOST_BASE };
        let base = || MOUNTS.iter().filter(|mount| mount.scratch || !scratch).map(|mount| mount.target);
        let mut refused = Vec::new();
        for share in &self.out.shares {
            let target = share.target.as_str();
            let touches = |system: &str| path::is_beneath(target, system) || path::is_beneath(system, target);
            let system = REFUSED_ALWAYS.iter().chain(with_host).copied().find(|system| touches(system));
            // A folder that holds one of the base's own (`/var` holds `/var/tmp`).
            let held = || base().find(|base| *base != target && path::is_beneath(base, target));
            if let Some(system) = system.or_else(held) {
                refused.push((share.word, target.to_owned(), system));
            }
        }
        for (span, target, system) in refused {
            self.error(
                "E044",
                span,
                format!("`{target}` is, or touches, `{system}`, which belongs to the base system"),
                format!("choose a path of your own, such as `/workspace`, `/data` or one below `{HOME}`"),
            );
        }
    }

    /// A MOUNT with a BIND to the same path is that BIND, if they agree on writing.
    fn merge_mounts(&mut self) {
        let binds: HashMap<&str, (bool, Span)> = self
            .out
            .shares
            .iter()
            .filter(|share| matches!(share.content, Content::Bind { .. }))
            .map(|share| (share.target.as_str(), (share.writable(), share.word)))
            .collect();
        let mut disagreements = Vec::new();
        let mut merged = Vec::new();
        for (at, share) in self.out.shares.iter().enumerate() {
            let Content::Private { writable } = share.content else { continue };
            let Some((bound, span)) = binds.get(share.target.as_str()) else { continue };
            merged.push(at);
            if *bound != writable {
                let word = |writable: bool| if writable { "writable" } else { "read-only" };
                disagreements.push(
                    Diagnostic::error(
                        "E046",
                        share.word,
                        format!(
                            "`{}` is {} here, and {} by its BIND",
                            share.target,
                            word(writable),
                            word(*bound)
                        ),
                    )
                    .help("let both say the same, or remove the MOUNT line")
                    .related(*span, "the BIND is here"),
                );
            }
        }
        self.diagnostics.append(&mut disagreements);
        let mut merged = merged.into_iter().peekable();
        let mut at = 0;
        self.out.shares.retain(|_| {
            let drop = merged.next_if_eq(&at).is_some();
            at += 1;
            !drop
        });
    }

    /// A share inside another needs a place to be mounted on, which a bind of the host must already have.
    fn nested(&mut self) {
        let by_target: HashMap<&str, &Share> =
            self.out.shares.iter().map(|share| (share.target.as_str(), share)).collect();
        let mut missing = Vec::new();
        for share in &self.out.shares {
            let Some(outer) = path::ancestors(&share.target).find_map(|path| by_target.get(path)) else {
                continue;
            };
            let Content::Bind { source, .. } = &outer.content else { continue };
            let HostPath::Project(source) = source else { continue };
            let below = share.target.get(outer.target.len() + 1..).unwrap_or_default();
            let point = path::join(source, below);
            let found = self.package.kind(&point);
            // What may be either is for the run to try.
            let fits = match found {
                Kind::Missing | Kind::Other => false,
                Kind::File => !share.is_directory(),
                Kind::Directory => !share.is_file(),
            };
            if !fits || outer.is_file() {
                missing.push(
                    Diagnostic::error(
                        "E047",
                        share.word,
                        format!(
                            "`{}` lies in `{}`, where there is nothing to mount it on",
                            share.target, outer.target
                        ),
                    )
                    .help(format!(
                        "make `./{point}` on the host, or choose a path outside `{}`",
                        outer.target
                    ))
                    .related(outer.word, "the outer one is here"),
                );
            }
        }
        self.diagnostics.append(&mut missing);
    }

    /// What is read-only at one path and writable at another is writable.
    fn same_source(&mut self) {
        let mut writable: HashMap<&HostPath, &Share> = HashMap::new();
        for share in &self.out.shares {
            if let Content::Bind { source, mode: BindMode::ReadWrite, .. } = &share.content {
                writable.entry(source).or_insert(share);
            }
        }
        let mut found = Vec::new();
        for share in &self.out.shares {
            let Content::Bind { source, mode: BindMode::ReadOnly, .. } = &share.content else { continue };
            if let Some(other) = writable.get(source) {
                found.push(
                    Diagnostic::warning(
                        "W020",
                        share.word,
                        format!("the agent can change `{}` through `{}`", share.target, other.target),
                    )
                    .help("the same folder is bound writable: keep one of the lines")
                    .related(other.word, "the writable one is here"),
                );
            }
        }
        self.diagnostics.append(&mut found);
    }
}
