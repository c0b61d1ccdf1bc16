//! Bounds on resources as the kernel takes them: cgroup v2 files (cgroup-v2.rst) and rlimits (getrlimit(2)).

use crate::base::{BASE_FILE, RLIMITS};
use crate::boundary::{Boundaries, Quantity};
use crate::plan::{Bound, CgroupLimit, CountedLimit, Limits, Origin, Rlimit};

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
                origin: counted.place.origin.clone(),
            })
            .collect(),
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
