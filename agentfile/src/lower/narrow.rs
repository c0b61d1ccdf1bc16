//! The plan of a skill that says what its scripts may touch: an agent of its own, which is cut out of the agent's plan and so has
//! nothing that the agent has not. The base system, the skill's folder, the paths and destinations that its lines name; and all that
//! takes from the agent takes from it: what is hidden or held in those paths, the `forbid`s, the limits.

mod files;

pub(crate) use super::broker::is_run;
use super::{egress, mounts, sources, with_egress};
use crate::Package;
use crate::base::{CLIENT, SKILLS};
use crate::boundary::{Boundaries, Command, Host, Limits, Object, Projection, Quantity, Skill};
use crate::path;
use crate::plan::inside::takes_in;
use crate::plan::{
    Access, FileRights, Generated, HostPath, LandlockRule, Mount, MountSource, Plan, SkillDefinition, words,
};
use crate::policy::permits::Permits;
use crate::skill::bounds::Fault;

/// What the gateway counts over a whole run.
const COUNTED: [&str; 2] = ["network_requests", "egress_bytes"];

/// Whose skill it is.
pub(crate) struct Agent<'a> {
    pub(crate) boundaries: &'a Boundaries,
    /// What they come to.
    pub(crate) plan: &'a Plan,
    /// The Agentfile's name.
    pub(crate) file: &'a str,
    pub(crate) package: &'a dyn Package,
}

