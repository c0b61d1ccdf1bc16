//! A launch with a broker that says little, for `tests/brokered.rs`: `brokered AGENTFILE STATE [WORD...]`. The words change what
//! there is: `socket PATH`, `no-broker`, `unready`, `fault STEP`. `brokered confined [FOLDER]` confines a broker's process instead.
//! It needs one thread, which a test does not have.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentfile::compile::{Validate, compile};
use agentfile::plan::{Access, Mount, MountSource, Origin, Plan};
use agentfile::{Kind, Package};
use agentrc_audit::event::{Event, LayerEvidence};
use agentrc_jail::service::{Role, Service, confine_broker};
use agentrc_jail::{Broker, Filter, Recorder, Request, Signals, Unopened, launch};

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

    fn folder_name(&self) -> &str {
        "brokered"
    }
}

/// Events on standard error.
struct Record;

impl Recorder for Record {
    fn open(&mut self) -> Result<(), Unopened> {
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

fn evidence(layer: &str) -> LayerEvidence {
    LayerEvidence { layer: layer.to_owned(), read_back: Default::default(), probes: Vec::new() }
}

/// A broker in the supervisor: its channel is a socket pair until it has the socket inside, and then that.
struct Echo {
    channel: OwnedFd,
    ready: bool,
    /// Who asked for the end: it is not to hear of it.
    last: Option<UnixStream>,
}

impl Broker for Echo {
    fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    fn hand_over(&mut self, listener: OwnedFd, _: i32) -> Result<(), Unopened> {
        self.channel = listener;
        Ok(())
    }

    fn ready(&mut self) -> Result<LayerEvidence, Unopened> {
        if self.ready {
            Ok(evidence("broker"))
        } else {
            Err(Unopened { reason: "it does not want to".to_owned(), help: None })
        }
    }

    fn heard(&mut self, _: &mut dyn Recorder) -> Result<(), String> {
        let listener = UnixListener::from(self.channel.try_clone().map_err(|error| error.to_string())?);
        let (mut stream, _) = listener.accept().map_err(|error| error.to_string())?;
        let answered = answer(&mut stream).map_err(|error| error.to_string());
        if answered.is_err() {
            self.last = Some(stream);
        }
        answered
    }

    fn finish(&mut self, _: &mut dyn Recorder) -> Result<(), String> {
        Ok(())
    }
}

/// One line, the same line back; `die` is the broker's end.
fn answer(stream: &mut UnixStream) -> std::io::Result<()> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    if line == b"die" {
        return Err(std::io::Error::other("the broker ended before the agent"));
    }
    stream.write_all(&line)
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

/// What a confined broker's process can still do, one line each; and its end, when it tries to execute something.
fn confined(folder: Option<&Path>) -> Result<u8, Box<dyn Error>> {
    let service = Service::start(Role::Broker, &[], |channel| {
        let said = |text: String| {
            let _ = rustix::io::write(&channel, text.as_bytes());
        };
        if let Err(refusal) = confine_broker(folder) {
            said(format!("refused at {}: {}", refusal.step.name(), refusal.reason));
            return 125;
        }
        if let Some(folder) = folder {
            said(format!("keep: {}", outcome(keep(folder))));
        }
        for (name, done) in tried() {
            said(format!("{name}: {}", outcome(done)));
        }
        said("execute".to_owned());
        // Its filter is read back while it lives.
        let _ = rustix::io::read(&channel, &mut [0]);
        said(format!("execute: {}", outcome(std::process::Command::new("/bin/true").status().map(drop))));
        0
    })?;
    let mut filter = None;
    let mut line = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(service.channel(), &mut line) {
        let said = line.get(..length).unwrap_or_default();
        println!("{}", String::from_utf8_lossy(said));
        if said == b"execute" {
            filter = service.filter().ok();
            rustix::io::write(service.channel(), b"!")?;
        }
    }
    println!("table: {filter:?}");
    Ok(0)
}

fn outcome(done: std::io::Result<()>) -> String {
    match done {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// What SQLite and the store do with their files.
fn keep(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    let nested = folder.join("agent");
    std::fs::create_dir(&nested)?;
    let (draft, database) = (nested.join("draft"), nested.join("memory.db"));
    let file =
        std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all_at(b"SQLite format 3", 0)?;
    file.sync_data()?;
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    file.set_len(4096)?;
    let (at, new) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
    rustix::fs::renameat_with(at, &draft, at, &database, new)?;
    assert_eq!(std::fs::read(&database)?.len(), 4096);
    std::fs::File::open(&nested)?.sync_all()?;
    std::fs::remove_file(&database)
}

/// Of these, only the first can be done.
fn tried() -> [(&'static str, std::io::Result<()>); 8] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned()
    };
    let held = ["NoNewPrivs:", "Seccomp:", "CapPrm:", "CapEff:", "CapBnd:"].map(field);
    let held_as_wanted =
        held == ["1", "2", "0000000000000000", "0000000000000000", field("CapBnd:").as_str()];
    [
        ("status", if held_as_wanted { Ok(()) } else { Err(std::io::Error::other(format!("{held:?}"))) }),
        ("read", std::fs::read("/etc/passwd").map(drop)),
        ("write", std::fs::write("/tmp/agentrc-broker-wrote", "")),
        ("read /proc of the supervisor", parents("environ")),
        ("write to /proc", std::fs::write("/proc/self/oom_score_adj", "500")),
        ("unix socket", UnixStream::pair().map(drop)),
        ("tcp socket", std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
        ("chmod", rustix::fs::chmod("/tmp", rustix::fs::Mode::RWXU).map_err(Into::into)),
    ]
}

fn parents(file: &str) -> std::io::Result<()> {
    let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    std::fs::read(format!("/proc/{parent}/{file}")).map(drop)
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
    let (ours, _theirs) = UnixStream::pair()?;
    let mut echo = Echo { channel: ours.into(), ready: !has("unready"), last: None };
    let broker = (!has("no-broker")).then_some(&mut echo as &mut (dyn Broker + 'static));
    if let Some(step) = after("fault")
        && !agentrc_jail::arm_fault(step)
    {
        return Err(format!("there is no step `{step}`").into());
    }
    let request = Request {
        plan: &plan,
        plan_sha256: "",
        agentfile: &agentfile,
        folder,
        home: None,
        state: &state,
        run: &run,
        arguments: &[],
        cgroup_required: None,
        trust: None,
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
