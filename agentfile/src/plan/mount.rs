//! The mount table's part of the plan: what appears where, and what of it may be written.

use serde::{Deserialize, Serialize};

use super::Origin;

/// A path on the host, as written, never resolved here. Resolution (against the Agentfile's folder, the user's home)
/// is the runner's, at admission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum HostPath {
    /// Inside the Agentfile's folder, normalised, without a leading `./`; empty for the folder itself.
    Project(String),
    /// Inside the home of the user who runs it, without the leading `~/`; empty for the home itself.
    Home(String),
    /// Absolute.
    Absolute(String),
    /// Relative, but leaving the Agentfile's folder (`../x`), as written.
    Outside(String),
}

impl From<HostPath> for String {
    fn from(path: HostPath) -> Self {
        match path {
            HostPath::Project(rest) if rest.is_empty() => ".".to_owned(),
            HostPath::Project(rest) => format!("./{rest}"),
            HostPath::Home(rest) if rest.is_empty() => "~".to_owned(),
            HostPath::Home(rest) => format!("~/{rest}"),
            HostPath::Absolute(path) | HostPath::Outside(path) => path,
        }
    }
}

/// A host path in none of its four forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host path: write `./x`, `../x`, `~/x` or `/x`")]
pub struct NotAHostPath(pub String);

impl TryFrom<String> for HostPath {
    type Error = NotAHostPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "." {
            Ok(Self::Project(String::new()))
        } else if text == "~" {
            Ok(Self::Home(String::new()))
        } else if let Some(rest) = text.strip_prefix("./") {
            Ok(Self::Project(rest.to_owned()))
        } else if let Some(rest) = text.strip_prefix("~/") {
            Ok(Self::Home(rest.to_owned()))
        } else if text.starts_with('/') {
            Ok(Self::Absolute(text))
        } else if text == ".." || text.starts_with("../") {
            Ok(Self::Outside(text))
        } else {
            Err(NotAHostPath(text))
        }
    }
}

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute, normalised path inside.
    pub target: String,
    /// What appears there.
    pub source: MountSource,
    /// Whether the agent may write there.
    pub access: Access,
    /// Whether a source that the host does not have is left out (base system only; never for what a line asked for).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Who asked for it.
    pub origin: Origin,
}

/// Whether something may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Read, write, create, remove, execute.
    ReadWrite,
}

/// What a mount is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MountSource {
    /// The host's own file or folder. (The host's symlink is reproduced as a symlink when the base asks for `/bin`.)
    Bind {
        /// Where on the host.
        source: HostPath,
        /// Paths below it (relative, normalised) that stay read-only in a writable bind, also when they do not
        /// exist yet (`policies/protected.toml`, and `DENY write`).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        protected: Vec<Protected>,
    },
    /// A private writable copy of a host folder: overlayfs, the upper layer in the run's state directory.
    Copy {
        /// Where on the host.
        source: HostPath,
        /// Name of the layer in the run's state directory, unique in the plan: `copy-0`, `copy-1`, …
        layer: String,
        /// As in `Bind`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        protected: Vec<Protected>,
    },
    /// A private, empty, in-memory directory.
    Private {
        /// Permission bits, such as 0o1777.
        mode: u32,
        /// Upper bound in bytes.
        size_bytes: u64,
    },
    /// An empty directory of the new root, there to hold others.
    Directory,
    /// A fresh `/proc` of the sandbox's own pid namespace, masked as `policies/base.toml` says.
    Proc {
        /// Paths (absolute) that are hidden.
        masked: Vec<String>,
        /// Paths (absolute) that are read-only.
        read_only: Vec<String>,
    },
    /// A minimal `/dev`: the named nodes, `pts`, `shm`, `fd` and the standard streams.
    Dev {
        /// Names of the host's nodes that are shown.
        nodes: Vec<String>,
    },
    /// A symbolic link.
    Symlink {
        /// Its text.
        to: String,
    },
    /// A small read-only file with this text.
    File {
        /// The text.
        content: String,
        /// Permission bits, such as 0o444.
        mode: u32,
    },
    /// A small read-only file whose text depends on the run: filled in by the runner.
    Generated {
        /// Which.
        what: Generated,
    },
    /// The broker's listening unix socket, made inside by the sandbox's first process: no other run has it at any path.
    Socket,
    /// Something that is hidden: an empty, unreadable file or folder on top of what a wider mount shows.
    Mask,
    /// A part of a wider writable mount that is read-only.
    Narrow,
}

/// Files whose content the runner fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generated {
    /// `/etc/passwd` with the one user of the run, and `nobody`.
    Passwd,
    /// `/etc/group` likewise.
    Group,
    /// The host's certificates (`SYSTEM_BUNDLES`), and the run's own authority behind them. Where it is optional and the
    /// host has no file, there is none inside either; where the host's file is a link, it lies over what that leads to.
    TrustBundle,
    /// Our own static program that talks to the broker; anyone may execute it (0555).
    Client,
    /// What the agent is told about itself ([`crate::plan::about`]): what is recorded.
    Audit,
    /// The same: its policies.
    Policy,
    /// The same: its limits.
    Limits,
    /// The same: which agent it is, and what it can ask for.
    Status,
}

/// A path below a writable bind that stays read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// Relative to the bind, normalised, such as `.git/hooks`.
    pub path: String,
    /// Whether it is a folder, should it have to be held before it exists.
    pub directory: bool,
    /// What a file that has to be held before it exists says, where an empty one would break its readers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Who asked for it.
    pub origin: Origin,
}
