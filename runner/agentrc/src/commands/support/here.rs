//! What of the runner's layers this host has: probed when it is asked for, as a run would find it.

use std::collections::BTreeMap;
use std::path::Path;

use agentrc_broker::credential::{Environment, Source, sources};
use agentrc_ebpf::Support;
use agentrc_host::StateDir;
use agentrc_jail::probe::probe;

/// One layer here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    /// Whether it can be armed.
    pub(super) present: bool,
    /// What was seen.
    pub(super) detail: String,
}

/// Everything that was probed.
pub(super) struct Host {
    layers: BTreeMap<&'static str, Here>,
    /// Where values of credentials can come from.
    pub(super) sources: Vec<Source>,
}

/// Layers that are one feature of `agentrc doctor`.
const OF_FEATURES: &[(&str, &str)] = &[
    ("namespaces", "user-namespaces"),
    ("mounts", "mount-attributes"),
    ("cgroup", "cgroup-delegation"),
    ("landlock", "landlock"),
    ("seccomp", "seccomp"),
    ("dns", "network"),
    ("gateway", "network"),
];

impl Host {
    /// Probes this host. The process has one thread.
    pub(super) fn probed() -> Self {
        let state = StateDir::of_this_user().map(|state| state.folder().path().to_owned());
        let scratch = state.as_deref().unwrap_or(Path::new("/tmp"));
        let mut layers = BTreeMap::new();
        for feature in probe(scratch) {
            for (layer, _) in OF_FEATURES.iter().filter(|(_, name)| *name == feature.name) {
                layers.insert(*layer, Here { present: feature.present, detail: feature.detail.clone() });
            }
        }
        layers.insert(
            "tls",
            match agentrc_egress::host_roots() {
                Ok(count) => {
                    Here { present: true, detail: format!("{count} root certificates of this host") }
                }
                Err(why) => Here { present: false, detail: why },
            },
        );
        layers.insert(
            "ebpf",
            match agentrc_ebpf::support() {
                Support::Available => Here { present: true, detail: "programs load".to_owned() },
                Support::Unavailable { reason } => Here { present: false, detail: reason },
            },
        );
        let folder = std::env::current_dir().unwrap_or_default();
        let keyring = scratch.join("keyring");
        let sources = sources(&Environment::of_process(folder, keyring));
        let present: Vec<_> =
            sources.iter().filter(|source| source.present).map(|source| source.form).collect();
        let detail = format!("from {}", present.join(", "));
        layers.insert("credentials", Here { present: !present.is_empty(), detail });
        Self { layers, sources }
    }

    /// What of a layer is here; `None` for one that needs nothing of the host's.
    pub(super) fn layer(&self, name: &str) -> Option<&Here> {
        self.layers.get(name)
    }
}
