//! Layer 4: bounds on resources: rlimits (getrlimit(2)) here; the cgroup's files are `cgroup.rs`'s, the private disk's
//! sizes are the mount table's, the wall clock is the supervisor's.

use std::collections::BTreeMap;

use agentfile::plan::{Limits as Planned, Origin};

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::kernel;

/// Name in the plan, number, name in `/proc/PID/limits`.
const RESOURCES: &[(&str, u32, &str)] = &[
    ("nofile", libc::RLIMIT_NOFILE, "Max open files"),
    ("core", libc::RLIMIT_CORE, "Max core file size"),
    ("memlock", libc::RLIMIT_MEMLOCK, "Max locked memory"),
    ("fsize", libc::RLIMIT_FSIZE, "Max file size"),
    ("stack", libc::RLIMIT_STACK, "Max stack size"),
    ("cpu", libc::RLIMIT_CPU, "Max cpu time"),
    ("as", libc::RLIMIT_AS, "Max address space"),
    ("nproc", libc::RLIMIT_NPROC, "Max processes"),
    ("sigpending", libc::RLIMIT_SIGPENDING, "Max pending signals"),
    ("msgqueue", libc::RLIMIT_MSGQUEUE, "Max msgqueue size"),
    ("nice", libc::RLIMIT_NICE, "Max nice priority"),
    ("rtprio", libc::RLIMIT_RTPRIO, "Max realtime priority"),
];

struct Rlimit {
    resource: u32,
    name: String,
    shown: &'static str,
    value: u64,
    origin: Origin,
}

/// The rlimits of the plan.
pub(crate) struct Limits {
    rlimits: Vec<Rlimit>,
}

impl Limits {
    /// Refuses a resource that is not known. A bound that no line asked for is only ever an upper one: where the host's
    /// own is lower (`nproc` on a machine with little memory), that is what holds. One that a line asks for and this user
    /// cannot have is refused when it is set.
    pub(crate) fn prepare(planned: &Planned) -> Result<Self, Refusal> {
        run(Step::PrepareLimits, 0, || Ok(()))?;
        let mut rlimits = Vec::with_capacity(planned.rlimits.len());
        for limit in &planned.rlimits {
            let Some((_, resource, shown)) = RESOURCES.iter().find(|(name, ..)| *name == limit.resource)
            else {
                let reason = format!("there is no resource limit `{}`", limit.resource);
                return Err(Refusal::new(Step::PrepareLimits, reason).at(&limit.origin));
            };
            rlimits.push(Rlimit {
                resource: *resource,
                name: limit.resource.clone(),
                shown,
                value: if limit.origin.is_written() { limit.value } else { lower(limit.value, *resource)? },
                origin: limit.origin.clone(),
            });
        }
        Ok(Self { rlimits })
    }
}

/// The lower of `value` and the hard limit.
fn lower(value: u64, resource: u32) -> Result<u64, Refusal> {
    run(Step::PrepareLimits, 1, || kernel::hard_limit(resource))
        .map(|hard| value.min(hard))
        .map_err(Refusal::from)
}

impl Layer for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn apply(&self) -> Result<(), Failure> {
        self.rlimits.iter().enumerate().try_for_each(|(item, limit)| {
            run(Step::Rlimit, item, || kernel::set_rlimit(limit.resource, limit.value))
        })
    }

    fn blame(&self, failure: &Failure) -> Option<(String, Origin)> {
        let limit = self.rlimits.get(usize::from(failure.item)).filter(|_| failure.step == Step::Rlimit)?;
        Some((format!("{} {}", limit.name, limit.value), limit.origin.clone()))
    }

    fn probes(&self) -> &'static [Act] {
        &[]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        let mut seen = BTreeMap::new();
        for limit in &self.rlimits {
            let fields = readings.limits.lines().find_map(|line| line.strip_prefix(limit.shown));
            let mut fields = fields.unwrap_or_default().split_whitespace();
            let (soft, hard) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let wanted = limit.value.to_string();
            if soft != wanted || hard != wanted {
                return Err(Refusal::new(
                    Step::ReadBack,
                    format!(
                        "the limit `{}` is {soft} (soft) and {hard} (hard) inside, not {wanted}",
                        limit.name
                    ),
                )
                .at(&limit.origin));
            }
            seen.extend([entry(&limit.name, wanted)]);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(resource: &str, value: u64) -> Planned {
        let origin = Origin { file: "Agentfile".to_owned(), line: 2, column: 1 };
        let limit = agentfile::plan::Rlimit { resource: resource.to_owned(), value, origin };
        Planned { rlimits: vec![limit], ..Planned::default() }
    }

    #[test]
    fn a_resource_that_does_not_exist_is_refused() {
        assert!(
            Limits::prepare(&planned("files", 1))
                .err()
                .is_some_and(|refusal| refusal.reason.contains("`files`"))
        );
    }

    #[test]
    fn a_default_above_what_the_host_allows_is_lowered_and_a_written_one_is_not() {
        // Nobody may have more open files than /proc/sys/fs/nr_open, so this is above every hard limit.
        let mut limits = planned("nofile", u64::MAX - 1);
        assert_eq!(Limits::prepare(&limits).unwrap().rlimits[0].value, u64::MAX - 1);
        limits.rlimits[0].origin = Origin { file: "policies/base.toml".to_owned(), line: 0, column: 0 };
        assert_eq!(
            Limits::prepare(&limits).unwrap().rlimits[0].value,
            kernel::hard_limit(libc::RLIMIT_NOFILE).unwrap()
        );
    }

    #[test]
    fn a_limit_that_the_kernel_does_not_report_as_set_is_refused() {
        let limits = Limits::prepare(&planned("nofile", 64)).unwrap();
        let reading = |text: &str| Readings { limits: text.to_owned(), ..Readings::default() };
        assert!(
            limits
                .read_back(&reading(
                    "Max open files            64                   64                   files"
                ))
                .is_ok()
        );
        for other in ["Max open files 64 1024 files", "Max open files 1024 1024 files", "", "Max open files"]
        {
            assert!(limits.read_back(&reading(other)).is_err(), "{other}");
        }
    }
}
