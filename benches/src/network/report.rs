//! The network's tables, as Markdown for a person and as JSON for a machine. No figure is judged here.

use super::clients::{CLIENTS, ORDINARY};
use super::launch::Launch;
use super::memory::{Memory, OPEN, Resident};
use super::peers::Found;
use super::route::{Measured, Pair, Side};
use crate::report::{machine, quote};
use crate::statistics::percentile;

/// All that was measured.
pub(super) struct Figures {
    pub(super) routes: Vec<Measured>,
    /// Those that were looked for, for the legend.
    pub(super) peers: Vec<Found>,
    pub(super) memory: Vec<Memory>,
    pub(super) launches: Vec<Launch>,
    /// The tables of `ebpf/examples/cost.rs`, as they are.
    pub(super) connect: String,
    /// What sockets begin with, outside of the sandbox (tcp(7)).
    pub(super) congestion: String,
    /// Load average of a minute before and after.
    pub(super) load: (String, String),
}

type Column = fn(&Side) -> &[f64];

/// One thing that is measured on every route, its unit, and the percentile beside the median.
struct Table {
    key: &'static str,
    title: &'static str,
    column: Column,
    other: usize,
}

/// The low percentile is the bad end of a rate.
const TABLES: &[Table] = &[
    Table {
        key: "new_us",
        title: "(a) A new connection, its handshake, and one small request: µs",
        column: |side| &side.new,
        other: 99,
    },
    Table {
        key: "kept_us",
        title: "(b) A small request over a kept connection: µs",
        column: |side| &side.kept,
        other: 99,
    },
    Table { key: "down_mb_s", title: "(c) Bulk from the server: MB/s", column: |side| &side.down, other: 5 },
    Table { key: "up_mb_s", title: "(c) Bulk to the server: MB/s", column: |side| &side.up, other: 5 },
];

fn middle(values: &[f64]) -> f64 {
    at(values, 50)
}

/// Nothing was measured: NaN, which is shown as such.
fn at(values: &[f64], percent: usize) -> f64 {
    percentile(values, percent).unwrap_or(f64::NAN)
}

/// Of the gateway: KiB at each stage, and for each open connection.
fn kibibytes(memory: &Memory, which: fn(&Resident) -> f64) -> [f64; 4] {
    let of = |samples: &[Resident]| middle(&samples.iter().map(which).collect::<Vec<_>>());
    let each: Vec<f64> = memory
        .full
        .iter()
        .zip(&memory.used)
        .map(|(full, used)| (which(full) - which(used)) / f64::from(u16::try_from(OPEN).unwrap_or(u16::MAX)))
        .collect();
    [of(&memory.idle), of(&memory.used), of(&memory.full), middle(&each)]
}

