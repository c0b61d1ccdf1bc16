//! One test's folder: an Agentfile's folder, a world outside of it with canaries, and a binary to run.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::identity::Identity;
use crate::leftovers::Before;
use crate::outcome::{Child, Outcome};
use crate::session::Session;
use crate::world::Entry;
use crate::{attack, audit};

/// A test's world. Removed when dropped.
pub struct Lab {
    folder: tempfile::TempDir,
    /// As whom `agentrc` runs here.
    pub who: Identity,
    /// Text that is in files outside and must never come out of a sandbox. New for every lab.
    pub secret: String,
    before: RefCell<Option<Before>>,
    group: Cell<i32>,
    killed: Cell<bool>,
    world: RefCell<Option<Entry>>,
}

impl Lab {
    /// A fresh one, with `binary` where any user can reach it.
    pub fn new(binary: &Path, who: Identity) -> Self {
        // Not below the caller's TMPDIR: another user has to reach it.
        let folder =
            tempfile::Builder::new().prefix("agentrc-test-").tempdir_in("/tmp").expect("a folder in /tmp");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let secret = format!("secret-of-{}", folder.path().file_name().expect("a name").to_string_lossy());
        let lab = Self {
            folder,
            who,
            secret,
            before: RefCell::new(None),
            group: Cell::new(0),
            killed: Cell::new(false),
            world: RefCell::default(),
        };
        fs::create_dir(lab.path("bin")).expect("bin");
        // A link where the file systems allow it: the binary is tens of megabytes, and there are hundreds of labs.
        if fs::hard_link(binary, lab.binary()).is_err() {
            copy_program(binary, &lab.binary());
        }
        for name in ["project", "outside", "home", "home/.config", "state", "runtime"] {
            lab.directory(lab.path(name));
        }
        fs::set_permissions(lab.path("runtime"), fs::Permissions::from_mode(0o700)).expect("chmod");
        lab.file(lab.outside("secret"), &lab.secret);
        lab.file(lab.outside("canary"), "untouched\n");
        lab.before.replace(Some(Before::now(&lab)));
        lab
    }

    /// A path in the lab.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the Agentfile's folder.
    pub fn project(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("project").join(name)
    }

