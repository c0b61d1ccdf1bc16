//! The tables, as Markdown for a person and as JSON for a machine.

use std::fs;

use crate::rounds::{Outcome, Row, Startup, Steady};
use crate::statistics::Summary;

/// Row of the peer that is no sandbox.
const PLAIN: &str = "plain fork+exec";

/// Everything of one caller.
pub(crate) struct Table {
    pub(crate) caller: String,
    pub(crate) startup: Vec<Row<Startup>>,
    pub(crate) steady: Vec<Row<Steady>>,
    pub(crate) compile: Outcome<Summary>,
}

/// How much of what is compared, agentrc itself and the two baselines, could not be measured. Another peer that does
/// not run on this machine is shown as such in its row, and no reason to call the rest wrong.
pub(crate) fn failures(tables: &[Table]) -> usize {
    tables
        .iter()
        .map(|table| {
            count(&table.startup)
                + count(&table.steady)
                + usize::from(matches!(table.compile, Outcome::Failed(_)))
        })
        .sum()
}

fn count<T>(rows: &[Row<T>]) -> usize {
    let needed = |row: &&Row<T>| ["agentrc", "bubblewrap", PLAIN].contains(&row.name);
    rows.iter().filter(needed).filter(|row| !matches!(row.outcome, Outcome::Measured(_))).count()
}

/// The machine in general terms: nothing that names it.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    format!("{cores} cores, Linux {}, {}", version.join("."), std::env::consts::ARCH)
}

/// The median of a row that was measured.
fn median<T>(rows: &[Row<T>], name: &str, column: fn(&T) -> Summary) -> Option<f64> {
    rows.iter().find(|row| row.name == name).and_then(|row| match &row.outcome {
        Outcome::Measured(numbers) => Some(column(numbers).median),
        Outcome::NotInstalled | Outcome::Failed(_) => None,
    })
}

fn ratio(value: f64, base: Option<f64>) -> String {
    base.map_or_else(|| "–".to_owned(), |base| format!("{:.2}×", value / base))
}

/// Prints the Markdown.
pub(crate) fn markdown(tables: &[Table], file_system: &str) {
    println!("Machine: {}; files on {}.", machine(), file_system);
    for table in tables {
        println!("\n### Start-up of `/bin/true`, as {}\n", table.caller);
        println!("| sandbox | wall ms: median | p95 | min | × bubblewrap | CPU ms | peak MiB |");
        println!("|---|---|---|---|---|---|---|");
        let base = median(&table.startup, "bubblewrap", |row| row.wall);
        for row in &table.startup {
            match &row.outcome {
                Outcome::Measured(Startup { wall, cpu, peak }) => println!(
                    "| {} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {:.1} |",
                    row.name,
                    wall.median,
                    wall.p95,
                    wall.min,
                    ratio(wall.median, base),
                    cpu.median,
                    peak.p95
                ),
                other => println!("| {} | {} | | | | | |", row.name, words(other)),
            }
        }
        println!("\n### Steady state, as {}: µs for each operation, and × plain\n", table.caller);
        println!("| sandbox | open, read, close | | spawn `/bin/true` | | bare system call | |");
        println!("|---|---|---|---|---|---|---|");
        let base = (
            median(&table.steady, PLAIN, |row| row.open_read_close),
            median(&table.steady, PLAIN, |row| row.spawn),
            median(&table.steady, PLAIN, |row| row.system_call),
        );
        for row in &table.steady {
            match &row.outcome {
                Outcome::Measured(steady) => println!(
                    "| {} | {:.2} | {} | {:.0} | {} | {:.3} | {} |",
                    row.name,
                    steady.open_read_close.median / 1e3,
                    ratio(steady.open_read_close.median, base.0),
                    steady.spawn.median / 1e3,
                    ratio(steady.spawn.median, base.1),
                    steady.system_call.median / 1e3,
                    ratio(steady.system_call.median, base.2)
                ),
                other => println!("| {} | {} | | | | | |", row.name, words(other)),
            }
        }
        match &table.compile {
            Outcome::Measured(wall) => println!(
                "\n`agentrc check` of a 10 000-line Agentfile: {:.0} ms median, {:.0} ms p95.",
                wall.median, wall.p95
            ),
            other => println!("\n`agentrc check` of a 10 000-line Agentfile: {}.", words(other)),
        }
    }
    println!(
        "\nWall time is from fork to the return of wait4(2). CPU time and peak memory are what wait4(2) reports: of the \
         process and of the descendants that it waited for (bubblewrap's outer process does not wait for its inner \
         one), memory of the largest of them.\n\nWhat is compared:\n"
    );
    for row in tables.iter().take(1).flat_map(|table| &table.startup) {
        println!("- {}: {}.", row.name, row.note);
    }
}

fn words<T>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::NotInstalled => "not installed".to_owned(),
        Outcome::Failed(words) => format!("failed: {words}"),
        Outcome::Measured(_) => "measured".to_owned(),
    }
}

/// Prints one JSON object.
pub(crate) fn json(tables: &[Table], file_system: &str) {
    let tables: Vec<String> = tables
        .iter()
        .map(|table| {
            let startup = rows(&table.startup, |row| {
                vec![("wall_ms", row.wall), ("cpu_ms", row.cpu), ("peak_mib", row.peak)]
            });
            let steady = rows(&table.steady, |row| {
                vec![
                    ("open_read_close_ns", row.open_read_close),
                    ("spawn_ns", row.spawn),
                    ("system_call_ns", row.system_call),
                ]
            });
            let compile = outcome(&table.compile, |wall| vec![("wall_ms", *wall)]);
            format!(
                "{{\"caller\":{},\"startup\":[{startup}],\"steady\":[{steady}],\"check_10000_lines\":{{{compile}}}}}",
                quote(&table.caller)
            )
        })
        .collect();
    println!(
        "{{\"machine\":{},\"file_system\":{},\"tables\":[{}]}}",
        quote(&machine()),
        quote(file_system),
        tables.join(",")
    );
}

fn rows<T>(rows: &[Row<T>], columns: fn(&T) -> Vec<(&'static str, Summary)>) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("{{\"sandbox\":{},{}}}", quote(row.name), outcome(&row.outcome, columns)))
        .collect();
    rows.join(",")
}

fn outcome<T>(outcome: &Outcome<T>, columns: fn(&T) -> Vec<(&'static str, Summary)>) -> String {
    match outcome {
        Outcome::Measured(numbers) => {
            let columns: Vec<String> = columns(numbers)
                .iter()
                .map(|(name, column)| {
                    format!(
                        "\"{name}\":{{\"min\":{:.4},\"median\":{:.4},\"p95\":{:.4}}}",
                        column.min, column.median, column.p95
                    )
                })
                .collect();
            columns.join(",")
        }
        other => format!("\"outcome\":{}", quote(&words(other))),
    }
}

/// A JSON string (RFC 8259, section 7).
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn what_a_failed_tool_said_cannot_break_the_json() {
        assert_eq!(quote("a \"b\"\\\n"), "\"a \\\"b\\\"\\\\\\u000a\"");
    }
}
