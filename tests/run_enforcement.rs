//! What the operator of a host insists on (`docs/configuration.md`): a layer that cannot be had is a refusal then, and the
//! first event says what is in force in any case.

use agentrc_test_support::identity::without_filter;
use agentrc_test_support::{Lab, as_each, as_each_and_without_filter, as_root_only, audit};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const NETWORK: &str = "AGENT required\nURL https://api.example.com\nCMD /bin/true\n";

/// Runs with a configuration; the exit code, and what was said.
fn run(lab: &Lab, configuration: &str) -> (i32, String) {
    lab.directory(lab.path("config"));
    lab.directory(lab.path("config/agentrc"));
    lab.file(lab.path("config/agentrc/agentrc.toml"), configuration);
    lab.agentfile(NETWORK);
    let mut command = lab.agentrc(["run".as_ref(), lab.project("Agentfile").as_os_str()]);
    command.env("XDG_CONFIG_HOME", lab.path("config"));
    let outcome = lab.finish_command(command);
    (outcome.code(), outcome.stderr)
}

/// The evidence of the last run about the egress filter.
fn attached(lab: &Lab) -> String {
    lab.runs().pop().and_then(|run| audit::filter_of(&run)).unwrap_or_default()
}

#[test]
fn the_plan_and_the_first_event_say_whether_the_egress_filter_is_attached() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let (code, said) = run(lab, "");
        assert_eq!(code, 0, "as {}: {said}", lab.who.name);
        let attached = attached(lab);
        let plan = lab.finish_command(lab.agentrc(["plan".as_ref(), lab.project("Agentfile").as_os_str()]));
        plan.expect_code(0);
        let plan = plan.out();
        let last = plan.trim_end().lines().last().unwrap_or_default();
        assert!(last.contains("eBPF"), "as {}: {plan}", lab.who.name);
        if lab.who.filter {
            assert_eq!(attached, "yes");
            return;
        }
        let why = attached.strip_prefix("no: ").unwrap_or_default();
        assert!(!why.is_empty() && last.contains(why), "as {}: {attached}: {last}", lab.who.name);
        let expected = if lab.who.is_root() { "bpf(2) is refused although" } else { "lacks CAP_NET_ADMIN" };
        assert!(why.contains(expected), "as {}: {why}", lab.who.name);
    });
}

#[test]
fn a_required_filter_that_cannot_be_loaded_is_a_refusal_that_names_the_place() {
    as_each(AGENTRC, required);
    // Nothing is armed there, so nothing says on which locks it stood.
    without_filter(AGENTRC, required);
}

fn required(lab: &Lab) {
    let (code, said) = run(lab, "[enforcement]\nrequire = [\"ebpf\"]\n");
    if lab.who.filter {
        assert_eq!(code, 0, "{said}");
        return;
    }
    assert_eq!(code, 125, "as {}: {said}", lab.who.name);
    assert!(said.contains("agentrc.toml:2:"), "as {}: {said}", lab.who.name);
    let armed = lab.runs().iter().any(|run| audit::filter_of(run).is_some());
    assert!(!armed, "as {}: the agent may have run", lab.who.name);
}

/// A mount namespace in which no cgroup v2 is to be seen, as on a host that has version 1 alone.
const WITHOUT_CGROUP: &str = "set -eu\nwhile at=$(awk '/ - cgroup2 /{print $5}' /proc/self/mountinfo | tail -n1) && [ -n \"$at\" ]; do\n\
     umount -l \"$at\"\ndone\nexec \"$@\"";

#[test]
fn where_there_is_no_cgroup_for_the_filter_a_run_stands_on_the_other_locks_unless_it_is_required() {
    as_root_only(AGENTRC, |lab| {
        lab.agentfile(NETWORK);
        let start = || {
            let mut command = lab.command("unshare");
            command.args(["--mount", "sh", "-c", WITHOUT_CGROUP, "sh"]).arg(lab.binary()).arg("run");
            command.arg(lab.project("Agentfile"));
            lab.finish_command(command)
        };
        start().expect_code(0);
        assert_eq!(attached(lab), "no: no cgroup v2 is mounted");
        lab.file(lab.path("home/.config/agentrc/agentrc.toml"), "[enforcement]\nrequire = [\"ebpf\"]\n");
        start().expect_refusal(&[
            "agentrc.toml:2:",
            "requires the eBPF egress filter",
            "no cgroup v2 is mounted",
        ]);
    });
}

#[test]
fn a_configuration_that_cannot_be_read_or_trusted_is_a_refusal() {
    as_each(AGENTRC, |lab| {
        let (code, said) = run(lab, "[enforcement]\nrequire = [\"everything\"]\n");
        assert_eq!(code, 125, "as {}: {said}", lab.who.name);
        assert!(said.contains("agentrc.toml:2:") && said.contains("everything"), "{said}");
    });
}
