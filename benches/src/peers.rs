//! Who is measured, and the sandbox of each that is closest to agentrc's: the system read-only, a private `/tmp`, one
//! writable folder, all namespaces and no network where the tool has them, its own system call filter where it has one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::options::{Caller, Options};

/// The `FILE` of [`crate::inside`], and the program, are at these names in the writable folder.
const DATA: &str = "data";
const PROGRAM: &str = "agentrc-bench";

/// A tool, and how it is asked for the comparable sandbox.
pub(crate) struct Peer {
    /// As the table shows it.
    pub(crate) name: &'static str,
    /// The program that must be installed; empty: none.
    program: &'static str,
    /// Its arguments before the command. `{work}` is the writable folder, `{home}` the folder of all
    /// that the bench makes for this caller, `{login}` the home that the caller has in `/etc/passwd`.
    arguments: &'static [&'static str],
    /// Where the writable folder is inside.
    inside: &'static str,
    /// What its row does not have that agentrc's has, or the other way round.
    pub(crate) note: &'static str,
}

/// The command of a peer, none when it is not installed, or why it could not be prepared.
pub(crate) type Command = Result<Option<Vec<String>>, String>;

/// In the order of the table. The first is what steady state is compared with, the second what start-up is.
const PEERS: &[Peer] = &[
    Peer {
        name: "plain fork+exec",
        program: "",
        arguments: &[],
        inside: "{work}",
        note: "no sandbox at all",
    },
    Peer {
        name: "bubblewrap",
        program: "bwrap",
        arguments: &[
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/bin",
            "/bin",
            "--symlink",
            "usr/sbin",
            "/sbin",
            "--symlink",
            "usr/lib",
            "/lib",
            "--symlink",
            "usr/lib64",
            "/lib64",
            "--ro-bind",
            "/etc/ssl",
            "/etc/ssl",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--bind",
            "{work}",
            "/work",
            "--chdir",
            "/work",
            "--",
        ],
        inside: "/work",
        note: "namespaces and mounts only: no Landlock, no system call filter, no audit, no proof",
    },
    Peer {
        name: "firejail",
        program: "firejail",
        arguments: &[
            "--quiet",
            "--noprofile",
            "--net=none",
            "--private={work}",
            "--private-dev",
            "--private-tmp",
            "--read-only=/usr",
            "--read-only=/etc",
            "--caps.drop=all",
            "--nonewprivs",
            "--seccomp",
            "--",
        ],
        inside: "{login}",
        note: "set-uid root; deny-list of system calls; the rest of the host's files stay visible",
    },
    Peer {
        name: "nsjail",
        program: "nsjail",
        arguments: &[
            "-Mo",
            "--really_quiet",
            "-R",
            "/usr",
            "-s",
            "usr/bin:/bin",
            "-s",
            "usr/lib:/lib",
            "-s",
            "usr/lib64:/lib64",
            "-R",
            "/etc/ssl",
            "-T",
            "/tmp",
            "-B",
            "{work}:/work",
            "-D",
            "/work",
            "--seccomp_string",
            "POLICY a { ERRNO(1) { ptrace, keyctl, bpf, userfaultfd } } USE a DEFAULT ALLOW",
            "--",
        ],
        inside: "/work",
        note: "deny-list of four system calls",
    },
    Peer {
        name: "crun",
        program: "crun",
        arguments: &[
            "--cgroup-manager=disabled",
            "--root",
            "{home}/run",
            "run",
            "--bundle",
            "{home}/bundle",
            "bench",
        ],
        inside: "/work",
        note: "no cgroup; deny-list of four system calls; its configuration is written before the clock starts",
    },
    Peer {
        name: "agentrc",
        program: "{agentrc}",
        arguments: &["run", "{home}/agent/Agentfile"],
        inside: "/work",
        note: "compiles the Agentfile, arms both locks, proves each layer from inside, writes a signed audit log",
    },
];

/// Everything that is on disk for the runs of one caller; removed when it is dropped.
pub(crate) struct Stage {
    pub(crate) caller: Caller,
    agentrc: PathBuf,
    login: PathBuf,
    home: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.home) {
            eprintln!("bench: `{}` could not be removed: {error}", self.home.display());
        }
    }
}

impl Stage {
    /// Makes the caller's folders, and fills them.
    pub(crate) fn prepare(options: &Options, caller: &Caller) -> Result<Self, String> {
        let home = options.scratch.join(&caller.name);
        let stage = Self {
            caller: Caller { home: home.clone(), ..caller.clone() },
            agentrc: options.agentrc.clone(),
            login: caller.home.clone(),
            home,
        };
        stage.fill().map_err(|error| format!("`{}`: {error}", stage.home.display()))?;
        Ok(stage)
    }

