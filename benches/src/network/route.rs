//! The ways to the server, and what a connection, a request and bulk cost on each.

use std::path::Path;

use super::clients::{CLIENTS, Client};
use super::peers::Found;
use super::{HOST, Stage};
use crate::measure;

/// A destination of one kind.
pub(super) struct Route {
    /// As the table shows it.
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Below which all requests are; empty: `/`.
    path: &'static str,
    /// What the Agentfile declares.
    pub(super) declared: &'static str,
    /// Whether peers are measured on it, too: what they look at, and what they pass through.
    pub(super) compared: bool,
}

/// Peers take part in the first of so many rounds: a run is to end within eight minutes.
const PEERS_EVERY: usize = 2;
/// What a client prints instead of figures when the way closes the connection after a request.
const NOT_KEPT: &str = "not kept";

pub(super) const ROUTES: &[Route] = &[
    Route {
        name: "`tcp://`, passed through",
        port: 8080,
        tls: false,
        path: "",
        declared: "URL tcp://api.example.com:8080\n",
        compared: false,
    },
    Route {
        name: "`http://`, requests judged",
        port: 80,
        tls: false,
        path: "",
        declared: "URL http://api.example.com\n",
        compared: true,
    },
    Route {
        name: "TLS, passed through",
        port: 443,
        tls: true,
        path: "",
        declared: "URL https://api.example.com\n",
        compared: true,
    },
    Route {
        name: "TLS, terminated",
        port: 8443,
        tls: true,
        // A rule on the path is what makes the gateway end TLS.
        path: "bench",
        declared: "URL https://api.example.com:8443/bench\n",
        compared: false,
    },
];

impl Route {
    /// The client's URL.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{HOST}:{}/{}", self.port, self.path)
    }
}

/// All samples of one side of a route.
#[derive(Default)]
pub(super) struct Side {
    /// Microseconds of a new connection and a request over it.
    pub(super) new: Vec<f64>,
    /// Microseconds of a request over a kept connection.
    pub(super) kept: Vec<f64>,
    /// Megabytes (10^6) a second from the server.
    pub(super) down: Vec<f64>,
    /// And to it.
    pub(super) up: Vec<f64>,
}

/// The two sides of a client on a route.
pub(super) struct Pair {
    pub(super) client: &'static Client,
    pub(super) direct: Side,
    pub(super) gateway: Side,
}

/// A peer on a route, or why it was not measured.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) side: Result<Side, String>,
}

/// All that was measured on a route.
pub(super) struct Measured {
    pub(super) name: &'static str,
    /// One for each client.
    pub(super) pairs: Vec<Pair>,
    /// With the ordinary client; none where they are not compared.
    pub(super) peers: Vec<Row>,
}

/// For each route and round, runs each client once directly and once inside, and the ordinary one once inside each peer.
pub(super) fn measure(stage: &Stage, peers: &[Found], rounds: usize) -> Result<Vec<Measured>, String> {
    let mut measured: Vec<Measured> = ROUTES.iter().map(|route| Measured::empty(route, peers)).collect();
    for round in 0..rounds {
        for (route, measured) in ROUTES.iter().zip(&mut measured) {
            for pair in &mut measured.pairs {
                // Neither side is always the one that comes after the other.
                for turn in [round % 2, (round + 1) % 2] {
                    let side = if turn == 0 { &mut pair.direct } else { &mut pair.gateway };
                    let folder = if turn == 0 { &stage.folder } else { Path::new("/work") };
                    let argv = pair.client.measure(folder, route);
                    let command =
                        if turn == 0 { stage.outside(&argv) } else { stage.inside(route.declared, &argv) };
                    measure::finish(command?)
                        .and_then(|sample| side.add(&sample.output, pair.client.bulk))
                        .and_then(|()| if side.kept.is_empty() { Err(NOT_KEPT.to_owned()) } else { Ok(()) })
                        .map_err(|error| format!("{}, {}: {error}", route.name, pair.client.name))?;
                }
            }
            if round % PEERS_EVERY != 0 {
                continue;
            }
            for (peer, row) in peers.iter().zip(&mut measured.peers) {
                let Ok(side) = &mut row.side else { continue };
                if let Err(error) = peer.run(stage, route, side) {
                    row.side = Err(error);
                }
            }
        }
    }
    Ok(measured)
}

impl Measured {
    fn empty(route: &Route, peers: &[Found]) -> Self {
        let pair = |client| Pair { client, direct: Side::default(), gateway: Side::default() };
        let peers = if route.compared { peers } else { &[] };
        Self {
            name: route.name,
            pairs: CLIENTS.iter().map(pair).collect(),
            peers: peers.iter().map(|peer| Row { name: peer.name(), side: peer.row(route) }).collect(),
        }
    }
}

impl Side {
    /// Takes in what a client printed, which moved `bulk` bytes each way.
    ///
    /// # Errors
    /// It is not what a client prints.
    pub(super) fn add(&mut self, output: &str, bulk: u32) -> Result<(), String> {
        let lines: Vec<&str> = output.lines().collect();
        let [new, kept, down, up] = lines.as_slice() else {
            return Err(format!("printed {} lines instead of four", lines.len()));
        };
        let megabytes = f64::from(bulk) / 1e6;
        self.new.extend(numbers(new)?);
        if *kept != NOT_KEPT {
            self.kept.extend(numbers(kept)?);
        }
        self.down.extend(numbers(down)?.iter().map(|seconds| megabytes / seconds));
        self.up.extend(numbers(up)?.iter().map(|seconds| megabytes / seconds));
        Ok(())
    }
}

fn numbers(line: &str) -> Result<Vec<f64>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("printed `{word}` where a number belongs"));
    line.split(' ').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::{NOT_KEPT, Side};

    #[test]
    fn a_connection_that_is_not_kept_has_no_figure() {
        let mut side = Side::default();
        side.add(&format!("1.5 2\n{NOT_KEPT}\n0.5\n2"), 4_000_000).unwrap();
        assert_eq!((side.new, side.kept), (vec![1.5, 2.0], vec![]));
        assert_eq!((side.down, side.up), (vec![8.0], vec![2.0]));
    }

    #[test]
    fn what_no_client_prints_is_refused() {
        for output in ["", "1\n2\n3", "1\n2\nthree\n4", "1\n2\n3\n4\n5"] {
            assert!(Side::default().add(output, 1).is_err(), "{output}");
        }
    }
}
