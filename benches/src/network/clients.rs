//! The clients that everything is measured with: a lean one, beside which whatever is in between looks worst, and an
//! ordinary one, which is what programs in a sandbox are. Both do the same and print the same.

use std::path::Path;

use super::route::Route;

/// The distribution's: inside a sandbox there are the system's own folders, and no interpreter of a user's.
pub(super) const PYTHON: &str = "/usr/bin/python3";
/// Name of the ordinary client in the Agentfile's folder, and the program.
pub(super) const SCRIPT: &str = "client.py";
pub(super) const SCRIPT_TEXT: &str = include_str!("client.py");
/// Name of this program in the Agentfile's folder, and of the certificates to trust.
pub(super) const PROGRAM: &str = "agentrc-bench";
pub(super) const ROOTS: &str = "roots.pem";

/// A client, and how much it does in one run.
pub(super) struct Client {
    /// As the tables show it.
    pub(super) name: &'static str,
    /// What it is, for whoever reads the tables.
    pub(super) note: &'static str,
    /// Its words before those that both take; `{folder}` is where its files are, `{python}` is [`PYTHON`].
    command: &'static str,
    /// New connections.
    connections: usize,
    /// Requests over a kept one.
    requests: usize,
    /// Bytes of a bulk answer and of a bulk request.
    pub(super) bulk: u32,
}

/// This program ([`super::client`]).
pub(super) const LEAN: Client = Client {
    name: "lean client",
    note: "Rust, its name looked up beforehand, one write a request, reads of 1 MiB",
    command: "{folder}/agentrc-bench client measure",
    connections: 200,
    requests: 500,
    bulk: 512 << 20,
};

/// Isolated (`-I`): no folder of a user's, and no variable, changes which modules it loads.
pub(super) const ORDINARY: Client = Client {
    name: "Python client",
    note: "`http.client` of Python's standard library, its name looked up for each connection, reads of 64 KiB",
    command: "{python} -I {folder}/client.py",
    connections: 50,
    requests: 100,
    bulk: 64 << 20,
};

/// In the order of the tables.
pub(super) const CLIENTS: &[Client] = &[LEAN, ORDINARY];

impl Client {
    /// The command line that measures `route` with the client whose files are in `folder`.
    pub(super) fn measure(&self, folder: &Path, route: &Route) -> String {
        let folder = folder.display().to_string();
        let command = self.command.replace("{folder}", &folder).replace("{python}", PYTHON);
        let Self { connections, requests, bulk, .. } = self;
        format!("{command} {} {folder}/{ROOTS} {connections} {requests} {bulk}", route.url())
    }
}

/// The command line of the lean client that holds `count` connections to `route`.
pub(super) fn hold(folder: &Path, route: &Route, count: usize) -> String {
    let folder = folder.display();
    format!("{folder}/{PROGRAM} client hold {} {folder}/{ROOTS} {count}", route.url())
}