/// The plan of the scripts of `skill`, which asks for `asked`. `None`: the skill is the run, which only has to have it.
///
/// # Errors
/// Each line that asks for more than the agent has.
pub(crate) fn narrow(
    skill: &Skill,
    definition: Option<&SkillDefinition>,
    asked: Boundaries,
    agent: &Agent<'_>,
) -> Result<Option<Plan>, Vec<Fault>> {
    let mut own = asked;
    let runs = is_run(agent.boundaries, skill);
    let (mut faults, mut parts) = (Vec::new(), Vec::new());
    for share in &mut own.shares {
        match files::cut(share, agent, runs) {
            Ok(part) => parts.push(part),
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(own.hosts.iter().filter_map(|host| beyond(host, agent.boundaries, runs)));
    let folder = skill.path.clone().map(HostPath::Project).filter(|_| !runs);
    if let Some(Err(what)) = folder.map(|folder| files::movable(&folder, agent)) {
        let what = format!("the folder of the skill lies {what}");
        faults.push(Fault::new("E098", &skill.place.origin, what, files::MOVABLE));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (Some(definition), Some(folder), false) = (definition, &skill.path, runs) else { return Ok(None) };
    inherit(&mut own, agent.boundaries);
    let shown = format!("{SKILLS}/{}", skill.entity);
    let words = [CLIENT.to_owned(), "--skill".to_owned(), shown.clone()];
    // As of every skill: which of the scripts it is comes on its standard input.
    let argv = words.into_iter().chain(definition.scripts.clone()).collect();
    own.command = Some(Command { argv, place: skill.place.clone() });
    own.projections =
        vec![Projection { path: folder.clone(), target: shown.clone(), place: skill.place.clone() }];
    // Where the agent's requests are seen for a credential's sake, so are these; a credential it has none.
    let egress = egress::lower(&own, None);
    own.credentials.clear();
    let fault = |fault| {
        let what = format!("a fault of the compiler: {fault}");
        vec![Fault::new("E099", &skill.place.origin, what, "please report it, with the Agentfile")]
    };
    let mut plan = with_egress(&own, agent.file, egress, &Permits::of(&own)).map_err(fault)?;
    plan.workdir = shown;
    plan.sources = sources::of_all(agent.boundaries);
    // What it has, the agent has: whoever consents to the agent's plan, of which this is a part, has consented to it.
    plan.grants.clear();
    add(&mut plan, parts);
    let client = Mount {
        target: CLIENT.to_owned(),
        source: MountSource::Generated { what: Generated::Client },
        access: Access::ReadOnly,
        optional: false,
        origin: skill.place.origin.clone(),
    };
    plan.mounts = mounts::with(plan.mounts, vec![client]);
    Ok(Some(plan))
}

/// What holds of the agent holds of the skill.
fn inherit(own: &mut Boundaries, agent: &Boundaries) {
    own.base = agent.base.clone();
    own.audit = agent.audit.clone();
    own.credentials = agent.credentials.clone();
    own.policies = agent.policies.iter().filter(|policy| !policy.permits()).cloned().collect();
    let denied = |object: &Object| matches!(object, Object::Host(_));
    own.rules = agent.rules.iter().filter(|rule| !rule.allow && denied(&rule.object)).cloned().collect();
    // What is denied in the agent's binds comes with those.
    let bound = |at: &str| agent.shares.iter().any(|share| path::is_beneath(at, &share.target));
    own.denials = agent.denials.iter().filter(|denial| !bound(&denial.path)).cloned().collect();
    let Limits { memory, cpu_millis, pids, open_files, disk, wall, counted: _ } = agent.limits.clone();
    let limits = &mut own.limits;
    for (own, agents) in [
        (&mut limits.memory, memory),
        (&mut limits.cpu_millis, cpu_millis),
        (&mut limits.pids, pids),
        (&mut limits.open_files, open_files),
        (&mut limits.disk, disk),
        (&mut limits.wall, wall),
    ] {
        lessen(own, agents);
    }
}

/// The smaller of two bounds holds.
fn lessen(own: &mut Option<Quantity>, agents: Option<Quantity>) {
    let Some(agents) = agents else { return };
    if own.as_ref().is_none_or(|own| own.value > agents.value) {
        *own = Some(agents);
    }
}

/// Why the agent has no such destination, or none that can be shared. The skill's gateway is one of its own, and counts for itself.
fn beyond(asked: &Host, agent: &Boundaries, runs: bool) -> Option<Fault> {
    let shown = words::url(egress::scheme_word(asked.scheme), &asked.host, asked.port);
    let shown = shown + asked.path.as_deref().unwrap_or_default();
    let refuse = |what: String, help: &str| Some(Fault::new("E098", &asked.place.origin, what, help));
    if !agent.agent_hosts().any(|host| contains(host, asked)) {
        let near = agent.agent_hosts().find(|host| host.host == asked.host && host.port == asked.port);
        let near = near.map_or_else(String::new, |host| format!(": {} says another", host.place.origin));
        let help = "declare it by a `URL` line of the Agentfile, or remove this line: a skill has no more than its agent";
        return refuse(format!("the skill asks for `{shown}`, which the agent does not have{near}"), help);
    }
    let counts = agent.limits.counted.iter().find(|counted| match counted.of_run {
        true => COUNTED.contains(&counted.name.as_str()),
        false => takes_in(&counted.name, &asked.host) || takes_in(&asked.host, &counted.name),
    });
    let counts = counts.filter(|_| !runs)?;
    let what = format!(
        "the skill asks for `{shown}`, and `{}` ({}) counts what goes there by the agent alone",
        counts.name, counts.place.origin
    );
    refuse(what, "remove one of the two: a skill's own gateway cannot take from the agent's count")
}

/// Whether `agent` takes in `asked`.
fn contains(agent: &Host, asked: &Host) -> bool {
    let folder = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
    let within = match (&agent.path, &asked.path) {
        (None, _) => true,
        (Some(agent), Some(asked)) => path::is_beneath(&folder(asked), &folder(agent)),
        (Some(_), None) => false,
    };
    within && agent.scheme == asked.scheme && agent.port == asked.port && takes_in(&agent.host, &asked.host)
}

/// What lies in the skill's paths.
fn add(plan: &mut Plan, parts: Vec<files::Part>) {
    let mut nested = Vec::new();
    let targets: Vec<String> = parts.iter().map(|part| part.target.clone()).collect();
    // What the skill says of a path itself, or of a nearer one, holds there, and not what the agent has.
    let nearest = |at: &str| {
        targets.iter().filter(|target| path::is_beneath(at, target)).max_by_key(|target| target.len())
    };
    for part in parts {
        let mount = plan.mounts.iter_mut().find(|mount| mount.target == part.target);
        if let Some(Mount {
            source: MountSource::Bind { protected, .. }, access: Access::ReadWrite, ..
        }) = mount
        {
            protected.extend(part.held);
            protected.sort_by(|one, other| one.path.cmp(&other.path));
            protected.dedup_by(|one, other| one.path == other.path);
        }
        let own = |mount: &Mount| {
            nearest(&mount.target).is_some_and(|target| *target == part.target && *target != mount.target)
        };
        nested.extend(part.nested.into_iter().filter(own));
    }
    let rules = nested.iter().filter(|mount| matches!(mount.source, MountSource::Bind { .. }));
    plan.landlock.rules.extend(rules.map(|mount| LandlockRule {
        path: mount.target.clone(),
        rights: match mount.access {
            Access::ReadOnly => FileRights::ReadExecute,
            Access::ReadWrite => FileRights::Full,
        },
        optional: false,
        origin: mount.origin.clone(),
    }));
    plan.landlock.rules.sort_by(|one, other| one.path.cmp(&other.path));
    plan.mounts = mounts::with(std::mem::take(&mut plan.mounts), nested);
}
