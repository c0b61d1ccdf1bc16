//! A broker in the supervisor. A connection to the socket inside is one line, which says what is to be done; what comes back is the
//! answer, or what a tool writes.

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use agentrc_audit::event::LayerEvidence;
use agentrc_jail::{Broker, Entered, Entrance, Recorder, Unopened, Work};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::evidence;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// It, and what was asked of it.
pub(crate) struct Asked {
    /// A socket pair until it has the socket inside, and then that.
    channel: OwnedFd,
    _other: OwnedFd,
    ready: bool,
    init: i32,
    /// Tools are to get a folder as a stream.
    folder: bool,
    /// Tools, with where their ends are told.
    tools: Vec<(Entered, File)>,
    /// Who asked for the end: it is not to hear of it.
    last: Option<UnixStream>,
}

impl Asked {
    /// With a socket pair.
    pub(crate) fn new(ready: bool) -> Outcome<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (channel, other) = (ours.into(), theirs.into());
        Ok(Self { channel, _other: other, ready, init: 0, folder: false, tools: Vec::new(), last: None })
    }

    fn answer(&mut self, mut stream: UnixStream, entrance: &mut Entrance<'_>) -> Outcome<()> {
        let line = line(&mut stream)?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "echo" => stream.write_all(rest.as_bytes())?,
            "folder" => self.folder = true,
            "die" => {
                self.last = Some(stream);
                return Err("the broker ended before the agent".into());
            }
            "run" => self.run(&["/bin/sh", "-c", rest], &mut stream, entrance)?,
            "execute" => self.run(&[rest], &mut stream, entrance)?,
            // The youngest: the others have ended, and it may be that their first processes have not said how yet.
            "kill" => self.tools.last().into_iter().for_each(|(entered, _)| entered.kill()),
            // How each tool ended, oldest first; this waits for it.
            "ends" => {
                for (_, status) in &mut self.tools {
                    let mut told = Vec::new();
                    status.read_to_end(&mut told)?;
                    let number = told
                        .first_chunk()
                        .filter(|_| told.len() == 4)
                        .map(|bytes| i32::from_ne_bytes(*bytes));
                    writeln!(stream, "{number:?}")?;
                }
            }
            "cgroup-of" => stream.write_all(self.cgroup_of(rest)?.as_bytes())?,
            "kill-zygote" => {
                for child in children()?.into_iter().filter(|child| *child != self.init) {
                    let pid = rustix::process::Pid::from_raw(child).ok_or("a pid")?;
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                }
                self.last = Some(stream);
            }
            other => return Err(format!("nobody knows `{other}`").into()),
        }
        Ok(())
    }

    /// The asker gets the end of the pipe from which the tool's output is read.
    fn run(&mut self, argv: &[&str], stream: &mut UnixStream, entrance: &mut Entrance<'_>) -> Outcome<()> {
        let (status, writer) = std::io::pipe()?;
        let ((input, _), (answer, output)) = (std::io::pipe()?, std::io::pipe()?);
        let input = if self.folder { File::open("/")?.into() } else { input.into() };
        let work = Work {
            argv: argv.iter().map(|word| CString::new(*word)).collect::<Result<_, _>>()?,
            environment: vec![c"PATH=/usr/bin:/bin".to_owned(), c"TOOL=1".to_owned()],
            directory: c"/work".to_owned(),
            streams: [input, output.try_clone()?.into(), output.into()],
            status: writer.into(),
        };
        let started = Instant::now();
        match entrance.enter(work) {
            Ok(entered) => {
                eprintln!("entered in {} us", started.elapsed().as_micros());
                self.tools.push((entered, OwnedFd::from(status).into()));
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                let answer = [answer.as_fd()];
                ancillary.push(SendAncillaryMessage::ScmRights(&answer));
                sendmsg(&*stream, &[IoSlice::new(b"o")], &mut ancillary, SendFlags::NOSIGNAL)?;
            }
            Err(refusal) => {
                let mut told = Vec::new();
                File::from(OwnedFd::from(status)).read_to_end(&mut told)?;
                write!(stream, "refused at {}: {} {told:?}", refusal.step.name(), refusal.reason)?;
            }
        }
        Ok(())
    }

    /// Whether the process with these words is where the sandbox's first one is, and the supervisor is not.
    fn cgroup_of(&self, words: &str) -> Outcome<String> {
        let of = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let line = std::fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).replace('\0', " ").trim() == words {
                found.push(of(&name)?);
            }
        }
        let sandboxes = of(&self.init.to_string())?;
        let own = found == [sandboxes.clone()] && of("self")? != sandboxes;
        Ok(if own { "the run's".to_owned() } else { format!("{found:?}, {sandboxes}, {}", of("self")?) })
    }
}

fn line(stream: &mut UnixStream) -> Outcome<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(String::from_utf8(line)?)
}

/// Of the supervisor.
fn children() -> Outcome<Vec<i32>> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let status = std::fs::read_to_string(format!("/proc/{name}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
        if parent == Some(&own) {
            found.push(name.parse()?);
        }
    }
    Ok(found)
}

impl Broker for Asked {
    fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    fn hand_over(&mut self, listener: OwnedFd, init: i32) -> Result<(), Unopened> {
        (self.channel, self.init) = (listener, init);
        Ok(())
    }

    fn ready(&mut self, _: &dyn Fn() -> Result<(), Unopened>) -> Result<LayerEvidence, Unopened> {
        if self.ready {
            Ok(evidence("broker"))
        } else {
            Err(Unopened { reason: "it does not want to".to_owned(), help: None })
        }
    }

    fn tick(&mut self, _: &mut Entrance<'_>, _: &mut dyn Recorder) -> Result<(), String> {
        Ok(())
    }

    fn heard(&mut self, entrance: &mut Entrance<'_>, _: &mut dyn Recorder) -> Result<(), String> {
        let listener = UnixListener::from(self.channel.try_clone().map_err(|error| error.to_string())?);
        let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
        self.answer(stream, entrance).map_err(|error| error.to_string())
    }

    fn finish(&mut self, _: &mut dyn Recorder) -> Result<(), String> {
        Ok(())
    }
}
