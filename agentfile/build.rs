//! Turns `policies/base.toml` and `policies/protected.toml` (`base.rs` includes them) and `policies/tools.toml` (`tool.rs`)
//! into constant tables, so that no TOML is parsed at launch and a mistake in the data stops the build.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    mount: Vec<Mount>,
    landlock: Landlock,
    dev: Dev,
    proc: Proc,
    disk: Disk,
    trust: Trust,
    environment: Vec<Variable>,
    rlimit: Vec<Rlimit>,
    targets: Targets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mount {
    target: String,
    bind: Option<String>,
    private: Option<Private>,
    #[serde(default)]
    directory: bool,
    #[serde(default)]
    proc: bool,
    #[serde(default)]
    dev: bool,
    file: Option<String>,
    network: Option<String>,
    generated: Option<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    scratch: bool,
    landlock: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    mode: u32,
    size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Landlock {
    minimum_abi: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dev {
    nodes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proc {
    masked: Vec<String>,
    read_only: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    mount_size: u64,
    mount_mode: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trust {
    bundle: String,
    over: Vec<String>,
    environment: Vec<TrustVariable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustVariable {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rlimit {
    resource: String,
    value: u64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Targets {
    always: Vec<String>,
    with_host_base: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedFile {
    path: Vec<Protected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    path: String,
    directory: bool,
    #[serde(default)]
    home: bool,
    #[serde(default)]
    content: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolFile {
    tool: Vec<Tool>,
    toolset: BTreeMap<String, Toolset>,
    interpreter: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toolset {
    tools: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    title: String,
    description: String,
    runs: String,
    #[serde(default)]
    facts: Facts,
    #[serde(default)]
    hints: Hints,
    input: String,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    path: Option<String>,
    url: Option<String>,
    method: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Hints {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
}

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../policies/base.toml");
    println!("cargo::rerun-if-changed=../policies/protected.toml");
    println!("cargo::rerun-if-changed=../policies/tools.toml");
    let base: Base = toml::from_str(&std::fs::read_to_string("../policies/base.toml")?)?;
    let protected: ProtectedFile = toml::from_str(&std::fs::read_to_string("../policies/protected.toml")?)?;

    let mut out = String::new();
    mounts(&mut out, &base.mount)?;
    writeln!(out, "pub(crate) const MINIMUM_ABI: u32 = {};", base.landlock.minimum_abi)?;
    strings(&mut out, "DEV_NODES", &base.dev.nodes)?;
    strings(&mut out, "PROC_MASKED", &base.proc.masked)?;
    strings(&mut out, "PROC_READ_ONLY", &base.proc.read_only)?;
    writeln!(out, "pub(crate) const MOUNT_SIZE: u64 = {};", base.disk.mount_size)?;
    writeln!(out, "pub(crate) const MOUNT_MODE: u32 = {:#o};", base.disk.mount_mode)?;
    strings(&mut out, "REFUSED_ALWAYS", &base.targets.always)?;
    strings(&mut out, "REFUSED_WITH_HOST_BASE", &base.targets.with_host_base)?;

    trust(&mut out, &base.trust)?;

    writeln!(out, "pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[")?;
    for variable in &base.environment {
        reason(&variable.name, &variable.reason)?;
        writeln!(out, "({:?}, {:?}),", variable.name, variable.value)?;
    }
    writeln!(out, "];\npub(crate) const RLIMITS: &[(&str, u64)] = &[")?;
    for rlimit in &base.rlimit {
        reason(&rlimit.resource, &rlimit.reason)?;
        writeln!(out, "({:?}, {}),", rlimit.resource, rlimit.value)?;
    }
    writeln!(out, "];\npub(crate) const PROTECTED: &[ProtectedPath] = &[")?;
    for entry in &protected.path {
        reason(&entry.path, &entry.reason)?;
        relative(&entry.path)?;
        writeln!(
            out,
            "ProtectedPath {{ path: {:?}, directory: {}, content: {:?}, home: {}, reason: {:?} }},",
            entry.path, entry.directory, entry.content, entry.home, entry.reason
        )?;
    }
    writeln!(out, "];")?;

    let directory = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&directory).join("base_tables.rs"), out)?;
    let tools: ToolFile = toml::from_str(&std::fs::read_to_string("../policies/tools.toml")?)?;
    std::fs::write(Path::new(&directory).join("tool_tables.rs"), tool_tables(&tools)?)?;
    Ok(())
}

fn mounts(out: &mut String, mounts: &[Mount]) -> Result<()> {
    writeln!(out, "pub(crate) const MOUNTS: &[BaseMount] = &[")?;
    for mount in mounts {
        reason(&mount.target, &mount.reason)?;
        absolute(&mount.target)?;
        let mut sources = Vec::new();
        if let Some(path) = &mount.bind {
            absolute(path)?;
            sources.push(format!("BaseSource::Bind({path:?})"));
        }
        if let Some(private) = &mount.private {
            sources.push(format!("BaseSource::Private({:#o}, {})", private.mode, private.size));
        }
        if mount.directory {
            sources.push("BaseSource::Directory".to_owned());
        }
        if mount.proc {
            sources.push("BaseSource::Proc".to_owned());
        }
        if mount.dev {
            sources.push("BaseSource::Dev".to_owned());
        }
        if let Some(text) = &mount.file {
            sources.push(format!("BaseSource::File({text:?})"));
        }
        if mount.network.is_some() && mount.file.is_none() {
            return Err(format!("{}: `network` stands beside `file`", mount.target).into());
        }
        match mount.generated.as_deref() {
            Some("passwd") => sources.push("BaseSource::Generated(Generated::Passwd)".to_owned()),
            Some("group") => sources.push("BaseSource::Generated(Generated::Group)".to_owned()),
            Some("audit") => sources.push("BaseSource::Generated(Generated::Audit)".to_owned()),
            Some("policy") => sources.push("BaseSource::Generated(Generated::Policy)".to_owned()),
            Some("limits") => sources.push("BaseSource::Generated(Generated::Limits)".to_owned()),
            Some("status") => sources.push("BaseSource::Generated(Generated::Status)".to_owned()),
            Some(other) => return Err(format!("{}: unknown generated file `{other}`", mount.target).into()),
            None => {}
        }
        let [source] = sources.as_slice() else {
            return Err(format!("{}: exactly one kind of source is needed", mount.target).into());
        };
        let landlock = match mount.landlock.as_deref() {
            None => "None",
            Some("read") => "Some(FileRights::Read)",
            Some("read-execute") => "Some(FileRights::ReadExecute)",
            Some("read-write") => "Some(FileRights::ReadWrite)",
            Some("full") => "Some(FileRights::Full)",
            Some(other) => return Err(format!("{}: unknown rights `{other}`", mount.target).into()),
        };
        writeln!(
            out,
            "BaseMount {{ target: {:?}, source: {source}, network: {:?}, optional: {}, scratch: {}, landlock: {landlock} }},",
            mount.target, mount.network, mount.optional, mount.scratch
        )?;
    }
    writeln!(out, "];")?;
    Ok(())
}

/// Whether the definitions hold together is what a test of `tool.rs` asks the judge of all tools.
fn tool_tables(tools: &ToolFile) -> Result<String> {
    let mut out = String::new();
    writeln!(out, "pub(crate) const BUILTINS: &[Builtin] = &[")?;
    for Tool { name, title, description, runs, facts, hints, input, reason: why } in &tools.tool {
        reason(name, why)?;
        let runs = match runs.as_str() {
            "broker" => "Runs::Broker",
            "inside" => "Runs::Inside",
            "gateway" => "Runs::Gateway",
            other => {
                return Err(format!(
                    "{name}: runs neither in the `broker`, nor `inside`, nor by the `gateway`: `{other}`"
                )
                .into());
            }
        };
        let facts = [&facts.path, &facts.url, &facts.method];
        let Hints { read_only, destructive, idempotent, open_world } = hints;
        writeln!(
            out,
            "Builtin {{ name: {name:?}, title: {title:?}, description: {description:?}, runs: {runs}, facts: {facts:?}, \
             hints: Hints {{ read_only: {read_only}, destructive: {destructive}, idempotent: {idempotent}, open_world: \
             {open_world} }}, input: {input:?} }},"
        )?;
    }
    writeln!(out, "];\n/// Toolsets that are built in, with their tools.")?;
    writeln!(out, "pub(crate) const TOOLSETS: &[(&str, &[&str])] = &[")?;
    for (name, toolset) in &tools.toolset {
        reason(name, &toolset.reason)?;
        if let Some(unknown) =
            toolset.tools.iter().find(|wanted| !tools.tool.iter().any(|tool| tool.name == **wanted))
        {
            return Err(format!("the toolset {name} has `{unknown}`, which is no tool").into());
        }
        writeln!(out, "({name:?}, &{:?}),", toolset.tools)?;
    }
    writeln!(out, "];\n/// Programs that take code in their words, and the options whose word it is.")?;
    writeln!(out, "pub(crate) const INTERPRETERS: &[(&str, &[&str])] = &[")?;
    for (name, options) in &tools.interpreter {
        writeln!(out, "({name:?}, &{options:?}),")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}

fn trust(out: &mut String, trust: &Trust) -> Result<()> {
    absolute(&trust.bundle)?;
    trust.over.iter().try_for_each(|path| absolute(path))?;
    writeln!(out, "pub(crate) const TRUST_BUNDLE: &str = {:?};", trust.bundle)?;
    writeln!(out, "/// Where systems keep their bundle of certificates: the usual first.")?;
    writeln!(out, "pub const SYSTEM_BUNDLES: &[&str] = &{:?};", trust.over)?;
    let mut names = Vec::new();
    for variable in &trust.environment {
        reason(&variable.name, &variable.reason)?;
        names.push(variable.name.clone());
    }
    strings(out, "TRUST_ENVIRONMENT", &names)
}

fn strings(out: &mut String, name: &str, values: &[String]) -> Result<()> {
    writeln!(out, "pub(crate) const {name}: &[&str] = &{values:?};")?;
    Ok(())
}

fn reason(of: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() { Err(format!("{of}: a reason is needed").into()) } else { Ok(()) }
}

fn absolute(path: &str) -> Result<()> {
    match path.strip_prefix('/') {
        Some(rest) => relative(rest),
        None => Err(format!("`{path}` is not absolute").into()),
    }
}

fn relative(path: &str) -> Result<()> {
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(format!("`{path}` is not normalised").into());
    }
    Ok(())
}
