//! What can be recorded. Every event is one of these; the log adds sequence number, time, run and chain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Always the first: every layer is armed and proven, the command is about to be executed.
    #[serde(rename = "run.armed")]
    Armed {
        /// Version of agentrc.
        agentrc: String,
        /// SHA-256 (hex) of the plan.
        plan_sha256: String,
        /// Name of the agent.
        agent: String,
        /// Path of the Agentfile on the host.
        agentfile: String,
        /// What is executed.
        argv: Vec<String>,
        /// User id of the caller on the host.
        uid: u32,
        /// What each layer read back and probed.
        evidence: Evidence,
    },
    /// The run was refused before its command could be executed.
    #[serde(rename = "run.refused")]
    Refused {
        /// The step that refused.
        step: String,
        /// Why, as shown to the user.
        reason: String,
        /// `file:line:column` of the rule, when there is one.
        origin: Option<String>,
    },
    /// Something that the agent tried was denied, as far as the supervisor can see it.
    #[serde(rename = "denial")]
    Denial(Denial),
    /// The gateway lets something through: recorded before it does, at the levels `all` and `compliance`.
    #[serde(rename = "network.permitted")]
    Permitted {
        /// What: `connect api.example.com:443`, `GET https://…`.
        act: String,
        /// The policies that permit it, with their lines.
        rule: String,
    },
    /// The broker is about to perform a call: recorded before it does.
    #[serde(rename = "broker.call")]
    Call {
        /// Number of the call in this run, from 1. Each redirect that a request follows is an event of the same number.
        call: u64,
        /// What: `call file_read /work/a`.
        act: String,
        /// Its arguments as canonical JSON, cut where they are long.
        arguments: String,
        /// SHA-256 (hex) of all of them.
        arguments_sha256: String,
        /// The policies that permit it, with their lines.
        rule: String,
        /// Process id inside the sandbox, where known.
        pid: Option<i32>,
        /// Program name (comm), where known.
        program: Option<String>,
    },
    /// A call is over.
    #[serde(rename = "broker.result")]
    Result {
        /// [`Event::Call`]'s number.
        call: u64,
        /// As there.
        act: String,
        /// `ok`, `error`, `refused`, `cancelled`.
        outcome: String,
        /// Why, where it is not `ok`.
        reason: String,
        /// Bytes of the result.
        bytes: u64,
        /// SHA-256 (hex) of the result.
        sha256: String,
        /// How long it took, in milliseconds.
        wall_ms: u64,
    },
    /// An MCP server of the run ended, or was started again. That it was started first is in the evidence.
    #[serde(rename = "server")]
    Server {
        /// Its name.
        server: String,
        /// `started`, `ended`, `not started`; `reached`: one that is somewhere else.
        state: String,
        /// Why, and the end of what it wrote to its standard error; for `reached` what was pinned at its first use.
        reason: Option<String>,
    },
    /// A person is asked whether a call may be made: recorded before anybody can see the ticket.
    #[serde(rename = "approval.asked")]
    Asked {
        /// Its ticket.
        ticket: String,
        /// What: `call file_write /work/a`.
        act: String,
        /// Its arguments as canonical JSON, cut where they are long.
        arguments: String,
        /// SHA-256 (hex) of all of them.
        arguments_sha256: String,
        /// Why a person is asked.
        reasons: Vec<String>,
        /// The policies and the rules of the host that ask, with their lines.
        rule: String,
        /// Until when it can be decided.
        expires: String,
        /// Process id inside the sandbox, where known.
        pid: Option<i32>,
        /// Program name (comm), where known.
        program: Option<String>,
    },
    /// A ticket is decided: recorded before the call hears of it.
    #[serde(rename = "approval.decided")]
    Decided {
        /// [`Event::Asked`]'s ticket.
        ticket: String,
        /// As there.
        act: String,
        /// As there.
        arguments_sha256: String,
        /// `approved`, `denied`, `expired`.
        outcome: String,
        /// `once`, `run`, `run, 3 times`; empty where it is not approved.
        scope: String,
        /// Why, where no person has decided.
        reason: Option<String>,
        /// User id of who decided; `None` where nobody did.
        by: Option<u32>,
    },
    /// A bound was reached (`pids.max`, `memory.max`, wall time), and what followed.
    #[serde(rename = "limit")]
    Limit {
        /// Which.
        limit: String,
        /// What followed: `denied`, `killed`.
        outcome: String,
        /// How often since the last event of this kind.
        count: u64,
        /// Line that set it.
        origin: Option<String>,
    },
    /// A probe of a `HEALTHCHECK` ended.
    #[serde(rename = "health")]
    Health {
        /// `ok`, `failed`, `timeout`.
        outcome: String,
        /// Why, where it is not `ok`.
        reason: String,
        /// How often since the last event of this kind: of probes that are well the first is recorded at once, and how many followed
        /// when something else does.
        count: u64,
        /// The line.
        origin: String,
    },
    /// The supervisor killed the run.
    #[serde(rename = "run.killed")]
    Killed {
        /// Why.
        reason: String,
    },
    /// Always the last: the command's end.
    #[serde(rename = "run.ended")]
    Ended {
        /// Exit code that `agentrc run` returns.
        exit_code: i32,
        /// Signal that ended the command.
        signal: Option<i32>,
        /// Wall time in milliseconds.
        wall_ms: u64,
        /// CPU time, user and system, in milliseconds.
        cpu_ms: u64,
        /// Peak resident set of the largest process, in KiB.
        peak_rss_kib: u64,
    },
}

