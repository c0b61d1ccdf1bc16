//! Bounds on resources as the kernel takes them: cgroup v2 files (cgroup-v2.rst) and rlimits (getrlimit(2)); and what the
//! broker and the gateway count, by the names that they know.

use std::collections::{BTreeSet, HashMap};

use crate::base::{BASE_FILE, RLIMITS};
use crate::boundary::{Boundaries, Counted, Quantity};
use crate::plan::{Bound, CgroupLimit, CountedLimit, Limits, Origin, Rlimit, Target};

/// Period of the CPU quota in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// All bounds.
pub(super) fn lower(boundaries: &Boundaries) -> Limits {
    let limits = &boundaries.limits;
    let mut cgroup = Vec::new();
    let mut file = |controller: &str, file: &str, value: String, origin: &Origin| {
        cgroup.push(CgroupLimit {
            controller: controller.to_owned(),
            file: file.to_owned(),
            value,
            origin: origin.clone(),
        });
    };
    if let Some(Quantity { value, place }) = &limits.memory {
        file("memory", "memory.max", value.to_string(), &place.origin);
        // Memory that is swapped out is memory all the same.
        file("memory", "memory.swap.max", "0".to_owned(), &place.origin);
    }
    if let Some(Quantity { value, place }) = &limits.pids {
        file("pids", "pids.max", value.to_string(), &place.origin);
    }
    if let Some(Quantity { value, place }) = &limits.cpu_millis {
        let quota = value.saturating_mul(CPU_PERIOD / 1000);
        file("cpu", "cpu.max", format!("{quota} {CPU_PERIOD}"), &place.origin);
    }
    let bound = |quantity: &Option<Quantity>| {
        quantity
            .as_ref()
            .map(|quantity| Bound { value: quantity.value, origin: quantity.place.origin.clone() })
    };
    let targets = Targets::of(boundaries);
    let applies_to = |counted: &Counted| {
        if counted.of_run {
            vec![Target::Run]
        } else {
            targets.named(&counted.name).collect::<BTreeSet<_>>().into_iter().collect()
        }
    };
    Limits {
        cgroup,
        rlimits: rlimits(boundaries),
        wall_seconds: bound(&limits.wall),
        disk_bytes: bound(&limits.disk),
        counted: limits
            .counted
            .iter()
            .map(|counted| CountedLimit {
                name: counted.name.clone(),
                value: counted.value,
                per_seconds: counted.per_seconds,
                applies_to: applies_to(counted),
                origin: counted.place.origin.clone(),
            })
            .collect(),
    }
}

/// What a RATELIMIT may be about, by each of the ways to write it.
pub(crate) struct Targets {
    by_name: HashMap<String, Vec<Target>>,
    /// Whether tools may come from elsewhere (TOOLSET, MCP): then any name may be one's.
    open: bool,
}

impl Targets {
    /// All that `boundaries` declares.
    pub(crate) fn of(boundaries: &Boundaries) -> Self {
        let open = !boundaries.toolsets.is_empty() || !boundaries.mcp.is_empty();
        let mut targets = Self { by_name: HashMap::new(), open };
        for tool in &boundaries.tools {
            let written = format!("{}:{}", tool.namespace, tool.name);
            let mapped = tool.mapped.iter().map(|(written, _)| written.clone());
            targets.add(
                &Target::Tool(tool.entity.clone()),
                [written, tool.entity.clone()].into_iter().chain(mapped),
            );
        }
        for function in &boundaries.functions {
            let target = Target::Function(function.symbol.clone());
            let path = function.path.iter().map(|path| format!("./{path}:{}", function.symbol));
            targets.add(&target, path.chain([function.symbol.clone()]));
        }
        for skill in &boundaries.skills {
            targets
                .add(&Target::Skill(skill.entity.clone()), [skill.reference.clone(), skill.entity.clone()]);
        }
        for memory in &boundaries.memories {
            targets.add(&Target::Memory(memory.name.clone()), [memory.name.clone()]);
        }
        for credential in &boundaries.credentials {
            targets.add(&Target::Credential(credential.name.clone()), [credential.name.clone()]);
        }
        for server in &boundaries.servers {
            targets.add(&Target::Server(server.name.clone()), [server.name.clone()]);
        }
        for mcp in &boundaries.mcp {
            targets.add(&Target::Server(mcp.name.clone()), [mcp.reference.clone(), mcp.name.clone()]);
        }
        for host in boundaries.agent_hosts() {
            targets.add(&Target::Host(host.host.clone()), [host.host.clone()]);
        }
        targets
    }

    fn add(&mut self, target: &Target, names: impl IntoIterator<Item = String>) {
        for name in names {
            self.by_name.entry(name).or_default().push(target.clone());
        }
    }

    /// What `name` is about. Nothing: such a rate limits nothing.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = Target> {
        let known = self.by_name.get(name).into_iter().flatten().cloned();
        let bare = name.split_once(':').map_or(name, |(_, bare)| bare);
        let elsewhere = self.open && !self.by_name.contains_key(name);
        known.chain(elsewhere.then(|| Target::Tool(bare.to_owned())))
    }
}

fn rlimits(boundaries: &Boundaries) -> Vec<Rlimit> {
    // `nproc` is the second lock of `pids.max`, one above it: the kernel asks the rlimit first, and only the cgroup counts
    // what it refuses, for the audit log.
    let written = [("nofile", &boundaries.limits.open_files, 0), ("nproc", &boundaries.limits.pids, 1)];
    let written = written.iter().filter_map(|(resource, quantity, above)| {
        quantity.as_ref().map(|quantity| Rlimit {
            resource: (*resource).to_owned(),
            value: quantity.value.saturating_add(*above),
            origin: quantity.place.origin.clone(),
        })
    });
    let mut rlimits: Vec<Rlimit> = written.collect();
    for (resource, value) in RLIMITS {
        if !rlimits.iter().any(|rlimit| rlimit.resource == *resource) {
            let origin = Origin::builtin(BASE_FILE);
            rlimits.push(Rlimit { resource: (*resource).to_owned(), value: *value, origin });
        }
    }
    rlimits.sort_by(|one, other| one.resource.cmp(&other.resource));
    rlimits
}
