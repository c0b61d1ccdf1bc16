//! What the broker and the supervisor say to each other. The broker reads bytes of the agent and of tools, so the supervisor takes
//! from it only what is here, and bounds all of it: the broker names an entry of the plan, and never a program.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use agentrc_service::channel::cut;
use agentrc_service::denied::Denied;
use serde::{Deserialize, Serialize};

/// From the broker. Servers are numbered as [`agentfile::plan::Plan::servers_asked`] has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// It serves.
    Ready {
        /// For the evidence.
        read_back: BTreeMap<String, String>,
    },
    /// A process connected, and waits for [`Order::Peer`]: whether it is one of the sandbox's.
    Peer {
        /// Number of the report.
        number: u64,
        /// Its pid, as the host numbers it (SO_PEERCRED).
        pid: i32,
    },
    /// It is about to perform a call, and waits for [`Order::Recorded`] or [`Order::Refused`]. For a program, its standard
    /// streams and a pipe for its wait(2) status are attached, in this order.
    Call {
        /// Number of the report.
        number: u64,
        /// What.
        call: Call,
    },
    /// A part of the next [`Asked`], which is too long for one report.
    Part {
        /// The text of some of its JSON.
        text: String,
    },
    /// A person has to be asked, about what the parts before this come to. It waits for [`Order::Approved`] or [`Order::Refused`].
    Ask {
        /// Number of the report.
        number: u64,
        /// Who asked, as the host numbers it.
        pid: i32,
    },
    /// Nobody waits any more for the answer to this [`Report::Ask`].
    Withdraw {
        /// Its number.
        number: u64,
    },
    /// A call is over.
    Done {
        /// [`Call::id`].
        id: u64,
        /// How.
        done: Done,
    },
    /// A program has used its time, or nobody waits for it any more: it is to be killed.
    Kill {
        /// [`Call::id`].
        id: u64,
    },
    /// It refuses something, and waits for [`Order::Recorded`], if there is a number.
    Denied {
        /// Number of the report.
        number: Option<u64>,
        /// What.
        denied: Denied,
        /// How often since the last report of it.
        count: u64,
        /// Who asked, as the host numbers it.
        pid: Option<i32>,
    },
    /// A tool of a server's is used for the first time, and is to be pinned.
    Pin {
        /// The server, as it is numbered in the plan.
        server: usize,
        /// The tool, as the server calls it.
        tool: String,
        /// The next part of what it is said to be: JSON.
        part: String,
        /// Whether that is not all of it.
        more: bool,
    },
    /// A server that is somewhere else has said what its tools are: the new ones are pinned by the reports before this.
    Reached {
        /// The server, as it is numbered in the plan.
        server: usize,
    },
    /// A server does not answer any more, or says what it must not: one that is started here is to be ended, and may be started again.
    Gone {
        /// The server, as it is numbered in the plan.
        server: usize,
        /// Why, as a clause in lower case.
        reason: String,
    },
    /// It wants a connection to a destination of the plan's, and waits for [`Order::Connected`] or [`Order::Refused`].
    Connect {
        /// Number of the report.
        number: u64,
        /// `https` or `http`.
        scheme: String,
        /// Name in lower case, or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// It must not go on, and the run must be killed.
    Failed {
        /// Why, as a clause in lower case.
        reason: String,
    },
}

/// Most bytes of JSON that the parts of one [`Asked`] come to.
pub const LONGEST_ASKED: usize = 256 * 1024;
/// Longest part, in bytes.
pub const LONGEST_PART: usize = 4 * 1024;

/// What a person is asked about. Nothing in it is cut: what is not shown is not approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What is called, as in [`Call::act`].
    pub act: String,
    /// All of its arguments, as canonical JSON.
    pub arguments: String,
    /// What happens to a memory, in words, where content that is not trusted changes one.
    pub effect: Option<String>,
    /// What asks: reason, id and line of each.
    pub asking: Vec<(String, String, String)>,
    /// The entry of the plan's `broker` that is to be executed, as in [`Call::entry`].
    pub entry: Option<usize>,
}

/// A call that is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Number of the call in this run, from 1.
    pub id: u64,
    /// What is called: `file_read`, `memory.write notes`.
    pub act: String,
    /// Its arguments as canonical JSON, cut.
    pub arguments: String,
    /// SHA-256 (hex) of all of them.
    pub arguments_sha256: String,
    /// The policies that permit it, with their lines.
    pub rule: String,
    /// Who asked, as the host numbers it.
    pub pid: i32,
    /// The number of the [`Report::Ask`] that was approved for it, if one was.
    pub asked: Option<u64>,
    /// The entry of the plan's `broker` that is to be executed; `None` when the broker does it itself.
    pub entry: Option<usize>,
}

impl Call {
    /// The same with every text cut, whoever made it.
    #[must_use]
    pub fn cut(self) -> Self {
        Self {
            act: cut(&self.act),
            arguments: cut(&self.arguments),
            arguments_sha256: cut(&self.arguments_sha256),
            rule: cut(&self.rule),
            ..self
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// What was called, as in [`Call::act`].
    pub act: String,
    /// `ok`, `error`, `refused`, `killed`, `cancelled`.
    pub outcome: String,
    /// Why, where it is not `ok`.
    pub reason: String,
    /// Bytes of the result.
    pub bytes: u64,
    /// SHA-256 (hex) of the result.
    pub sha256: String,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
}

impl Done {
    /// The same with every text cut, whoever made it.
    #[must_use]
    pub fn cut(self) -> Self {
        Self {
            act: cut(&self.act),
            outcome: cut(&self.outcome),
            reason: cut(&self.reason),
            sha256: cut(&self.sha256),
            ..self
        }
    }
}

/// To the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// The listening socket is attached; behind it, where the plan has credentials, a connection to the gateway, which searches
    /// for their values.
    Serve,
    /// A connection of the agent's to the broker's name is attached, on which HTTP is spoken.
    Join {
        /// Whose it is, as the host numbers it: a process of the sandbox's.
        pid: i32,
    },
    /// A server is started: its standard input and output are attached.
    Server {
        /// As it is numbered in the plan.
        server: usize,
    },
    /// A call or a denial is on record; a call's program is started.
    Recorded {
        /// Number of the report.
        number: u64,
    },
    /// A person approved it.
    Approved {
        /// Number of the report.
        number: u64,
        /// The ticket, for what is kept of it.
        ticket: String,
    },
    /// The connection is attached: HTTP in the clear, to the gateway.
    Connected {
        /// Number of the report.
        number: u64,
    },
    /// A call's program was not started, nobody approved it, or there is no connection.
    Refused {
        /// Number of the report.
        number: u64,
        /// Why, as a clause in lower case.
        reason: String,
    },
    /// Whose process connected.
    Peer {
        /// Number of the report.
        number: u64,
        /// Whether it is one of the sandbox's.
        ours: bool,
    },
    /// The agent has ended: report what is still counted, and exit.
    Stop,
}

/// What a report's sender waits for.
#[derive(Debug)]
pub(crate) enum Answer {
    Recorded,
    Approved(String),
    Refused(String),
    Peer(bool),
    Connected(OwnedFd),
}
