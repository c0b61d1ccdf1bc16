//! A launch with a broker that says little, for `tests/brokered.rs`: `brokered AGENTFILE STATE [WORD...]`. The words change what
//! there is: `socket PATH`, `no-broker`, `unready`,
//! `cgroup`, `fault STEP`, `tool-fault STEP`. `brokered confined [FOLDER]` confines a broker's process instead.
//! It needs one thread, which a test does not have.
#![forbid(unsafe_code)]

mod asked;
mod confined;

use std::error::Error;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use agentfile::compile::{Validate, compile};
use agentfile::plan::{Access, Mount, MountSource, Origin, Plan};
use agentfile::{Kind, Package};
use agentrc_audit::event::{Event, LayerEvidence};
use agentrc_jail::{Broker, Filter, Recorder, Request, Signals, Unopened, launch};

use crate::asked::Asked;
use crate::confined::confined;

/// Aborts on any allocation between clone and exec.
#[global_allocator]
static ALLOCATOR: agentrc_jail::Guarded = agentrc_jail::Guarded;

/// Where the socket is, unless a word says otherwise.
const SOCKET: &str = "/agentrc/broker.sock";

struct Folder(PathBuf);

impl Package for Folder {
    fn kind(&self, path: &str) -> Kind {
        match std::fs::metadata(self.0.join(path)) {
            Ok(found) if found.is_file() => Kind::File,
            Ok(found) if found.is_dir() => Kind::Directory,
            Ok(_) => Kind::Other,
            Err(_) => Kind::Missing,
        }
    }

    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.0.join(path))
    }

    fn executables(&self, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn list(&self, _: &str, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn folder_name(&self) -> &str {
        "brokered"
    }
}

/// The step that is to fail when a tool enters.
static TOOLS_FAULT: OnceLock<String> = OnceLock::new();

/// Events on standard error.
struct Record;

impl Recorder for Record {
    fn open(&mut self) -> Result<(), Unopened> {
        // The zygote has been made.
        if TOOLS_FAULT.get().is_some() {
            agentrc_jail::disarm_fault();
        }
        Ok(())
    }

    fn record(&mut self, event: &Event) -> Result<(), String> {
        eprintln!("event: {event:?}");
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// No egress filter.
struct Unfiltered;

impl Filter for Unfiltered {
    fn wants_cgroup(&self) -> bool {
        false
    }

    fn attach(&mut self, _: Option<BorrowedFd<'_>>) -> Result<bool, Unopened> {
        // The sandbox has been made, and the zygote is next.
        if let Some(step) = TOOLS_FAULT.get() {
            agentrc_jail::arm_fault(step);
        }
        Ok(false)
    }

    fn confine(&mut self, _: BorrowedFd<'_>) -> Result<(), Unopened> {
        Ok(())
    }

    fn proven(&mut self) -> Result<LayerEvidence, Unopened> {
        Ok(evidence("filter"))
    }

    fn ring(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn heard(&mut self, _: i32, _: &mut dyn Recorder) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Recorder) -> Result<(), String> {
        Ok(())
    }
}

/// Nothing that is worth recording.
pub(crate) fn evidence(layer: &str) -> LayerEvidence {
    LayerEvidence { layer: layer.to_owned(), read_back: Default::default(), probes: Vec::new() }
}

fn plan(agentfile: &Path, folder: &Path, socket: &str) -> Result<Plan, Box<dyn Error>> {
    let source = std::fs::read(agentfile)?;
    let compiled = compile("Agentfile", &source, &Folder(folder.to_owned()), Validate::WhenWritten);
    let mut plan = compiled.plan.ok_or_else(|| format!("{:?}", compiled.diagnostics))?;
    plan.mounts.push(Mount {
        target: socket.to_owned(),
        source: MountSource::Socket,
        access: Access::ReadWrite,
        optional: false,
        origin: Origin { file: "Agentfile".to_owned(), line: 1, column: 1 },
    });
    Ok(plan)
}

fn run() -> Result<u8, Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let agentfile = PathBuf::from(words.next().ok_or("say which Agentfile")?);
    if agentfile == Path::new("confined") {
        return confined(words.next().map(PathBuf::from).as_deref());
    }
    let state = PathBuf::from(words.next().ok_or("say which folder is the state's")?);
    let words: Vec<String> = words.collect();
    let has = |word: &str| words.iter().any(|one| one == word);
    let after = |word: &str| {
        words.iter().position(|one| one == word).and_then(|at| words.get(at + 1)).map(String::as_str)
    };
    let folder = agentfile.parent().ok_or("an Agentfile is in a folder")?;
    let run = state.join("run");
    std::fs::create_dir_all(&run)?;
    let plan = plan(&agentfile, folder, after("socket").unwrap_or(SOCKET))?;
    let mut asked = Asked::new(!has("unready"))?;
    let broker = (!has("no-broker")).then_some(&mut asked as &mut (dyn Broker + 'static));
    for (word, tools) in [("fault", false), ("tool-fault", true)] {
        let Some(step) = after(word) else { continue };
        if !agentrc_jail::arm_fault(step) {
            return Err(format!("there is no step `{step}`").into());
        }
        if tools {
            agentrc_jail::disarm_fault();
            TOOLS_FAULT.get_or_init(|| step.to_owned());
        }
    }
    let request = Request {
        plan: &plan,
        plan_sha256: "",
        agentfile: &agentfile,
        folder,
        links: true,
        home: None,
        state: &state,
        run: &run,
        arguments: &[],
        cgroup_required: has("cgroup").then_some("a word of the test's"),
        trust: None,
        client: None,
        environment: &[],
        version: "test",
    };
    let signals = Signals::take()?;
    match launch(&request, None, broker, &mut Unfiltered, &mut Record, &signals) {
        Ok(ended) => {
            if let Some(reason) = ended.killed {
                eprintln!("killed: {reason}");
            }
            Ok(u8::try_from(ended.exit_code).unwrap_or(1))
        }
        Err(refusal) => {
            let origin = refusal.origin.map(|origin| format!(" [{origin}]")).unwrap_or_default();
            eprintln!("refused at {}: {}{origin}", refusal.step.name(), refusal.reason);
            Ok(125)
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
