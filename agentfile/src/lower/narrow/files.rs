//! A path that a skill asks for, as a part of the agent's mount table: the bind that shows it to the agent, from there on, and all that
//! lies in it. The same path leads to the same file in both.

use super::Agent;
use crate::Kind;
use crate::boundary::{Content, Share};
use crate::lower::sources::{below, host_path, of_all};
use crate::path;
use crate::plan::{Access, HostPath, Mount, MountSource, Protected, source_file};
use crate::skill::bounds::Fault;
use crate::syntax::BindMode;

/// What belongs to a share of a skill's.
pub(super) struct Part {
    /// The share's.
    pub(super) target: String,
    /// What is held read-only in it.
    pub(super) held: Vec<Protected>,
    /// What is mounted in it.
    pub(super) nested: Vec<Mount>,
}

const HELP: &str =
    "write a `BIND` to it in the Agentfile, or remove this line: a skill has no more than its agent";

pub(super) const MOVABLE: &str =
    "bind `ro` what has something hidden in it, or a folder beside it for what the agent may write";

/// Gives `share` the content that it has for the agent. Of a skill that is the run itself, it only has to have one.
pub(super) fn cut(share: &mut Share, agent: &Agent<'_>, runs: bool) -> Result<Part, Fault> {
    let (target, line) = (share.target.clone(), share.place.origin.clone());
    let refuse = |what: String, help: &str| {
        Fault::new("E098", &line, format!("the skill asks for `{target}`, {what}"), help)
    };
    let mount = std::iter::once(target.as_str())
        .chain(path::ancestors(&target))
        .find_map(|at| agent.plan.mounts.iter().find(|mount| mount.target == at));
    let of_agent = |mount: &&Mount| agent.boundaries.shares.iter().find(|own| own.target == mount.target);
    let Some(holder) = mount else { return Err(refuse("which the agent does not have".to_owned(), HELP)) };
    let from = &holder.origin;
    if holder.source == MountSource::Mask {
        return Err(refuse(format!("which is hidden from the agent ({from})"), HELP));
    }
    let Some(own) = of_agent(&holder) else {
        return Err(refuse("which the agent does not have".to_owned(), HELP));
    };
    let writable = share.writable();
    if writable && holder.access == Access::ReadOnly {
        let help = "write `ro`: a skill has no more than its agent";
        return Err(refuse(format!("to write there, and the agent may only read it ({from})"), help));
    }
    let mut part = Part { target: target.clone(), held: Vec::new(), nested: Vec::new() };
    if runs {
        return Ok(part);
    }
    let MountSource::Bind { source, protected } = &holder.source else {
        let help = "bind it `ro` or `rw`: what is private to a sandbox, no other has";
        return Err(refuse(format!("which is private to the agent's sandbox ({from})"), help));
    };
    let rest = target.get(holder.target.len()..).unwrap_or_default().trim_start_matches('/');
    let is_held = |held: &&Protected| path::is_beneath(&format!("/{rest}"), &format!("/{}", held.path));
    if let Some(held) = protected.iter().find(is_held).filter(|_| writable && !rest.is_empty()) {
        let help = "write `ro`: a skill has no more than its agent";
        return Err(refuse(format!("to write there, which is held read-only ({})", held.origin), help));
    }
    let source = beneath(source, rest);
    movable(&source, agent).map_err(|what| refuse(what, MOVABLE))?;
    let is_file = if rest.is_empty() { is_file(own) } else { found(&source, agent) };
    let Ok(is_file) = is_file else {
        return Err(refuse(format!("and there is no such path in `{}` ({from})", holder.target), HELP));
    };
    let mode = if writable { BindMode::ReadWrite } else { BindMode::ReadOnly };
    share.content = Content::Bind { source, mode, is_file };
    if writable {
        let below = |held: &Protected| Some(Protected { path: inside(&held.path, rest)?, ..held.clone() });
        part.held = protected.iter().filter_map(below).collect();
    }
    for mount in agent.plan.mounts.iter().filter(|mount| mount.target.starts_with(&format!("{target}/"))) {
        if let MountSource::Bind { source, .. } = &mount.source {
            movable(source, agent)
                .map_err(|what| refuse(format!("in which `{}` lies {what}", mount.target), MOVABLE))?;
        }
        part.nested.push(nested(mount, writable).ok_or_else(|| {
            let help = "bind that `ro` or `rw`, or ask for less: what is private to a sandbox, no other has";
            let what = format!("in which `{}` is private to the agent's sandbox", mount.target);
            refuse(format!("{what} ({})", mount.origin), help)
        })?);
    }
    Ok(part)
}

