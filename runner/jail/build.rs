//! Turns `policies/seccomp.toml`, `policies/seccomp-gateway.toml` and `policies/seccomp-broker.toml` into static tables. System call
//! and errno names become paths into libc, so that a name that does not exist on the target is a build error and never a skipped line.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    profile: String,
    default: String,
    foreign_abi: String,
    group: Vec<Group>,
    filter: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    #[serde(rename = "reason")]
    _reason: String,
    action: String,
    #[serde(default)]
    syscalls: Vec<String>,
    #[serde(default)]
    syscalls_x86_64: Vec<String>,
    #[serde(default)]
    syscalls_aarch64: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    name: String,
    #[serde(rename = "reason")]
    _reason: String,
    #[serde(default)]
    syscalls: Vec<String>,
    #[serde(default)]
    syscalls_x86_64: Vec<String>,
    #[serde(default)]
    syscalls_aarch64: Vec<String>,
    rules: Vec<Rule>,
    otherwise: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "comment")]
    _comment: String,
    when: Vec<Comparison>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    arg: u8,
    width: u8,
    op: String,
    mask: Option<u64>,
    value: u64,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=build.rs");
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH")?;
    for name in ["seccomp", "seccomp-gateway", "seccomp-broker"] {
        let path = format!("../../policies/{name}.toml");
        println!("cargo::rerun-if-changed={path}");
        let table: Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
        let code = generate(&table, &architecture).map_err(|why| format!("{path}: {why}"))?;
        std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(format!("{name}.rs")), code)?;
    }
    Ok(())
}

fn generate(table: &Table, architecture: &str) -> Result<String, Failure> {
    let mut code = String::new();
    writeln!(code, "pub(in crate::layer::seccomp) const PROFILE: &str = {:?};", table.profile)?;
    writeln!(code, "pub(in crate::layer::seccomp) const DEFAULT: Action = {};", action(&table.default)?)?;
    writeln!(
        code,
        "pub(in crate::layer::seccomp) const FOREIGN_ABI: Action = {};",
        action(&table.foreign_abi)?
    )?;
    writeln!(code, "pub(in crate::layer::seccomp) static CALLS: &[Call] = &[")?;
    let mut seen = std::collections::BTreeSet::new();
    let mut named =
        |everywhere: &[String], x86_64: &[String], aarch64: &[String]| -> Result<Vec<String>, Failure> {
            let own = match architecture {
                "x86_64" => x86_64,
                "aarch64" => aarch64,
                other => return Err(format!("there is no system call table for {other}").into()),
            };
            let names: Vec<_> = everywhere.iter().chain(own).cloned().collect();
            match names.iter().find(|name| !seen.insert((*name).clone())) {
                Some(twice) => Err(format!("`{twice}` is named twice").into()),
                None => Ok(names),
            }
        };
    for group in &table.group {
        for call in named(&group.syscalls, &group.syscalls_x86_64, &group.syscalls_aarch64)? {
            line(&mut code, &call, &group.name, &format!("Decision::Always({})", action(&group.action)?))?;
        }
    }
    for filter in &table.filter {
        let rules = filter.rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?.join(", ");
        let decision =
            format!("Decision::Arguments {{ rules: &[{rules}], otherwise: {} }}", action(&filter.otherwise)?);
        for call in named(&filter.syscalls, &filter.syscalls_x86_64, &filter.syscalls_aarch64)? {
            line(&mut code, &call, &filter.name, &decision)?;
        }
    }
    writeln!(code, "];")?;
    Ok(code)
}

fn line(code: &mut String, call: &str, group: &str, decision: &str) -> Result<(), Failure> {
    writeln!(
        code,
        "    Call {{ number: libc::SYS_{call} as u32, name: {call:?}, group: {group:?}, decision: {decision} }},"
    )?;
    Ok(())
}

fn rule(rule: &Rule) -> Result<String, Failure> {
    let comparisons = rule.when.iter().map(comparison).collect::<Result<Vec<_>, _>>()?;
    if comparisons.is_empty() {
        return Err("a rule without a comparison would allow everything".into());
    }
    Ok(format!("&[{}]", comparisons.join(", ")))
}

fn comparison(comparison: &Comparison) -> Result<String, Failure> {
    let Comparison { arg, width, op, mask, value } = comparison;
    if *arg > 5 {
        return Err(format!("there is no argument {arg}").into());
    }
    let full = match width {
        32 => u64::from(u32::MAX),
        64 => u64::MAX,
        other => return Err(format!("an argument is 32 or 64 bits wide, not {other}").into()),
    };
    let (equal, mask) = match (op.as_str(), mask) {
        ("eq", None) => (true, full),
        ("ne", None) => (false, full),
        ("masked-eq", Some(mask)) => (true, *mask),
        ("masked-ne", Some(mask)) => (false, *mask),
        (other, _) => {
            return Err(format!("`{other}` is no comparison, or its mask is missing or too many").into());
        }
    };
    if mask & !full != 0 || value & !mask != 0 {
        return Err(format!("{value:#x} can never be equal under the mask {mask:#x}").into());
    }
    Ok(format!(
        "Comparison {{ argument: {arg}, wide: {}, equal: {equal}, mask: {mask:#x}, value: {value:#x} }}",
        *width == 64
    ))
}

fn action(written: &str) -> Result<String, Failure> {
    match written.split_once(':') {
        None if written == "allow" => Ok("Action::Allow".to_owned()),
        None if written == "kill" => Ok("Action::Kill".to_owned()),
        Some(("errno", name)) if name.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Ok(format!("Action::Errno(libc::{name} as u16)"))
        }
        _ => Err(format!("`{written}` is no action").into()),
    }
}
