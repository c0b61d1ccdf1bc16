//! The ways to the server, and what a connection, a request and bulk cost on each.

use std::path::Path;

use super::{HOST, Stage, server};
use crate::measure;

/// New connections, and requests on one of them, of each run of the client.
const CONNECTIONS: usize = 200;
const REQUESTS: usize = 500;

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
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        name: "`tcp://`, passed through",
        port: 8080,
        tls: false,
        path: "",
        declared: "URL tcp://api.example.com:8080\n",
    },
    Route {
        name: "`http://`, requests judged",
        port: 80,
        tls: false,
        path: "",
        declared: "URL http://api.example.com\n",
    },
    Route {
        name: "TLS, passed through",
        port: 443,
        tls: true,
        path: "",
        declared: "URL https://api.example.com\n",
    },
    Route {
        name: "TLS, terminated",
        port: 8443,
        tls: true,
        // A rule on the path is what makes the gateway end TLS.
        path: "bench",
        declared: "URL https://api.example.com:8443/bench\n",
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

/// A route's two sides.
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) direct: Side,
    pub(super) gateway: Side,
}

/// Runs the client once directly and once inside, for each route and round.
pub(super) fn measure(stage: &Stage, rounds: usize) -> Result<Vec<Measured>, String> {
    let mut measured: Vec<Measured> = ROUTES
        .iter()
        .map(|route| Measured { name: route.name, direct: Side::default(), gateway: Side::default() })
        .collect();
    let act = format!("measure {CONNECTIONS} {REQUESTS}");
    for round in 0..rounds {
        for (route, row) in ROUTES.iter().zip(&mut measured) {
            // Neither side is always the one that comes after the other.
            for turn in [round % 2, (round + 1) % 2] {
                let (side, command) = if turn == 0 {
                    (&mut row.direct, stage.outside(&Stage::client(&stage.folder, route, &act))?)
                } else {
                    let argv = Stage::client(Path::new("/work"), route, &act);
                    (&mut row.gateway, stage.inside(route.declared, &argv)?)
                };
                let sample = measure::finish(command).map_err(|error| format!("{}: {error}", route.name))?;
                side.add(&sample.output).ok_or_else(|| format!("{}: printed no numbers", route.name))?;
            }
        }
    }
    Ok(measured)
}

impl Side {
    /// Takes in what the client printed.
    fn add(&mut self, output: &str) -> Option<()> {
        let mut lines = output
            .lines()
            .map(|line| line.split(' ').map(|word| word.parse::<f64>().ok()).collect::<Option<Vec<f64>>>());
        let mut line = || lines.next().flatten();
        self.new.extend(line()?);
        self.kept.extend(line()?);
        let megabytes = f64::from(u32::try_from(server::BULK).ok()?) / 1e6;
        self.down.extend(line()?.iter().map(|seconds| megabytes / seconds));
        self.up.extend(line()?.iter().map(|seconds| megabytes / seconds));
        Some(())
    }
}
