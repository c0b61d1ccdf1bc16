//! What serves a run from outside of the sandbox, the gateway or the broker, and is killed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::{Child, within};
use crate::outside;

/// Most memory of one, in bytes (RLIMIT_DATA).
pub const MEMORY: u64 = 1 << 30;

/// Kills the one `service` of a run, `gateway` or `broker`: the run ends, says why, and leaves no process. How long that took.
#[track_caller]
pub fn killed(mut child: Child, service: &str) -> Duration {
    let tree = outside::tree(child.pid());
    let pid = Pid::from_raw(outside::gateway(child.pid()) as i32).expect("a pid");
    let killed = Instant::now();
    kill_process(pid, Signal::KILL).expect("kill");
    assert!(within(Duration::from_secs(20), || child.has_ended()), "the run goes on");
    let gone = within(Duration::from_secs(20), || !tree.iter().any(|pid| outside::all().contains(pid)));
    let took = killed.elapsed();
    assert!(gone, "processes are left");
    let outcome = child.finish();
    let ended = outcome.events_named("run.killed");
    let said = ended.first().map(ToString::to_string).unwrap_or_default();
    assert!(said.contains(&format!("the {service} ended before the agent")), "{:?}", outcome.events);
    assert_ne!(outcome.code(), 0);
    assert!(outcome.stderr.contains(service), "{}", outcome.stderr);
    took
}
