//! What the agent's process will execute: the plan's command with the caller's arguments, as C strings made before the clone.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use agentfile::plan::PROJECTION;

use crate::Request;
use crate::environment;
use crate::init::Agent;
use crate::layer::mounts::Mounts;
use crate::refusal::Refusal;
use crate::resolve::c_string;
use crate::step::Step;
use crate::sys::process::Strings;

/// The command of the plan, with the caller's extra arguments.
pub(crate) fn argv<'a>(
    request: &'a Request<'_>,
) -> impl Iterator<Item = std::borrow::Cow<'a, std::ffi::OsStr>> {
    let planned = request.plan.command.iter().flat_map(|command| &command.argv);
    let planned = planned.map(|word| std::borrow::Cow::Owned(OsString::from(word)));
    planned.chain(request.arguments.iter().map(|word| std::borrow::Cow::Borrowed(word.as_os_str())))
}

/// What is executed, where, and with which environment.
pub(crate) fn agent(request: &Request<'_>, mounts: &Mounts, terminal: bool) -> Result<Agent, Refusal> {
    let plan = request.plan;
    let argv = argv(request).map(|word| c_string(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let Some(program) = argv.first() else {
        return Err(Refusal::new(Step::PrepareMounts, "there is no command: the Agentfile has no `CMD`")
            .help("add a line such as `CMD python3 ./agent.py`, or give a command after `--`"));
    };
    let environment = environment::of(&plan.environment, request.environment, terminal)?;
    let path = plan.environment.iter().find(|variable| variable.name == "PATH");
    let candidates = if program.as_bytes().contains(&b'/') {
        vec![program.clone()]
    } else {
        let folders = path
            .map_or("", |variable| variable.value.as_str())
            .split(':')
            .filter(|folder| !folder.is_empty());
        folders
            .map(|folder| {
                let mut path = folder.as_bytes().to_vec();
                path.push(b'/');
                path.extend(program.as_bytes());
                c_string(&path)
            })
            .collect::<Result<_, _>>()?
    };
    // The compiler does not look outside the Agentfile's folder: what it took for a folder there may be a file, and then
    // the command starts where that of a plan without folders does.
    let directory = if mounts.is_file(&plan.workdir) { PROJECTION } else { &plan.workdir };
    // The caller's umask, and never a looser one than 022.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    Ok(Agent {
        candidates,
        argv: Strings::new(argv),
        environment: Strings::new(environment),
        directory: c_string(directory.as_bytes())?,
        umask: umask.as_raw_mode() | 0o022,
    })
}