/// A denied attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Layer that denied: `seccomp`, `landlock`, `mounts`, `egress`, …
    pub layer: String,
    /// What was tried, in the kernel's words: `ptrace`, `mount`, `socket(AF_PACKET)`.
    pub act: String,
    /// Process id inside the sandbox, where known.
    pub pid: Option<i32>,
    /// Program name (comm), where known.
    pub program: Option<String>,
    /// What the program got: `EPERM`, `killed`.
    pub verdict: String,
    /// Rule that decided: group of the seccomp table, or `file:line:column`; empty where nothing permits it.
    pub rule: String,
    /// Why, where the rule alone does not say.
    #[serde(default)]
    pub reason: Option<String>,
    /// How often since the last event of this kind.
    pub count: u64,
}

/// What was read back from the kernel, and tried, after everything was armed and before the command was executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Kernel release, as uname(2) says; never used to decide anything.
    pub kernel: String,
    /// Per layer, in the order of arming.
    pub layers: Vec<LayerEvidence>,
}

/// Evidence of one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerEvidence {
    /// `mounts`, `landlock`, `seccomp`, `capabilities`, `namespaces`, `cgroup`, `egress`, `audit`.
    pub layer: String,
    /// Read back: `NoNewPrivs` → `1`, `abi` → `7`.
    pub read_back: BTreeMap<String, String>,
    /// Tried from inside.
    pub probes: Vec<Probe>,
}

/// A forbidden act that was tried and failed as it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What was tried, such as `open /agentrc/proc/probe for writing`.
    pub act: String,
    /// What the kernel answered, such as `EROFS`.
    pub answer: String,
}

/// One event of each kind, every field filled in, for tests.
#[cfg(test)]
pub(crate) fn samples() -> Vec<Event> {
    let text = str::to_owned;
    let layer = LayerEvidence {
        layer: text("landlock"),
        read_back: BTreeMap::from([(text("abi"), text("7"))]),
        probes: vec![Probe { act: text("open /etc/shadow"), answer: text("EACCES") }],
    };
    vec![
        Event::Armed {
            agentrc: text("0.1.0"),
            plan_sha256: "ab".repeat(32),
            agent: text("reviewer"),
            agentfile: text("/home/a/Agentfile"),
            argv: vec![text("/bin/sh"), text("-c"), text("echo \n")],
            uid: 1000,
            evidence: Evidence { kernel: text("6.18.0"), layers: vec![layer] },
        },
        Event::Refused {
            step: text("landlock"),
            reason: text("too old"),
            origin: Some(text("Agentfile:3:1")),
        },
        Event::Denial(Denial {
            layer: text("seccomp"),
            act: text("ptrace"),
            pid: Some(7),
            program: Some(text("gdb")),
            verdict: text("EPERM"),
            rule: text("debug"),
            reason: Some(text("no line declares it")),
            count: 3,
        }),
        Event::Permitted { act: text("connect api.example.com:443"), rule: text("url@3 [Agentfile:3:1]") },
        Event::Call {
            call: 1,
            act: text("call file_read /work/a"),
            arguments: text("{\"path\":\"/work/a\"}"),
            arguments_sha256: "ab".repeat(32),
            rule: text("allow@3 [Agentfile:3:1]"),
            pid: Some(2),
            program: Some(text("python3")),
        },
        Event::Result {
            call: 1,
            act: text("call file_read /work/a"),
            outcome: text("error"),
            reason: text("no such file"),
            bytes: 0,
            sha256: "ab".repeat(32),
            wall_ms: 5,
        },
        Event::Server { server: text("files"), state: text("ended"), reason: Some(text("it ended")) },
        Event::Asked {
            ticket: text("3k9mz0ta"),
            act: text("call file_write /work/a"),
            arguments: text("{\"path\":\"/work/a\"}"),
            arguments_sha256: "ab".repeat(32),
            reasons: vec![text("writes files")],
            rule: text("policy@3 [Agentfile:3:1]"),
            expires: text("2026-01-02T03:04:05Z"),
            pid: Some(2),
            program: Some(text("python3")),
        },
        Event::Decided {
            ticket: text("3k9mz0ta"),
            act: text("call file_write /work/a"),
            arguments_sha256: "ab".repeat(32),
            outcome: text("denied"),
            scope: text("once"),
            reason: Some(text("the run ended")),
            by: Some(1000),
        },
        Event::Limit {
            limit: text("pids.max"),
            outcome: text("denied"),
            count: 12,
            origin: Some(text("Agentfile:4:1")),
        },
        Event::Health {
            outcome: text("failed"),
            reason: text("it exited with 1"),
            count: 1,
            origin: text("Agentfile:9:1"),
        },
        Event::Killed { reason: text("the audit log cannot be written") },
        Event::Ended { exit_code: 137, signal: Some(9), wall_ms: 12, cpu_ms: 3, peak_rss_kib: 4096 },
    ]
}