    fn fill(&self) -> std::io::Result<()> {
        for folder in ["", "work", "agent", "agent/work", "run", "state", "config", "bundle", "bundle/rootfs"]
        {
            self.folder(folder)?;
        }
        for work in ["work", "agent/work"] {
            let program = self.home.join(work).join(PROGRAM);
            fs::copy(std::env::current_exe()?, &program)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
            self.file(&format!("{work}/{DATA}"), "a line of text\n")?;
        }
        self.file("agent/Agentfile", "AGENT bench\nCMD /bin/true\nBIND ./work /work rw\n")?;
        let lines: String = (0..10_000).map(|n| format!("ALLOW read /work/folder-{n}/file\n")).collect();
        self.file("agent/Long", &format!("AGENT bench\nCMD /bin/true\nBIND ./work /work rw\n{lines}"))?;
        self.bundle(&["/bin/true".to_owned()])
    }

    fn folder(&self, name: &str) -> std::io::Result<()> {
        let path = self.home.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        chown(&path, Some(self.caller.id), Some(self.caller.id))
    }

    fn file(&self, name: &str, text: &str) -> std::io::Result<()> {
        let path = self.home.join(name);
        fs::write(&path, text)?;
        chown(&path, Some(self.caller.id), Some(self.caller.id))
    }

    /// crun takes its command from the bundle.
    fn bundle(&self, argv: &[String]) -> std::io::Result<()> {
        let args: Vec<String> = argv.iter().map(|word| format!("{word:?}")).collect();
        let text = include_str!("bundle.json")
            .replace("{id}", &self.caller.id.to_string())
            .replace("{work}", &self.home.join("work").display().to_string())
            .replace("{args}", &args.join(", "));
        self.file("bundle/config.json", &text)
    }

    /// Folder in which every command is started.
    pub(crate) fn folder_of_runs(&self) -> &Path {
        &self.home
    }

    /// All peers, installed or not.
    pub(crate) fn peers(&self) -> &'static [Peer] {
        PEERS
    }

    /// The command that starts `/bin/true` in the sandbox of `peer`.
    pub(crate) fn startup(&self, peer: &Peer) -> Command {
        self.command(peer, &["/bin/true".to_owned()])
    }

    /// The command that runs the loops in the sandbox of `peer`.
    pub(crate) fn steady(&self, peer: &Peer) -> Command {
        let inside = self.expand(peer.inside);
        self.command(peer, &[format!("{inside}/{PROGRAM}"), "inside".to_owned(), format!("{inside}/{DATA}")])
    }

    /// The command that checks an Agentfile of ten thousand lines.
    pub(crate) fn compile(&self) -> Vec<String> {
        vec![self.expand("{agentrc}"), "check".to_owned(), self.expand("{home}/agent/Long")]
    }

    fn command(&self, peer: &Peer, argv: &[String]) -> Command {
        let program = self.expand(peer.program);
        if !program.is_empty() && !installed(&program) {
            return Ok(None);
        }
        let mut command: Vec<String> = std::iter::once(program).filter(|word| !word.is_empty()).collect();
        command.extend(peer.arguments.iter().map(|word| self.expand(word)));
        match peer.name {
            "crun" => self.bundle(argv).map_err(|error| error.to_string())?,
            "agentrc" => {
                let text = format!("AGENT bench\nCMD {}\nBIND ./work /work rw\n", argv.join(" "));
                self.file("agent/Agentfile", &text).map_err(|error| error.to_string())?;
            }
            _ => command.extend(argv.iter().cloned()),
        }
        Ok(Some(command))
    }

    fn expand(&self, word: &str) -> String {
        word.replace("{agentrc}", &self.agentrc.display().to_string())
            .replace("{work}", &self.home.join("work").display().to_string())
            .replace("{home}", &self.home.display().to_string())
            .replace("{login}", &self.login.display().to_string())
    }
}

/// Whether `program` is a path that exists, or a name that PATH has.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Path::new(program).is_absolute() && Path::new(program).exists()
        || !program.contains('/') && std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// Type of the file system that holds `path` (proc_pid_mountinfo(5)): the last mount point that is above it.
pub(crate) fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        let point = fields.split(' ').nth(4)?;
        path.starts_with(point).then_some((point.len(), rest.split(' ').next()?))
    });
    found.max_by_key(|(length, _)| *length).map_or("?", |(_, kind)| kind).to_owned()
}
