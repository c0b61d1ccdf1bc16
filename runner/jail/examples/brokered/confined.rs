//! What the broker's process can still do once it is confined.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::Path;

use agentrc_jail::service::{Role, Service, confine_broker};

/// What a confined broker's process can still do, one line each; and its end, when it tries to execute something.
pub(crate) fn confined(folder: Option<&Path>) -> Result<u8, Box<dyn Error>> {
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
