//! What policies on files come to. The kernel holds paths: a `forbid` (or `DENY`) of a path becomes a mask or a
//! read-only part of the tree; one that no mount can hold is an error; a `permit` gives nothing that no BIND or MOUNT
//! shows, and is told so.

use std::collections::BTreeMap;

use cedar_policy::pst;

use super::Check;
use crate::Kind;
use crate::base::{BaseSource, MEMORIES, MOUNTS, SOCKET, TOOLS};
use crate::boundary::{Content, Denied, PathDenial};
use crate::lower::mounts::base_mounts;
use crate::path;
use crate::place::Place;
use crate::plan::HostPath;
use crate::policy::region::{self, Pattern, Region};
use crate::policy::{Policy, names};

/// What the projection has for the broker. What is asked there is decided, not shown or hidden.
const BROKER: [&str; 4] = ["/agentrc/bin", SOCKET, TOOLS, MEMORIES];

/// The tree as it is before anything is denied, and what is.
pub(super) struct Access {
    /// By target.
    tree: BTreeMap<String, Node>,
    denials: BTreeMap<(String, Denied), PathDenial>,
    /// Findings so far that looked for the nearest path.
    pub(super) searches: usize,
}

#[derive(Debug, Clone)]
struct Node {
    writable: bool,
    /// The line, for what a line asked for.
    line: Option<Place>,
    /// Whether it is one of the base's private directories, which may be taken away.
    private: bool,
    /// The host folder that it shows, where that is in the project.
    project: Option<String>,
}

impl Access {
    pub(super) fn into_denials(self) -> Vec<PathDenial> {
        self.denials.into_values().collect()
    }

    fn deny(&mut self, path: &str, denied: Denied, directory: bool, place: &Place) {
        self.denials.entry((path.to_owned(), denied)).or_insert_with(|| PathDenial {
            path: path.to_owned(),
            denied,
            directory,
            place: place.clone(),
        });
    }

    /// The node that `path` is, or is in.
    fn holder(&self, path: &str) -> Option<(&str, &Node)> {
        std::iter::once(path)
            .chain(path::ancestors(path))
            .find_map(|at| self.tree.get_key_value(at).map(|(target, node)| (target.as_str(), node)))
    }

    /// Whether what `path` is, or is in, may be read (or written).
    pub(super) fn gives(&self, path: &str, write: bool) -> bool {
        self.holder(path).is_some_and(|(_, node)| !write || node.writable)
    }

    /// Whether something whose text begins with `prefix` may be read (or written).
    pub(super) fn gives_prefix(&self, prefix: &str, write: bool) -> bool {
        self.gives(folder_of(prefix), write)
            || self.starting_with(prefix).any(|(_, node)| !write || node.writable)
    }

    /// Whether something is shown at `path`, above it or beneath it.
    pub(super) fn has(&self, path: &str) -> bool {
        self.holder(path).is_some() || self.starting_with(&format!("{path}/")).next().is_some()
    }

    /// Whether something may be shown at a path whose text begins with `prefix`.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.holder(folder_of(prefix)).is_some() || self.starting_with(prefix).next().is_some()
    }

    /// What no line asked for.
    pub(super) fn base_targets(&self) -> impl Iterator<Item = &str> {
        MOUNTS
            .iter()
            .map(|mount| mount.target)
            .filter(|target| self.tree.get(*target).is_some_and(|node| node.line.is_none()))
    }

    /// Nodes whose target's text begins with `prefix`.
    fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.tree
            .range(prefix.to_owned()..)
            .map(|(target, node)| (target.as_str(), node))
            .take_while(move |(target, _)| target.starts_with(prefix))
    }
}

/// The folder of everything that begins with `prefix`; empty for the root.
fn folder_of(prefix: &str) -> &str {
    prefix.rfind('/').and_then(|at| prefix.get(..at)).unwrap_or_default()
}

