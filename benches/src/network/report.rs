//! The network's tables, as Markdown for a person and as JSON for a machine. No figure is judged here.

use super::launch::Launch;
use super::memory::{Memory, OPEN, Resident};
use super::route::{Measured, Side};
use crate::report::{machine, quote};
use crate::statistics::percentile;

/// All that was measured.
pub(super) struct Figures {
    pub(super) routes: Vec<Measured>,
    pub(super) memory: Vec<Memory>,
    pub(super) launches: Vec<Launch>,
    /// The tables of `ebpf/examples/cost.rs`, as they are.
    pub(super) connect: String,
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
    Table {
        key: "down_mb_s",
        title: "(c) 512 MiB from the server: MB/s",
        column: |side| &side.down,
        other: 5,
    },
    Table { key: "up_mb_s", title: "(c) 512 MiB to the server: MB/s", column: |side| &side.up, other: 5 },
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
    println!("Machine: {}; load average {before} before, {after} after.", machine());
    for table in TABLES {
        let other = table.other;
        println!("\n### {}\n", table.title);
        println!(
            "| destination | direct: p50 | p{other} | gateway: p50 | p{other} | × direct: p50 | p{other} |"
        );
        println!("|---|---|---|---|---|---|---|");
        for route in &figures.routes {
            let (direct, gateway) = ((table.column)(&route.direct), (table.column)(&route.gateway));
            let cells = [middle(direct), at(direct, other), middle(gateway), at(gateway, other)];
            let [one, two, three, four] = cells;
            println!(
                "| {} | {one:.0} | {two:.0} | {three:.0} | {four:.0} | {:.2}× | {:.2}× |",
                route.name,
                three / one,
                four / two
            );
        }
    }
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

/// Prints one JSON object.
pub(super) fn json(figures: &Figures) {
    let side = |side: &Side| {
        let columns: Vec<String> = TABLES
            .iter()
            .map(|table| {
                let (values, other) = ((table.column)(side), table.other);
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
        let (direct, gateway) = (side(&route.direct), side(&route.gateway));
        format!("{{\"destination\":{},\"direct\":{{{direct}}},\"gateway\":{{{gateway}}}}}", quote(route.name))
    });
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
        "{{\"machine\":{},\"load\":[{},{}],\"routes\":[{routes}],\"gateway_memory\":[{memory}],\"launches\":[{launches}],\"connect\":{}}}",
        quote(&machine()),
        quote(&figures.load.0),
        quote(&figures.load.1),
        quote(&figures.connect)
    );
}

fn joined<T>(rows: &[T], row: impl Fn(&T) -> String) -> String {
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}