/// What is hidden in a folder goes with it when the agent renames that; in a sandbox that is made later, where its new name leads, it
/// would lie open. So nothing is hidden where the agent may write and `source` is: what is wrong with that, as the end of a sentence.
pub(super) fn movable(source: &HostPath, agent: &Agent<'_>) -> Result<(), String> {
    let of_line = |mount: &&Mount| mount.access == Access::ReadWrite && mount.origin.is_written();
    for mount in agent.plan.mounts.iter().filter(of_line) {
        let MountSource::Bind { source: written, .. } = &mount.source else { continue };
        if apart(written, source) {
            continue;
        }
        let inside = |mask: &&Mount| path::is_beneath(&mask.target, &mount.target);
        let mut masks = agent.plan.mounts.iter().filter(|mask| mask.source == MountSource::Mask);
        if let Some(mask) = masks.find(inside) {
            return Err(format!("where the agent could move what is hidden from it ({})", mask.origin));
        }
        // One whose place is only known at the launch may be anywhere.
        let hidden = of_all(agent.boundaries).into_iter().find(|credential| {
            let file = source_file(&credential.source).map(host_path);
            file.is_some_and(|file| file.is_none_or(|file| !apart(written, &file)))
        });
        if let Some(credential) = hidden {
            return Err(format!("where the agent could move a credential's file ({})", credential.origin));
        }
    }
    Ok(())
}

/// Whether neither lies in the other, as far as they are written: a path in two forms may be one.
fn apart(one: &HostPath, other: &HostPath) -> bool {
    let same_form = std::mem::discriminant(one) == std::mem::discriminant(other);
    same_form && below(one, other).is_none() && below(other, one).is_none()
}

/// `rest` beneath `source`.
fn beneath(source: &HostPath, rest: &str) -> HostPath {
    match source {
        HostPath::Project(path) => HostPath::Project(path::join(path, rest)),
        HostPath::Home(path) => HostPath::Home(path::join(path, rest)),
        HostPath::Absolute(path) => HostPath::Absolute(path::join(path, rest)),
        HostPath::Outside(path) => HostPath::Outside(path::join(path, rest)),
    }
}

/// Of what the agent has as a whole, as far as that is known.
fn is_file(share: &Share) -> Result<Option<bool>, ()> {
    match share.content {
        Content::Bind { is_file, .. } => Ok(is_file),
        Content::Private { .. } => Err(()),
    }
}

/// The same of a part of it; an error when there is none.
fn found(source: &HostPath, agent: &Agent<'_>) -> Result<Option<bool>, ()> {
    // What lies outside the Agentfile's folder is for the run to find.
    let HostPath::Project(path) = source else { return Ok(None) };
    match agent.package.kind(path) {
        Kind::File => Ok(Some(true)),
        Kind::Directory => Ok(Some(false)),
        Kind::Missing | Kind::Other => Err(()),
    }
}

/// `path` as a path in `folder`, when it is one; both are relative.
fn inside(path: &str, folder: &str) -> Option<String> {
    if folder.is_empty() {
        return Some(path.to_owned());
    }
    path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned)
}

/// What is mounted in one of the agent's binds, as the skill has it.
fn nested(mount: &Mount, writable: bool) -> Option<Mount> {
    let mut own = mount.clone();
    match &mut own.source {
        MountSource::Mask => {}
        MountSource::Bind { protected, .. } => {
            if !writable {
                own.access = Access::ReadOnly;
                protected.clear();
            }
        }
        _ => return None,
    }
    Some(own)
}
