//! Stage 3: from boundaries to the plan. One layer of enforcement a file; none of them can fail on boundaries that were
//! checked, and none looks at the text again.

mod broker;
pub(crate) mod cedar;
pub(crate) mod egress;
mod environment;
mod grants;
mod landlock;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod narrow;
pub(crate) mod programs;
mod projection;
pub(crate) mod protected;
pub(crate) mod remote;
mod seccomp;
pub(crate) mod sources;

use crate::base::BASE_FILE;
use crate::boundary::Boundaries;
use crate::plan::{Audit, Capabilities, Command, Egress, FORMAT, Namespace, Origin, Plan};
use crate::policy::permits::Permits;

/// Makes the plan. `file` is the Agentfile's name, which stays read-only in a writable bind of its folder.
///
/// # Errors
/// When a policy cannot be expressed in Cedar, which checked boundaries rule out.
pub(crate) fn lower(boundaries: &Boundaries, file: &str) -> Result<Plan, cedar::CedarFault> {
    let permits = Permits::of(boundaries);
    let callable = projection::callable(boundaries, &permits);
    let egress = egress::lower(boundaries, callable.map(|place| &place.origin));
    with_egress(boundaries, file, egress, &permits)
}

/// The same, with destinations that are known.
fn with_egress(
    boundaries: &Boundaries,
    file: &str,
    egress: Vec<Egress>,
    permits: &Permits,
) -> Result<Plan, cedar::CedarFault> {
    // The first line for which TLS ends at the gateway: the agent has to trust what it meets there.
    let trust =
        egress.iter().find(|egress| egress.agent && egress.terminate_tls).map(|egress| &egress.origin);
    let mounts = mounts::lower(boundaries, file, &egress, trust, permits);
    Ok(Plan {
        format: FORMAT,
        agent: boundaries.agent.clone(),
        base: boundaries.base.clone(),
        command: boundaries
            .command
            .as_ref()
            .map(|command| Command { argv: command.argv.clone(), origin: command.place.origin.clone() }),
        workdir: environment::workdir(boundaries),
        environment: environment::lower(trust),
        landlock: landlock::lower(boundaries, &mounts, &egress),
        mounts,
        seccomp: seccomp::lower(),
        capabilities: Capabilities {
            keep: Vec::new(),
            no_new_privs: true,
            securebits: ["noroot", "no_setuid_fixup", "no_cap_ambient_raise"].map(str::to_owned).to_vec(),
        },
        namespaces: vec![
            Namespace::User,
            Namespace::Mount,
            Namespace::Pid,
            Namespace::Ipc,
            Namespace::Uts,
            Namespace::Net,
            Namespace::Cgroup,
        ],
        limits: limits::lower(boundaries),
        egress,
        cedar: cedar::lower(boundaries)?,
        broker: broker::lower(boundaries, permits),
        sources: sources::of_servers(boundaries),
        audit: Audit {
            level: boundaries.audit.0,
            origin: boundaries
                .audit
                .1
                .as_ref()
                .map_or_else(|| Origin::builtin(BASE_FILE), |place| place.origin.clone()),
        },
        grants: grants::lower(boundaries),
    })
}