impl Check<'_> {
    pub(super) fn access(&self) -> Access {
        let mut tree = BTreeMap::new();
        for mount in base_mounts(&self.out) {
            let private = matches!(mount.source, BaseSource::Private(..));
            tree.insert(
                mount.target.to_owned(),
                Node { writable: private, line: None, private, project: None },
            );
        }
        for share in &self.out.shares {
            let project = match &share.content {
                Content::Bind { source: HostPath::Project(path), .. } => Some(path.clone()),
                _ => None,
            };
            let line = Some(share.place.clone());
            tree.insert(
                share.target.clone(),
                Node { writable: share.writable(), line, private: false, project },
            );
        }
        Access { tree, denials: BTreeMap::new(), searches: 0 }
    }

    pub(super) fn filesystem(&mut self, policy: &Policy, access: &mut Access) {
        let read = names::has_action(&policy.body.action, "filesystem.read");
        let write = names::has_action(&policy.body.action, "filesystem.write");
        if !read && !write {
            return;
        }
        let any_action = policy.body.action == pst::ActionConstraint::Any;
        let region = match region::of(&policy.body, &self.out.agent) {
            Ok(region) => region,
            Err(met) if policy.permits() => {
                if !any_action || names::of(&policy.body).iter().any(|uid| uid.ty.0.id.as_str() == "Path") {
                    self.idle_permit(&met, policy.place.span);
                }
                self.no_approval(policy, any_action);
                return;
            }
            Err(met) => {
                self.error(
                    "E065",
                    policy.place.span,
                    format!("no layer of the kernel can hold this policy on files: it depends on {met}"),
                    "files are held by mounts and Landlock, which know paths: use `context.path == \"/x\"`, \
                     `context.path like \"/x/*\"`, `resource == AgentRC::Path::\"/x\"`, joined by `&&` and `||` in `when`",
                );
                return;
            }
        };
        if let Region::Paths(patterns) = &region
            && patterns.is_empty()
        {
            self.no_path(policy);
            return;
        }
        if policy.permits() {
            if let (Region::Paths(patterns), false) = (&region, any_action) {
                for pattern in patterns {
                    self.permitted(access, pattern, write, policy.place.span);
                }
            }
            self.no_approval(policy, any_action);
            return;
        }
        let denied = if read { Denied::Read } else { Denied::Write };
        let patterns = match region {
            Region::Paths(patterns) => patterns,
            Region::All => {
                self.error(
                    "E065",
                    policy.place.span,
                    "this forbids every file, without which nothing can run",
                    "say which: `when { context.path like \"/workspace/secrets/*\" }`; or name the actions that are meant",
                );
                return;
            }
        };
        for pattern in &patterns {
            self.forbidden(access, pattern, policy.place.span);
            match pattern {
                Pattern::Subtree { path, folder } => {
                    self.deny_subtree(access, path, *folder, denied, &policy.place);
                }
                Pattern::Prefix(prefix) => self.deny_prefix(access, prefix, denied, &policy.place),
            }
        }
    }

    /// Takes `path`, and what is beneath it, away.
    pub(super) fn deny_subtree(
        &mut self,
        access: &mut Access,
        path: &str,
        folder: bool,
        denied: Denied,
        place: &Place,
    ) {
        let of_broker = BROKER.iter().any(|own| path::is_beneath(path, own));
        if denied == Denied::Read && of_broker {
            self.error(
                "E065",
                place.span,
                format!("this hides `{path}`, which is a way to the broker"),
                "write `DENY invoke NAME`, or remove the line that declares the tool or memory",
            );
            return;
        }
        // What lies at or beneath it, as a whole.
        let beneath = format!("{path}/");
        let covered: Vec<(String, Node)> = access
            .starting_with(path)
            .filter(|(target, _)| *target == path || target.starts_with(&beneath))
            .filter(|(_, node)| denied == Denied::Read || node.writable)
            .map(|(target, node)| (target.to_owned(), node.clone()))
            .collect();
        if !self.may_cover(&covered, denied, place) {
            return;
        }
        for (target, _) in &covered {
            access.deny(target, denied, true, place);
        }
        let Some((holder, node)) = access.holder(path).filter(|(holder, _)| *holder != path) else { return };
        if denied == Denied::Write && !node.writable {
            // Nothing makes it writable in the first place.
            return;
        }
        let project = node
            .project
            .as_ref()
            .map(|root| path::join(root, path.get(holder.len() + 1..).unwrap_or_default()));
        let directory = folder || project.is_some_and(|path| self.package.kind(&path) == Kind::Directory);
        access.deny(path, denied, directory, place);
    }

    /// Takes away every path that begins with `prefix`, if whole mounts are all that does.
    fn deny_prefix(&mut self, access: &mut Access, prefix: &str, denied: Denied, place: &Place) {
        let covered: Vec<(String, Node)> = access
            .starting_with(prefix)
            .filter(|(_, node)| denied == Denied::Read || node.writable)
            .map(|(target, node)| (target.to_owned(), node.clone()))
            .collect();
        if !self.may_cover(&covered, denied, place) {
            return;
        }
        let inside =
            access.holder(folder_of(prefix)).is_some_and(|(_, node)| denied == Denied::Read || node.writable);
        if inside {
            self.error(
                "E065",
                place.span,
                format!("no layer of the kernel can hold `like \"{prefix}*\"`: it ends within a name"),
                format!("write `like \"{prefix}/*\"` for the folder, or name each path with `==`"),
            );
            return;
        }
        for (target, _) in covered {
            access.deny(&target, denied, true, place);
        }
    }

    /// A denial of a whole mount contradicts the line that asked for it, or takes away what every sandbox needs.
    fn may_cover(&mut self, covered: &[(String, Node)], denied: Denied, place: &Place) -> bool {
        for (target, node) in covered {
            if let Some(line) = &node.line {
                self.contradiction(place.span, &format!("line {} (`{target}`)", line.origin.line));
                return false;
            }
            if !node.private && denied == Denied::Read {
                self.error(
                    "E065",
                    place.span,
                    format!("this hides `{target}`, without which nothing can run"),
                    "name the files that are meant",
                );
                return false;
            }
        }
        true
    }
}