/// Prints the Markdown.
pub(super) fn markdown(figures: &Figures) {
    let (before, after) = &figures.load;
    println!(
        "Machine: {}; load average {before} before, {after} after; congestion control `{}`. Client and server have a processor each.",
        machine(),
        figures.congestion
    );
    for table in TABLES {
        let other = table.other;
        println!("\n### {}\n", table.title);
        println!(
            "| destination | client | direct: p50 | p{other} | gateway: p50 | p{other} | × direct: p50 | p{other} |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for (route, pair) in
            figures.routes.iter().flat_map(|route| route.pairs.iter().map(move |pair| (route, pair)))
        {
            let (direct, gateway) = ((table.column)(&pair.direct), (table.column)(&pair.gateway));
            let cells = [middle(direct), at(direct, other), middle(gateway), at(gateway, other)];
            let [one, two, three, four] = cells;
            println!(
                "| {} | {} | {one:.0} | {two:.0} | {three:.0} | {four:.0} | {:.2}× | {:.2}× |",
                route.name,
                pair.client.name,
                three / one,
                four / two
            );
        }
    }
    println!();
    for client in CLIENTS {
        println!("- {}: {}; {} MiB of bulk.", client.name, client.note, client.bulk >> 20);
    }
    peers(figures);
    println!("\n### (d) What the egress filter costs\n\n{}", figures.connect.trim_end());
    println!("\n### (e) Resident memory of the gateway: KiB, own share (Pss) and all (Rss)\n");
    println!("| destination | idle | after a connection | {OPEN} open | each open connection |");
    println!("|---|---|---|---|---|");
    for memory in &figures.memory {
        let [idle, used, full, each] = kibibytes(memory, |resident| resident.pss);
        let [all_idle, all_used, all_full, all_each] = kibibytes(memory, |resident| resident.rss);
        println!(
            "| {} | {idle:.0} ({all_idle:.0}) | {used:.0} ({all_used:.0}) | {full:.0} ({all_full:.0}) | {each:.1} ({all_each:.1}) |",
            memory.name
        );
    }
    println!("\n### (f) Launch of `/bin/true`, with the egress filter: ms\n");
    println!("| destinations | p50 | p95 | more than without | × without |\n|---|---|---|---|---|");
    let base = figures.launches.first().map_or(f64::NAN, |launch| middle(&launch.wall));
    for launch in &figures.launches {
        let wall = middle(&launch.wall);
        let (high, more, ratio) = (at(&launch.wall, 95), wall - base, wall / base);
        println!("| {} | {wall:.2} | {high:.2} | {more:+.2} | {ratio:.2}× |", launch.name);
    }
}

/// The tables of what others have, beside agentrc and the direct way, all with the same client.
fn peers(figures: &Figures) {
    for route in figures.routes.iter().filter(|route| !route.peers.is_empty()) {
        let Some(Pair { direct, gateway, .. }) = ordinary(route) else { continue };
        println!("\n### Peers, {}, with the {}: (a) and (b) µs, (c) MB/s\n", route.name, ORDINARY.name);
        println!(
            "| through | (a) new: p50 | p99 | × direct | (b) kept: p50 | p99 | × direct | (c) from the server | × direct | to it | × direct |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        println!("{}", through("nothing: direct", direct, direct));
        println!("{}", through("agentrc", gateway, direct));
        for row in &route.peers {
            match &row.side {
                Ok(side) => println!("{}", through(row.name, side, direct)),
                Err(words) => println!("| {} | not measured: {words} | | | | | | | | | |", row.name),
            }
        }
    }
    println!(
        "\n“–”: the connection was closed after its first request, or a second one not answered. How each was asked, as root unless its line says otherwise:\n"
    );
    for peer in &figures.peers {
        println!("- {}.", peer.legend());
    }
}

/// The pair of the client that peers are measured with.
fn ordinary(route: &Measured) -> Option<&Pair> {
    route.pairs.iter().find(|pair| pair.client.name == ORDINARY.name)
}

/// One row of a table of peers.
fn through(name: &str, side: &Side, direct: &Side) -> String {
    let cells: Vec<String> = TABLES
        .iter()
        .map(|table| {
            // One sample a run: this table has its median only.
            let rate = table.other < 50;
            let values = (table.column)(side);
            if values.is_empty() {
                return if rate { "– | –".to_owned() } else { "– | – | –".to_owned() };
            }
            let (p50, ratio) = (middle(values), middle(values) / middle((table.column)(direct)));
            if rate {
                format!("{p50:.0} | {ratio:.2}×")
            } else {
                format!("{p50:.0} | {:.0} | {ratio:.2}×", at(values, table.other))
            }
        })
        .collect();
    format!("| {name} | {} |", cells.join(" | "))
}

/// Prints one JSON object.
pub(super) fn json(figures: &Figures) {
    let side = |side: &Side| {
        let columns: Vec<String> = TABLES
            .iter()
            .map(|table| {
                let (values, other) = ((table.column)(side), table.other);
                if values.is_empty() {
                    return format!("\"{}\":null", table.key);
                }
                format!(
                    "\"{}\":{{\"p50\":{:.1},\"p{other}\":{:.1}}}",
                    table.key,
                    middle(values),
                    at(values, other)
                )
            })
            .collect();
        columns.join(",")
    };
    let routes = joined(&figures.routes, |route| {
        let pairs = joined(&route.pairs, |pair| {
            let (direct, gateway) = (side(&pair.direct), side(&pair.gateway));
            format!(
                "{{\"client\":{},\"direct\":{{{direct}}},\"gateway\":{{{gateway}}}}}",
                quote(pair.client.name)
            )
        });
        let peers = joined(&route.peers, |row| {
            let outcome =
                row.side.as_ref().map_or_else(|words| format!("\"not_measured\":{}", quote(words)), side);
            format!("{{\"peer\":{},{outcome}}}", quote(row.name))
        });
        format!("{{\"destination\":{},\"clients\":[{pairs}],\"peers\":[{peers}]}}", quote(route.name))
    });
    let peers = joined(&figures.peers, |peer| quote(&peer.legend()));
    let memory = joined(&figures.memory, |memory| {
        let of = |which| kibibytes(memory, which).map(|kibibytes| format!("{kibibytes:.1}")).join(",");
        let (pss, rss) = (of(|resident| resident.pss), of(|resident| resident.rss));
        format!("{{\"destination\":{},\"pss_kib\":[{pss}],\"rss_kib\":[{rss}]}}", quote(memory.name))
    });
    let launches = joined(&figures.launches, |launch| {
        let (wall, high) = (middle(&launch.wall), at(&launch.wall, 95));
        format!(
            "{{\"destination\":{},\"wall_ms\":{{\"p50\":{wall:.3},\"p95\":{high:.3}}}}}",
            quote(launch.name)
        )
    });
    println!(
        "{{\"machine\":{},\"congestion\":{},\"load\":[{},{}],\"routes\":[{routes}],\"peers\":[{peers}],\"gateway_memory\":[{memory}],\"launches\":[{launches}],\"connect\":{}}}",
        quote(&machine()),
        quote(&figures.congestion),
        quote(&figures.load.0),
        quote(&figures.load.1),
        quote(&figures.connect)
    );
}

fn joined<T>(rows: &[T], row: impl Fn(&T) -> String) -> String {
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}