    /// A path outside the Agentfile's folder: `secret` and `canary` are there already.
    pub fn outside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("outside").join(name)
    }

    /// The copy of `agentrc`.
    pub fn binary(&self) -> PathBuf {
        self.path("bin/agentrc")
    }

    /// Makes a file (and the folders above it) that belongs to the lab's identity.
    pub fn file(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = path.as_ref();
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            self.directory(folder);
        }
        fs::write(path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        self.own(path);
    }

    /// Likewise, with execute permission.
    pub fn script(&self, path: impl AsRef<Path>, text: &str) {
        let draft = self.path("script");
        self.file(&draft, text);
        if let Some(folder) = path.as_ref().parent() {
            self.directory(folder);
        }
        copy_program(&draft, path.as_ref());
        self.own(path.as_ref());
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// Makes a folder, and those above it, that belongs to the lab's identity.
    pub fn directory(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        if path.exists() {
            return;
        }
        if let Some(above) = path.parent() {
            self.directory(above);
        }
        fs::create_dir(path).unwrap_or_else(|e| panic!("mkdir {}: {e}", path.display()));
        self.own(path);
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, to: impl AsRef<Path>, at: impl AsRef<Path>) {
        std::os::unix::fs::symlink(to, &at).expect("symlink");
        std::os::unix::fs::lchown(at, Some(self.who.uid), Some(self.who.gid)).expect("lchown");
    }

    /// Copies a folder, with the modes of its files.
    pub fn copy(&self, from: &Path, to: &Path) {
        self.directory(to);
        for entry in fs::read_dir(from).expect("the folder").map(|entry| entry.expect("an entry")) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                self.copy(&entry.path(), &target);
            } else {
                self.file(&target, fs::read(entry.path()).expect("a file"));
                fs::set_permissions(&target, entry.metadata().expect("metadata").permissions())
                    .expect("chmod");
            }
        }
    }

    /// Makes `ro` and `rw`, two folders with the same things in them; returns the lines that bind them below `/work`.
    pub fn read_only_and_writable(&self) -> &'static str {
        for (folder, text) in [("ro", "read-only\n"), ("rw", "writable\n")] {
            self.file(self.project(folder).join("file"), text);
            self.file(self.project(folder).join("sub/file"), text);
            self.directory(self.project(folder).join("empty"));
        }
        "AGENT files\nBIND ./rw /work/rw rw\nBIND ./ro /work/ro ro\n"
    }

    /// Puts the attacker at a path.
    pub fn attacker(&self, path: impl AsRef<Path>) -> PathBuf {
        if !path.as_ref().exists() {
            copy_program(attack::program(), path.as_ref());
            self.own(path.as_ref());
        }
        path.as_ref().to_owned()
    }

    fn own(&self, path: &Path) {
        chown(path, Some(self.who.uid), Some(self.who.gid)).expect("chown");
    }

    /// Writes the Agentfile of `project`.
    pub fn agentfile(&self, text: &str) -> PathBuf {
        let path = self.project("Agentfile");
        self.file(&path, text);
        path
    }

    /// Puts every command that is started from now on into this process group, instead of one of its own.
    pub fn join_group(&self, group: u32) {
        self.group.set(group as i32);
    }

    /// What is started from now on is started in this world (or outside of any again).
    pub(crate) fn enter(&self, world: Option<Entry>) {
        self.world.replace(world);
    }

    /// Some program, as the lab's identity, with nothing of the caller's environment, and the secret in its own.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let world = self.world.borrow();
        let mut command = match &*world {
            Some(world) => world.command(self, program.as_ref()),
            None if self.bpf_is_refused() => {
                let mut command = Command::new(self.attacker(self.path("without-bpf")));
                command.arg("without-bpf").arg(program.as_ref());
                command
            }
            None => Command::new(program.as_ref()),
        };
        if world.is_none() {
            command.env_clear();
        }
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home/.config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("LANG", "C.UTF-8")
            .env("CALLERS_SECRET", &self.secret)
            .current_dir(self.path("project"))
            .process_group(self.group.get());
        // Into a world root enters, and becomes the user there.
        if world.is_none() && crate::identity::started_as_root() && !self.who.is_root() {
            command.uid(self.who.uid).gid(self.who.gid);
        }
        command
    }

    /// Whether what runs here is to find a host that refuses bpf(2) to root.
    pub(crate) fn bpf_is_refused(&self) -> bool {
        self.who.is_root() && !self.who.filter
    }

    /// `agentrc` with these words.
    pub fn agentrc<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(self.binary());
        command.args(words);
        command
    }

    /// Writes the Agentfile and runs it to its end.
    pub fn run(&self, agentfile: &str) -> Outcome {
        let path = self.agentfile(agentfile);
        self.finish_command(self.agentrc(["run".as_ref(), path.as_os_str()]))
    }

    /// Writes the Agentfile and starts it, standard input and output in the test's hands.
    pub fn start(&self, agentfile: &str) -> Child {
        let path = self.agentfile(agentfile);
        Child::start(self, self.agentrc(["run".as_ref(), path.as_os_str()]))
    }

    /// Runs a command to its end, with empty standard input, for at most a minute.
    pub fn finish_command(&self, command: Command) -> Outcome {
        let mut child = Child::start(self, command);
        child.close_input();
        child.finish()
    }

    /// Runs an Agentfile whose command is the attacker in `serve`; the line `CMD ./attack serve` is added here.
    pub fn attack(&self, agentfile: &str) -> Session {
        self.attacker(self.project("attack"));
        let path = self.agentfile(&format!("{agentfile}\nCMD ./attack serve\n"));
        Session::start(self, self.agentrc(["run".as_ref(), "--grant".as_ref(), path.as_os_str()]))
    }

    /// All that attackers carried out in this output.
    pub fn leaks(&self, output: &[u8]) -> String {
        let text = String::from_utf8_lossy(output).into_owned();
        let lines = text.lines().filter_map(|line| line.strip_prefix("< ")).map(crate::session::unhex);
        lines.map(|bytes| String::from_utf8_lossy(&bytes).into_owned() + "\n").collect()
    }

    /// Whether an attacker carried the secret out in this output.
    pub fn leaked_in(&self, output: &[u8]) -> bool {
        self.leaks(output).contains(&self.secret)
    }

    /// Likewise, or any program did in plain text.
    pub fn leaked(&self, outcome: &Outcome) -> bool {
        self.leaked_in(&outcome.stdout) || outcome.out().contains(&self.secret)
    }

    /// The folders of the runs that this lab's identity has made here, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        audit::runs(&self.state())
    }

    /// The name of the run that was made last.
    pub fn last_run(&self) -> String {
        let run = self.runs().pop().expect("a run");
        run.file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Where `agentrc` keeps its state.
    pub fn state(&self) -> PathBuf {
        self.path("state/agentrc")
    }

    /// Says that a supervisor was killed here: the empty cgroup that it leaves is the next run's to remove.
    pub fn supervisor_was_killed(&self) {
        self.killed.set(true);
    }

    /// After a supervisor was killed: the next run.
    pub(crate) fn run_again_if_killed(&self) {
        if self.killed.take() {
            let agentfile = self.path("next/Agentfile");
            self.directory(self.path("next"));
            self.file(&agentfile, "AGENT next\nCMD /bin/true\n");
            self.finish_command(self.agentrc(["run".as_ref(), agentfile.as_os_str()])).expect_code(0);
        }
    }

    /// Says that nothing may be left of what ran here: no process, mount, cgroup or file.
    pub fn finish(&self) {
        if let Some(before) = self.before.take() {
            before.check(self);
        }
    }
}

/// Copies a program by another process: had this one the copy open for writing while another test's thread starts a child, that
/// child would hold it open, and executing it would fail (ETXTBSY).
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "cp {} {}", from.display(), to.display());
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed test may leave processes: end them, by the lab's path, which is nobody else's.
        if std::thread::panicking() {
            crate::leftovers::kill_all(self);
        }
        // overlayfs leaves a folder that not even its owner may enter.
        open_folders(self.folder.path());
    }
}

fn open_folders(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o755));
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}
